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

const FUNCTION: &str = "registration-ingest";
const BINARY: &str = env!("CARGO_BIN_EXE_registration-ingest");

/// Returns the registrations of the source document's campaign, listed by a process that has just started.
async fn listed(sandbox: &Sandbox) -> Vec<String> {
    let event = samples::read(&samples::folder().join("http/list-campaign.json")).unwrap();
    let answer = sandbox.fresh_functions().unwrap().invoke("campaign-registrations", event).await.unwrap();
    let registrations: Vec<Value> = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    registrations.iter().map(|registration| registration["id"].as_str().unwrap()[..8].to_owned()).collect()
}

#[tokio::test]
async fn the_binary_applies_every_sample_event_with_the_same_result_twice() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut binary = LambdaProcess::start(BINARY, sandbox.variables(FUNCTION)).await.unwrap();
    let bad = json!([{"itemIdentifier": "00000002-0000-4000-8000-000000000000"}]);
    let names = [
        "sqs/source-document.json",
        "sqs/uninstall.json",
        "sqs/bad-message-among-good.json",
        "sqs/sns-envelope.json",
        "sqs/eventbridge-envelope.json",
        "sqs/wallet-events.json",
    ];
    let mut found: Vec<String> =
        samples::reaching(FUNCTION, &sandbox.template).unwrap().into_iter().map(|(name, _)| name).collect();
    found.sort_by_key(|name| names.iter().position(|known| known == name));
    assert_eq!(found, names);

    for (name, failures, after) in [
        (names[0], json!([]), vec!["ed2951b4", "01ff7401", "fe9c5b7a"]),
        (names[1], json!([]), vec!["ed2951b4", "fe9c5b7a"]),
        (names[2], bad, vec!["ed2951b4", "fe9c5b7a", "a3c1b2d4", "4fd01656"]),
        (names[3], json!([]), vec!["ed2951b4", "fe9c5b7a", "a3c1b2d4", "4fd01656", "c5e3d4f6"]),
        (names[4], json!([]), vec!["ed2951b4", "fe9c5b7a", "a3c1b2d4", "4fd01656", "c5e3d4f6", "d6f4e5a7"]),
        // It says that a push to the previous registration failed.
        (names[5], json!([]), vec!["ed2951b4", "fe9c5b7a", "a3c1b2d4", "4fd01656", "c5e3d4f6"]),
    ] {
        let event = samples::read(&samples::folder().join(name)).unwrap();
        for _ in 0..2 {
            let answer = binary.invoke(&event).await.unwrap().unwrap();
            assert_eq!(answer["batchItemFailures"], failures, "{name}");
            assert_eq!(listed(&sandbox).await, after, "{name}");
        }
    }
    let logs = binary.stop().await.unwrap();
    assert!(logs.contains("event_extra.device_app_vendor: expected one of passbook"), "{logs}");
    assert!(!logs.contains("ERROR") && !logs.contains("c0ffee") && !logs.contains("0f1e2d3c"), "{logs}");
}

#[tokio::test]
async fn only_the_malformed_message_goes_back_to_the_queue() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut binary = LambdaProcess::start(BINARY, sandbox.variables(FUNCTION)).await.unwrap();
    let mut event = samples::read(&samples::folder().join("sqs/source-document.json")).unwrap();
    let good = event["Records"][0]["body"].as_str().unwrap().to_owned();
    let without_account = good.replace("\"account_id\": \"demo\", ", "");
    assert_ne!(good, without_account);
    for bad in ["", "not json", "[]", "{}", "\"\"", &without_account] {
        event["Records"][0]["body"] = bad.into();
        let answer = binary.invoke(&event).await.unwrap().unwrap();
        assert_eq!(
            answer["batchItemFailures"],
            json!([{"itemIdentifier": "00000001-0000-4000-8000-000000000000"}]),
            "{bad}"
        );
    }
    assert_eq!(listed(&sandbox).await, ["01ff7401", "fe9c5b7a"]);
}

