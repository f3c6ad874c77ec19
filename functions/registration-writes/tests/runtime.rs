//! The real binary, driven through the Lambda Runtime API with the sample events.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use local::{
    samples,
    template::Template,
    testing::{
        log_levels,
        runtime_api::{LambdaProcess, log_lines},
        sandbox::Sandbox,
    },
};
use serde_json::{Value, json};

const FUNCTION: &str = "registration-writes";
const BINARY: &str = env!("CARGO_BIN_EXE_registration-writes");

fn body(answer: &Value) -> Value {
    serde_json::from_str(answer["body"].as_str().unwrap_or("null")).unwrap_or_default()
}

/// Returns the result of each event of an array.
fn results(answer: &Value) -> Vec<Value> {
    body(answer).as_array().unwrap().iter().map(|result| result["result"].clone()).collect()
}

#[tokio::test]
async fn the_binary_answers_every_sample_event() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let mut binary = LambdaProcess::start(BINARY, sandbox.variables(FUNCTION)).await.unwrap();
    for (name, event) in samples::reaching(FUNCTION, &sandbox.template).unwrap() {
        // The first call changes something; the second has no effect.
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
                // The array in the previous sample removed this registration after the instant of the webhook.
                assert_eq!(body(&first), json!({"result": "unchanged"}));
            }
            "http/take-wallet-events.json" => {
                let sample = |name| samples::read(&samples::folder().join(format!("webhook/{name}.json"))).unwrap();
                let events: Value = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
                for (place, name) in [(0, "created"), (2, "updated"), (3, "push-failed")] {
                    assert_eq!(events[place], sample(name));
                }
                assert_eq!(statuses, (200, 200));
                assert_eq!(results(&first), ["applied"; 4]);
                assert_eq!(results(&again), ["unchanged"; 4]);
            }
            "http/take-events.json" => {
                assert_eq!(statuses, (200, 200));
                assert_eq!(results(&first), ["applied", "applied", "applied", "unchanged", "refused"]);
                assert_eq!(results(&again), ["unchanged", "unchanged", "unchanged", "unchanged", "refused"]);
                let refused = &body(&first)[4];
                assert_eq!((&refused["error_code"], &refused["error"]), (&json!(42201), &json!("invalid_body")));
                assert!(refused["errors"]["event"][0].as_str().unwrap().starts_with("expected one of installed"));
            }
            unknown => panic!("no expectation for the sample {unknown}"),
        }
    }
    let logs = binary.stop().await.unwrap();
    assert!(!logs.contains("ERROR") && !logs.contains("c0ffee") && !logs.contains("0f1e2d3c"), "{logs}");
}

#[tokio::test]
async fn each_request_has_one_line_in_the_log() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let mut binary = LambdaProcess::start(BINARY, sandbox.variables(FUNCTION)).await.unwrap();
    let mut event = samples::read(&samples::folder().join("http/register.json")).unwrap();
    for authorization in ["Basic ZGVtbzpkZW1v", "Basic ZGVtbzpkZW1v", "Basic ZGVtbzpzZWNyZXQ="] {
        event["headers"]["authorization"] = authorization.into();
        binary.invoke(&event).await.unwrap().unwrap();
    }
    let logs = binary.stop().await.unwrap();
    let lines = log_lines(&logs).unwrap();
    let (events, requests): (Vec<_>, Vec<_>) =
        lines.iter().map(|line| &line["fields"]).partition(|fields| fields["message"] == "events processed");
    let fields = |name: &str| requests.iter().map(|fields| fields[name].clone()).collect::<Vec<_>>();
    assert_eq!(fields("status"), [201, 200, 401]);
    assert_eq!(fields("written"), [1, 0, 0]);
    assert_eq!(fields("account_id"), [json!("demo"), json!("demo"), Value::Null]);
    assert_eq!(fields("error_code"), [Value::Null, Value::Null, json!(40101)]);
    assert_eq!(fields("error"), [Value::Null, Value::Null, json!("unauthorized")]);
    assert!(fields("route").iter().all(|route| *route == event["routeKey"]));
    assert!(requests.iter().all(|fields| fields["milliseconds"].is_u64()));
    assert!(requests.iter().all(|fields| fields["request_id"] == event["requestContext"]["requestId"]));
    assert!(requests.iter().all(|fields| fields["invocation_id"].as_str().is_some_and(|id| id.len() == 36)));
    assert_eq!(
        events.iter().map(|fields| counts(fields)).collect::<Vec<_>>(),
        [("google_wallet", [1, 0, 0, 0]), ("google_wallet", [0, 1, 0, 0])]
    );
    for secret in ["ZGVtbzp", "c0ffee", "0f1e2d3c", "secret"] {
        assert!(!logs.contains(secret), "{secret} in {logs}");
    }
}

#[tokio::test]
async fn outcomes_of_events_are_counted_by_wallet() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let mut binary = LambdaProcess::start(BINARY, sandbox.variables(FUNCTION)).await.unwrap();
    let read = |name| samples::read(&samples::folder().join(name)).unwrap();
    let [mut register, unregister, mut take] =
        ["http/register.json", "http/unregister.json", "http/take-webhook.json"].map(read);
    for event in [&register, &unregister, &unregister] {
        binary.invoke(event).await.unwrap().unwrap();
    }
    register["body"] = register["body"].as_str().unwrap().replace("google_wallet", "walet").into();
    binary.invoke(&register).await.unwrap().unwrap();
    let installed: Value = serde_json::from_str(take["body"].as_str().unwrap()).unwrap();
    let with = |pointer: &str, value: Value| {
        let mut body = installed.clone();
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    let extra = "/event_extra/device_app_vendor";
    take["body"] = json!([
        installed,
        installed,
        with("/event", json!("redeemed")),
        with("/pass_id", json!("x")),
        with(extra, json!("walet")),
        with(extra, json!("pass2u")),
    ])
    .to_string()
    .into();
    binary.invoke(&take).await.unwrap().unwrap();

    let logs = binary.stop().await.unwrap();
    let lines = log_lines(&logs).unwrap();
    let events = lines.iter().map(|line| &line["fields"]).filter(|fields| fields["message"] == "events processed");
    let expected = [
        ("google_wallet", [1, 0, 0, 0]),
        // A `DELETE` names no wallet.
        ("unknown", [1, 0, 0, 0]),
        ("unknown", [0, 1, 0, 0]),
        ("unknown", [0, 0, 1, 0]),
        // The events of one request, by wallet.
        ("unknown", [0, 0, 1, 0]),
        ("passbook", [1, 2, 1, 0]),
        ("pass2u", [0, 1, 0, 0]),
    ];
    assert_eq!(events.map(counts).collect::<Vec<_>>(), expected);
}

/// Returns the wallet of a log line, and how many of its events were applied, unchanged, refused and failed.
fn counts(fields: &Value) -> (&str, [u64; 4]) {
    let count = |name: &str| fields[name].as_u64().unwrap();
    (fields["wallet"].as_str().unwrap(), ["applied", "unchanged", "refused", "failed"].map(count))
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
    assert_eq!(
        counted,
        BTreeSet::from([
            "EventsApplied".to_owned(),
            "EventsRefused".to_owned(),
            "EventsUnchanged".to_owned(),
            "FailedRequests".to_owned()
        ])
    );
}
