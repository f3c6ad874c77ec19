//! `GET …/reports` and `GET …/reports/totals`: how often a campaign's passes were installed and uninstalled, and how many are active.

use futures_util::{FutureExt as _, try_join};
use http::{HeaderValue, StatusCode, header::VARY};
use lambda_http::Request;
pub use shared::store::TableConfig as Config;
use shared::{
    api::{
        Response,
        entry::HttpFunction,
        error::ApiError,
        json,
        path::RegistrationsPath,
        query, reading,
        report::{History, Period, Report, TotalsReport, page},
        route,
    },
    clock::{Day, Timestamp},
    store::{CampaignCounts, RegistrationStore},
};

/// The function.
#[derive(Debug, Clone)]
pub struct CampaignReports {
    store: RegistrationStore,
}

impl CampaignReports {
    /// The function over the table that `config` names.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { store: RegistrationStore::connect(config) }
    }

    async fn report(&self, request: &Request, now: Timestamp) -> Result<Response, ApiError> {
        let path = reading::path(&self.store, request, RegistrationsPath::of_campaign, now).await?;
        let asked = query::parameters(request).and_then(|parameters| Period::from_parameters(parameters, now.day()));
        let period = match asked {
            Ok(period) => period,
            Err(invalid) => {
                Box::pin(reading::expect_known(&self.store, request, path, now)).await?;
                return Err(invalid);
            }
        };
        let counts = self.counts(request, path, period.start, now).await?;
        let history = History::of(path.collection.campaign(), period, &counts);
        if page::is_preferred(request) {
            return page::answer(&history);
        }
        let mut response = json(StatusCode::OK, &Report::of(period, &history))?;
        response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
        Ok(response)
    }

    async fn totals(&self, request: &Request, now: Timestamp) -> Result<Response, ApiError> {
        let path = reading::path(&self.store, request, RegistrationsPath::of_campaign, now).await?;
        let counts = self.counts(request, path, now.day(), now).await?;
        json(StatusCode::OK, &TotalsReport::of(path.collection.campaign(), &counts.totals))
    }

    /// The counts from a day on, read beside who may see them.
    async fn counts(
        &self,
        request: &Request,
        path: RegistrationsPath,
        start: Day,
        now: Timestamp,
    ) -> Result<CampaignCounts, ApiError> {
        let known = Box::pin(reading::expect_known(&self.store, request, path, now));
        let counts = Box::pin(self.store.counts(path.collection.campaign(), start)).map(Ok);
        let ((), counts) = try_join!(known, counts)?;
        Ok(counts?)
    }
}

impl HttpFunction for CampaignReports {
    async fn warm_up(&self) {
        self.store.open_connection().await;
    }

    async fn handle(&self, request: Request, now: Timestamp) -> Result<Response, ApiError> {
        match route::key_of(&request)?.as_str() {
            key if route::REPORT.is(key) => self.report(&request, now).await,
            key if route::TOTALS.is(key) => self.totals(&request, now).await,
            key => Err(ApiError::internal(format_args!("no route of this function: {key}"))),
        }
    }
}
