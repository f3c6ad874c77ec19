//! The routes of the API. A test in `local` compares them with the template.

use domain::campaign::CampaignType;
use lambda_http::{Request, RequestExt as _, request::RequestContext};
use strum::VariantArray;

use crate::{error::ApiError, query::encoded};

/// The route of the web service for wallets, for every method. It is not a [`Route`], because nothing that the API
/// promises holds below it.
pub const WALLET_WEB_SERVICE: &str = "/wallet/{account_id}/{call+}";
/// The path below which each account has its web service for wallets.
pub const WALLET_PREFIX: &str = "/wallet/";
/// The method and the path to which Google Wallet sends its callbacks. They are not for callers of the API, so they are
/// not a [`Route`].
pub const GOOGLE_CALLBACKS: (&str, &str) = ("POST", "/wallet/{account_id}/google");

/// A route that handles requests. The catch-all routes, which answer 404 and 405, are not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray)]
pub enum Route {
    /// Lists a campaign's registrations.
    ListCampaign,
    /// Lists a pass's registrations.
    ListPass,
    /// Lists a campaign's push targets.
    CampaignPushTargets,
    /// Lists a pass's push targets.
    PassPushTargets,
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

    /// Returns the HTTP method, without `HEAD`.
    #[must_use]
    pub const fn method(self) -> &'static str {
        match self {
            Self::ListCampaign
            | Self::ListPass
            | Self::CampaignPushTargets
            | Self::PassPushTargets
            | Self::Report
            | Self::Totals
            | Self::Contract => "GET",
            Self::Register | Self::Events => "POST",
            Self::Unregister => "DELETE",
        }
    }

    /// Returns every HTTP method of the route: its [`method`](Self::method), and `HEAD` if that is `GET`.
    ///
    /// A `HEAD` is answered as a `GET`, with the body. API Gateway sends the headers only.
    #[must_use]
    pub fn methods(self) -> &'static [&'static str] {
        match self.method() {
            "GET" => &["GET", "HEAD"],
            "POST" => &["POST"],
            _ => &["DELETE"],
        }
    }

    /// Returns the path as API Gateway writes it, with its parameters in braces.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::ListCampaign => "/v2/{campaign_type}/{campaign_id}/registrations",
            Self::ListPass | Self::Register => "/v2/{campaign_type}/{campaign_id}/passes/{pass_id}/registrations",
            Self::CampaignPushTargets => "/v2/{campaign_type}/{campaign_id}/push_targets",
            Self::PassPushTargets => "/v2/{campaign_type}/{campaign_id}/passes/{pass_id}/push_targets",
            Self::Unregister => "/v2/{campaign_type}/{campaign_id}/passes/{pass_id}/registrations/{registration_id}",
            Self::Events => "/v2/registration_events",
            Self::Report => "/v2/{campaign_type}/{campaign_id}/reports",
            Self::Totals => "/v2/{campaign_type}/{campaign_id}/reports/totals",
            Self::Contract => "/v2/openapi.json",
        }
    }

    /// Returns the route that a route key of API Gateway names, such as `GET /v2/openapi.json` or
    /// `HEAD /v2/openapi.json`. `None` if there is none.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        let (method, path) = key.split_once(' ')?;
        Self::ALL.iter().copied().find(|route| route.methods().contains(&method) && route.path() == path)
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
        Route::ALL.iter().filter(|route| route.path() == path).flat_map(|route| route.methods()).copied().collect();
    (!methods.is_empty()).then(|| methods.join(", "))
}

/// Returns the path of a route to which `path` leads without the slashes at its end, or `None` if `path` does not end
/// in a slash or there is no such route. `path` is decoded, as API Gateway decodes it.
///
/// The path is written from the route and the encoded parameters, so it never leads to another host.
#[must_use]
pub fn without_trailing_slashes(path: &str) -> Option<String> {
    let trimmed = path.trim_end_matches('/');
    (trimmed != path).then(|| Route::ALL.iter().find_map(|route| route.written_like(trimmed))).flatten()
}

