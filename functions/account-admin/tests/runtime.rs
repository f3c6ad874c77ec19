//! The real binary, driven through the Lambda Runtime API with the sample events.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use local::{
    samples,
    testing::{log_levels, runtime_api::LambdaProcess, sandbox::Sandbox},
};
use serde_json::json;

const FUNCTION: &str = "account-admin";
const BINARY: &str = env!("CARGO_BIN_EXE_account-admin");

#[tokio::test]
async fn the_binary_answers_every_sample_event() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let mut binary = LambdaProcess::start(BINARY, sandbox.variables(FUNCTION)).await.unwrap();
    let read = |name: &str| samples::read(&samples::folder().join("admin").join(name)).unwrap();
    let names = [
        "create-account.json",
        "add-key.json",
        "list-keys.json",
        "revoke-key.json",
        "set-campaign-type.json",
        "move-campaign.json",
        "set-google-issuers.json",
        "show-wallets.json",
    ];
    let found = std::fs::read_dir(samples::folder().join("admin")).unwrap();
    assert_eq!(found.count(), names.len(), "each sample is invoked here");

    let created = binary.invoke(&read(names[0])).await.unwrap().unwrap();
    assert_eq!(created["user_name"], "acme");
    let again = binary.invoke(&read(names[0])).await.unwrap().unwrap_err();
    assert_eq!(
        (&again["errorType"], &again["errorMessage"]),
        (&"AccountExists".into(), &"there is an account acme already".into())
    );
    let added = binary.invoke(&read(names[1])).await.unwrap().unwrap();
    let listed = binary.invoke(&read(names[2])).await.unwrap().unwrap();
    assert_eq!(listed["keys"][0]["key_id"], added["key_id"]);
    assert_eq!(listed["keys"][0].get("api_key"), None);
    let revoked = binary.invoke(&read(names[3])).await.unwrap().unwrap();
    assert_eq!((&revoked["account_id"], revoked["revoked_at"].is_string()), (&"demo".into(), true));
    let typed = binary.invoke(&read(names[4])).await.unwrap().unwrap();
    assert_eq!((&typed["account_id"], &typed["campaign_type"]), (&"demo".into(), &"coupons".into()));
    let moved = binary.invoke(&read(names[5])).await.unwrap().unwrap();
    assert_eq!((&moved["account_id"], &moved["campaign_type"]), (&"acme".into(), &"coupons".into()));
    let no_longer = binary.invoke(&read(names[4])).await.unwrap().unwrap_err();
    assert_eq!(no_longer["errorType"], "UnknownCampaign");

    let set = binary.invoke(&read(names[6])).await.unwrap().unwrap();
    assert_eq!(set["google_issuer_ids"], serde_json::json!(["3388000000022000000"]));
    assert_eq!(binary.invoke(&read(names[7])).await.unwrap().unwrap(), set);

    let logs = binary.stop().await.unwrap();
    assert!(!logs.contains(added["api_key"].as_str().unwrap()), "{logs}");
}

#[tokio::test]
async fn the_binary_refuses_another_account_than_the_smoke_tests_through_an_alias() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut binary = LambdaProcess::start(BINARY, sandbox.variables(FUNCTION)).await.unwrap();
    let create = |account: &str| json!({"action": "create_account", "account_id": account, "user_name": account});
    let refused = binary.invoke_through("live", &create("acme")).await.unwrap().unwrap_err();
    assert_eq!(refused["errorType"], "Alias");
    let created = binary.invoke_through("live", &create("smoke-test")).await.unwrap().unwrap();
    assert_eq!(created["account_id"], "smoke-test");
    let without_alias = binary.invoke(&create("acme")).await.unwrap().unwrap();
    assert_eq!(without_alias["account_id"], "acme");
}

#[tokio::test]
async fn a_missing_variable_is_named_at_start() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.expect_missing_variables_named(FUNCTION, BINARY).await.unwrap();
}

#[tokio::test]
async fn lambda_can_filter_each_line_at_every_level() {
    let samples = std::fs::read_dir(samples::folder().join("admin")).unwrap();
    let mut paths: Vec<_> = samples.map(|sample| sample.unwrap().path()).collect();
    paths.sort();
    let events: Vec<_> = paths.iter().map(|path| samples::read(path).unwrap()).collect();
    log_levels::expect_filterable_log(FUNCTION, BINARY, &events).await.unwrap();
}
