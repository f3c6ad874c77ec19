//! Texts that a wallet sends about its device.
//!
//! They are deleted when the registration ends.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use crate::text::{bounded_texts, is_printable};

/// How many bytes of a SHA-256 [`DeviceLibraryIdentifier::digest`] keeps.
const DIGEST_LENGTH: usize = 16;

// With these limits an item and its keys stay under 1 KB, unless several of the texts about a device and its pass are
// near their limits. Then an install costs one write unit more.
bounded_texts! {
    /// The device library identifier: a wallet's name for the device that it runs on.
    DeviceLibraryIdentifier: 128 bytes, is_printable, "text without control characters";
    /// The push token: the address at which a wallet is notified of changes to a pass.
    PushToken: 384 bytes, is_printable, "text without control characters";
    /// The push service URL: the address of the server that passes pushes on to a wallet. It comes from the wallet, so
    /// it is stored for the sender of pushes and is never called. WalletPasses sends one with `http` if it registers as
    /// PassWallet (its Android app, decompiled).
    PushServiceUrl: 256 bytes, is_http, "text that is an http or https URL";
}

impl DeviceLibraryIdentifier {
    /// Returns the first 16 bytes of the SHA-256 of the identifier, in base64url.
    ///
    /// The identifier is the only secret of the call that lists the passes on a device, so the table has only its digest.
    #[must_use]
    pub fn digest(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(self.as_str())[..DIGEST_LENGTH])
    }
}

/// Returns whether a text is an http or https URL with a host, as far as can be seen without resolving it.
fn is_http(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    !host.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn texts_are_limited_in_length_and_never_shown() {
        let longest = "x".repeat(128);
        let device: DeviceLibraryIdentifier = longest.parse().unwrap();
        assert_eq!(device.as_str(), longest);
        assert!(!format!("{device:?}").contains('x'));

        for wrong in ["", "line\nbreak", &"x".repeat(129)] {
            let error = wrong.parse::<DeviceLibraryIdentifier>().unwrap_err();
            assert_eq!(error.to_string(), "expected 1 to 128 bytes of text without control characters");
        }
    }

    #[test]
    fn a_device_has_always_the_same_digest() {
        // printf device-1 | sha256sum | head -c 32 | xxd -r -p | basenc --base64url
        assert_eq!("device-1".parse::<DeviceLibraryIdentifier>().unwrap().digest(), "AyBN6S4R_IxSgTm-QZBlkg");
    }

    #[rstest]
    #[case("https://walletpasses.appspot.com/api", true)]
    #[case("https://push.example", true)]
    #[case("http://walletpasses.appspot.com/api/attido/", true)]
    #[case("ftp://push.example", false)]
    #[case("http://", false)]
    #[case("https://", false)]
    #[case("https:///path", false)]
    #[case("https://push.example/a b", false)]
    #[case("https://püsh.example", false)]
    fn a_push_service_has_an_http_url(#[case] text: &str, #[case] is_valid: bool) {
        assert_eq!(text.parse::<PushServiceUrl>().is_ok(), is_valid);
    }
}
