//! The real binary, driven through the Lambda Runtime API with the sample events.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use local::{
    samples,
    template::Template,
    testing::{log_levels, runtime_api::LambdaProcess},
};
use serde_json::Value;

const FUNCTION: &str = "api-contract";
const BINARY: &str = env!("CARGO_BIN_EXE_api-contract");

#[tokio::test]
async fn the_binary_answers_every_sample_event() {
    let template = Template::read(&Template::default_path()).unwrap();
    // The function needs no variable, no table and no key.
    assert!(template.functions[FUNCTION].variables.is_empty());
    let mut binary = LambdaProcess::start(BINARY, []).await.unwrap();
    for (name, event) in samples::reaching(FUNCTION, &template).unwrap() {
        let answer = binary.invoke(&event).await.unwrap().unwrap();
        assert_eq!((name.as_str(), answer["statusCode"].as_u64()), ("http/api-contract.json", Some(200)));
        assert_eq!(answer["headers"]["content-type"], "application/json");
        let contract: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        assert_eq!(contract["openapi"], "3.1.0");
    }
}

#[tokio::test]
async fn lambda_can_filter_each_line_at_every_level() {
    let template = Template::read(&Template::default_path()).unwrap();
    let samples = samples::reaching(FUNCTION, &template).unwrap();
    let events: Vec<_> = samples.into_iter().map(|(_, event)| event).collect();
    log_levels::expect_filterable_log(FUNCTION, BINARY, &events).await.unwrap();
}