impl Route {
    /// Returns `path` in the form of this route, or `None` if it does not match it.
    fn written_like(self, path: &str) -> Option<String> {
        let (expected, given) = (self.path().split('/'), path.split('/'));
        if expected.clone().count() != given.clone().count() {
            return None;
        }
        let segments = expected.zip(given).map(|(expected, given)| match expected {
            "{campaign_type}" => given.parse().ok().map(CampaignType::as_str).map(str::to_owned),
            // A caller removes `.` and `..` before it sends a path (RFC 3986, section 5.2.4), so that the path would
            // then be another one.
            parameter if parameter.starts_with('{') => (!["", ".", ".."].contains(&given)).then(|| encoded(given)),
            literal => (literal == given).then(|| literal.to_owned()),
        });
        segments.collect::<Option<Vec<_>>>().map(|segments| segments.join("/"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[test]
    fn every_route_is_found_by_its_key() {
        for route in Route::ALL {
            for method in route.methods() {
                assert_eq!(Route::from_key(&format!("{method} {}", route.path())), Some(*route));
            }
            assert_eq!(route.methods()[0], route.method());
        }
        for other in
            ["GET /v2/registration_events", "HEAD /v2/registration_events", "$default", "ANY /v2/openapi.json", ""]
        {
            assert_eq!(Route::from_key(other), None);
        }
    }

    #[test]
    fn a_path_allows_the_methods_of_its_routes() {
        assert_eq!(allowed(Route::ListCampaign.path()).as_deref(), Some("GET, HEAD"));
        assert_eq!(allowed(Route::ListPass.path()).as_deref(), Some("GET, HEAD, POST"));
        assert_eq!(allowed(Route::Unregister.path()).as_deref(), Some("DELETE"));
        assert_eq!(allowed("/v2/elsewhere"), None);
    }

    #[rstest]
    #[case("/v2/openapi.json/", "/v2/openapi.json")]
    #[case("/v2/registration_events///", "/v2/registration_events")]
    #[case("/v2/coupons/C/registrations/", "/v2/coupons/C/registrations")]
    #[case("/v2/event_tickers/C/reports/totals/", "/v2/event_tickets/C/reports/totals")]
    #[case("/v2/coupons/C/passes/P/registrations/R/", "/v2/coupons/C/passes/P/registrations/R")]
    #[case("/v2/coupons/é \r\n?#%2F\\/registrations/", "/v2/coupons/%C3%A9%20%0D%0A%3F%23%252F%5C/registrations")]
    fn a_path_of_a_route_is_found_without_its_trailing_slashes(#[case] path: &str, #[case] expected: &str) {
        assert_eq!(without_trailing_slashes(path).as_deref(), Some(expected));
    }

    #[rstest]
    #[case("/v2/openapi.json")]
    #[case("/")]
    #[case("//")]
    #[case("/v2/")]
    #[case("//evil.example/")]
    #[case("//evil.example/v2/openapi.json/")]
    #[case("/\\evil.example/")]
    #[case("/v2//openapi.json/")]
    #[case("v2/openapi.json/")]
    #[case("https://evil.example/v2/openapi.json/")]
    #[case("/v2/tickets/C/registrations/")]
    #[case("/v2/coupons//registrations/")]
    #[case("/v2/coupons/../registrations/")]
    #[case("/v2/coupons/./registrations/")]
    #[case("/V2/openapi.json/")]
    fn another_path_leads_nowhere(#[case] path: &str) {
        assert_eq!(without_trailing_slashes(path), None);
    }

    proptest! {
        #[test]
        fn a_path_never_leads_to_another_host(
            path in prop_oneof![
                r"[/\\a-z.:@%]{0,20}/",
                (".{0,9}", ".{0,9}").prop_map(|(type_, id)| format!("/v2/{type_}/{id}/registrations/")),
                ".{0,9}".prop_map(|id| format!("/v2/coupons/{id}/registrations//")),
            ]
        ) {
            if let Some(found) = without_trailing_slashes(&path) {
                prop_assert!(found.starts_with("/v2/") && !found.contains("//") && !found.ends_with('/'), "{}", found);
                prop_assert!(found.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\'), "{}", found);
            }
        }
    }
}
