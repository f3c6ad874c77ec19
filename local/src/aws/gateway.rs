//! API Gateway: finds the route of a request, turns the request into an event, and turns the function's answer into a
//! response.
//!
//! Source: Amazon API Gateway developer guide, "Create AWS Lambda proxy integrations for HTTP APIs" (payload format
//! 2.0) and "Quotas for configuring and running an HTTP API".

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{CONTENT_TYPE, COOKIE},
    request::Parts,
};
use matchit::Router;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::template::{AWS_ACCOUNT, Cors, Integration, REGION, RouteDefinition};

/// The largest size of the request line and headers together, in bytes.
pub const MAX_HEAD_BYTES: usize = 10_240;
/// The largest event or answer that Lambda accepts, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 6 * 1024 * 1024;

/// The routes of an API.
pub struct Gateway {
    /// The routes of each method that a route names, and as `ANY` those of all other methods.
    methods: BTreeMap<String, Router<RouteDefinition>>,
    default: Option<RouteDefinition>,
    cors: Cors,
}

/// The route of a request, and the values of its path parameters.
pub struct Matched<'a> {
    route: &'a RouteDefinition,
    parameters: BTreeMap<String, String>,
}

impl Matched<'_> {
    /// Returns what answers the route.
    #[must_use]
    pub fn integration(&self) -> &Integration {
        &self.route.integration
    }

    /// Returns the folder name of the function that answers the route, or `None` if it is no function.
    #[must_use]
    pub fn function(&self) -> Option<&str> {
        self.route.function()
    }

    /// Returns the values of the path parameters, decoded once.
    #[must_use]
    pub fn parameters(&self) -> &BTreeMap<String, String> {
        &self.parameters
    }

    /// Returns the name of the route in API Gateway: `GET /v2/…`, `ANY /v2/…` or `$default`.
    #[must_use]
    pub fn key(&self) -> String {
        match self.route.path.as_str() {
            "$default" => "$default".to_owned(),
            path => format!("{} {path}", self.route.method),
        }
    }
}

impl Gateway {
    /// Creates a gateway with these routes.
    ///
    /// # Errors
    ///
    /// If two paths conflict.
    pub fn new(routes: &[RouteDefinition], cors: Cors) -> Result<Self, String> {
        let mut by_path: BTreeMap<&str, BTreeMap<String, RouteDefinition>> = BTreeMap::new();
        let mut default = None;
        for route in routes {
            if route.path == "$default" {
                default = Some(route.clone());
            } else {
                by_path.entry(&route.path).or_default().insert(route.method.clone(), route.clone());
            }
        }
        let named: BTreeSet<&str> = by_path.values().flat_map(BTreeMap::keys).map(String::as_str).collect();
        let mut methods = BTreeMap::new();
        for method in named.into_iter().chain(["ANY"]) {
            let mut paths = Router::new();
            for (path, routes) in &by_path {
                if let Some(route) = routes.get(method).or_else(|| routes.get("ANY")) {
                    let inserted = paths.insert(matchable(path), route.clone());
                    inserted.map_err(|error| format!("the route {path}: {error}"))?;
                }
            }
            methods.insert(method.to_owned(), paths);
        }
        Ok(Self { methods, default, cors })
    }

    /// Returns the route of a request: of those with the method or `ANY` the one with the most specific path, at one
    /// path that with the method, else `$default`, or `None` if none of these exists. A path is decoded before it is
    /// matched (Amazon API Gateway developer guide, "Create routes for HTTP APIs").
    #[must_use]
    pub fn route(&self, method: &Method, path: &str) -> Option<Matched<'_>> {
        let path = decoded(path);
        let routes = self.methods.get(method.as_str()).or_else(|| self.methods.get("ANY"))?;
        let found = routes.at(&path).ok().map(|found| {
            let parameters = found.params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            (found.value, parameters)
        });
        let (route, parameters) = found.or_else(|| Some((self.default.as_ref()?, BTreeMap::new())))?;
        Some(Matched { route, parameters })
    }

    /// Returns API Gateway's own response to a preflight request, or `None` if the request is not a preflight or CORS
    /// is not configured.
    #[must_use]
    pub fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response<Vec<u8>>> {
        let is_preflight = method == Method::OPTIONS && headers.contains_key("access-control-request-method");
        if !is_preflight || self.cors.allow_origins.is_empty() {
            return None;
        }
        let mut response = Response::new(Vec::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        if let Some(origin) = self.allowed_origin(headers) {
            let answer = response.headers_mut();
            put(answer, "access-control-allow-origin", &origin);
            put(answer, "access-control-allow-methods", &self.cors.allow_methods.join(","));
            put(answer, "access-control-allow-headers", &self.cors.allow_headers.join(","));
            put(answer, "access-control-max-age", &self.cors.max_age);
        }
        Some(response)
    }

    /// Adds the CORS headers if the request's origin is allowed. Without them, a browser hides the response from a page
    /// of that origin.
    pub fn allow_origin(&self, request: &HeaderMap, response: &mut HeaderMap) {
        if let Some(origin) = self.allowed_origin(request) {
            put(response, "access-control-allow-origin", &origin);
            put(response, "access-control-expose-headers", &self.cors.expose_headers.join(","));
        }
    }

    fn allowed_origin(&self, headers: &HeaderMap) -> Option<String> {
        let origin = headers.get(http::header::ORIGIN)?.to_str().ok()?;
        let allowed = self.cors.allow_origins.iter().find(|allowed| *allowed == "*" || *allowed == origin)?;
        Some(allowed.clone())
    }
}

