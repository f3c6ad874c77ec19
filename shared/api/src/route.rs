//! The routes of the API. A test in `local` compares them with the template.

use lambda_http::{Request, RequestExt as _, request::RequestContext};
use strum::VariantArray;

use crate::error::ApiError;

/// A route that handles requests. The catch-all routes, which answer 404 and 405, are not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray)]
pub enum Route {
    /// Lists a campaign's registrations.
    ListCampaign,
    /// Lists a pass's registrations.
    ListPass,
    /// Registers a pass.
    Register,
    /// Ends a registration.
    Unregister,
    /// Accepts events.
    Events,
    /// Reports a campaign's counts day by day.
    Report,
    /// Reports a campaign's total counts.
    Totals,
    /// Returns the contract of the API.
    Contract,
}

impl Route {
    /// Every route.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// Returns the HTTP method.
    #[must_use]
    pub const fn method(self) -> &'static str {
        match self {
            Self::ListCampaign | Self::ListPass | Self::Report | Self::Totals | Self::Contract => "GET",
            Self::Register | Self::Events => "POST",
            Self::Unregister => "DELETE",
        }
    }

    /// Returns the path as API Gateway writes it, with its parameters in braces.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::ListCampaign => "/v2/{campaign_type}/{campaign_id}/registrations",
            Self::ListPass | Self::Register => "/v2/{campaign_type}/{campaign_id}/passes/{pass_id}/registrations",
            Self::Unregister => "/v2/{campaign_type}/{campaign_id}/passes/{pass_id}/registrations/{registration_id}",
            Self::Events => "/v2/registration_events",
            Self::Report => "/v2/{campaign_type}/{campaign_id}/reports",
            Self::Totals => "/v2/{campaign_type}/{campaign_id}/reports/totals",
            Self::Contract => "/v2/openapi.json",
        }
    }

    /// Returns the route that a route key of API Gateway names, such as `GET /v2/openapi.json`. `None` if there is
    /// none.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        let (method, path) = key.split_once(' ')?;
        Self::ALL.iter().copied().find(|route| route.method() == method && route.path() == path)
    }

    /// Returns the route by which API Gateway sent the request.
    ///
    /// # Errors
    ///
    /// 500 if this API has no such route.
    pub fn of(request: &Request) -> Result<Self, ApiError> {
        let key = key_of(request)?;
        Self::from_key(&key).ok_or_else(|| ApiError::internal(format_args!("there is no route {key}")))
    }

    /// Returns the error of a function that received a request of this route but does not handle it.
    #[must_use]
    pub fn misrouted(self) -> ApiError {
        ApiError::internal(format_args!("this function does not handle {} {}", self.method(), self.path()))
    }
}

/// Returns the route key of the request: `GET /v2/…`, `ANY /v2/…` or `$default`.
///
/// # Errors
///
/// 500 if the event is not from an HTTP API in format 2.0.
pub fn key_of(request: &Request) -> Result<String, ApiError> {
    match request.request_context() {
        RequestContext::ApiGatewayV2(context) => Ok(context.route_key.unwrap_or_default()),
        _ => Err(ApiError::internal("expected an event of an HTTP API in format 2.0")),
    }
}

/// Returns the methods of a path, as `Allow` lists them, or `None` if there is no such path.
#[must_use]
pub fn allowed(path: &str) -> Option<String> {
    let methods: Vec<&str> =
        Route::ALL.iter().filter(|route| route.path() == path).map(|route| route.method()).collect();
    (!methods.is_empty()).then(|| methods.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_found_by_its_key() {
        for route in Route::ALL {
            assert_eq!(Route::from_key(&format!("{} {}", route.method(), route.path())), Some(*route));
        }
        for other in ["GET /v2/registration_events", "$default", "ANY /v2/openapi.json", ""] {
            assert_eq!(Route::from_key(other), None);
        }
    }

    #[test]
    fn a_path_allows_the_methods_of_its_routes() {
        assert_eq!(allowed(Route::ListCampaign.path()).as_deref(), Some("GET"));
        assert_eq!(allowed(Route::ListPass.path()).as_deref(), Some("GET, POST"));
        assert_eq!(allowed(Route::Unregister.path()).as_deref(), Some("DELETE"));
        assert_eq!(allowed("/v2/elsewhere"), None);
    }
}
