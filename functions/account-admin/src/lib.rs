//! Accounts, their API keys and the ownership of campaigns, for operators.
//!
//! | event | answer |
//! |---|---|
//! | `{"action":"create_account","account_id","user_name"}` | `{"account_id","user_name"}` |
//! | `{"action":"add_key","account_id","access"?}` | the key's record and `api_key`: the key, shown only this once |
//! | `{"action":"list_keys","account_id"}` | `{"keys":[…]}`, the records of the keys, without the keys themselves |
//! | `{"action":"revoke_key","account_id","key_id"}` | the key's record with `revoked_at` |
//! | `{"action":"set_campaign_type","account_id","campaign_id","campaign_type"}` | `{"campaign_id","account_id","campaign_type"?}` |
//! | `{"action":"move_campaign","account_id","campaign_id","to_account_id"}` | the same, with the new account; refused if a serial number or a Google object points to a pass of the campaign |
//! | `{"action":"set_google_issuers","account_id","issuer_ids":[…]}` | `{"account_id","google_issuer_ids":[…],"web_service_url","google_callback_url","warning"?}` |
//! | `{"action":"show_wallets","account_id"}` | the same |
//!
//! `issuer_ids` replaces all issuers of the account in the Google Wallet API: several, for example, for demo and for
//! production, and none if the list is empty. `web_service_url` is the `webServiceURL` of the account's passes and
//! `google_callback_url` the URL of its classes' callbacks. A pass keeps its URL for life, so there is a `warning` if
//! the stack has no domain name of its own.
//!
//! `access` is `read_write` (the default) or `read_only`. An account may have several keys, so that a key can be
//! replaced without an interruption. For campaigns, `account_id` is the account that owns the campaign now, so a wrong
//! id changes nothing.
//!
//! The deploying workflow may invoke the alias `live`, because the smoke test needs an account and a key. It must get
//! no key of another account, so an invocation through an alias or a version acts only for the account `smoke-test`,
//! and on no campaign. In return only the smoke test creates that account and its keys, and no campaign is moved to it,
//! so nothing of a customer is in it.

use domain::{
    account::{Access, ApiKey, KeyId, KeyRecord, UserName},
    campaign::{Campaign, CampaignType},
    fields::{FieldErrors, Fields},
    google::{GoogleIssuerId, MAX_ISSUERS},
    id::{AccountId, CampaignId},
    names::UnknownName,
    time::{self, Timestamp},
};
use lambda_runtime::{Diagnostic, LambdaEvent};
use process::config::{ConfigError, Lookup, TableConfig, required};
use serde::Serialize;
use serde_json::Value;
use store::{CampaignMove, StoreError, Table};
use strum::{EnumString, VariantNames};
use thiserror::Error;

/// The account of the smoke test (`deploy/smoke.py`).
const SMOKE_TEST: &str = "smoke-test";

/// A part of every host name that API Gateway assigns (Amazon API Gateway developer guide, "Publish HTTP APIs for
/// customers to invoke").
const ASSIGNED_HOST: &str = ".execute-api.";

/// The configuration of the function.
#[derive(Debug, Clone)]
pub struct Config {
    table: TableConfig,
    /// The base URL of the API.
    api_url: String,
}

/// The function.
#[derive(Debug, Clone)]
pub struct AccountAdmin {
    table: Table,
    api_url: String,
}

