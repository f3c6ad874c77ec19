//! The real binary, driven through the Lambda Runtime API with the sample events.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use domain::{
    counts::{ChangeKind, Part},
    wallet::Wallet,
};
use local::{
    samples,
    template::Template,
    testing::{
        log_levels,
        runtime_api::{LambdaProcess, log_lines},
        sandbox::Sandbox,
        stream_events,
    },
};
use registration_tally::Config;
use serde_json::{Value, json};

const FUNCTION: &str = "registration-tally";
const BINARY: &str = env!("CARGO_BIN_EXE_registration-tally");

#[tokio::test]
async fn the_binary_counts_every_sample_event_once() {
    let sandbox = Sandbox::start().await.unwrap();
    let variables = sandbox.variables(FUNCTION);
    let store = Config::from_lookup(&|name| variables.get(name).cloned()).unwrap().connect();
    let campaign = "bd69162b-8995-4c89-bdca-898fae6050d0".parse().unwrap();
    let mut binary = LambdaProcess::start(BINARY, sandbox.variables(FUNCTION)).await.unwrap();
    for (name, event) in samples::reaching(FUNCTION, &sandbox.template).unwrap() {
        for _ in 0..2 {
            assert_eq!(binary.invoke(&event).await.unwrap().unwrap(), json!({"state": {}}), "{name}");
        }
        let counts = store.counts_since(campaign, "2016-11-09".parse().unwrap()).await.unwrap();
        let count = |kind, part| counts.totals.get(kind, part);
        let (installs, uninstalls) = (count(ChangeKind::Install, Part::All), count(ChangeKind::Uninstall, Part::All));
        assert_eq!(count(ChangeKind::Install, Part::Wallet(Wallet::Passbook)), 2);
        match name.as_str() {
            "dynamodb/source-document.json" => assert_eq!((installs, uninstalls, counts.days.len()), (3, 0, 1)),
            "dynamodb/uninstall.json" | "dynamodb/window-ends.json" => {
                assert_eq!((installs, uninstalls, counts.days.len()), (3, 1, 2));
            }
            unknown => panic!("no expectation for the sample {unknown}"),
        }
    }
}

#[tokio::test]
async fn the_log_counts_unreadable_records_and_does_not_show_them() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut binary = LambdaProcess::start(BINARY, sandbox.variables(FUNCTION)).await.unwrap();
    let event = stream_events::with_an_unreadable_record().unwrap();
    assert_eq!(binary.invoke(&event).await.unwrap().unwrap(), json!({"state": {}}));
    let logs = binary.stop().await.unwrap();
    let lines = log_lines(&logs).unwrap().into_iter();
    let unreadable: Vec<_> = lines.filter_map(|line| line["fields"]["unreadable"].as_u64()).collect();
    assert_eq!(unreadable, [1], "{logs}");
    assert!(!logs.contains("a-secret-token"), "{logs}");
}

#[tokio::test]
async fn an_event_that_is_not_a_batch_of_the_stream_is_refused() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut binary = LambdaProcess::start(BINARY, sandbox.variables(FUNCTION)).await.unwrap();
    for event in [json!({"Records": []}), json!([]), json!({"Records": [{}], "shardId": "shard"}), Value::Null] {
        let error = binary.invoke(&event).await.unwrap().unwrap_err();
        assert!(error.to_string().contains("of the table's stream"), "{error}");
    }
}

#[tokio::test]
async fn a_table_that_does_not_answer_fails_the_batch() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut variables = sandbox.variables(FUNCTION);
    variables.insert("TABLE_NAME".to_owned(), "another-table".to_owned());
    let mut binary = LambdaProcess::start(BINARY, variables).await.unwrap();
    let event = samples::read(&samples::folder().join("dynamodb/source-document.json")).unwrap();
    let error = binary.invoke(&event).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("ResourceNotFoundException"), "{error}");
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
    // First, because the samples repeat its records.
    let unreadable = [stream_events::with_an_unreadable_record().unwrap()];
    let events: Vec<_> = unreadable.into_iter().chain(samples.into_iter().map(|(_, event)| event)).collect();
    let counted = log_levels::expect_filterable_log(FUNCTION, BINARY, &events).await.unwrap();
    assert_eq!(counted, BTreeSet::from(["UnreadableChanges".to_owned()]));
}
