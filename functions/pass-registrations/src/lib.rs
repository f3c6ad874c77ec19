//! `GET /v2/{campaign_type}/{campaign_id}/passes/{pass_id}/registrations`: the active registrations of a pass, oldest first.

use lambda_http::Request;
use shared::{
    api::{Response, entry::HttpFunction, error::ApiError, listing, path::RegistrationsPath},
    clock::Timestamp,
    config::{ConfigError, Lookup, required},
    id::AccountId,
    store::{RegistrationStore, TableConfig},
};

/// What the function reads from its environment.
#[derive(Debug, Clone)]
pub struct Config {
    account_id: AccountId,
    table: TableConfig,
}

impl Config {
    /// Reads `ACCOUNT_ID` and what [`TableConfig`] needs.
    pub fn from_lookup(lookup: Lookup<'_>) -> Result<Self, ConfigError> {
        Ok(Self { account_id: required(lookup, "ACCOUNT_ID")?, table: TableConfig::from_lookup(lookup)? })
    }
}

/// The function.
#[derive(Debug, Clone)]
pub struct PassRegistrations {
    store: RegistrationStore,
    account_id: AccountId,
}

impl PassRegistrations {
    /// The function over the table that `config` names.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { store: RegistrationStore::connect(&config.table), account_id: config.account_id.clone() }
    }
}

impl HttpFunction for PassRegistrations {
    async fn handle(&self, request: Request, now: Timestamp) -> Result<Response, ApiError> {
        let path = RegistrationsPath::of_pass(&request)?;
        listing::answer(&self.store, &self.account_id, &request, path, now).await
    }
}
