//! HTTP: from an API Gateway event to what the caller asked for, and from an answer or an error to a response.

pub mod accept;
pub mod body;
pub mod credentials;
pub mod cursor;
pub mod entry;
pub mod error;
pub mod filter;
pub mod format;
pub mod listing;
pub mod log;
pub mod order;
pub mod page;
pub mod path;
pub mod query;
pub mod reading;
pub mod report;
pub mod route;

use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use serde::Serialize;

/// What a handler answers with. `lambda_http` puts it into the envelope.
pub type Response = http::Response<String>;

/// A response with `body` as JSON.
///
/// # Errors
///
/// 500 where `body` cannot be written as JSON, which none of ours is.
pub fn json(status: StatusCode, body: &impl Serialize) -> Result<Response, error::ApiError> {
    let body = serde_json::to_string(body).map_err(error::ApiError::internal)?;
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
