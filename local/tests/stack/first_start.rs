//! The first start of a stack, interrupted at any place, and what later starts leave alone.

use std::iter::repeat_n;

use aws_sdk_dynamodb::types::TimeToLiveStatus;
use local::{
    aws::dynamodb::{Data, Engine},
    samples,
    stack::Stack,
    template::Template,
    testing::faults::{Fault, Faults},
};
use serde_json::json;

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
