//! What no route takes: 404 for a path that there is not, 405 with `Allow` for a method that a path does not take.
//!
//! API Gateway's own answers have another shape, so this function catches `$default` and `ANY` on each path.

use lambda_http::Request;
pub use shared::config::NoVariables as Config;
use shared::{
    api::{
        Response,
        entry::HttpFunction,
        error::{ApiError, ErrorCode},
        route,
    },
    clock::Timestamp,
};

/// The function. It has no rights to the table.
#[derive(Debug, Clone)]
pub struct UnmatchedRoute;

impl UnmatchedRoute {
    /// The function.
    #[must_use]
    pub fn new(_: &Config) -> Self {
        Self
    }
}

impl HttpFunction for UnmatchedRoute {
    async fn handle(&self, request: Request, _: Timestamp) -> Result<Response, ApiError> {
        // `ANY /v2/…` where the path is one of ours, `$default` where it is not.
        let route_key = route::key_of(&request)?;
        let allowed = route_key.strip_prefix("ANY ").and_then(route::allowed);
        Err(match allowed {
            Some(methods) => ApiError::method_not_allowed(&methods),
            None => ApiError::new(ErrorCode::RouteNotFound, "there is no such path"),
        })
    }
}
