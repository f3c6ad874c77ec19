//! Callbacks of Google Wallet: what it reports about an object, which stands for a pass.
//!
//! Google sends no device and no user, so an object has one registration, in whichever wallets it was saved.

use crate::{
    id::{PassId, RegistrationId},
    pass::GoogleObjectId,
    text::{bounded_texts, is_printable},
    wallet::Wallet,
};

/// The maximum number of issuers of an account. A callback is verified for each of them.
pub const MAX_ISSUERS: usize = 20;

bounded_texts! {
    /// The id of an issuer in the Google Wallet API, with which the ids of its objects begin.
    GoogleIssuerId: 32 bytes, is_digits, "digits";
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
        RegistrationId::of_device(pass, Wallet::GoogleWallet, self.object_id.as_str())
    }
}

impl GoogleObjectId {
    /// Returns whether the object is of this issuer.
    #[must_use]
    pub fn is_of(&self, issuer: &GoogleIssuerId) -> bool {
        self.issuer() == issuer.as_str()
    }
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