/// Returns a path of the template as the router writes it: a greedy variable `{name+}`, which stands for everything
/// after a slash, as `{*name}`. Routes without such a variable come first (Amazon API Gateway developer guide, "Create
/// routes for HTTP APIs").
fn matchable(path: &str) -> String {
    match path.strip_suffix("+}").and_then(|path| path.rsplit_once('{')) {
        Some((before, name)) => format!("{before}{{*{name}}}"),
        None => path.to_owned(),
    }
}

/// Returns the path of a request as a function gets it, or `None` if API Gateway answers 400.
///
/// An HTTP API decodes a path, cuts it at a `?`, and decodes it again. It refuses one that cannot be decoded twice. AWS
/// does not document this. It was captured on AWS (`vokerhttp/testdata/ingress-paths.json` of
/// <https://github.com/hotsock/voker/pull/8>).
#[must_use]
pub fn received_path(path: &str) -> Option<String> {
    let once = decoded_or_refused(path)?;
    decoded_or_refused(once.split('?').next()?)
}

/// Decodes a text, or returns `None` if a `%` is not followed by two hexadecimal digits.
fn decoded_or_refused(text: &str) -> Option<String> {
    let is_encoded = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    text.split('%').skip(1).all(is_encoded).then(|| decoded(text))
}

/// Returns the event for a request, in payload format 2.0, whose path is `path` after it was decoded.
#[must_use]
pub fn event(matched: &Matched<'_>, request: &Parts, path: &str, body: &[u8], source_ip: &str) -> Value {
    let query = request.uri.query().unwrap_or_default();
    let now = jiff::Timestamp::now();
    let mut event = json!({
        "version": "2.0",
        "routeKey": matched.key(),
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers(&request.headers),
        "requestContext": {
            "accountId": AWS_ACCOUNT,
            "apiId": "local",
            "domainName": format!("local.execute-api.{REGION}.amazonaws.com"),
            "domainPrefix": "local",
            "http": {
                "method": request.method.as_str(),
                "path": path,
                "protocol": format!("{:?}", request.version),
                "sourceIp": source_ip,
                "userAgent": text(&request.headers, "user-agent"),
            },
            "requestId": Uuid::new_v4().to_string(),
            "routeKey": matched.key(),
            "stage": "$default",
            "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
            "timeEpoch": now.as_millisecond(),
        },
        "isBase64Encoded": false,
    });
    let mut optional = Map::new();
    if !matched.parameters.is_empty() {
        optional.insert("pathParameters".to_owned(), json!(matched.parameters));
    }
    let cookies: Vec<_> = request.headers.get_all(COOKIE).iter().filter_map(|cookie| cookie.to_str().ok()).collect();
    if !cookies.is_empty() {
        let cookies: Vec<_> = cookies.iter().flat_map(|header| header.split("; ")).collect();
        optional.insert("cookies".to_owned(), json!(cookies));
    }
    if !query.is_empty() {
        optional.insert("queryStringParameters".to_owned(), json!(query_parameters(query)));
    }
    if !body.is_empty() {
        let is_text = is_text(&request.headers);
        let body = if is_text { String::from_utf8_lossy(body).into_owned() } else { BASE64_STANDARD.encode(body) };
        optional.insert("isBase64Encoded".to_owned(), json!(!is_text));
        optional.insert("body".to_owned(), json!(body));
    }
    if let Some(event) = event.as_object_mut() {
        event.extend(optional);
    }
    event
}

/// Returns the header with the request id, which API Gateway adds to every response.
#[must_use]
pub fn request_id(id: &str) -> Option<(HeaderName, HeaderValue)> {
    Some((HeaderName::from_static("apigw-requestid"), HeaderValue::try_from(id).ok()?))
}

/// A function's answer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    status_code: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    cookies: Vec<String>,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

