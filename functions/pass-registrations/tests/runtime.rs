//! The real binary, driven through the Lambda Runtime API with the sample events.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use local::{
    samples,
    template::Template,
    testing::{log_levels, runtime_api::LambdaProcess, sandbox::Sandbox},
};
use serde_json::Value;

const FUNCTION: &str = "pass-registrations";
const BINARY: &str = env!("CARGO_BIN_EXE_pass-registrations");

fn ids(body: &str) -> Vec<String> {
    let registrations: Vec<Value> = serde_json::from_str(body).unwrap();
    registrations.iter().map(|registration| registration["id"].as_str().unwrap()[..8].to_owned()).collect()
}

#[tokio::test]
async fn the_binary_answers_every_sample_event() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let mut binary = LambdaProcess::start(BINARY, sandbox.variables(FUNCTION)).await.unwrap();
    for (name, event) in samples::reaching(FUNCTION, &sandbox.template).unwrap() {
        let answer = binary.invoke(&event).await.unwrap().unwrap();
        let (body, headers) = (answer["body"].as_str().unwrap(), &answer["headers"]);
        assert_eq!(answer["statusCode"], 200, "{name}");
        match name.as_str() {
            "http/list-pass.json" => {
                assert_eq!(ids(body), ["01ff7401", "fe9c5b7a"]);
                assert_eq!(headers["x-total"], "2");
            }
            "http/list-pass-paged.json" => {
                assert_eq!(ids(body), ["01ff7401"]);
                assert_eq!((&headers["x-next-page"], headers.get("x-prev-page")), (&"2".into(), None));
            }
            "http/list-pass-filtered.json" => assert_eq!(ids(body), ["fe9c5b7a"]),
            unknown => panic!("no expectation for the sample {unknown}"),
        }
    }
    assert!(!binary.stop().await.unwrap().contains("ERROR"));
}

#[tokio::test]
async fn an_unknown_pass_is_not_found() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let mut binary = LambdaProcess::start(BINARY, sandbox.variables(FUNCTION)).await.unwrap();
    let mut event = samples::read(&samples::folder().join("http/list-pass.json")).unwrap();
    event["pathParameters"]["pass_id"] = "00000000-0000-4000-8000-000000000000".into();
    let answer = binary.invoke(&event).await.unwrap().unwrap();
    assert_eq!(answer["statusCode"], 404);
    assert!(answer["body"].as_str().unwrap().contains(r#""error_code":40402,"error":"pass_not_found""#));
}

#[tokio::test]
async fn connections_are_open_before_the_first_event() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.expect_connections_opened(FUNCTION, BINARY, 2).await.unwrap();
}

#[tokio::test]
async fn a_missing_variable_is_named_at_start() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.expect_missing_variables_named(FUNCTION, BINARY).await.unwrap();
}

#[tokio::test]
async fn lambda_can_filter_each_line_at_every_level() {
    let template = Template::read(&Template::default_path()).unwrap();
    let samples = samples::reaching(FUNCTION, &template).unwrap();
    let events: Vec<_> = samples.into_iter().map(|(_, event)| event).collect();
    let counted = log_levels::expect_filterable_log(FUNCTION, BINARY, &events).await.unwrap();
    assert_eq!(counted, BTreeSet::from(["FailedRequests".to_owned()]));
}
