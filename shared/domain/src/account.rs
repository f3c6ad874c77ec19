//! Accounts and their API keys.
//!
//! An account owns campaigns. A caller authenticates with one of the account's API keys. A key is shown only once, when
//! it is created. The table stores its SHA-256 ([`KeyId`]) and a [`KeyRecord`], so that operators can tell keys apart.

use std::{fmt, str::FromStr};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use strum::{EnumString, IntoStaticStr, VariantNames};
use thiserror::Error;

use crate::{id::AccountId, names::UnknownName, time::Timestamp};

/// The length in bytes of a key before it is encoded, and of its SHA-256.
const KEY_LENGTH: usize = 32;
/// How many characters of a key remain visible, so that people can distinguish keys.
const SHOWN_LENGTH: usize = 4;

/// An API key: 256 random bits, known to its owner only. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

/// The SHA-256 of an API key, under which the key's record is stored. A lookup succeeds only for a caller who sent the
/// whole key, so no constant-time comparison is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; KEY_LENGTH]);

/// The user name of an account in HTTP Basic: 1 to 64 letters, digits, or any of `.`, `_`, `@`, `-`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct UserName(String);

/// The rights of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr, VariantNames)]
#[serde(rename_all = "snake_case")]
#[strum(
    serialize_all = "snake_case", parse_err_ty = UnknownName, parse_err_fn = UnknownName::of::<Access>
)]
pub enum Access {
    /// `read_write`: may list and write, and may list push tokens.
    ReadWrite,
    /// `read_only`: may list.
    ReadOnly,
}

/// The stored record of a key, which does not contain the key itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// The id of the key.
    pub id: KeyId,
    /// The account that the key belongs to.
    pub account_id: AccountId,
    /// The user name of the account. In HTTP Basic a caller must send it, or the account's id, with the key.
    pub user_name: UserName,
    /// The rights of the key.
    pub access: Access,
    /// When the key was created.
    pub issued_at: Timestamp,
    /// The last four characters of the key.
    pub last_four: String,
    /// When the key was revoked, or `None` if it was not.
    pub revoked_at: Option<Timestamp>,
}

/// The sender of a request with a valid key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account of the key.
    pub account_id: AccountId,
    /// The rights of the key.
    pub access: Access,
}

/// The error for a text that is not the id of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected the 64 hexadecimal digits of a key_id")]
pub struct InvalidKeyId;

/// The error for a text that is not a user name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected 1 to 64 letters, digits, or any of . _ @ -")]
pub struct InvalidUserName;

impl ApiKey {
    /// Generates a new key.
    ///
    /// # Errors
    ///
    /// If the operating system provides no random bytes.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; KEY_LENGTH];
        getrandom::fill(&mut bytes)?;
        Ok(Self(BASE64_URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Wraps a key that a caller sent, valid or not.
    #[must_use]
    pub fn claimed(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Returns the key itself, to be shown once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Returns the id under which the key is stored.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId(Sha256::digest(self.0.as_bytes()).into())
    }

    /// Returns the last four characters.
    #[must_use]
    pub fn last_four(&self) -> String {
        let characters: Vec<char> = self.0.chars().collect();
        characters[characters.len().saturating_sub(SHOWN_LENGTH)..].iter().collect()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ApiKey(…)")
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

impl FromStr for KeyId {
    type Err = InvalidKeyId;

    fn from_str(text: &str) -> Result<Self, InvalidKeyId> {
        let mut id = [0; KEY_LENGTH];
        hex::decode_to_slice(text, &mut id).map_err(|_| InvalidKeyId)?;
        Ok(Self(id))
    }
}

impl UserName {
    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserName {
    type Err = InvalidUserName;

    fn from_str(text: &str) -> Result<Self, InvalidUserName> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte);
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(allowed);
        if fits { Ok(Self(text.to_owned())) } else { Err(InvalidUserName) }
    }
}

impl TryFrom<String> for UserName {
    type Error = InvalidUserName;

    fn try_from(text: String) -> Result<Self, InvalidUserName> {
        text.parse()
    }
}

impl From<UserName> for String {
    fn from(name: UserName) -> Self {
        name.0
    }
}

impl Access {
    /// Returns the name in the table and for `account-admin`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_long_and_random_and_never_shown() {
        let (one, other) = (ApiKey::random().unwrap(), ApiKey::random().unwrap());
        assert_eq!(one.reveal().len(), 43);
        assert_ne!(one, other);
        assert!(one.reveal().ends_with(&one.last_four()) && one.last_four().len() == 4);
        assert!(!format!("{one:?}").contains(one.reveal()));
        assert_eq!(ApiKey::claimed("é").last_four(), "é");
    }

    #[test]
    fn a_key_is_known_by_its_sha_256() {
        // printf demo | sha256sum
        let expected = "2a97516c354b68848cdbd8f54a226a0a55b21ed138e207ad6c5cbb9c00aa5aea";
        assert_eq!(ApiKey::claimed("demo").id().to_string(), expected);
        assert_eq!(expected.parse(), Ok(ApiKey::claimed("demo").id()));
        for wrong in ["", "2a", &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(wrong.parse::<KeyId>(), Err(InvalidKeyId));
        }
    }

    #[test]
    fn invalid_names_and_unknown_accesses_are_refused() {
        assert!("ops@example.com".parse::<UserName>().is_ok());
        for wrong in ["", "a:b", "a b", &"a".repeat(65)] {
            assert_eq!(wrong.parse::<UserName>(), Err(InvalidUserName));
        }
        assert_eq!("read_only".parse(), Ok(Access::ReadOnly));
        let unknown = "admin".parse::<Access>().unwrap_err();
        assert_eq!(unknown.to_string(), format!("expected one of {}", Access::VARIANTS.join(", ")));
    }
}
