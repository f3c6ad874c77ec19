//! The real binary, driven through the Lambda Runtime API with the sample event and with signed callbacks.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use domain::time;
use local::{
    samples,
    testing::{
        google::{KeysServer, SignedCallback},
        log_levels,
        runtime_api::{LambdaProcess, log_lines},
        sandbox::Sandbox,
    },
};
use serde_json::{Value, json};

const FUNCTION: &str = "google-wallet-callback";
const BINARY: &str = env!("CARGO_BIN_EXE_google-wallet-callback");
const ISSUER: &str = "3388000000022000000";
const OBJECT: &str = "3388000000022000000.object-1";

fn sample() -> Value {
    samples::read(&samples::folder().join("http/google-callback.json")).unwrap()
}

/// Starts a sandbox whose account `demo` has the issuer and a pass with the object, and a server with the root keys.
/// Returns both, and the variables with which the function uses them.
async fn setting(signed: &SignedCallback) -> (Sandbox, KeysServer, BTreeMap<String, String>) {
    let server = KeysServer::start(&signed.published_keys(expiration())).await.unwrap();
    let sandbox = Sandbox::with_first_events().await.unwrap();
    sandbox.store().unwrap().set_google_issuers(&"demo".parse().unwrap(), &[ISSUER.parse().unwrap()]).await.unwrap();
    let created = json!({
        "event": "created", "account_id": "demo", "campaign_id": "bd69162b-8995-4c89-bdca-898fae6050d0",
        "pass_id": "b50a5348-27c5-40de-ae4a-5d8436284d65", "event_at": "2016-11-09T11:09:00Z",
        "google_object_id": OBJECT,
    });
    let message = json!({"Records": [{"messageId": "1", "body": created.to_string(), "eventSource": "aws:sqs"}]});
    let answer = sandbox.fresh_functions().unwrap().invoke("registration-ingest", message).await.unwrap();
    assert_eq!(answer["batchItemFailures"], json!([]));
    let mut variables = sandbox.variables(FUNCTION);
    variables.insert("GOOGLE_KEYS_URL".to_owned(), server.url());
    (sandbox, server, variables)
}

/// Returns an instant in an hour, in milliseconds since 1970.
fn expiration() -> i64 {
    time::now().plus(std::time::Duration::from_hours(1)).unix_milliseconds()
}

#[tokio::test]
async fn the_binary_refuses_the_sample_because_its_issuer_is_of_no_account() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let mut binary = LambdaProcess::start(BINARY, sandbox.variables(FUNCTION)).await.unwrap();
    let answer = binary.invoke(&sample()).await.unwrap().unwrap();
    assert_eq!((&answer["statusCode"], &answer["body"]), (&json!(400), &json!("")));
    let logs = binary.stop().await.unwrap();
    let lines = log_lines(&logs).unwrap();
    assert_eq!(lines[0]["fields"]["reason"], "the message is not signed for an issuer of this account");
}

#[tokio::test]
async fn a_callback_is_logged_without_its_object() {
    let signed = SignedCallback::new("save", ISSUER, OBJECT, expiration());
    let (_sandbox, server, variables) = setting(&signed).await;
    let mut binary = LambdaProcess::start(BINARY, variables).await.unwrap();
    let unknown = SignedCallback::new("save", ISSUER, "3388000000022000000.object-2", expiration());
    let mut event = sample();
    for (callback, status) in [(&signed, 200), (&signed, 200), (&unknown, 404)] {
        event["body"] = json!(callback.body().to_string());
        assert_eq!(binary.invoke(&event).await.unwrap().unwrap()["statusCode"], status);
    }
    let logs = binary.stop().await.unwrap();
    assert_eq!(server.requests(), 1);
    assert!(!logs.contains("object-") && !logs.contains("ERROR"), "{logs}");
    let lines = log_lines(&logs).unwrap();
    let with = |name: &str| -> Vec<_> {
        let fields = lines.iter().map(|line| &line["fields"]);
        fields.filter(|fields| !fields[name].is_null()).map(|fields| (&fields["wallet"], &fields[name])).collect()
    };
    let google = &json!("google_wallet");
    assert_eq!(with("applied"), [(google, &json!(1)), (google, &json!(0))]);
    assert_eq!(with("unchanged"), [(google, &json!(0)), (google, &json!(1))]);
    assert_eq!(with("unknown_objects"), [(google, &json!(1))]);
    let statuses: Vec<_> = with("status").into_iter().map(|(_, status)| status).collect();
    assert_eq!(statuses, [&json!(200), &json!(200), &json!(404)]);
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
    let counted = log_levels::expect_filterable_log(FUNCTION, BINARY, &[sample()]).await.unwrap();
    assert_eq!(counted, BTreeSet::from(["FailedRequests".to_owned()]));
}