/// Converts a function's answer into a response, or `None` if the answer does not have the shape of a full response in
/// payload format 2.0.
#[must_use]
pub fn response(answer: Value) -> Option<Response<Vec<u8>>> {
    let Answer { status_code, headers, cookies, body, is_base64_encoded } = serde_json::from_value(answer).ok()?;
    let body = body.unwrap_or_default();
    let body = if is_base64_encoded { BASE64_STANDARD.decode(body).ok()? } else { body.into_bytes() };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status_code).ok()?;
    for (name, value) in headers {
        response.headers_mut().append(HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
    }
    for cookie in cookies {
        response.headers_mut().append(http::header::SET_COOKIE, HeaderValue::try_from(cookie).ok()?);
    }
    Some(response)
}

/// Returns a response of API Gateway itself. Its body is `{"message": …}`.
#[must_use]
pub fn own_response(status: StatusCode, message: &str) -> Response<Vec<u8>> {
    let mut response = Response::new(json!({ "message": message }).to_string().into_bytes());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Returns the size of the request line and headers, in bytes.
#[must_use]
pub fn head_size(request: &Parts) -> usize {
    let line = request.method.as_str().len() + request.uri.path_and_query().map_or(0, |path| path.as_str().len());
    let headers = request.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
    line + headers.sum::<usize>()
}

/// Returns the headers except cookies, with lower-case names. The values of a repeated header are joined by commas.
fn headers(headers: &HeaderMap) -> BTreeMap<&str, String> {
    let mut joined: BTreeMap<&str, String> = BTreeMap::new();
    for (name, value) in headers.iter().filter(|(name, _)| *name != COOKIE) {
        let value = String::from_utf8_lossy(value.as_bytes());
        joined
            .entry(name.as_str())
            .and_modify(|known| *known = format!("{known},{value}"))
            .or_insert(value.into_owned());
    }
    joined
}

fn query_parameters(query: &str) -> BTreeMap<String, String> {
    let mut joined: BTreeMap<String, String> = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decoded(&value.replace('+', " "));
        let name = decoded(&name.replace('+', " "));
        joined.entry(name).and_modify(|known| *known = format!("{known},{value}")).or_insert(value);
    }
    joined
}

/// Returns whether the content type, without its parameters, is one whose bodies reach the function as text, in which
/// bytes that are not UTF-8 are lost. Any other body is encoded in base64: an HTML form, `application/problem+json`,
/// and a body without a content type.
///
/// AWS documents no list. This one was measured on AWS: <https://github.com/ministackorg/ministack/pull/766>.
fn is_text(request: &HeaderMap) -> bool {
    let content_type = text(request, CONTENT_TYPE.as_str());
    let content_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    content_type.starts_with("text/")
        || ["application/json", "application/xml", "application/javascript"].contains(&content_type.as_str())
}

