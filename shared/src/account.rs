//! Accounts and their API keys.

use std::{fmt, str::FromStr};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::{clock::Timestamp, id::AccountId};

/// How many bytes of chance a key has.
const KEY_LENGTH: usize = 32;
/// How many characters of a key are shown, for people to tell keys apart.
const SHOWN_LENGTH: usize = 4;

/// An API key: 256 random bits, known to its owner only. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

/// The SHA-256 of an API key, by which it is stored and looked up: what is found by it was known in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; KEY_LENGTH]);

/// What an account calls itself in HTTP Basic: 1 to 64 letters, digits, or any of `.`, `_`, `@`, `-`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct UserName(String);

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// `read_write`: list and write.
    ReadWrite,
    /// `read_only`: list.
    ReadOnly,
}

/// What is known of a key: everything but the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Its id.
    pub id: KeyId,
    /// Whose it is.
    pub account_id: AccountId,
    /// The name that goes with it in HTTP Basic.
    pub user_name: UserName,
    /// What it may do.
    pub access: Access,
    /// When it was made.
    pub issued_at: Timestamp,
    /// How it ends.
    pub last_four: String,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// Somebody whose key was good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account.
    pub account_id: AccountId,
    /// What the key may do.
    pub access: Access,
}

/// Why a text is not a key's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected the 64 hexadecimal digits of a key_id")]
pub struct InvalidKeyId;

/// Why a text is not a user name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected 1 to 64 letters, digits, or any of . _ @ -")]
pub struct InvalidUserName;

/// Why a text is not an access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected one of read_write, read_only")]
pub struct UnknownAccess;

impl ApiKey {
    /// A new key.
    ///
    /// # Errors
    ///
    /// Where the system has no chance to give.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; KEY_LENGTH];
        getrandom::fill(&mut bytes)?;
        Ok(Self(BASE64_URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// The key that a caller claims to have.
    #[must_use]
    pub fn claimed(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The key, to be shown once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// By what it is stored.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId(Sha256::digest(self.0.as_bytes()).into())
    }

    /// How it ends.
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
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl FromStr for KeyId {
    type Err = InvalidKeyId;

    fn from_str(text: &str) -> Result<Self, InvalidKeyId> {
        let mut id = [0; KEY_LENGTH];
        if text.len() != 2 * KEY_LENGTH || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(InvalidKeyId);
        }
        for (place, byte) in id.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * place..2 * place + 2], 16).map_err(|_| InvalidKeyId)?;
        }
        Ok(Self(id))
    }
}

impl UserName {
    /// The name as text.
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
    /// The access as events and the table write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadWrite => "read_write",
            Self::ReadOnly => "read_only",
        }
    }
}

impl FromStr for Access {
    type Err = UnknownAccess;

    fn from_str(text: &str) -> Result<Self, UnknownAccess> {
        [Self::ReadWrite, Self::ReadOnly].into_iter().find(|access| access.as_str() == text).ok_or(UnknownAccess)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_long_unlike_and_never_shown() {
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
    fn names_and_accesses_are_closed() {
        assert!("ops@example.com".parse::<UserName>().is_ok());
        for wrong in ["", "a:b", "a b", &"a".repeat(65)] {
            assert_eq!(wrong.parse::<UserName>(), Err(InvalidUserName));
        }
        assert_eq!("read_only".parse(), Ok(Access::ReadOnly));
        assert_eq!("admin".parse::<Access>(), Err(UnknownAccess));
    }
}
