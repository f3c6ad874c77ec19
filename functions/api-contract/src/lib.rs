//! `GET /v2/openapi.json`: the contract of the API, without authentication.
//!
//! `cargo run -p local -- contract` generates `openapi.json` from the routes, types and limits of all functions.

use std::sync::LazyLock;

use api::{Body, Response, error::ApiError, lambda::HttpFunction, query};
use domain::time::Timestamp;
use http::{
    HeaderValue,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use lambda_http::Request;
pub use process::config::NoVariables as Config;

/// The contract, as an `OpenAPI` 3.1 document in JSON.
pub const OPENAPI: &str = include_str!("../openapi.json");

/// The contract in its escaped form, because to escape it would be most of the cost of an answer.
static BODY: LazyLock<Body> = LazyLock::new(|| OPENAPI.into());

/// The function. It has no rights to the table.
#[derive(Debug, Clone)]
pub struct ApiContract;

impl ApiContract {
    /// Returns the function.
    #[must_use]
    pub fn new(_: &Config) -> Self {
        Self
    }
}

impl HttpFunction for ApiContract {
    type Error = ApiError;

    async fn handle(&self, request: Request, _: Timestamp) -> Result<Response, ApiError> {
        query::expect_none(&request)?;
        let mut response = Response::new(BODY.clone());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
        Ok(response)
    }
}
