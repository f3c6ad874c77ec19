//! `GET …/push_targets` of a campaign or of a pass: the active registrations with a push token, for the sender of
//! pushes.
//!
//! A push token is the address of a device, which only the sender of pushes needs. So a key that may only read is
//! refused, and no target is read before the key is known to be valid.

pub mod format;
mod page;

use api::{
    Response,
    access::{ReadRequest, ReadSize},
    error::ApiError,
    lambda::HttpFunction,
    path::RegistrationsPath,
    query::parameters,
    request_log::RequestLog,
    route::Route,
};
use domain::{account::Access, time::Timestamp};
use http::{
    HeaderValue,
    header::{ACCEPT, CONTENT_TYPE, LINK, VARY},
};
use lambda_http::Request;
pub use process::config::TableConfig as Config;
use store::{Table, WantedTotals};

use self::{format::Format, page::PageRequest};

/// The function.
#[derive(Debug, Clone)]
pub struct PushTargets {
    table: Table,
}

impl PushTargets {
    /// Returns the function, which uses the table that `config` names.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { table: config.connect() }
    }

    async fn list(
        &self,
        request: &Request,
        read_path: fn(&Request) -> Result<RegistrationsPath, ApiError>,
        now: Timestamp,
    ) -> Result<Response, ApiError> {
        let reading = ReadRequest::new(&self.table, request, read_path, Access::ReadWrite, now).await?;
        let format = Format::of(request);
        let page = parameters(request).and_then(|parameters| PageRequest::parse(reading.path(), parameters, format));
        let page = reading.check_access_if_invalid(page).await?;

        let read = self.table.push_targets(page.path.collection, page.after, page.per_page);
        let (_, read) = reading.admit_and_read(WantedTotals::None, ReadSize::Large, read).await?;
        let store::PushTargets { targets, next } = read?;
        // A target proves that its pass is known. Otherwise check it.
        if targets.is_empty() {
            reading.expect_known_pass().await?;
        }
        RequestLog::record_listed(request, targets.len());

        let mut response = Response::new(format.write(&targets)?.as_str().into());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
        headers.insert(VARY, ACCEPT.into());
        headers.insert(LINK, HeaderValue::try_from(page.links(next)?).map_err(ApiError::internal)?);
        Ok(response)
    }
}

impl HttpFunction for PushTargets {
    type Error = ApiError;

    async fn warm_up(&self) {
        self.table.open_connections(1).await;
    }

    async fn handle(&self, request: Request, now: Timestamp) -> Result<Response, ApiError> {
        match Route::of(&request)? {
            Route::CampaignPushTargets => self.list(&request, RegistrationsPath::of_campaign, now).await,
            Route::PassPushTargets => self.list(&request, RegistrationsPath::of_pass, now).await,
            other @ (Route::ListCampaign
            | Route::ListPass
            | Route::Register
            | Route::Unregister
            | Route::Events
            | Route::Report
            | Route::Totals
            | Route::Contract) => Err(other.misrouted()),
        }
    }
}
