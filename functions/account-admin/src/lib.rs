//! Accounts and their API keys, for operators: create an account, add a key, list keys, revoke a key.
//!
//! | event | answer |
//! |---|---|
//! | `{"action":"create_account","account_id","user_name"}` | `{"account_id","user_name"}` |
//! | `{"action":"add_key","account_id","access"?}` | the key's record with `api_key`, which is shown this once |
//! | `{"action":"list_keys","account_id"}` | `{"keys":[…]}`, never a key |
//! | `{"action":"revoke_key","account_id","key_id"}` | the key's record with `revoked_at` |
//!
//! `access` is `read_write` or `read_only`. An account may have several keys, so that they can be rotated without a gap.

use std::{fmt, str::FromStr};

use lambda_runtime::{Diagnostic, LambdaEvent};
use serde::Serialize;
use serde_json::Value;
pub use shared::store::TableConfig as Config;
use shared::{
    account::{Access, ApiKey, KeyId, KeyRecord, UserName},
    clock::{self, Timestamp},
    field::{FieldErrors, Fields},
    id::AccountId,
    store::{RegistrationStore, StoreError},
};
use thiserror::Error;

/// The function.
#[derive(Debug, Clone)]
pub struct AccountAdmin {
    store: RegistrationStore,
}

/// What an operator is answered.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// An account was made.
    Account {
        /// Its id.
        account_id: AccountId,
        /// The name that goes with its keys in HTTP Basic.
        user_name: UserName,
    },
    /// A key was added.
    NewKey {
        /// The key, shown this once.
        api_key: String,
        /// What is kept of it.
        #[serde(flatten)]
        key: ShownKey,
    },
    /// The keys of an account.
    Keys {
        /// In the order they were made.
        keys: Vec<ShownKey>,
    },
    /// A key was revoked.
    Revoked(ShownKey),
}

/// What is shown of a key.
#[derive(Debug, Serialize)]
pub struct ShownKey {
    key_id: String,
    account_id: AccountId,
    user_name: UserName,
    access: Access,
    issued_at: Timestamp,
    last_four: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<Timestamp>,
}

/// Why an event was not done.
#[derive(Debug, Error)]
pub enum AdminError {
    /// The event is not what was expected.
    #[error("invalid event: {0}")]
    InvalidEvent(FieldErrors),
    /// There is an account of this id already.
    #[error("there is an account {0} already")]
    AccountExists(AccountId),
    /// There is no such account.
    #[error("there is no account {0}")]
    UnknownAccount(AccountId),
    /// The account has no such key.
    #[error("the account {account} has no key {key}")]
    UnknownKey {
        /// The account.
        account: AccountId,
        /// The id of the key.
        key: KeyId,
    },
    /// The system gave no random bytes.
    #[error("no key could be made: {0}")]
    NoChance(String),
    /// The table did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What an operator wants.
#[derive(Debug)]
enum Action {
    CreateAccount { account_id: AccountId, user_name: UserName },
    AddKey { account_id: AccountId, access: Access },
    ListKeys { account_id: AccountId },
    RevokeKey { account_id: AccountId, key_id: KeyId },
}

impl AccountAdmin {
    /// The function over the table that `config` names.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { store: RegistrationStore::connect(config) }
    }

    /// Does what an event asks for.
    pub async fn handle(&self, event: LambdaEvent<Value>) -> Result<Answer, AdminError> {
        self.act(Action::read(&event.payload)?, clock::now()).await
    }

    async fn act(&self, action: Action, now: Timestamp) -> Result<Answer, AdminError> {
        match action {
            Action::CreateAccount { account_id, user_name } => {
                if self.store.create_account(&account_id, &user_name, now).await? {
                    Ok(Answer::Account { account_id, user_name })
                } else {
                    Err(AdminError::AccountExists(account_id))
                }
            }
            Action::AddKey { account_id, access } => {
                let api_key = ApiKey::random().map_err(|error| AdminError::NoChance(error.to_string()))?;
                match self.store.add_key(&account_id, &api_key, access, now).await? {
                    Some(record) => Ok(Answer::NewKey { api_key: api_key.reveal().to_owned(), key: record.into() }),
                    None => Err(AdminError::UnknownAccount(account_id)),
                }
            }
            Action::ListKeys { account_id } => match self.store.keys(&account_id).await? {
                Some(records) => Ok(Answer::Keys { keys: records.into_iter().map(ShownKey::from).collect() }),
                None => Err(AdminError::UnknownAccount(account_id)),
            },
            Action::RevokeKey { account_id, key_id } => match self.store.revoke_key(&account_id, key_id, now).await? {
                Some(record) => Ok(Answer::Revoked(record.into())),
                None => Err(AdminError::UnknownKey { account: account_id, key: key_id }),
            },
        }
    }
}

impl Action {
    fn read(event: &Value) -> Result<Self, AdminError> {
        let mut errors = FieldErrors::default();
        let mut fields = Fields::of(event, "event", &mut errors);
        let kind = fields.required("action");
        let account_id = fields.required("account_id");
        let action = match kind {
            Some(Kind::CreateAccount) => account_id
                .zip(fields.required("user_name"))
                .map(|(account_id, user_name)| Self::CreateAccount { account_id, user_name }),
            Some(Kind::AddKey) => {
                let access = fields.optional("access");
                account_id.map(|account_id| Self::AddKey { account_id, access: access.unwrap_or(Access::ReadWrite) })
            }
            Some(Kind::ListKeys) => account_id.map(|account_id| Self::ListKeys { account_id }),
            Some(Kind::RevokeKey) => account_id
                .zip(fields.required("key_id"))
                .map(|(account_id, key_id)| Self::RevokeKey { account_id, key_id }),
            None => None,
        };
        match action {
            Some(action) if errors.is_empty() => Ok(action),
            _ => Err(AdminError::InvalidEvent(errors)),
        }
    }
}

/// The names of the actions.
#[derive(Debug, Clone, Copy)]
enum Kind {
    CreateAccount,
    AddKey,
    ListKeys,
    RevokeKey,
}

/// Why a text is not an action.
struct UnknownAction;

impl fmt::Display for UnknownAction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("expected one of create_account, add_key, list_keys, revoke_key")
    }
}

impl FromStr for Kind {
    type Err = UnknownAction;

    fn from_str(text: &str) -> Result<Self, UnknownAction> {
        match text {
            "create_account" => Ok(Self::CreateAccount),
            "add_key" => Ok(Self::AddKey),
            "list_keys" => Ok(Self::ListKeys),
            "revoke_key" => Ok(Self::RevokeKey),
            _ => Err(UnknownAction),
        }
    }
}

impl From<KeyRecord> for ShownKey {
    fn from(record: KeyRecord) -> Self {
        let KeyRecord { id, account_id, user_name, access, issued_at, last_four, revoked_at } = record;
        Self { key_id: id.to_string(), account_id, user_name, access, issued_at, last_four, revoked_at }
    }
}

/// What Lambda tells the operator.
impl From<AdminError> for Diagnostic {
    fn from(error: AdminError) -> Self {
        let error_type = match error {
            AdminError::InvalidEvent(_) => "InvalidEvent",
            AdminError::AccountExists(_) => "AccountExists",
            AdminError::UnknownAccount(_) => "UnknownAccount",
            AdminError::UnknownKey { .. } => "UnknownKey",
            AdminError::NoChance(_) => "NoChance",
            AdminError::Store(_) => "Store",
        };
        Self { error_type: error_type.to_owned(), error_message: error.to_string() }
    }
}
