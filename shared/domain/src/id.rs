//! A type for each kind of id, so that swapped arguments do not compile.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;
use uuid::Uuid;

use crate::wallet::Wallet;

/// The namespace of the registration ids that are derived from a device.
const REGISTRATION_NAMESPACE: Uuid = Uuid::from_u128(0x3809_4546_e4ad_49f8_8eec_0d03_a2a4_0ca6);

/// The length of the text of an id that is a UUID.
pub const ID_LENGTH: usize = uuid::fmt::Hyphenated::LENGTH;

/// The error for a text that is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidId {
    /// Not the hyphenated form of a UUID.
    #[error("expected a UUID of the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")]
    NotAUuid,
    /// Not an account id.
    #[error("expected 1 to {} letters, digits, '-' or '_'", AccountId::MAX_LENGTH)]
    NotAnAccount,
}

/// A UUID in its hyphenated form, in lower case.
///
/// Most ids are only read and written again, so they are kept as text: that is several times cheaper than to convert
/// them into numbers and back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Hyphenated([u8; ID_LENGTH]);

impl Hyphenated {
    /// The form, with zeros in place of its digits.
    const FORM: [u8; ID_LENGTH] = *b"00000000-0000-0000-0000-000000000000";

    /// Parses the hyphenated form only, in either case. The `uuid` crate also accepts braces, URNs and 32 bare digits,
    /// but an id has only one form in URLs and in events.
    fn parse(text: &str) -> Option<Self> {
        let text: [u8; ID_LENGTH] = text.as_bytes().try_into().ok()?;
        if Self::is_of_form(&text) {
            return Some(Self(text));
        }
        let text = text.map(|byte| byte.to_ascii_lowercase());
        Self::is_of_form(&text).then_some(Self(text))
    }

    fn is_of_form(text: &[u8; ID_LENGTH]) -> bool {
        let is_right = |form: u8, byte: u8| match form {
            b'0' => byte.is_ascii_digit() | (b'a'..=b'f').contains(&byte),
            hyphen => byte == hyphen,
        };
        // There is no early exit, so that the compiler can check many bytes at once.
        Self::FORM.iter().zip(text).fold(true, |all, (form, byte)| all & is_right(*form, *byte))
    }

    fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl From<Uuid> for Hyphenated {
    fn from(uuid: Uuid) -> Self {
        let mut text = Self::FORM;
        uuid.hyphenated().encode_lower(&mut text);
        Self(text)
    }
}

impl fmt::Debug for Hyphenated {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        ///
        /// Read in either case, written in lower case.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(try_from = "String")]
        #[cfg_attr(feature = "contract", derive(utoipa::ToSchema), schema(value_type = String, format = "uuid"))]
        pub struct $name(Hyphenated);

        impl $name {
            /// Returns the id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// Returns the bytes of the id as text.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; ID_LENGTH] {
                &self.0.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Hyphenated::parse(text).map(Self).ok_or(InvalidId::NotAUuid)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    )+};
}

uuid_ids! {
    /// A campaign: the coupon, the event, the store card that passes are issued for.
    CampaignId,
    /// One pass of a campaign.
    PassId,
    /// One pass in one wallet on one device.
    RegistrationId,
}

impl RegistrationId {
    /// Returns the id of the registration of `pass` in `wallet` at this holder: a device, by its library identifier, or
    /// an object in Google Wallet, by its id.
    ///
    /// It is the `UUIDv5` of `<pass_id>/<wallet>/<holder>`, so every source that knows the holder derives the same id.
    #[must_use]
    pub fn derived(pass: PassId, wallet: Wallet, holder: &str) -> Self {
        let name = format!("{pass}/{wallet}/{holder}");
        Self(Uuid::new_v5(&REGISTRATION_NAMESPACE, name.as_bytes()).into())
    }
}

/// The id of an account, the owner of campaigns: 1 to 64 letters, digits, `-` or `_`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct AccountId(String);

impl AccountId {
    /// The maximum length in bytes.
    pub const MAX_LENGTH: usize = 64;

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if (1..=Self::MAX_LENGTH).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId::NotAnAccount)
        }
    }
}

impl TryFrom<String> for AccountId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<AccountId> for String {
    fn from(id: AccountId) -> Self {
        id.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("bd69162b-8995-4c89-bdca-898fae6050d0", true)]
    #[case("BD69162B-8995-4C89-BDCA-898FAE6050D0", true)]
    #[case("bd69162b89954c89bdca898fae6050d0", false)]
    #[case("{bd69162b-8995-4c89-bdca-898fae6050d0}", false)]
    #[case("urn:uuid:bd69162b-8995-4c89-bdca-898fae6050d0", false)]
    #[case("bd69162b-8995-4c89-bdca-898fae6050d", false)]
    #[case("gd69162b-8995-4c89-bdca-898fae6050d0", false)]
    #[case("", false)]
    fn only_the_hyphenated_form_is_an_id(#[case] text: &str, #[case] valid: bool) {
        let parsed = text.parse::<CampaignId>();
        assert_eq!(parsed.is_ok(), valid);
        if let Ok(id) = parsed {
            assert_eq!(id.to_string(), text.to_lowercase());
        }
    }

    #[test]
    fn a_device_always_gets_the_same_registration_id() {
        let pass: PassId = "B50A5348-27C5-40DE-AE4A-5D8436284D65".parse().unwrap();
        let id = RegistrationId::derived(pass, Wallet::Passbook, "device-1");
        // python3 -c 'import uuid; print(uuid.uuid5(uuid.UUID("38094546-e4ad-49f8-8eec-0d03a2a40ca6"),
        //   "b50a5348-27c5-40de-ae4a-5d8436284d65/passbook/device-1"))'
        assert_eq!(id.to_string(), "436e706a-0c0d-5103-a938-62ee88d66968");
        assert_ne!(id, RegistrationId::derived(pass, Wallet::Pass2u, "device-1"));
        assert_ne!(id, RegistrationId::derived(pass, Wallet::Passbook, "device-2"));
    }

    #[rstest]
    #[case("demo", true)]
    #[case("a_B-9", true)]
    #[case("", false)]
    #[case("with space", false)]
    #[case("CAMPAIGN#", false)]
    fn account_ids_are_short_and_plain(#[case] text: &str, #[case] valid: bool) {
        assert_eq!(text.parse::<AccountId>().is_ok(), valid);
        assert!("a".repeat(65).parse::<AccountId>().is_err());
    }
}
