//! The real binary, driven through the Lambda Runtime API with the sample events.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use local::{
    samples,
    template::Template,
    testing::{log_levels, runtime_api::LambdaProcess, sandbox::Sandbox},
};
use serde_json::Value;

const FUNCTION: &str = "campaign-reports";
const BINARY: &str = env!("CARGO_BIN_EXE_campaign-reports");

#[tokio::test]
async fn the_binary_answers_every_sample_event() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    sandbox.tally().await.unwrap();
    let mut binary = LambdaProcess::start(BINARY, sandbox.variables(FUNCTION)).await.unwrap();
    for (name, event) in samples::reaching(FUNCTION, &sandbox.template).unwrap() {
        let answer = binary.invoke(&event).await.unwrap().unwrap();
        assert_eq!(answer["statusCode"], 200, "{name}");
        if name == "http/report-page.json" {
            assert!(answer["body"].as_str().unwrap().contains("<svg"));
            continue;
        }
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        let counts = match name.as_str() {
            "http/report.json" => &body["report"]["2016-11-09"],
            "http/report-totals.json" => &body["report"],
            unknown => panic!("no expectation for the sample {unknown}"),
        };
        assert_eq!((&counts["installs_count"], &counts["active_count"]), (&3.into(), &3.into()));
    }
    assert!(!binary.stop().await.unwrap().contains("ERROR"));
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
