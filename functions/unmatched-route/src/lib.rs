//! Answers requests that match no route: 308 for the path of a route with slashes at its end, 404 for an unknown path,
//! 405 with `Allow` for a method that a path does not accept.
//!
//! Callers may add a slash ("you can ignore the trailing slash", Passworks API v2), but API Gateway accepts no route
//! whose path ends in one (aws/serverless-application-model#1949), so such a request arrives here.
//!
//! API Gateway's own error bodies have another shape, so API Gateway sends `$default` and `ANY` on each path to this
//! function.

use api::{Response, bare, error::ApiError, lambda::HttpFunction, route};
use domain::time::Timestamp;
use http::{HeaderValue, StatusCode, header::LOCATION};
use lambda_http::{Request, RequestExt as _};
pub use process::config::NoVariables as Config;

/// The longest `Location` of a redirect, in bytes. API Gateway allows 10,240 bytes of headers in a request (Amazon API
/// Gateway developer guide, "Quotas for configuring and running an HTTP API"), and does not say what it does with a
/// longer answer. A query may be longer here than in the request, because forbidden characters are encoded.
const MAX_LOCATION: usize = 9 * 1024;

/// The function. It has no rights to the table.
#[derive(Debug, Clone)]
pub struct UnmatchedRoute;

impl UnmatchedRoute {
    /// Returns the function.
    #[must_use]
    pub fn new(_: &Config) -> Self {
        Self
    }
}

impl HttpFunction for UnmatchedRoute {
    type Error = ApiError;

    async fn handle(&self, request: Request, _: Timestamp) -> Result<Response, ApiError> {
        if let Some(path) = route::without_trailing_slashes(request.raw_http_path()) {
            return moved(path, request.uri().query());
        }
        // `ANY /v2/…` if the path is known, `$default` if it is not.
        let route_key = route::key_of(&request)?;
        let allowed = route_key.strip_prefix("ANY ").and_then(route::allowed);
        Err(match allowed {
            Some(methods) => ApiError::method_not_allowed(&methods),
            None => ApiError::route_not_found(),
        })
    }
}

/// Returns a 308, after which a caller repeats the request with the same method and body.
fn moved(path: String, query: Option<&str>) -> Result<Response, ApiError> {
    let location = match query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    if location.len() > MAX_LOCATION {
        return Err(ApiError::route_not_found());
    }
    let mut response = bare(StatusCode::PERMANENT_REDIRECT);
    response.headers_mut().insert(LOCATION, HeaderValue::try_from(location).map_err(ApiError::internal)?);
    Ok(response)
}
