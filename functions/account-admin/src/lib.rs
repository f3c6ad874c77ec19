//! Accounts and their API keys, for operators: create an account, add a key, list keys, revoke a key.
//!
//! | event | answer |
//! |---|---|
//! | `{"action":"create_account","account_id","user_name"}` | `{"account_id","user_name"}` |
//! | `{"action":"add_key","account_id","access"?}` | the key's record and `api_key`: the key, shown only this once |
//! | `{"action":"list_keys","account_id"}` | `{"keys":[…]}`, the records of the keys, without the keys themselves |
//! | `{"action":"revoke_key","account_id","key_id"}` | the key's record with `revoked_at` |
//!
//! `access` is `read_write` (the default) or `read_only`. An account may have several keys, so that a key can be
//! replaced without an interruption.

use domain::{
    account::{Access, ApiKey, KeyId, KeyRecord, UserName},
    fields::{FieldErrors, Fields},
    id::AccountId,
    names::UnknownName,
    time::{self, Timestamp},
};
use lambda_runtime::{Diagnostic, LambdaEvent};
pub use process::config::TableConfig as Config;
use serde::Serialize;
use serde_json::Value;
use store::{StoreError, Table};
use strum::{EnumString, VariantNames};
use thiserror::Error;

/// The function.
#[derive(Debug, Clone)]
pub struct AccountAdmin {
    table: Table,
}

/// The answer to an operator.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// An account was created.
    Account {
        /// The id of the account.
        account_id: AccountId,
        /// The user name of its keys in HTTP Basic.
        user_name: UserName,
    },
    /// A key was added.
    NewKey {
        /// The key itself, shown only this once.
        api_key: String,
        /// The record of the key.
        #[serde(flatten)]
        key: ShownKey,
    },
    /// The keys of an account.
    Keys {
        /// The records of the keys, oldest first.
        keys: Vec<ShownKey>,
    },
    /// A key was revoked.
    Revoked(ShownKey),
}

/// The record of a key as operators see it, which does not contain the key itself.
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

/// Why an operator's request failed.
#[derive(Debug, Error)]
pub enum AdminError {
    /// The event is invalid.
    #[error("invalid event: {0}")]
    InvalidEvent(FieldErrors),
    /// An account with this id exists already.
    #[error("there is an account {0} already")]
    AccountExists(AccountId),
    /// There is no account with this id.
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
    /// No key could be generated, because the operating system provided no random bytes. The text is its error.
    #[error("no key could be generated: {0}")]
    NoChance(String),
    /// The table failed or did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An operator's request, parsed.
#[derive(Debug)]
enum Action {
    CreateAccount { account_id: AccountId, user_name: UserName },
    AddKey { account_id: AccountId, access: Access },
    ListKeys { account_id: AccountId },
    RevokeKey { account_id: AccountId, key_id: KeyId },
}

impl AccountAdmin {
    /// Returns the function, which uses the table that `config` names.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { table: config.connect() }
    }

    /// Performs the action that an event names.
    pub async fn handle(&self, event: LambdaEvent<Value>) -> Result<Answer, AdminError> {
        self.act(Action::parse(&event.payload)?, time::now()).await
    }

    async fn act(&self, action: Action, now: Timestamp) -> Result<Answer, AdminError> {
        match action {
            Action::CreateAccount { account_id, user_name } => {
                if self.table.create_account(&account_id, &user_name, now).await? {
                    Ok(Answer::Account { account_id, user_name })
                } else {
                    Err(AdminError::AccountExists(account_id))
                }
            }
            Action::AddKey { account_id, access } => {
                let api_key = ApiKey::random().map_err(|error| AdminError::NoChance(error.to_string()))?;
                match self.table.add_key(&account_id, &api_key, access, now).await? {
                    Some(record) => Ok(Answer::NewKey { api_key: api_key.reveal().to_owned(), key: record.into() }),
                    None => Err(AdminError::UnknownAccount(account_id)),
                }
            }
            Action::ListKeys { account_id } => match self.table.keys(&account_id).await? {
                Some(records) => Ok(Answer::Keys { keys: records.into_iter().map(ShownKey::from).collect() }),
                None => Err(AdminError::UnknownAccount(account_id)),
            },
            Action::RevokeKey { account_id, key_id } => match self.table.revoke_key(&account_id, key_id, now).await? {
                Some(record) => Ok(Answer::Revoked(record.into())),
                None => Err(AdminError::UnknownKey { account: account_id, key: key_id }),
            },
        }
    }
}

impl Action {
    fn parse(event: &Value) -> Result<Self, AdminError> {
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

/// The values of `action`.
#[derive(Debug, Clone, Copy, EnumString, VariantNames)]
#[strum(serialize_all = "snake_case", parse_err_ty = UnknownName, parse_err_fn = UnknownName::of::<Kind>)]
enum Kind {
    CreateAccount,
    AddKey,
    ListKeys,
    RevokeKey,
}

impl From<KeyRecord> for ShownKey {
    fn from(record: KeyRecord) -> Self {
        let KeyRecord { id, account_id, user_name, access, issued_at, last_four, revoked_at } = record;
        Self { key_id: id.to_string(), account_id, user_name, access, issued_at, last_four, revoked_at }
    }
}

/// The error that Lambda returns to the operator.
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
