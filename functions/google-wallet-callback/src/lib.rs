//! Receives the callbacks of Google Wallet: an object was saved to a wallet, or deleted from it.
//!
//! The URL of the callbacks has the account. A callback is handled in this order, so that a forged one writes nothing,
//! and cannot make the function fetch keys again and again:
//!
//! 1. its form, which shows the object that it claims to be about;
//! 2. the account's issuers, the object's pass and, if this process knows none, the keys: one call to the table;
//! 3. whether the object is of an issuer of the account;
//! 4. the signatures (`verification`), with keys that are fetched only if neither this process nor the table has
//!    fresh ones (`keys`, `published_keys`);
//! 5. the write of the object's registration (`store::registrations::callback`).
//!
//! | answer | callback |
//! |---|---|
//! | 200 | applied, repeated, late, or of another type than `save` and `del` |
//! | 400, 413 | malformed, expired, not signed for an issuer of the account, or longer than 64 KiB |
//! | 404 | of an object that no `created` event has named, or the path has no valid account |
//! | 503 | not verified, because there are no keys, or not applied, because the table does not answer |

mod error;
mod keys;
mod published_keys;
mod verification;

use api::{Response, error::BareError, lambda::HttpFunction, request_log::RequestLog};
use domain::{
    google::{Callback, GoogleObjectId},
    id::{AccountId, CampaignId, PassId},
    time::Timestamp,
    wallet::Wallet,
};
use lambda_http::{Request, RequestExt as _};
use process::config::{ConfigError, Lookup, TableConfig, required};
use store::{CallbackContext, Table};
use tracing::info;

use self::{
    keys::Keys,
    published_keys::KeysUrl,
    verification::{Message, UnverifiedCallback, VerificationError},
};

/// The maximum size of a body. A callback has about one KiB.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// The configuration of the function.
#[derive(Debug, Clone)]
pub struct Config {
    table: TableConfig,
    keys_url: KeysUrl,
}

/// The function.
#[derive(Debug, Clone)]
pub struct GoogleWalletCallback {
    table: Table,
    keys: Keys,
}

impl Config {
    /// Reads the variables of the table, and `GOOGLE_KEYS_URL`: where Google publishes its root keys.
    ///
    /// # Errors
    ///
    /// If a required variable is missing or invalid.
    pub fn from_lookup(lookup: Lookup<'_>) -> Result<Self, ConfigError> {
        let table = TableConfig::from_lookup(lookup)?;
        Ok(Self { table, keys_url: required(lookup, "GOOGLE_KEYS_URL")? })
    }
}

impl GoogleWalletCallback {
    /// Returns the function, which uses the table and the keys that `config` names.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { table: config.table.connect(), keys: Keys::new(config.keys_url.clone()) }
    }

    async fn receive(&self, request: &Request, now: Timestamp) -> Result<(), BareError> {
        let account = request.path_parameters().first("account_id").and_then(|account| account.parse().ok());
        let account: AccountId = account.ok_or_else(error::no_account)?;
        RequestLog::record_account(request, &account);
        let body: &[u8] = request.body();
        if body.len() > MAX_BODY_BYTES {
            return Err(error::too_large());
        }
        let unverified = UnverifiedCallback::parse(body).map_err(|reason| refused(&account, reason))?;
        let object = unverified.object_id();
        let with_keys = !self.keys.are_fresh(now).await;
        let CallbackContext { issuer_ids, pass, keys } =
            self.table.callback_context(&account, object.as_ref(), with_keys).await?;
        let is_of_another = |object: &GoogleObjectId| !issuer_ids.iter().any(|issuer| object.is_of(issuer));
        if issuer_ids.is_empty() || object.as_ref().is_some_and(is_of_another) {
            return Err(refused(&account, VerificationError::NotSigned));
        }
        let roots = self.keys.current(&self.table, keys, now).await.map_err(error::no_keys)?;
        let message = unverified.verify(&roots, &issuer_ids, now).map_err(|reason| refused(&account, reason))?;
        match message {
            Message::Callback(callback) => self.apply(request, &account, pass, &callback, now).await,
            Message::Other => Ok(()),
        }
    }

    /// Applies a verified callback to the pass that its object stands for.
    async fn apply(
        &self,
        request: &Request,
        account: &AccountId,
        pass: Option<(CampaignId, PassId)>,
        callback: &Callback,
        now: Timestamp,
    ) -> Result<(), BareError> {
        let Some((campaign, pass)) = pass else {
            let (account_id, wallet) = (account.as_str(), Wallet::GoogleWallet.as_str());
            info!(account_id, wallet, unknown_objects = 1, "a callback is about an object that no pass has");
            return Err(error::unknown_object());
        };
        let outcome = self.table.apply_callback(account, campaign, pass, callback, now).await?;
        RequestLog::record_event(request, Some(Wallet::GoogleWallet), &outcome);
        Ok(())
    }
}

impl HttpFunction for GoogleWalletCallback {
    type Error = BareError;

    async fn warm_up(&self) {
        self.table.open_connections(1).await;
    }

    async fn handle(&self, request: Request, now: Timestamp) -> Result<Response, BareError> {
        self.receive(&request, now).await?;
        Ok(Response::default())
    }
}

/// Returns the error of a refused callback, and logs the reason, from which an operator sees that an issuer is missing.
/// The reason says nothing about the callback's contents.
fn refused(account: &AccountId, reason: VerificationError) -> BareError {
    let account_id = account.as_str();
    info!(account_id, %reason, "a callback was refused");
    error::refused()
}
