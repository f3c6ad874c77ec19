//! The first start of a stack, interrupted at any place, and what later starts leave alone.

use std::{
    iter::repeat_n,
    time::{Duration, Instant},
};

use aws_sdk_dynamodb::types::{AttributeValue, TimeToLiveStatus};
use domain::{
    device::DeviceLibraryIdentifier,
    event::passworks::{Parsed, Source},
};
use local::{
    aws::dynamodb::{Data, Engine},
    samples,
    stack::Stack,
    template::Template,
    testing::faults::{Fault, Faults},
};
use process::intake;
use serde_json::json;
use store::{Outcome, keys};

fn template() -> Template {
    Template::read(&Template::default_path()).unwrap()
}

/// Starts a stack on the data in `engine`, as a restart does.
async fn restart(engine: &Engine) -> Stack {
    Stack::open(template(), &Data::Endpoint(engine.endpoint().to_owned())).await.unwrap()
}

/// Returns the status of the campaign's listing, requested with the key `demo`, and how many registrations it has.
async fn listed(stack: &Stack) -> (u64, Option<String>) {
    let event = samples::read(&samples::folder().join("http/list-campaign.json")).unwrap();
    let answer = stack.invoke("campaign-registrations", event).await.unwrap();
    (answer["statusCode"].as_u64().unwrap(), answer["headers"]["x-total"].as_str().map(str::to_owned))
}

/// Starts a stack on `engine`, and kills it when it sends the call after the first `calls`. Returns whether it was
/// ready before.
async fn is_ready_after(calls: usize, engine: &Engine) -> bool {
    let faults = Faults::in_front_of(engine.endpoint()).await.unwrap();
    faults.next(repeat_n(Fault::None, calls));
    faults.always(Fault::Lost);
    let data = Data::Endpoint(faults.endpoint().to_owned());
    let mut starting = tokio::spawn(async move { Stack::open(template(), &data).await.map(drop) });
    let next_call = async {
        let mut seen = faults.calls();
        while seen <= calls {
            tokio::task::yield_now().await;
            seen += faults.calls();
        }
    };
    let is_ready = tokio::select! {
        started = &mut starting => started.unwrap().is_ok(),
        () = next_call => false,
    };
    starting.abort();
    is_ready
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_that_was_killed_after_any_call_is_completed_by_the_next() {
    let table = template().table;
    let mut calls = 0;
    loop {
        let engine = Engine::temporary().await.unwrap();
        let is_ready = is_ready_after(calls, &engine).await;
        assert_eq!(listed(&restart(&engine).await).await, (200, Some("3".to_owned())), "killed after {calls} calls");
        let time_to_live = engine.client(&table).unwrap().describe_time_to_live().table_name(&table.name);
        let time_to_live = time_to_live.send().await.unwrap().time_to_live_description.unwrap();
        assert_eq!(time_to_live.time_to_live_status, Some(TimeToLiveStatus::Enabled), "killed after {calls} calls");
        if is_ready {
            break;
        }
        calls += 1;
    }
    assert!(calls > 10, "a first start makes more than {calls} calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_file_from_before_an_index_gets_it_with_the_data_that_it_has() {
    let (folder, table) = (tempfile::tempdir().unwrap(), template().table);
    let mut before = table.clone();
    before.indexes.remove("by-device").unwrap();
    before.attributes.remove("device").unwrap();
    let engine = Engine::on_disk(folder.path()).await.unwrap();
    engine.ensure_table(&before).await.unwrap();
    let install = json!({
        "event": "installed", "campaign_id": crate::CAMPAIGN, "pass_id": crate::PASS, "event_at": "2016-11-09T11:09:00Z",
        "event_extra": {"device_app_vendor": "passbook", "device_os": "ios", "device_library_identifier": "device-1"},
    });
    let caller = Source::Caller("demo".parse().unwrap());
    let bodies = vec![Parsed::from_json(&install, &caller, domain::time::now())];
    let deadline = Instant::now() + Duration::from_mins(1);
    let store = engine.store(&before).unwrap();
    let received = intake::apply(&store, &caller, bodies, domain::time::now(), deadline).await;
    assert_eq!(received[0].outcome, Outcome::Applied);
    drop(engine);

    for _ in 0..2 {
        let engine = Engine::on_disk(folder.path()).await.unwrap();
        engine.ensure_table(&table).await.unwrap();
        let device: DeviceLibraryIdentifier = "device-1".parse().unwrap();
        let device = keys::by_device_hash(&"demo".parse().unwrap(), &device);
        let query = engine.client(&table).unwrap().query().table_name(&table.name).index_name(keys::BY_DEVICE);
        let query = query
            .key_condition_expression("device = :device")
            .expression_attribute_values(":device", AttributeValue::S(device));
        assert_eq!(query.send().await.unwrap().count, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_removed_on_purpose_stays_removed() {
    let engine = Engine::temporary().await.unwrap();
    let stack = restart(&engine).await;
    let event = samples::read(&samples::folder().join("http/unregister.json")).unwrap();
    let deleted = stack.invoke("registration-writes", event).await.unwrap();
    assert_eq!(deleted["statusCode"], 204, "{deleted}");
    let stack = restart(&engine).await;
    assert_eq!(listed(&stack).await, (200, Some("2".to_owned())));

    let revoke = json!({"action": "revoke_key", "account_id": "demo", "key_id": samples::demo_key().to_string()});
    stack.invoke("account-admin", revoke).await.unwrap();
    assert_eq!(listed(&restart(&engine).await).await, (401, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_with_other_data_gets_no_account() {
    let (engine, table) = (Engine::temporary().await.unwrap(), template().table);
    engine.ensure_table(&table).await.unwrap();
    let store = engine.store(&table).unwrap();
    store.create_account(&"another".parse().unwrap(), &"another".parse().unwrap(), domain::time::now()).await.unwrap();
    assert_eq!(listed(&restart(&engine).await).await, (401, None));
}
