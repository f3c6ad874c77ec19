//! The real binary, driven through the Lambda Runtime API with the sample events.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use local::{
    samples,
    testing::{runtime_api::LambdaProcess, sandbox::Sandbox},
};
use serde_json::{Value, json};

const FUNCTION: &str = "campaign-recount";
const BINARY: &str = env!("CARGO_BIN_EXE_campaign-recount");

#[tokio::test]
async fn the_binary_answers_the_sample_event() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let mut binary = LambdaProcess::start(BINARY, sandbox.variables(FUNCTION)).await.unwrap();
    let event = samples::read(&samples::folder().join("recount/campaign.json")).unwrap();

    let busy = binary.invoke(&event).await.unwrap().unwrap();
    assert_eq!((&busy["outcome"], &busy["active_count"]), (&json!("busy"), &json!(3)));
    assert!(busy["again_at"].is_string());
    let differences = json!([
        {"of": "all", "active": 3, "counted": 0},
        {"of": "passbook", "active": 2, "counted": 0},
        {"of": "wallet_passes", "active": 1, "counted": 0},
        {"of": "ios", "active": 2, "counted": 0},
        {"of": "android", "active": 1, "counted": 0}
    ]);
    assert_eq!(busy["differences"], differences);

    sandbox.tally().await.unwrap();
    let agrees = binary.invoke(&event).await.unwrap().unwrap();
    let campaign_id = &event["campaign_id"];
    let expected = json!({"campaign_id": campaign_id, "outcome": "agrees", "active_count": 3, "differences": []});
    assert_eq!(agrees, expected);
}

#[tokio::test]
async fn an_event_without_a_known_campaign_is_refused() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut binary = LambdaProcess::start(BINARY, sandbox.variables(FUNCTION)).await.unwrap();
    let unknown = "00000000-0000-0000-0000-000000000001";
    for (event, error_type, message) in [
        (json!({"campaign_id": unknown}), "UnknownCampaign", "there is no campaign 00000000-0000"),
        (json!({"campaign_id": "x"}), "InvalidEvent", "invalid event: campaign_id: expected a UUID"),
        (json!({}), "InvalidEvent", "invalid event: campaign_id: is required"),
        (Value::Null, "InvalidEvent", "invalid event: event: expected a JSON object"),
    ] {
        let error = binary.invoke(&event).await.unwrap().unwrap_err();
        assert_eq!(error["errorType"], error_type);
        assert!(error["errorMessage"].as_str().unwrap().starts_with(message), "{error}");
    }
}

#[tokio::test]
async fn a_missing_variable_is_named_at_start() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.expect_missing_variables_named(FUNCTION, BINARY).await.unwrap();
}