impl Config {
    /// Reads the variables of the table, and `API_URL`: the base URL of the API.
    ///
    /// # Errors
    ///
    /// If a required variable is missing.
    pub fn from_lookup(lookup: Lookup<'_>) -> Result<Self, ConfigError> {
        Ok(Self { table: TableConfig::from_lookup(lookup)?, api_url: required(lookup, "API_URL")? })
    }
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
    /// How wallets reach an account.
    Wallets {
        /// The id of the account.
        account_id: AccountId,
        /// The account's issuers in the Google Wallet API.
        google_issuer_ids: Vec<GoogleIssuerId>,
        /// The `webServiceURL` of the account's passes.
        web_service_url: String,
        /// The URL for the callbacks of Google Wallet.
        google_callback_url: String,
        /// Why these URLs should not be put into passes.
        #[serde(skip_serializing_if = "Option::is_none")]
        warning: Option<&'static str>,
    },
    /// A campaign got another type or another account.
    Campaign {
        /// The campaign.
        campaign_id: CampaignId,
        /// The account that owns it now.
        account_id: AccountId,
        /// The type it has now.
        #[serde(skip_serializing_if = "Option::is_none")]
        campaign_type: Option<CampaignType>,
    },
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
    /// The account has no such campaign.
    #[error("the account {account} has no campaign {campaign}")]
    UnknownCampaign {
        /// The account.
        account: AccountId,
        /// The campaign.
        campaign: CampaignId,
    },
    /// The campaign cannot be moved, because wallets find its passes under the account.
    #[error(
        "the campaign {0} stays with its account: a serial number or a Google object points to one of its passes, and \
         wallets look for it under this account"
    )]
    PinnedCampaign(CampaignId),
    /// An alias or a version of the function was invoked for another account than the smoke test's, or for a campaign.
    #[error(
        "through an alias or a version, account-admin acts only for the account {SMOKE_TEST} and on no campaign; \
         invoke it without an alias, as account-admin-ENV"
    )]
    Alias,
    /// An operator wanted to create the account of the smoke test, to add a key to it or to give it a campaign.
    #[error("the account {SMOKE_TEST} is reserved for the smoke test, which creates it and its keys")]
    Reserved,
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
    SetCampaignType { account_id: AccountId, campaign_id: CampaignId, campaign_type: CampaignType },
    MoveCampaign { account_id: AccountId, campaign_id: CampaignId, to_account_id: AccountId },
    SetGoogleIssuers { account_id: AccountId, issuer_ids: Vec<GoogleIssuerId> },
    ShowWallets { account_id: AccountId },
}

impl AccountAdmin {
    /// Returns the function, which uses the table that `config` names.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { table: config.table.connect(), api_url: config.api_url.clone() }
    }

    /// Performs the action that an event names.
    pub async fn handle(&self, event: LambdaEvent<Value>) -> Result<Answer, AdminError> {
        let LambdaEvent { payload, context } = event;
        let action = Action::parse(&payload)?;
        action.check_invocation(is_unqualified(&context.invoked_function_arn))?;
        self.act(action, time::now()).await
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
            Action::SetCampaignType { account_id, campaign_id, campaign_type } => {
                let stored = self.table.set_campaign_type(campaign_id, &account_id, campaign_type, now).await?;
                Answer::of_campaign(campaign_id, stored, account_id)
            }
            Action::MoveCampaign { account_id, campaign_id, to_account_id } => {
                let to_account_id = self.known_account(to_account_id, now).await?;
                match self.table.move_campaign(campaign_id, &account_id, &to_account_id, now).await? {
                    CampaignMove::Moved(campaign) => Answer::of_campaign(campaign_id, Some(campaign), account_id),
                    CampaignMove::Unknown => Answer::of_campaign(campaign_id, None, account_id),
                    CampaignMove::Pinned => Err(AdminError::PinnedCampaign(campaign_id)),
                }
            }
            Action::SetGoogleIssuers { account_id, issuer_ids } => {
                let account_id = self.known_account(account_id, now).await?;
                self.table.set_google_issuers(&account_id, &issuer_ids).await?;
                Ok(self.wallets(account_id, issuer_ids))
            }
            Action::ShowWallets { account_id } => {
                let account_id = self.known_account(account_id, now).await?;
                let issuer_ids = self.table.google_issuers(&account_id).await?;
                Ok(self.wallets(account_id, issuer_ids))
            }
        }
    }

    /// Returns the account if it exists.
    async fn known_account(&self, account: AccountId, now: Timestamp) -> Result<AccountId, AdminError> {
        if self.table.unknown_accounts([account.clone()].into(), now).await?.is_empty() {
            Ok(account)
        } else {
            Err(AdminError::UnknownAccount(account))
        }
    }

    /// Returns the URLs for wallets, which a test compares with the API's routes.
    fn wallets(&self, account_id: AccountId, google_issuer_ids: Vec<GoogleIssuerId>) -> Answer {
        let web_service_url = format!("{}/wallet/{account_id}", self.api_url);
        let is_assigned = self.api_url.contains(ASSIGNED_HOST);
        Answer::Wallets {
            account_id,
            google_issuer_ids,
            google_callback_url: format!("{web_service_url}/google"),
            web_service_url,
            warning: is_assigned.then_some(
                "a pass keeps its URL for life, and this one ends with the stack; set DomainName before passes are issued",
            ),
        }
    }
}

