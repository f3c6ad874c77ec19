//! `GET /v2/openapi.json`: the contract of the API, to whoever asks.
//!
//! The file beside this code is made from the routes, types and limits of all functions, by `cargo run -p local -- contract`.

use http::{
    HeaderValue,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use lambda_http::Request;
pub use shared::config::NoVariables as Config;
use shared::{
    api::{Response, entry::HttpFunction, error::ApiError},
    clock::Timestamp,
};

/// The contract: `OpenAPI` 3.1 as JSON.
pub const OPENAPI: &str = include_str!("../openapi.json");

/// The function. It has no rights to the table.
#[derive(Debug, Clone)]
pub struct ApiContract;

impl ApiContract {
    /// The function.
    #[must_use]
    pub fn new(_: &Config) -> Self {
        Self
    }
}

impl HttpFunction for ApiContract {
    async fn handle(&self, _: Request, _: Timestamp) -> Result<Response, ApiError> {
        let mut response = Response::new(OPENAPI.to_owned());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
        Ok(response)
    }
}
