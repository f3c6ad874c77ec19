//! The real binary, driven through the Lambda Runtime API with the sample events.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use local::{runtime_api::LambdaProcess, samples, sandbox::Sandbox};
use serde_json::{Value, json};

const FUNCTION: &str = "registration-writes";
const BINARY: &str = env!("CARGO_BIN_EXE_registration-writes");

fn body(answer: &Value) -> Value {
    serde_json::from_str(answer["body"].as_str().unwrap_or("null")).unwrap_or_default()
}

#[tokio::test]
async fn the_binary_answers_every_sample_event() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let mut binary = LambdaProcess::start(BINARY, sandbox.variables(FUNCTION)).await.unwrap();
    for (name, event) in samples::reaching(FUNCTION, &sandbox.template).unwrap() {
        // The first time it does something, the second time it finds it done.
        let first = binary.invoke(&event).await.unwrap().unwrap();
        let again = binary.invoke(&event).await.unwrap().unwrap();
        let statuses = (first["statusCode"].as_u64().unwrap(), again["statusCode"].as_u64().unwrap());
        match name.as_str() {
            "http/register.json" => {
                assert_eq!(statuses, (201, 200));
                let registration = body(&first);
                assert_eq!(registration["created_at"], "2016-11-10T08:00:00.000Z");
                assert_eq!(body(&again), registration);
                let id = registration["id"].as_str().unwrap();
                assert_eq!(
                    first["headers"]["location"],
                    format!("{}/{id}", event["rawPath"].as_str().unwrap()),
                    "relative to the API"
                );
            }
            "http/unregister.json" => assert_eq!((statuses, body(&first)), ((204, 204), Value::Null)),
            "http/take-webhook.json" => {
                let webhook = samples::read(&samples::folder().join("webhook/installed.json")).unwrap();
                assert_eq!(serde_json::from_str::<Value>(event["body"].as_str().unwrap()).unwrap(), webhook);
                assert_eq!(statuses, (200, 200));
                // The array before it removed this registration later than the webhook says it was installed.
                assert_eq!(body(&first), json!({"result": "unchanged"}));
            }
            "http/take-events.json" => {
                assert_eq!(statuses, (200, 200));
                let results = |answer: &Value| {
                    let results = body(answer);
                    results.as_array().unwrap().iter().map(|result| result["result"].clone()).collect::<Vec<_>>()
                };
                assert_eq!(results(&first), ["applied", "applied", "applied", "unchanged", "refused"]);
                assert_eq!(results(&again), ["unchanged", "unchanged", "unchanged", "unchanged", "refused"]);
                let refused = &body(&first)[4];
                assert_eq!(refused["error_code"], "invalid_body");
                assert!(refused["errors"]["event"][0].as_str().unwrap().starts_with("expected one of installed"));
            }
            unknown => panic!("what should {unknown} answer?"),
        }
    }
    let logs = binary.stop().await.unwrap();
    assert!(!logs.contains("ERROR") && !logs.contains("c0ffee") && !logs.contains("0f1e2d3c"), "{logs}");
}

#[tokio::test]
async fn each_request_has_one_line_of_the_log() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let mut binary = LambdaProcess::start(BINARY, sandbox.variables(FUNCTION)).await.unwrap();
    let mut event = samples::read(&samples::folder().join("http/register.json")).unwrap();
    for authorization in ["Basic ZGVtbzpkZW1v", "Basic ZGVtbzpkZW1v", "Basic ZGVtbzpzZWNyZXQ="] {
        event["headers"]["authorization"] = authorization.into();
        binary.invoke(&event).await.unwrap().unwrap();
    }
    let logs = binary.stop().await.unwrap();
    let lines: Vec<Value> = logs.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let fields = |name: &str| lines.iter().map(|line| line["fields"][name].clone()).collect::<Vec<_>>();
    assert_eq!(fields("status"), [201, 200, 401]);
    assert_eq!(fields("written"), [1, 0, 0]);
    assert_eq!(fields("account_id"), [json!("demo"), json!("demo"), Value::Null]);
    assert_eq!(fields("error_code"), [Value::Null, Value::Null, json!("unauthorized")]);
    assert!(fields("route").iter().all(|route| *route == event["routeKey"]));
    assert!(lines.iter().all(|line| line["fields"]["milliseconds"].is_u64()));
    assert!(lines.iter().all(|line| line["fields"]["request_id"].as_str().is_some_and(|id| id.len() == 36)));
    for secret in ["ZGVtbzp", "c0ffee", "0f1e2d3c", "secret"] {
        assert!(!logs.contains(secret), "{secret} in {logs}");
    }
}

#[tokio::test]
async fn a_missing_variable_is_named_at_start() {
    let sandbox = Sandbox::start().await.unwrap();
    for (variable, output) in sandbox.output_without_each_variable(FUNCTION, BINARY).await.unwrap() {
        assert!(output.contains(&format!("the variable {variable} is not set")), "{output}");
    }
}
