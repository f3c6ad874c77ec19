//! The routes, spelt once. A test of `local` holds them against the template.

use lambda_http::{Request, RequestExt as _, request::RequestContext};

use super::error::ApiError;

/// A method and the path that takes it, as API Gateway writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The method.
    pub method: &'static str,
    /// The path with its parameters in braces.
    pub path: &'static str,
}

/// A campaign's registrations.
pub const LIST_CAMPAIGN: Route = Route { method: "GET", path: "/v2/{campaign_type}/{campaign_id}/registrations" };
/// A pass's registrations.
pub const LIST_PASS: Route =
    Route { method: "GET", path: "/v2/{campaign_type}/{campaign_id}/passes/{pass_id}/registrations" };
/// Registers a pass.
pub const REGISTER: Route =
    Route { method: "POST", path: "/v2/{campaign_type}/{campaign_id}/passes/{pass_id}/registrations" };
/// Ends a registration.
pub const UNREGISTER: Route = Route {
    method: "DELETE",
    path: "/v2/{campaign_type}/{campaign_id}/passes/{pass_id}/registrations/{registration_id}",
};
/// Takes events.
pub const EVENTS: Route = Route { method: "POST", path: "/v2/registration_events" };
/// A campaign's counts day by day.
pub const REPORT: Route = Route { method: "GET", path: "/v2/{campaign_type}/{campaign_id}/reports" };
/// A campaign's counts in total.
pub const TOTALS: Route = Route { method: "GET", path: "/v2/{campaign_type}/{campaign_id}/reports/totals" };
/// Brings the contract of the API.
pub const CONTRACT: Route = Route { method: "GET", path: "/v2/openapi.json" };

/// Every route that does something.
pub const ALL: [Route; 8] = [LIST_CAMPAIGN, LIST_PASS, REGISTER, UNREGISTER, EVENTS, REPORT, TOTALS, CONTRACT];

impl Route {
    /// Whether API Gateway's route key, `GET /v2/…`, is this route.
    #[must_use]
    pub fn is(&self, route_key: &str) -> bool {
        route_key.split_once(' ') == Some((self.method, self.path))
    }
}

/// By which route API Gateway sent the request: its route key, `GET /v2/…`.
///
/// # Errors
///
/// 500 where the event is none of an HTTP API.
pub fn key_of(request: &Request) -> Result<String, ApiError> {
    match request.request_context() {
        RequestContext::ApiGatewayV2(context) => Ok(context.route_key.unwrap_or_default()),
        _ => Err(ApiError::internal("the event is not one of an HTTP API")),
    }
}

/// The methods that a path takes, as `Allow` lists them; nothing where there is no such path.
#[must_use]
pub fn allowed(path: &str) -> Option<String> {
    let methods: Vec<&str> = ALL.iter().filter(|route| route.path == path).map(|route| route.method).collect();
    (!methods.is_empty()).then(|| methods.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_allows_the_methods_of_its_routes() {
        assert_eq!(allowed(LIST_CAMPAIGN.path).as_deref(), Some("GET"));
        assert_eq!(allowed(LIST_PASS.path).as_deref(), Some("GET, POST"));
        assert_eq!(allowed(UNREGISTER.path).as_deref(), Some("DELETE"));
        assert_eq!(allowed("/v2/elsewhere"), None);
        assert!(EVENTS.is("POST /v2/registration_events"));
        assert!(!EVENTS.is("GET /v2/registration_events") && !EVENTS.is("$default"));
    }
}
