//! Answers requests that match no route: 404 for an unknown path, 405 with `Allow` for a method that a path does not
//! accept.
//!
//! API Gateway's own error bodies have another shape, so API Gateway sends `$default` and `ANY` on each path to this
//! function.

use api::{Response, error::ApiError, lambda::HttpFunction, route};
use domain::time::Timestamp;
use lambda_http::Request;
pub use process::config::NoVariables as Config;

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
        // `ANY /v2/…` if the path is known, `$default` if it is not.
        let route_key = route::key_of(&request)?;
        let allowed = route_key.strip_prefix("ANY ").and_then(route::allowed);
        Err(match allowed {
            Some(methods) => ApiError::method_not_allowed(&methods),
            None => ApiError::route_not_found(),
        })
    }
}
