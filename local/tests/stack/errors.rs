//! Every kind of invalid input gets the documented error, which names the invalid field.

use std::collections::HashSet;

use http::{Method, StatusCode};
use local::testing::sandbox::Sandbox;
use rstest::rstest;
use serde_json::{Value, json};

use crate::{
    CAMPAIGN, DEMO, PASS, REGISTRATION, call, campaign_path, exchange, get, pass_path, post, reports::report_path,
};

const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";
const JSON: &str = "application/json";
const DEVICE: &str = "device_library_identifier";

/// Returns a registration that is valid except for one field.
fn registration(field: &str, value: &str) -> String {
    let mut body = json!({"wallet": "passbook", "device_os": "ios", DEVICE: "device-1"});
    body[field] = json!(value);
    body.to_string()
}

#[rstest]
#[case::no_such_path("/", 404, "route_not_found", None)]
#[case::trailing_slash_of_no_path("/v2/tickets/C/registrations/", 404, "route_not_found", None)]
#[case::no_such_type("/v2/tickets/C/registrations", 404, "route_not_found", Some("campaign_type"))]
#[case::another_type("/v2/generics/C/registrations", 404, "campaign_not_found", Some("campaign_id"))]
#[case::unknown_campaign("/v2/coupons/U/registrations", 404, "campaign_not_found", Some("campaign_id"))]
#[case::unknown_before_invalid("/v2/coupons/U/registrations?page=x", 404, "campaign_not_found", Some("campaign_id"))]
#[case::unknown_before_unknown_parameter(
    "/v2/coupons/U/registrations?perpage=1",
    404,
    "campaign_not_found",
    Some("campaign_id")
)]
#[case::unknown_pass_before_unknown_parameter(
    "/v2/coupons/C/passes/U/registrations?perpage=1",
    404,
    "pass_not_found",
    Some("pass_id")
)]
#[case::unknown_pass("/v2/coupons/C/passes/U/registrations", 404, "pass_not_found", Some("pass_id"))]
#[case::pass_of_unknown("/v2/coupons/U/passes/P/registrations", 404, "campaign_not_found", Some("campaign_id"))]
#[case::malformed_campaign("/v2/coupons/1/registrations", 400, "invalid_parameter", Some("campaign_id"))]
#[case::malformed_pass("/v2/coupons/C/passes/%2e%2e/registrations", 400, "invalid_parameter", Some("pass_id"))]
#[case::page("/v2/coupons/C/registrations?page=0", 400, "invalid_parameter", Some("page"))]
#[case::per_page("/v2/coupons/C/registrations?per_page=1001", 400, "invalid_parameter", Some("per_page"))]
#[case::offset("/v2/coupons/C/registrations?offset=-1", 400, "invalid_parameter", Some("offset"))]
#[case::filter("/v2/coupons/C/registrations?q[wallet_is]=x", 400, "invalid_parameter", Some("q[wallet_is]"))]
#[case::order("/v2/coupons/C/registrations?q[s]=wallet+up", 400, "invalid_parameter", Some("q[s]"))]
#[case::both("/v2/coupons/C/registrations?page=1&cursor=x", 400, "invalid_parameter", Some("cursor"))]
#[case::cursor("/v2/coupons/C/registrations?cursor=x", 400, "invalid_cursor", Some("cursor"))]
#[case::report_date("/v2/coupons/C/reports?start_date=x", 400, "invalid_parameter", Some("start_date"))]
#[case::no_such_day("/v2/coupons/C/reports?end_date=2015-02-29", 400, "invalid_parameter", Some("end_date"))]
#[case::reversed(
    "/v2/coupons/C/reports?start_date=2016-11-10&end_date=2016-11-09",
    400,
    "invalid_parameter",
    Some("start_date")
)]
#[case::too_long(
    "/v2/coupons/C/reports?start_date=2015-01-01&end_date=2016-01-02",
    400,
    "invalid_parameter",
    Some("start_date")
)]
#[case::no_date("/v2/coupons/C/reports?start_date=", 400, "invalid_parameter", Some("start_date"))]
#[case::time_zone("/v2/coupons/C/reports?time_zone=Europe/Lisbon", 400, "invalid_parameter", Some("time_zone"))]
#[case::report_of_unknown("/v2/coupons/U/reports?start_date=x", 404, "campaign_not_found", Some("campaign_id"))]
#[case::totals_of_unknown("/v2/coupons/U/reports/totals", 404, "campaign_not_found", Some("campaign_id"))]
#[case::not_utf_8("/v2/coupons/C/registrations?q[wallet_eq]=%ff", 400, "invalid_parameter", Some("q[wallet_eq]"))]
#[tokio::test]
async fn the_error_of_a_bad_request_names_the_parameter(
    #[case] target: &str,
    #[case] status: u16,
    #[case] code: &str,
    #[case] field: Option<&str>,
) {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let ids = [("/C/", CAMPAIGN), ("/P/", PASS), ("/U/", UNKNOWN)];
    let target = ids.iter().fold(target.to_owned(), |target, (name, id)| target.replace(name, &format!("/{id}/")));
    let answer = get(&sandbox, &target).await;
    let body = answer.json();
    assert_eq!((answer.status.as_u16(), &body["status_code"], &body["error"]), (status, &json!(status), &json!(code)));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let fields: Vec<_> = body["errors"].as_object().unwrap().keys().collect();
    assert_eq!(fields, Vec::from_iter(field), "{body}");
}

