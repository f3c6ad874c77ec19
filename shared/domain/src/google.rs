//! Callbacks of Google Wallet: what it reports about an object, which stands for a pass.
//!
//! Google sends no device and no user, so an object has one registration, in whichever wallets it was saved.

use crate::{
    id::{PassId, RegistrationId},
    text::{bounded_texts, is_printable},
    wallet::Wallet,
};

/// The maximum number of issuers of an account. A callback is verified for each of them.
pub const MAX_ISSUERS: usize = 20;

bounded_texts! {
    /// The id of an issuer in the Google Wallet API, with which the ids of its objects begin.
    GoogleIssuerId: 32 bytes, is_digits, "digits";
    /// The id of an object in Google Wallet, which stands for one pass: the issuer's id and an id that the issuer chose
    /// (Google Wallet API reference, "`GenericObject`").
    GoogleObjectId: 256 bytes, is_google_object, "digits, '.', and then letters, digits, '.', '_' or '-'";
    /// A text that only repetitions of the same callback share.
    CallbackNonce: 128 bytes, is_printable, "text without control characters";
}

/// A callback about one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback {
    /// The object.
    pub object_id: GoogleObjectId,
    /// What happened to it.
    pub kind: CallbackKind,
    /// When the callback expires, in milliseconds since 1970 (`expTimeMillis`). Of two callbacks about one object, the
    /// later one has the greater number.
    pub order: i64,
    /// What distinguishes the callback from others about the same object.
    pub nonce: CallbackNonce,
}

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallbackKind {
    /// It was saved to a wallet.
    Saved,
    /// It was deleted from a wallet.
    Deleted,
}

impl Callback {
    /// Returns the id of the object's registration, if the object stands for this pass.
    #[must_use]
    pub fn registration_id(&self, pass: PassId) -> RegistrationId {
        RegistrationId::derived(pass, Wallet::GoogleWallet, self.object_id.as_str())
    }
}

impl GoogleObjectId {
    /// Returns the id of the issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.as_str().split('.').next().unwrap_or_default()
    }

    /// Returns whether the object is of this issuer.
    #[must_use]
    pub fn is_of(&self, issuer: &GoogleIssuerId) -> bool {
        self.issuer() == issuer.as_str()
    }
}

fn is_google_object(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    text.split_once('.').is_some_and(|(issuer, id)| {
        !issuer.is_empty() && is_digits(issuer) && !id.is_empty() && id.bytes().all(allowed)
    })
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("3388000000022000000", true)]
    #[case("", false)]
    #[case("3388000000022000000.x", false)]
    #[case("338800000002200000O", false)]
    #[case("333333333333333333333333333333333", false)]
    fn an_issuer_has_digits(#[case] text: &str, #[case] is_valid: bool) {
        assert_eq!(text.parse::<GoogleIssuerId>().is_ok(), is_valid);
    }

    #[rstest]
    #[case("3388000000022000000.coupon_1-2.x", Some("3388000000022000000"))]
    #[case("3388000000022000000.", None)]
    #[case("3388000000022000000", None)]
    #[case(".coupon", None)]
    #[case("issuer.coupon", None)]
    #[case("3388000000022000000.coupon 1", None)]
    #[case("3388000000022000000.coupon#1", None)]
    fn a_google_object_begins_with_its_issuer(#[case] text: &str, #[case] issuer: Option<&str>) {
        let object = text.parse::<GoogleObjectId>();
        assert_eq!(object.as_ref().ok().map(GoogleObjectId::issuer), issuer);
    }

    #[test]
    fn an_object_is_of_the_issuer_with_which_it_begins() {
        let object: GoogleObjectId = "3388.x".parse().unwrap();
        for (issuer, expected) in [("3388", true), ("338", false), ("33880", false)] {
            assert_eq!(object.is_of(&issuer.parse().unwrap()), expected);
        }
    }

    #[test]
    fn an_object_always_gets_the_same_registration_id() {
        let pass: PassId = "b50a5348-27c5-40de-ae4a-5d8436284d65".parse().unwrap();
        let callback = |object: &str| Callback {
            object_id: object.parse().unwrap(),
            kind: CallbackKind::Saved,
            order: 1,
            nonce: "n".parse().unwrap(),
        };
        // python3 -c 'import uuid; print(uuid.uuid5(uuid.UUID("38094546-e4ad-49f8-8eec-0d03a2a40ca6"),
        //   "b50a5348-27c5-40de-ae4a-5d8436284d65/google_wallet/3388.x"))'
        assert_eq!(callback("3388.x").registration_id(pass).to_string(), "2054d038-9e3c-524e-8074-5f5e29c5da7a");
        assert_ne!(callback("3388.x").registration_id(pass), callback("3388.y").registration_id(pass));
    }
}