impl Answer {
    /// Returns the answer about a campaign of `account`, which is `None` if the account has no such campaign.
    fn of_campaign(campaign_id: CampaignId, stored: Option<Campaign>, account: AccountId) -> Result<Self, AdminError> {
        match stored {
            Some(Campaign { account_id, campaign_type, is_pinned: _ }) => {
                Ok(Self::Campaign { campaign_id, account_id, campaign_type })
            }
            None => Err(AdminError::UnknownCampaign { account, campaign: campaign_id }),
        }
    }
}

/// Returns whether a function was invoked by its name alone, and so not through an alias or a version. Lambda passes in
/// the ARN `arn:aws:lambda:REGION:ACCOUNT:function:NAME`, and `:QUALIFIER` at its end if there is one. Any other text
/// counts as qualified, because only the name alone is for operators.
fn is_unqualified(invoked_function_arn: &str) -> bool {
    let parts: Vec<_> = invoked_function_arn.split(':').collect();
    matches!(parts[..], ["arn", _, "lambda", _, _, "function", name] if !name.is_empty())
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
            Some(Kind::SetCampaignType) => {
                let (campaign_id, campaign_type) = (fields.required("campaign_id"), fields.required("campaign_type"));
                account_id.zip(campaign_id).zip(campaign_type).map(|((account_id, campaign_id), campaign_type)| {
                    Self::SetCampaignType { account_id, campaign_id, campaign_type }
                })
            }
            Some(Kind::MoveCampaign) => {
                let (campaign_id, to_account_id) = (fields.required("campaign_id"), fields.required("to_account_id"));
                account_id.zip(campaign_id).zip(to_account_id).map(|((account_id, campaign_id), to_account_id)| {
                    Self::MoveCampaign { account_id, campaign_id, to_account_id }
                })
            }
            Some(Kind::SetGoogleIssuers) => {
                let issuer_ids = fields.required_list("issuer_ids", MAX_ISSUERS);
                account_id
                    .zip(issuer_ids)
                    .map(|(account_id, issuer_ids)| Self::SetGoogleIssuers { account_id, issuer_ids })
            }
            Some(Kind::ShowWallets) => account_id.map(|account_id| Self::ShowWallets { account_id }),
            None => None,
        };
        match action {
            Some(action) if errors.is_empty() => Ok(action),
            _ => Err(AdminError::InvalidEvent(errors)),
        }
    }

    /// Checks that an operator, who invokes the function by its name alone, or else the smoke test may take this action.
    fn check_invocation(&self, is_operator: bool) -> Result<(), AdminError> {
        let is_smoke_test = |account: &AccountId| account.as_str() == SMOKE_TEST;
        let (is_of_smoke_test, is_reserved) = match self {
            Self::CreateAccount { account_id, .. } | Self::AddKey { account_id, .. } => {
                (is_smoke_test(account_id), is_smoke_test(account_id))
            }
            Self::ListKeys { account_id } | Self::RevokeKey { account_id, .. } => (is_smoke_test(account_id), false),
            Self::SetCampaignType { .. } | Self::SetGoogleIssuers { .. } | Self::ShowWallets { .. } => (false, false),
            Self::MoveCampaign { to_account_id, .. } => (false, is_smoke_test(to_account_id)),
        };
        match is_operator {
            true if is_reserved => Err(AdminError::Reserved),
            false if !is_of_smoke_test => Err(AdminError::Alias),
            true | false => Ok(()),
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
    SetCampaignType,
    MoveCampaign,
    SetGoogleIssuers,
    ShowWallets,
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
            AdminError::UnknownCampaign { .. } => "UnknownCampaign",
            AdminError::PinnedCampaign(_) => "PinnedCampaign",
            AdminError::Alias => "Alias",
            AdminError::Reserved => "Reserved",
            AdminError::NoChance(_) => "NoChance",
            AdminError::Store(_) => "Store",
        };
        Self { error_type: error_type.to_owned(), error_message: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_alone_is_unqualified() {
        for arn in [
            "arn:aws:lambda:eu-west-1:123456789012:function:account-admin-dev",
            "arn:aws-cn:lambda:cn-north-1:123456789012:function:account-admin-dev",
        ] {
            assert!(is_unqualified(arn));
            for qualifier in [":live", ":7", ":$LATEST", ":", ":a:b"] {
                assert!(!is_unqualified(&format!("{arn}{qualifier}")));
            }
        }
        for text in [
            "",
            "account-admin-dev",
            "No header lambda-runtime-invoked-function-arn found.",
            "arn:aws:lambda:::function:",
        ] {
            assert!(!is_unqualified(text), "{text}");
        }
    }
}
