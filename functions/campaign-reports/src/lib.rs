//! `GET …/reports` and `GET …/reports/totals`: how often a campaign's passes were installed and uninstalled, and how
//! many registrations are active.

mod history;
mod html;
pub mod report;

use api::{
    Response,
    access::{ReadRequest, ReadSize},
    error::ApiError,
    json,
    lambda::HttpFunction,
    path::RegistrationsPath,
    query,
    route::Route,
};
use domain::{
    account::Access,
    time::{Day, Timestamp},
};
use http::{HeaderValue, StatusCode, header::VARY};
use lambda_http::Request;
pub use process::config::TableConfig as Config;
use store::{CampaignCounts, Table, WantedTotals};

pub use self::history::MAX_DAYS;
use self::{
    history::{History, Period},
    report::{Report, TotalsReport},
};

/// The maximum number of days that are read before the key is known to be valid: a month, with its first and its last
/// day, as in a report without parameters.
const MAX_SMALL_PERIOD: usize = 32;

/// The function.
#[derive(Debug, Clone)]
pub struct CampaignReports {
    table: Table,
}

impl CampaignReports {
    /// Returns the function, which uses the table that `config` names.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { table: config.connect() }
    }

    async fn report(&self, request: &Request, now: Timestamp) -> Result<Response, ApiError> {
        let reading =
            ReadRequest::new(&self.table, request, RegistrationsPath::of_campaign, Access::ReadOnly, now).await?;
        let period = query::parameters(request).and_then(|parameters| Period::from_parameters(parameters, now.day()));
        let period = reading.check_access_if_invalid(period).await?;
        let counts = self.counts(&reading, period.start, now).await?;
        let history = History::of(reading.path().collection.campaign(), period, &counts);
        if html::is_preferred(request) {
            return Ok(html::response(&history));
        }
        let mut response = json(StatusCode::OK, &Report::of(period, &history))?;
        response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
        Ok(response)
    }

    async fn totals(&self, request: &Request, now: Timestamp) -> Result<Response, ApiError> {
        let reading =
            ReadRequest::new(&self.table, request, RegistrationsPath::of_campaign, Access::ReadOnly, now).await?;
        reading.check_access_if_invalid(query::expect_none(request)).await?;
        let counts = self.counts(&reading, now.day(), now).await?;
        json(StatusCode::OK, &TotalsReport::of(reading.path().collection.campaign(), &counts.totals))
    }

    /// Checks access and reads the counts from `start` until now.
    async fn counts(&self, reading: &ReadRequest<'_>, start: Day, now: Timestamp) -> Result<CampaignCounts, ApiError> {
        let is_small = start.count_through(now.day()) <= MAX_SMALL_PERIOD;
        let size = if is_small { ReadSize::Small } else { ReadSize::Large };
        let counts = self.table.counts_since(reading.path().collection.campaign(), start);
        let (_, counts) = reading.admit_and_read(WantedTotals::None, size, counts).await?;
        Ok(counts?)
    }
}

impl HttpFunction for CampaignReports {
    type Error = ApiError;

    async fn warm_up(&self) {
        self.table.open_connections(2).await;
    }

    async fn handle(&self, request: Request, now: Timestamp) -> Result<Response, ApiError> {
        match Route::of(&request)? {
            Route::Report => self.report(&request, now).await,
            Route::Totals => self.totals(&request, now).await,
            other @ (Route::ListCampaign
            | Route::ListPass
            | Route::CampaignPushTargets
            | Route::PassPushTargets
            | Route::Register
            | Route::Unregister
            | Route::Events
            | Route::Contract) => Err(other.misrouted()),
        }
    }
}
