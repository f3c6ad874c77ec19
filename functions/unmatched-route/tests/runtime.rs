//! The real binary, driven through the Lambda Runtime API with the sample events.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use local::{
    samples,
    template::Template,
    testing::{log_levels, runtime_api::LambdaProcess, sandbox::Sandbox},
};
use serde_json::Value;

const FUNCTION: &str = "unmatched-route";
const BINARY: &str = env!("CARGO_BIN_EXE_unmatched-route");

#[tokio::test]
async fn a_redirect_is_not_longer_than_the_headers_that_api_gateway_allows() {
    let sandbox = Sandbox::start().await.unwrap();
    let (_, mut event) = samples::reaching(FUNCTION, &sandbox.template)
        .unwrap()
        .into_iter()
        .find(|(name, _)| name == "http/unmatched-slash.json")
        .unwrap();
    let mut binary = LambdaProcess::start(BINARY, []).await.unwrap();
    for (query, status) in [("a".repeat(9_000), 308), ("\"".repeat(2_900), 308), ("\"".repeat(3_100), 404)] {
        event["rawQueryString"] = query.into();
        let answer = binary.invoke(&event).await.unwrap().unwrap();
        assert_eq!(answer["statusCode"], status);
    }
}

#[tokio::test]
async fn the_binary_answers_every_sample_event() {
    let sandbox = Sandbox::start().await.unwrap();
    assert!(sandbox.template.functions[FUNCTION].variables.is_empty());
    // The function needs no variable and no table.
    let mut binary = LambdaProcess::start(BINARY, []).await.unwrap();
    for (name, event) in samples::reaching(FUNCTION, &sandbox.template).unwrap() {
        let answer = binary.invoke(&event).await.unwrap().unwrap();
        if name == "http/unmatched-slash.json" {
            let target = "/v2/coupons/bd69162b-8995-4c89-bdca-898fae6050d0/registrations?per_page=2";
            let location = answer["headers"]["location"].as_str();
            assert_eq!((answer["statusCode"].as_u64(), location), (Some(308), Some(target)));
            continue;
        }
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        let allow = answer["headers"]["allow"].as_str();
        match name.as_str() {
            "http/unmatched-path.json" => {
                assert_eq!((body["status_code"].as_u64(), allow), (Some(404), None));
                assert_eq!(body["error"], "route_not_found");
            }
            "http/unmatched-method.json" => {
                assert_eq!((body["status_code"].as_u64(), allow), (Some(405), Some("GET, HEAD")));
                assert_eq!(body["error"], "method_not_allowed");
            }
            unknown => panic!("no expectation for the sample {unknown}"),
        }
        assert_eq!(answer["statusCode"], body["status_code"]);
    }
}

#[tokio::test]
async fn lambda_can_filter_each_line_at_every_level() {
    let template = Template::read(&Template::default_path()).unwrap();
    let samples = samples::reaching(FUNCTION, &template).unwrap();
    let events: Vec<_> = samples.into_iter().map(|(_, event)| event).collect();
    log_levels::expect_filterable_log(FUNCTION, BINARY, &events).await.unwrap();
}
