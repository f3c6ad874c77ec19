//! HTTP: turns an API Gateway event into a typed request, and a result or an error into a response.
//!
//! [`lambda`] runs a handler as a Lambda function. A handler finds its [`route`], parses its request with [`path`],
//! [`query`] and [`body`], checks with [`access`] that the caller may do this, and answers with [`listing`] or
//! [`json`]. Every failure is an [`error::ApiError`], and [`request_log`] writes one line for each request.

pub mod accept;
pub mod access;
pub mod body;
pub mod error;
pub mod lambda;
pub mod listing;
pub mod path;
pub mod query;
pub mod request_log;
pub mod route;

use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use serde::Serialize;

/// A handler's response. [`lambda::service`] puts it into API Gateway's envelope.
pub type Response = http::Response<String>;

/// Returns a response without a body.
#[must_use]
pub fn bare(status: StatusCode) -> Response {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

/// Returns a response with `body` as JSON.
///
/// # Errors
///
/// 500 if `body` cannot be written as JSON.
pub fn json(status: StatusCode, body: &impl Serialize) -> Result<Response, error::ApiError> {
    let body = serde_json::to_string(body).map_err(error::ApiError::internal)?;
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
