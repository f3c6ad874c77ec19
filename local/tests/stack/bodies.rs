//! Which bodies a POST may have, and that other requests may have any.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use http::{Method, StatusCode};
use local::testing::sandbox::Sandbox;
use rstest::rstest;
use serde_json::json;

use crate::{CAMPAIGN, PASS, REGISTRATION, call, campaign_path, get, pass_path};

/// A JSON type whose bodies API Gateway passes on in base64.
const BINARY_JSON: &str = "application/vnd.api+json";
const NEW: &str = "5f0c1d6e-6f1c-4d8a-9d4c-0c6f3f3c1b2a";

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// Returns the two routes that have a body, each with a valid one that registers [`NEW`].
fn posts() -> [(String, String); 2] {
    let registration = json!({"wallet": "google_wallet", "device_os": "android", "id": NEW});
    let event = json!({
        "event": "installed", "campaign_id": CAMPAIGN, "pass_id": PASS, "event_at": "2016-11-09T15:00:00Z",
        "event_extra": {"registration_id": NEW, "device_app_vendor": "google_wallet", "device_os": "android"},
    });
    [(pass_path(), registration.to_string()), ("/v2/registration_events".to_owned(), event.to_string())]
}

fn as_it_is(body: &str) -> Vec<u8> {
    body.as_bytes().to_vec()
}

fn marked(body: &str) -> Vec<u8> {
    format!("\u{feff}{body}").into_bytes()
}

fn compressed(body: &str) -> Vec<u8> {
    gzip(body.as_bytes())
}

#[rstest]
#[case::plain(&[("content-type", "application/json")], as_it_is)]
#[case::charset(&[("content-type", "application/json; charset=UTF-8")], as_it_is)]
#[case::another_json_type(&[("content-type", BINARY_JSON)], as_it_is)]
#[case::byte_order_mark(&[("content-type", "application/json")], marked)]
#[case::byte_order_mark_in_base64(&[("content-type", BINARY_JSON)], marked)]
#[case::identity(&[("content-type", "application/json"), ("content-encoding", "identity")], as_it_is)]
#[case::gzip(&[("content-type", BINARY_JSON), ("content-encoding", "gzip")], compressed)]
#[case::x_gzip(&[("content-type", BINARY_JSON), ("content-encoding", "X-GZIP")], compressed)]
#[tokio::test]
async fn json_is_accepted(#[case] headers: &[(&str, &str)], #[case] encoded: fn(&str) -> Vec<u8>) {
    for (path, body) in posts() {
        let sandbox = Sandbox::with_first_events().await.unwrap();
        let answer = call(&sandbox.fresh_front().unwrap(), Method::POST, &path, headers, encoded(&body)).await;
        assert!(answer.status.is_success(), "{path}: {answer:?}");
        assert!(get(&sandbox, &campaign_path()).await.ids().contains(&NEW.to_owned()), "{path}");
    }
}

fn truncated(body: &str) -> Vec<u8> {
    let mut compressed = compressed(body);
    compressed.truncate(compressed.len() - 5);
    compressed
}

fn not_gzip(body: &str) -> Vec<u8> {
    [b"\xff", body.as_bytes()].concat()
}

fn bomb(body: &str) -> Vec<u8> {
    [gzip(&vec![b' '; 1024 * 1024]).repeat(100), compressed(body)].concat()
}

#[rstest]
#[case::no_type(&[], as_it_is, 415, "Content-Type")]
#[case::text(&[("content-type", "text/plain")], as_it_is, 415, "Content-Type")]
#[case::form(&[("content-type", "application/x-www-form-urlencoded")], as_it_is, 415, "Content-Type")]
#[case::charset(&[("content-type", "application/json; charset=utf-16")], as_it_is, 415, "Content-Type")]
#[case::two_types(
    &[("content-type", "application/json"), ("content-type", "application/json")],
    as_it_is,
    415,
    "Content-Type"
)]
#[case::deflate(&[("content-type", BINARY_JSON), ("content-encoding", "deflate")], as_it_is, 415, "Content-Encoding")]
#[case::twice(&[("content-type", BINARY_JSON), ("content-encoding", "gzip, gzip")], compressed, 415, "Content-Encoding")]
#[case::two_headers(
    &[("content-type", BINARY_JSON), ("content-encoding", "gzip"), ("content-encoding", "br")],
    compressed,
    415,
    "Content-Encoding"
)]
#[case::not_gzip(&[("content-type", BINARY_JSON), ("content-encoding", "gzip")], not_gzip, 400, "Content-Encoding")]
#[case::truncated(&[("content-type", BINARY_JSON), ("content-encoding", "gzip")], truncated, 400, "Content-Encoding")]
#[case::bomb(&[("content-type", BINARY_JSON), ("content-encoding", "gzip")], bomb, 413, "body")]
#[case::unannounced(&[("content-type", BINARY_JSON)], compressed, 400, "body")]
#[tokio::test]
async fn anything_else_is_refused_and_nothing_is_written(
    #[case] headers: &[(&str, &str)],
    #[case] encoded: fn(&str) -> Vec<u8>,
    #[case] status: u16,
    #[case] field: &str,
) {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let front = sandbox.fresh_front().unwrap();
    let before = get(&sandbox, &campaign_path()).await.ids();
    for (path, body) in posts() {
        let answer = call(&front, Method::POST, &path, headers, encoded(&body)).await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {answer:?}");
        assert!(answer.json()["errors"].as_object().unwrap().contains_key(field), "{answer:?}");
    }
    assert_eq!(get(&sandbox, &campaign_path()).await.ids(), before);
}

#[tokio::test]
async fn a_compressed_body_that_the_gateway_passes_on_as_text_is_refused_with_a_way_out() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let front = sandbox.fresh_front().unwrap();
    let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
    for (path, body) in posts() {
        let answer = call(&front, Method::POST, &path, &headers, compressed(&body)).await;
        let errors = &answer.json()["errors"];
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert!(errors["Content-Encoding"][0].as_str().unwrap().contains(BINARY_JSON), "{errors}");
    }
}

#[tokio::test]
async fn the_body_of_any_other_request_is_ignored() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let front = sandbox.fresh_front().unwrap();
    let headers = [("content-type", "text/plain; charset=utf-16"), ("content-encoding", "deflate")];
    assert_eq!(call(&front, Method::GET, &campaign_path(), &headers, "{").await.status, StatusCode::OK);
    let registration = format!("{}/{REGISTRATION}", pass_path());
    let answer = call(&front, Method::DELETE, &registration, &headers, "{").await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
}
