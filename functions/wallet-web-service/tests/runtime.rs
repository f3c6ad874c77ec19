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

const FUNCTION: &str = "wallet-web-service";
const BINARY: &str = env!("CARGO_BIN_EXE_wallet-web-service");

/// The sample events in an order in which each has an effect.
const CALLS: [&str; 6] = ["register", "register-attido", "list", "unregister", "log", "lifecycle-update"];

fn sample(call: &str) -> Value {
    samples::read(&samples::folder().join(format!("http/wallet-{call}.json"))).unwrap()
}

#[tokio::test]
async fn the_binary_answers_every_sample_event() {
    let sandbox = Sandbox::with_wallet_events().await.unwrap();
    let reaching = samples::reaching(FUNCTION, &sandbox.template).unwrap();
    let reaching: BTreeSet<_> = reaching.into_iter().map(|(name, _)| name).collect();
    assert_eq!(reaching, CALLS.iter().map(|call| format!("http/wallet-{call}.json")).collect());

    let mut binary = LambdaProcess::start(BINARY, sandbox.variables(FUNCTION)).await.unwrap();
    for call in CALLS {
        // The first call changes something; the second has no effect.
        let first = binary.invoke(&sample(call)).await.unwrap().unwrap();
        let again = binary.invoke(&sample(call)).await.unwrap().unwrap();
        let statuses = [&first, &again].map(|answer| answer["statusCode"].as_u64().unwrap());
        assert_eq!(statuses, if call.starts_with("register") { [201, 200] } else { [200, 200] }, "{call}");
        let body = first["body"].as_str().unwrap_or_default();
        if call == "list" {
            let body: Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["serialNumbers"], json!(["1"]));
            let mut with_tag = sample(call);
            let tag = body["lastUpdated"].as_str().unwrap();
            with_tag["rawQueryString"] = format!("passesUpdatedSince={tag}").into();
            assert_eq!(binary.invoke(&with_tag).await.unwrap().unwrap()["statusCode"], 204);
        } else {
            assert_eq!(body, "", "{call}");
        }
    }
    assert_eq!(binary.invoke(&sample("list")).await.unwrap().unwrap()["statusCode"], 204, "both registrations ended");
    let logs = binary.stop().await.unwrap();
    for secret in ["ERROR", "c0ffee", "0f1e2d3c", "push.example.com", "/1\""] {
        assert!(!logs.contains(secret), "{secret} in {logs}");
    }
}

#[tokio::test]
async fn the_log_names_the_call_and_its_pass_type_and_counts_events_and_complaints() {
    let sandbox = Sandbox::with_wallet_events().await.unwrap();
    let mut binary = LambdaProcess::start(BINARY, sandbox.variables(FUNCTION)).await.unwrap();
    for call in CALLS {
        binary.invoke(&sample(call)).await.unwrap().unwrap();
    }
    let mut wrong_token = sample("register");
    wrong_token["headers"]["authorization"] = "ApplePass 0000000000000000".into();
    binary.invoke(&wrong_token).await.unwrap().unwrap();
    let text = wrong_token.to_string().replace("pass.com.example.coupon", "c0ffee");
    binary.invoke(&serde_json::from_str(&text).unwrap()).await.unwrap().unwrap();

    let logs = binary.stop().await.unwrap();
    assert!(!logs.contains("c0ffee"), "a pass type of the wrong form is not logged: {logs}");
    let lines = log_lines(&logs).unwrap();
    let lines_of = |message: &str| {
        let fields = lines.iter().map(|line| line["fields"].clone());
        fields.filter(|fields| fields["message"] == message).collect::<Vec<_>>()
    };
    let requests = lines_of("request answered");
    let of_type = json!("pass.com.example.coupon");
    let expected = [
        ("register", 201, &of_type),
        ("register", 201, &of_type),
        ("list", 200, &of_type),
        ("unregister", 200, &of_type),
        ("log", 200, &Value::Null),
        ("lifecycle_update", 200, &Value::Null),
        ("register", 401, &of_type),
        ("register", 401, &Value::Null),
    ];
    let found: Vec<_> = requests
        .iter()
        .map(|fields| {
            let status = fields["status"].as_u64().unwrap();
            (fields["call"].as_str().unwrap(), status, &fields["pass_type"])
        })
        .collect();
    assert_eq!(found, expected);
    assert!(requests.iter().all(|fields| fields["route"] == "ANY /wallet/{account_id}/{call+}"));
    assert!(requests.iter().all(|fields| fields["account_id"] == "demo"));

    let events = lines_of("events processed");
    let applied: Vec<_> =
        events.iter().map(|fields| (fields["wallet"].as_str().unwrap(), &fields["applied"])).collect();
    let one = json!(1);
    let expected = [("passbook", &one), ("passwallet", &one), ("passbook", &one), ("passwallet", &one)];
    assert_eq!(applied, expected, "one registration ends in each wallet");

    let complaints = lines_of("wallets complained");
    let complaints: Vec<_> =
        complaints.iter().map(|fields| [&fields["kind"], &fields["complaints"], &fields["pass_type"]]).collect();
    let (two, register, list) = (json!(2), json!("register_unauthorized"), json!("list_status"));
    assert_eq!(complaints, [[&register, &one, &of_type], [&list, &two, &of_type]]);
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
    assert_eq!(counted, BTreeSet::from(["FailedRequests".to_owned(), "WalletComplaints".to_owned()]));
}