#[tokio::test]
async fn messages_of_one_batch_may_contradict_each_other() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut binary = LambdaProcess::start(BINARY, sandbox.variables(FUNCTION)).await.unwrap();
    let mut event = samples::read(&samples::folder().join("sqs/source-document.json")).unwrap();
    let body = event["Records"][1]["body"].as_str().unwrap();
    let of_another_account = body.replace("\"demo\"", "\"other\"");
    let of_another_type = body.replace("\"coupons\"", "\"generics\"");
    event["Records"][1]["body"] = of_another_account.into();
    event["Records"][2]["body"] = of_another_type.into();
    let answer = binary.invoke(&event).await.unwrap().unwrap();
    assert_eq!(
        answer["batchItemFailures"],
        json!([
            {"itemIdentifier": "00000002-0000-4000-8000-000000000000"},
            {"itemIdentifier": "00000003-0000-4000-8000-000000000000"},
        ])
    );
    assert_eq!(listed(&sandbox).await, ["ed2951b4"]);
}

#[tokio::test]
async fn a_table_that_does_not_answer_sends_every_message_back() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut variables = sandbox.variables(FUNCTION);
    variables.insert("TABLE_NAME".to_owned(), "another-table".to_owned());
    let mut binary = LambdaProcess::start(BINARY, variables).await.unwrap();
    let event = samples::read(&samples::folder().join("sqs/source-document.json")).unwrap();
    let answer = binary.invoke(&event).await.unwrap().unwrap();
    assert_eq!(answer["batchItemFailures"].as_array().unwrap().len(), 3);
    let logs = binary.stop().await.unwrap();
    assert!(logs.contains("ResourceNotFoundException"));
    assert_eq!(counted(&logs), [counts("passbook", [0, 0, 0, 2]), counts("wallet_passes", [0, 0, 0, 1])]);
}

#[tokio::test]
async fn outcomes_of_events_are_counted_by_wallet() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut binary = LambdaProcess::start(BINARY, sandbox.variables(FUNCTION)).await.unwrap();
    let mut event = samples::read(&samples::folder().join("sqs/source-document.json")).unwrap();
    binary.invoke(&event).await.unwrap().unwrap();
    let body = event["Records"][0]["body"].as_str().unwrap();
    let without_account = body.replace("\"account_id\": \"demo\", ", "");
    let of_another_account = body.replace("\"demo\"", "\"other\"");
    event["Records"][0]["body"] = without_account.into();
    event["Records"][1]["body"] = of_another_account.into();
    binary.invoke(&event).await.unwrap().unwrap();
    event["Records"][0]["body"] = "not json".into();
    binary.invoke(&event).await.unwrap().unwrap();
    assert_eq!(
        counted(&binary.stop().await.unwrap()),
        [
            counts("passbook", [2, 0, 0, 0]),
            counts("wallet_passes", [1, 0, 0, 0]),
            counts("passbook", [0, 0, 2, 0]),
            counts("wallet_passes", [0, 1, 0, 0]),
            counts("unknown", [0, 0, 1, 0]),
            counts("passbook", [0, 0, 1, 0]),
            counts("wallet_passes", [0, 1, 0, 0]),
        ]
    );
}

/// Returns the fields of a wallet's log line: how many events were applied, unchanged, refused and failed.
fn counts(wallet: &str, [applied, unchanged, refused, failed]: [u64; 4]) -> Value {
    json!({"wallet": wallet, "applied": applied, "unchanged": unchanged, "refused": refused, "failed": failed})
}

/// Returns the fields of the log's event lines, without the request's id.
fn counted(logs: &str) -> Vec<Value> {
    let lines = log_lines(logs).unwrap().into_iter().map(|mut line| line["fields"].take());
    let events = lines.filter(|fields| fields["message"] == "events processed");
    events
        .map(|mut fields| {
            let fields = fields.as_object_mut().unwrap();
            fields.retain(|name, _| name != "message" && name != "request_id");
            Value::Object(std::mem::take(fields))
        })
        .collect()
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
        BTreeSet::from(["EventsApplied".to_owned(), "EventsRefused".to_owned(), "EventsUnchanged".to_owned()])
    );
}
