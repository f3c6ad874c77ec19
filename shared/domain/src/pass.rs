//! Passes as their issuer and the wallets name them.

use std::{fmt, str::FromStr};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::text::{InvalidText, bounded_texts, is_printable};

bounded_texts! {
    /// The serial number of a pass, unique among the passes of one type.
    SerialNumber: 256 bytes, is_printable, "text without control characters";
    /// The pass type identifier, for example `pass.com.example.coupon`. Apple assigns it to the issuer of the passes.
    PassTypeIdentifier: 128 bytes, is_pass_type, "`pass.` and then letters, digits, '.' or '-'";
}

/// A serial number with its pass type: the name of a pass in Apple's protocol.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypedSerialNumber {
    /// The pass type.
    pub pass_type: PassTypeIdentifier,
    /// The serial number.
    pub serial_number: SerialNumber,
}

/// The SHA-256 of the authentication token of a pass, which a wallet sends to prove that it has the pass.
///
/// Parsed from the token, which has 16 (Apple, *Wallet Passes*, "Pass") to 256 characters. A wallet sends it in a
/// header, after a scheme and a blank, so it consists of visible ASCII characters, and blanks only between them (RFC
/// 9110, section 5.5). The token itself is not kept. Serialized in base64url. Two hashes are compared in constant time.
/// `Debug` shows nothing.
#[derive(Clone, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The minimum length of a token in characters.
    pub const MIN_LENGTH: usize = 16;
    /// The maximum length of a token in characters.
    pub const MAX_LENGTH: usize = 256;

    /// Returns the hash in base64url.
    #[must_use]
    pub fn encoded(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl FromStr for TokenHash {
    type Err = InvalidText;

    /// Hashes a token.
    fn from_str(token: &str) -> Result<Self, InvalidText> {
        let is_visible = token.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        let fits = (Self::MIN_LENGTH..=Self::MAX_LENGTH).contains(&token.len());
        if fits && is_visible && token.trim_matches(' ') == token {
            Ok(Self(Sha256::digest(token).into()))
        } else {
            Err(InvalidText("expected 16 to 256 visible ASCII characters, with blanks only between them"))
        }
    }
}

impl TryFrom<String> for TokenHash {
    type Error = InvalidText;

    /// Decodes a hash in base64url.
    fn try_from(hash: String) -> Result<Self, InvalidText> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(hash).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or(InvalidText("expected the base64url of 32 bytes"))
    }
}

impl From<TokenHash> for String {
    fn from(hash: TokenHash) -> Self {
        hash.encoded()
    }
}

impl PartialEq for TokenHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for TokenHash {}

impl fmt::Debug for TokenHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TokenHash(…)")
    }
}

fn is_pass_type(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
    text.strip_prefix("pass.").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(allowed))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("pass.com.example.coupon", true)]
    #[case("pass.com.example-2.Coupon", true)]
    #[case("pass.", false)]
    #[case("com.example.coupon", false)]
    #[case("PASS.com.example", false)]
    #[case("pass.com#example", false)]
    #[case("pass.com/example", false)]
    fn a_pass_type_begins_with_pass(#[case] text: &str, #[case] is_valid: bool) {
        assert_eq!(text.parse::<PassTypeIdentifier>().is_ok(), is_valid);
        assert!(format!("pass.{}", "x".repeat(124)).parse::<PassTypeIdentifier>().is_err());
    }

    #[test]
    fn a_token_is_kept_only_as_its_hash() {
        let token = "0123456789abcdef";
        let hash: TokenHash = token.parse().unwrap();
        // printf 0123456789abcdef | openssl dgst -sha256 -binary | base64 | tr +/ -_ | tr -d =
        assert_eq!(hash.encoded(), "n59REfeyengfHx3d5evC3St5a_xzZcnCi1SOVkF2kp8");
        assert_eq!(TokenHash::try_from(hash.encoded()).unwrap(), hash);
        assert_ne!("0123456789abcdeg".parse::<TokenHash>().unwrap(), hash);
        assert!(!format!("{hash:?}").contains(token) && !format!("{hash:?}").contains(&hash.encoded()));
        for wrong in ["", "x", "0123456789abcdef"] {
            assert!(TokenHash::try_from(wrong.to_owned()).is_err());
        }
    }

    #[rstest]
    #[case("0123456789abcdef", true)]
    #[case(&"~".repeat(256), true)]
    #[case("with blanks  between", true)]
    #[case(&"x".repeat(15), false)]
    #[case(&"x".repeat(257), false)]
    #[case("ends in a blank ", false)]
    #[case(" begins with a blank", false)]
    #[case("0123456789abcdeü", false)]
    #[case("0123456789\tabcdef", false)]
    #[case("0123456789abcdef\n", false)]
    #[case("0123456789abcdef\u{a0}", false)]
    fn a_token_is_a_text_that_a_wallet_can_send_in_a_header(#[case] token: &str, #[case] is_token: bool) {
        assert_eq!(token.parse::<TokenHash>().is_ok(), is_token);
    }
}
