//! `GET /v2/{campaign_type}/{campaign_id}/registrations`: the active registrations of a campaign, oldest first by
//! default.

use api::{Response, error::ApiError, lambda::HttpFunction, listing, path::RegistrationsPath};
use domain::time::Timestamp;
use lambda_http::Request;
pub use process::config::TableConfig as Config;
use store::Table;

/// The function.
#[derive(Debug, Clone)]
pub struct CampaignRegistrations {
    table: Table,
}

impl CampaignRegistrations {
    /// Returns the function, which uses the table that `config` names.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { table: config.connect() }
    }
}

impl HttpFunction for CampaignRegistrations {
    type Error = ApiError;

    async fn warm_up(&self) {
        self.table.open_connections(2).await;
    }

    async fn handle(&self, request: Request, now: Timestamp) -> Result<Response, ApiError> {
        listing::answer(&self.table, &request, RegistrationsPath::of_campaign, now).await
    }
}