#[rstest]
#[case(Method::PUT, campaign_path(), "GET, HEAD")]
#[case(Method::PATCH, pass_path(), "GET, HEAD, POST")]
#[case(Method::HEAD, "/v2/registration_events".to_owned(), "POST")]
#[case(Method::GET, format!("{}/{REGISTRATION}", pass_path()), "DELETE")]
#[case(Method::GET, "/v2/registration_events".to_owned(), "POST")]
#[tokio::test]
async fn the_error_of_an_unsupported_method_lists_the_supported_methods(
    #[case] method: Method,
    #[case] target: String,
    #[case] allow: &str,
) {
    let sandbox = Sandbox::start().await.unwrap();
    let answer = call(&sandbox.fresh_front().unwrap(), method, &target, &[], "").await;
    assert_eq!((answer.status, answer.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, Some(allow)));
    assert_eq!(answer.json()["error"], "method_not_allowed");
}

#[rstest]
#[case::not_json(JSON, "{", 400, "invalid_json", &["body"])]
#[case::empty(JSON, "", 400, "invalid_json", &["body"])]
#[case::deep(JSON, &"[".repeat(10_000), 400, "invalid_json", &["body"])]
#[case::twice(JSON, r#"{"wallet":"passbook","wallet":"pass2u"}"#, 400, "invalid_json", &["body"])]
#[case::half_a_character(JSON, r#"{"wallet":"\ud800"}"#, 400, "invalid_json", &["body"])]
#[case::large(JSON, &" ".repeat(1024 * 1024 + 1), 413, "body_too_large", &["body"])]
#[case::form("application/x-www-form-urlencoded", "{}", 415, "unsupported_media_type", &["Content-Type"])]
#[case::not_an_object(JSON, "[]", 422, "invalid_body", &["body"])]
#[case::nothing(JSON, "{}", 422, "invalid_body", &["device_os", "id", "wallet"])]
#[case::nulls(JSON, r#"{"wallet":null,"device_os":null}"#, 422, "invalid_body", &["device_os", "id", "wallet"])]
#[case::numbers(JSON, r#"{"wallet":1,"device_os":2,"id":3}"#, 422, "invalid_body", &["device_os", "id", "wallet"])]
#[case::wallet(JSON, &registration("wallet", "apple"), 422, "invalid_body", &["wallet"])]
#[case::device_os(JSON, &registration("device_os", "beos"), 422, "invalid_body", &["device_os"])]
#[case::id(JSON, &registration("id", "1"), 422, "invalid_body", &["id"])]
#[case::date(JSON, &registration("created_at", "2016-02-30T00:00:00Z"), 422, "invalid_body", &["created_at"])]
#[case::ahead(JSON, &registration("created_at", "2999-01-01T00:00:00Z"), 422, "invalid_body", &["created_at"])]
#[case::before(JSON, &registration("created_at", "1969-12-31T23:59:59Z"), 422, "invalid_body", &["created_at"])]
#[case::control(JSON, &registration(DEVICE, "a\u{0}b"), 422, "invalid_body", &[DEVICE])]
#[case::long_device(JSON, &registration(DEVICE, &"x".repeat(129)), 422, "invalid_body", &[DEVICE])]
#[case::bytes_not_characters(JSON, &registration(DEVICE, &"é".repeat(65)), 422, "invalid_body", &[DEVICE])]
#[case::long_token(JSON, &registration("push_token", &"x".repeat(385)), 422, "invalid_body", &["push_token"])]
#[case::no_token(JSON, &registration("push_token", ""), 422, "invalid_body", &["push_token"])]
#[tokio::test]
async fn the_error_of_a_bad_registration_names_the_fields_and_nothing_is_written(
    #[case] content_type: &str,
    #[case] body: &str,
    #[case] status: u16,
    #[case] code: &str,
    #[case] fields: &[&str],
) {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let front = sandbox.fresh_front().unwrap();
    let headers = [("content-type", content_type)];
    let known = call(&front, Method::POST, &pass_path(), &headers, body).await;
    assert_eq!((known.status.as_u16(), &known.json()["error"]), (status, &json!(code)));
    assert_eq!(known.json()["errors"].as_object().unwrap().keys().collect::<Vec<_>>(), fields);

    // A refused body does not make a new campaign known.
    let unknown = format!("/v2/coupons/{UNKNOWN}/passes/{PASS}/registrations");
    assert_eq!(call(&front, Method::POST, &unknown, &headers, body).await.status.as_u16(), status);
    assert_eq!(get(&sandbox, &unknown).await.json()["error"], "campaign_not_found");

    // A campaign of another type is reported before an invalid body.
    let other_type = pass_path().replace("coupons", "generics");
    assert_eq!(call(&front, Method::POST, &other_type, &headers, body).await.json()["error"], "campaign_not_found");
}

