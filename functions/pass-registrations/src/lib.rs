//! `GET /v2/{campaign_type}/{campaign_id}/passes/{pass_id}/registrations`: the active registrations of a pass, oldest first.

use lambda_http::Request;
pub use shared::store::TableConfig as Config;
use shared::{
    api::{Response, entry::HttpFunction, error::ApiError, listing, path::RegistrationsPath},
    clock::Timestamp,
    store::RegistrationStore,
};

/// The function.
#[derive(Debug, Clone)]
pub struct PassRegistrations {
    store: RegistrationStore,
}

impl PassRegistrations {
    /// The function over the table that `config` names.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { store: RegistrationStore::connect(config) }
    }
}

impl HttpFunction for PassRegistrations {
    async fn warm_up(&self) {
        self.store.open_connection().await;
    }

    async fn handle(&self, request: Request, now: Timestamp) -> Result<Response, ApiError> {
        listing::answer(&self.store, &request, RegistrationsPath::of_pass, now).await
    }
}
