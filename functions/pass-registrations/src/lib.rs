//! `GET /v2/{campaign_type}/{campaign_id}/passes/{pass_id}/registrations`: the active registrations of a pass, oldest
//! first by default.

use api::{Response, error::ApiError, lambda::HttpFunction, listing, path::RegistrationsPath};
use domain::time::Timestamp;
use lambda_http::Request;
pub use process::config::TableConfig as Config;
use store::Table;

/// The function.
#[derive(Debug, Clone)]
pub struct PassRegistrations {
    table: Table,
}

impl PassRegistrations {
    /// Returns the function, which uses the table that `config` names.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { table: config.connect() }
    }
}

impl HttpFunction for PassRegistrations {
    type Error = ApiError;

    async fn warm_up(&self) {
        self.table.open_connections(2).await;
    }

    async fn handle(&self, request: Request, now: Timestamp) -> Result<Response, ApiError> {
        listing::answer(&self.table, &request, RegistrationsPath::of_pass, now).await
    }
}