/// Returns a valid request for every route without parameters, and whether it needs a key.
fn without_parameters() -> [(Method, String, Value, bool); 5] {
    let registration = json!({"wallet": "pass2u", "device_os": "ios", DEVICE: "another"});
    let event = json!({
        "event": "uninstalled", "campaign_id": CAMPAIGN, "pass_id": PASS, "event_at": "2016-12-01T00:00:00Z",
        "event_extra": {"registration_id": REGISTRATION},
    });
    [
        (Method::POST, pass_path(), registration, true),
        (Method::DELETE, format!("{}/{REGISTRATION}", pass_path()), Value::Null, true),
        (Method::POST, "/v2/registration_events".to_owned(), event, true),
        (Method::GET, format!("{}/totals", report_path()), Value::Null, true),
        (Method::GET, "/v2/openapi.json".to_owned(), Value::Null, false),
    ]
}

#[tokio::test]
async fn an_unknown_parameter_is_named_after_the_key_and_the_campaign_and_nothing_is_written() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let front = sandbox.fresh_front().unwrap();
    let listed = get(&sandbox, &campaign_path()).await.body;
    for (method, path, body, needs_key) in without_parameters() {
        let send = async |path: &str, authorization: &str| {
            let headers = [("authorization", authorization), ("content-type", JSON)];
            let target = format!("{path}?per_page=1&Page=2");
            call(&front, method.clone(), &target, &headers, body.to_string()).await
        };
        let answer = send(&path, DEMO).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (400, &json!("invalid_parameter")), "{path}");
        let none = json!(["is not known, expected no parameter"]);
        assert_eq!(answer.json()["errors"], json!({"Page": none, "per_page": none}), "{path}");
        if needs_key {
            assert_eq!(send(&path, "Bearer wrong").await.status, StatusCode::UNAUTHORIZED, "{path}");
        }
        if path.contains(CAMPAIGN) {
            let other_type = send(&path.replace("coupons", "generics"), DEMO).await;
            assert_eq!(other_type.status, StatusCode::NOT_FOUND, "{path}");
        }
    }
    assert_eq!(get(&sandbox, &campaign_path()).await.body, listed);
    // A campaign that is not known yet stays unknown.
    let unknown = pass_path().replace(CAMPAIGN, UNKNOWN);
    let body = registration("wallet", "pass2u");
    let answer = call(&front, Method::POST, &format!("{unknown}?x=1"), &[("content-type", JSON)], body).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(get(&sandbox, &unknown).await.json()["error"], "campaign_not_found");
}