fn text(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::template::Template;

    fn gateway() -> Gateway {
        let template = Template::read(&Template::default_path()).unwrap();
        Gateway::new(&template.routes, template.cors).unwrap()
    }

    fn parts(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[rstest]
    #[case("GET", "/v2/coupons/c/registrations", "campaign-registrations")]
    #[case("PUT", "/v2/coupons/c/registrations", "unmatched-route")]
    #[case("GET", "/v2/coupons/c/passes/p/registrations", "pass-registrations")]
    #[case("POST", "/v2/coupons/c/passes/p/registrations", "registration-writes")]
    #[case("DELETE", "/v2/coupons/c/passes/p/registrations/r", "registration-writes")]
    #[case("GET", "/v2/coupons/c/passes/p/registrations/r", "unmatched-route")]
    #[case("POST", "/v2/registration_events", "registration-writes")]
    #[case("GET", "/v2/coupons/c/registrations/", "unmatched-route")]
    #[case("GET", "/", "unmatched-route")]
    #[case("POST", "/wallet/demo/v1/log", "wallet-web-service")]
    #[case("HEAD", "/wallet/demo/v1/log", "wallet-web-service")]
    #[case::two_slashes("GET", "/wallet/demo//v1/log/", "wallet-web-service")]
    #[case("POST", "/wallet/demo", "unmatched-route")]
    #[case("POST", "/wallet/demo/", "unmatched-route")]
    #[case("POST", "/wallet", "unmatched-route")]
    fn a_request_is_matched_to_the_most_specific_route(
        #[case] method: &str,
        #[case] path: &str,
        #[case] function: &str,
    ) {
        let gateway = gateway();
        let matched = gateway.route(&method.parse().unwrap(), path).unwrap();
        assert_eq!(matched.function(), Some(function));
    }

    #[test]
    fn an_event_has_the_shape_of_an_api_gateway_event() {
        let gateway = gateway();
        let headers =
            [("X-Many", "1"), ("X-Many", "2"), ("Cookie", "a=1; b=2"), ("Content-Type", "application/octet-stream")];
        let request = parts("GET", "/v2/event%5Ftickets/c/registrations?q[s]=a+b&x=1&x=2", &headers);
        let matched = gateway.route(&request.method, request.uri.path()).unwrap();
        let path = received_path(request.uri.path()).unwrap();
        let event = event(&matched, &request, &path, b"\xff", "127.0.0.1");

        assert_eq!(event["routeKey"], "GET /v2/{campaign_type}/{campaign_id}/registrations");
        assert_eq!(event["rawPath"], "/v2/event_tickets/c/registrations");
        assert_eq!(event["rawQueryString"], "q[s]=a+b&x=1&x=2");
        assert_eq!(event["queryStringParameters"], json!({"q[s]": "a b", "x": "1,2"}));
        assert_eq!(event["pathParameters"], json!({"campaign_type": "event_tickets", "campaign_id": "c"}));
        assert_eq!(event["headers"]["x-many"], "1,2");
        assert_eq!(event["cookies"], json!(["a=1", "b=2"]));
        assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("/w=="), &json!(true)));
    }

    /// The captures of <https://github.com/hotsock/voker/pull/8>.
    #[rstest]
    #[case("/capture/plain", Some("/capture/plain"))]
    #[case("/capture/space%20value", Some("/capture/space value"))]
    #[case("/capture/question%3Fvalue", Some("/capture/question"))]
    #[case("/capture/percent%25done", None)]
    #[case("/capture/hash%23value", Some("/capture/hash#value"))]
    #[case("/capture/slash%2Fvalue", Some("/capture/slash/value"))]
    #[case("/capture/unicode-%CE%BB-%E4%B8%96%E7%95%8C", Some("/capture/unicode-λ-世界"))]
    #[case("/capture/literal%252Fvalue", Some("/capture/literal/value"))]
    #[case("/capture/literal%253Fvalue", Some("/capture/literal?value"))]
    #[case("/capture/literal%2525value", Some("/capture/literal%value"))]
    fn a_path_is_decoded_twice_and_cut_in_between(#[case] sent: &str, #[case] received: Option<&str>) {
        assert_eq!(received_path(sent).as_deref(), received);
    }

    #[test]
    fn a_greedy_variable_is_the_rest_of_the_path() {
        let gateway = gateway();
        let matched = gateway.route(&Method::GET, "/wallet/demo//v1/a/c%2Fd/").unwrap();
        let event = event(&matched, &parts("GET", "/", &[]), "/wallet/demo//v1/a/c/d/", b"", "127.0.0.1");
        assert_eq!(event["routeKey"], "ANY /wallet/{account_id}/{call+}");
        assert_eq!(event["rawPath"], "/wallet/demo//v1/a/c/d/");
        assert_eq!(event["pathParameters"], json!({"account_id": "demo", "call": "/v1/a/c/d/"}));
    }

    #[rstest]
    #[case(Some("application/json"), "{}")]
    #[case(Some("Application/JSON; charset=utf-8"), "{}")]
    #[case(Some("application/xml"), "{}")]
    #[case(Some("application/javascript"), "{}")]
    #[case(Some("text/csv;header=present"), "{}")]
    #[case(None, "e30=")]
    #[case(Some(""), "e30=")]
    #[case(Some("application/problem+json"), "e30=")]
    #[case(Some("application/x-www-form-urlencoded"), "e30=")]
    #[case(Some("application/x-amz-json-1.0"), "e30=")]
    #[case(Some("application/json-patch"), "e30=")]
    #[case(Some("application/octet-stream"), "e30=")]
    fn a_body_is_base64_unless_its_content_type_is_one_of_text(
        #[case] content_type: Option<&str>,
        #[case] expected: &str,
    ) {
        let gateway = gateway();
        let headers: Vec<_> = content_type.map(|value| ("content-type", value)).into_iter().collect();
        let request = parts("POST", "/v2/registration_events", &headers);
        let path = request.uri.path();
        let event = event(&gateway.route(&request.method, path).unwrap(), &request, path, b"{}", "127.0.0.1");
        assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!(expected), &json!(expected != "{}")));
    }

    #[test]
    fn the_answer_to_a_preflight_lists_the_permissions() {
        let gateway = gateway();
        let preflight = [("Origin", "https://example.com"), ("Access-Control-Request-Method", "GET")];
        let request = parts("OPTIONS", "/v2/coupons/c/registrations", &preflight);
        let response = gateway.preflight(&request.method, &request.headers).unwrap();
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
        assert_eq!(response.headers()["access-control-allow-headers"], "authorization,content-encoding,content-type");

        let mut answer = HeaderMap::new();
        gateway.allow_origin(&request.headers, &mut answer);
        assert!(answer["access-control-expose-headers"].to_str().unwrap().contains("x-total"));
        let plain = parts("OPTIONS", "/", &[]);
        assert!(gateway.preflight(&plain.method, &plain.headers).is_none());
    }
}
