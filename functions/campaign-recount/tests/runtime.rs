//! The real binary, driven through the Lambda Runtime API with the sample events.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use campaign_recount::{CampaignRecount, Config};
use domain::time;
use lambda_runtime::{Context, LambdaEvent};
use local::{
    samples,
    testing::{
        log_levels,
        runtime_api::{LambdaProcess, log_lines},
        sandbox::Sandbox,
    },
};
use serde_json::{Value, json};
use store::RecountRun;
use tokio::sync::Notify;

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
    assert_eq!(busy["items_read"], 3);
    assert!(busy["started_at"].is_string() && busy["milliseconds"].is_u64(), "{busy}");
    let differences = json!([
        {"of": "all", "active": 3, "counted": 0},
        {"of": "passbook", "active": 2, "counted": 0},
        {"of": "wallet_passes", "active": 1, "counted": 0},
        {"of": "ios", "active": 2, "counted": 0},
        {"of": "android", "active": 1, "counted": 0}
    ]);
    assert_eq!(busy["differences"], differences);

    sandbox.tally().await.unwrap();
    let mut agrees = binary.invoke(&event).await.unwrap().unwrap();
    let [started_at, milliseconds] = ["started_at", "milliseconds"].map(|name| agrees[name].take());
    let campaign_id = &event["campaign_id"];
    let expected = json!({
        "campaign_id": campaign_id, "outcome": "agrees", "active_count": 3, "differences": [], "items_read": 3,
        "started_at": null, "milliseconds": null,
    });
    assert_eq!(agrees, expected);
    assert!(started_at.as_str() > busy["started_at"].as_str(), "{started_at}");

    let lines = log_lines(&binary.stop().await.unwrap()).unwrap();
    let fields: Vec<_> = lines.iter().map(|line| &line["fields"]).collect();
    let of = |name: &str| fields.iter().map(|fields| fields[name].clone()).collect::<Vec<_>>();
    assert_eq!(of("outcome"), ["busy", "agrees"]);
    assert_eq!(
        (of("active"), of("differences"), of("items_read")),
        (vec![3.into(); 2], vec![5.into(), 0.into()], vec![3.into(); 2])
    );
    assert_eq!(of("milliseconds"), [busy["milliseconds"].clone(), milliseconds]);
}

/// Returns the answer of an invocation that has this much time, in JSON.
async fn invoke(function: &CampaignRecount, event: &Value, time: Duration) -> Value {
    let mut context = Context::default();
    context.deadline = time::now().plus(time).unix_milliseconds().try_into().unwrap();
    let event = LambdaEvent::new(event.clone(), context);
    serde_json::to_value(function.handle(event).await.unwrap()).unwrap()
}

#[tokio::test]
async fn an_invocation_whose_time_is_over_says_how_far_it_got() {
    let sandbox = Sandbox::start().await.unwrap();
    let event = samples::read(&samples::folder().join("recount/campaign.json")).unwrap();
    let campaign = event["campaign_id"].as_str().unwrap().parse().unwrap();
    // More than the 1 MB that DynamoDB reads at once.
    sandbox.load_campaign(campaign, 3000).await.unwrap();
    let variables = sandbox.variables(FUNCTION);
    let function = CampaignRecount::new(&Config::from_lookup(&|name| variables.get(name).cloned()).unwrap());

    let first = invoke(&function, &event, Duration::ZERO).await;
    let read = first["items_read"].as_u64().unwrap();
    assert!(first["outcome"] == "unfinished" && (1..3000).contains(&read), "{first}");
    assert!(first["again_at"].is_string() && first["milliseconds"].is_u64(), "{first}");
    assert!(first.get("active_count").is_none() && first.get("differences").is_none(), "{first}");

    let second = invoke(&function, &event, Duration::from_mins(15)).await;
    assert_eq!((&second["outcome"], &second["active_count"]), (&json!("agrees"), &json!(3000)), "{second}");
    assert_eq!((&second["items_read"], &second["started_at"]), (&json!(3000), &first["started_at"]));
    assert!(second["milliseconds"].as_u64() > first["milliseconds"].as_u64(), "{first} {second}");
}

#[tokio::test]
async fn an_invocation_reports_that_another_one_is_running() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let event = samples::read(&samples::folder().join("recount/campaign.json")).unwrap();
    let campaign = event["campaign_id"].as_str().unwrap().parse().unwrap();
    let (store, is_claimed, calls) = (sandbox.store().unwrap(), Notify::new(), AtomicUsize::new(0));
    let clock = || {
        if calls.fetch_add(1, Ordering::Relaxed) == 1 {
            is_claimed.notify_one();
        }
        time::now()
    };
    tokio::select! {
        biased;
        () = is_claimed.notified() => {}
        recount = store.recount(campaign, RecountRun::new("test", &clock, time::now())) => panic!("{recount:?}"),
    }
    let mut binary = LambdaProcess::start(BINARY, sandbox.variables(FUNCTION)).await.unwrap();
    let running = binary.invoke(&event).await.unwrap().unwrap();
    assert_eq!((&running["outcome"], running["items_read"].as_u64()), (&json!("running"), Some(0)), "{running}");
    assert!(running["again_at"].as_str() > running["started_at"].as_str(), "{running}");
    assert_eq!(running.get("active_count"), None);
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

#[tokio::test]
async fn lambda_can_filter_each_line_at_every_level() {
    let samples = std::fs::read_dir(samples::folder().join("recount")).unwrap();
    let mut paths: Vec<_> = samples.map(|sample| sample.unwrap().path()).collect();
    paths.sort();
    let events: Vec<_> = paths.iter().map(|path| samples::read(path).unwrap()).collect();
    log_levels::expect_filterable_log(FUNCTION, BINARY, &events).await.unwrap();
}