#[rstest]
#[case::too_many(Value::Array(vec![json!({"event": "redeemed"}); 501]), "events")]
#[case::not_an_event(json!("text"), "event")]
#[case::unknown_event(json!({"event": "exploded"}), "event")]
#[case::other_type(
    json!({
        "event": "created", "campaign_id": CAMPAIGN, "campaign_type": "generics", "pass_id": PASS,
        "event_at": "2016-08-10T11:30:06Z",
    }),
    "campaign_type"
)]
#[tokio::test]
async fn the_error_of_bad_events_names_the_field(#[case] body: Value, #[case] field: &str) {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let answer = post(&sandbox, "/v2/registration_events", &body).await;
    assert_eq!((answer.status, &answer.json()["error"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("invalid_body")));
    assert!(answer.json()["errors"].as_object().unwrap().contains_key(field), "{answer:?}");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let sandbox = Sandbox::start().await.unwrap();
    let answer = post(&sandbox, "/v2/registration_events", &json!("x".repeat(1024 * 1024))).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (413, &json!("body_too_large")));
}

#[tokio::test]
async fn a_cursor_of_another_listing_is_refused() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let first = get(&sandbox, &format!("{}?per_page=1", campaign_path())).await;
    let next = first.link("next").unwrap();
    assert_eq!(get(&sandbox, &next).await.status, StatusCode::OK);
    for other in [
        next.replace(&campaign_path(), &pass_path()),
        next.replace("per_page=1", "per_page=2"),
        format!("{next}&q[wallet_eq]=passbook"),
        next.replace("cursor=", "cursor=A"),
        next[..next.len() - 1].to_owned(),
    ] {
        assert_eq!(get(&sandbox, &other).await.json()["error"], "invalid_cursor", "{other}");
    }
}

#[tokio::test]
async fn an_unreachable_table_is_a_503_that_reveals_nothing() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let front = sandbox.fresh_front().unwrap();
    drop(sandbox);
    let answer = call(&front, Method::GET, &campaign_path(), &[], "").await;
    assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, Some("1")));
    assert!(!answer.body.contains("127.0.0.1") && !answer.body.to_lowercase().contains("dynamo"), "{answer:?}");
}

#[tokio::test]
async fn the_gateways_own_errors_have_its_own_shape() {
    let template = local::template::Template::read(&local::template::Template::default_path()).unwrap();
    let stack = local::stack::Stack::open(template, &local::aws::dynamodb::Data::Temporary).await.unwrap();
    let running = stack.serve(0).await.unwrap();
    let long = "x".repeat(11_000);
    let request = format!(
        "GET {}?x={long} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic ZGVtbzpkZW1v\r\nConnection: close\r\n\r\n",
        campaign_path()
    );
    let answer = exchange(&running.url, &request).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert!(answer.ends_with(r#"{"message":"Request Header Fields Too Large"}"#));
    running.stop().await;
}

#[tokio::test]
async fn every_answer_has_a_unique_request_id() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let targets = ["/v2/openapi.json", "/v2/openapi.json", "/v2/nothing", "/v2/coupons/x/registrations"];
    let mut ids = HashSet::new();
    for target in targets {
        ids.extend(get(&sandbox, target).await.request_id);
    }
    assert_eq!(ids.len(), targets.len());
}
