//! The real binary, driven through the Lambda Runtime API with the sample events.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use local::{
    samples,
    template::Template,
    testing::{log_levels, runtime_api::LambdaProcess, sandbox::Sandbox},
};
use serde_json::{Value, json};

const FUNCTION: &str = "push-targets";
const BINARY: &str = env!("CARGO_BIN_EXE_push-targets");

/// Starts a sandbox with the first events and two registrations of one pass that have the push tokens `token-1` and
/// `token-2`.
async fn sandbox_with_push_tokens() -> Sandbox {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let functions = sandbox.fresh_functions().unwrap();
    let register = samples::read(&samples::folder().join("http/register.json")).unwrap();
    let pass = samples::read(&samples::folder().join("http/list-pass-push-targets.json")).unwrap();
    for (place, token) in ["token-1", "token-2"].into_iter().enumerate() {
        let mut event = register.clone();
        event["pathParameters"] = pass["pathParameters"].clone();
        let body = json!({
            "wallet": "passbook", "device_os": "ios", "push_token": token,
            "id": format!("a000000{place}-0000-4000-8000-000000000000"),
        });
        event["body"] = body.to_string().into();
        assert_eq!(functions.invoke("registration-writes", event).await.unwrap()["statusCode"], 201);
    }
    sandbox
}

/// Returns the push tokens in an array, or in lines of JSON.
fn tokens(body: &str) -> Vec<String> {
    let targets: Vec<Value> = serde_json::from_str(body)
        .unwrap_or_else(|_| body.lines().map(|line| serde_json::from_str(line).unwrap()).collect());
    let token = |target: &Value| target["push_token"].as_str().unwrap().to_owned();
    targets.iter().map(token).collect()
}

#[tokio::test]
async fn the_binary_answers_every_sample_event() {
    let sandbox = sandbox_with_push_tokens().await;
    let mut binary = LambdaProcess::start(BINARY, sandbox.variables(FUNCTION)).await.unwrap();
    for (name, event) in samples::reaching(FUNCTION, &sandbox.template).unwrap() {
        let answer = binary.invoke(&event).await.unwrap().unwrap();
        let (body, headers) = (answer["body"].as_str().unwrap(), &answer["headers"]);
        assert_eq!(answer["statusCode"], 200, "{name}");
        let link = headers["link"].as_str().unwrap();
        match name.as_str() {
            "http/list-campaign-push-targets.json" => {
                assert_eq!(tokens(body), ["token-1"]);
                assert!(link.contains("rel=\"next\""), "{link}");
            }
            "http/list-pass-push-targets.json" => {
                assert_eq!(tokens(body), ["token-1", "token-2"]);
                assert!(!link.contains("rel=\"next\""), "{link}");
            }
            "http/export-campaign-push-targets.json" => {
                assert_eq!(headers["content-type"], "application/x-ndjson");
                assert_eq!(tokens(body), ["token-1", "token-2"]);
            }
            unknown => panic!("no expectation for the sample {unknown}"),
        }
    }
    let logs = binary.stop().await.unwrap();
    assert!(logs.contains(r#""listed":2"#), "{logs}");
    assert!(!logs.contains("ERROR") && !logs.contains("token-"), "{logs}");
}

#[tokio::test]
async fn connections_are_open_before_the_first_event() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.expect_connections_opened(FUNCTION, BINARY, 1).await.unwrap();
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
