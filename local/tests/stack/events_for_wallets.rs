//! Events that let wallets find passes, report updates and failed pushes: alone, in an array and in the queue.

use http::StatusCode;
use local::testing::sandbox::Sandbox;
use serde_json::{Value, json};

use crate::{CAMPAIGN, EVENTS, OTHER_PASS, PASS, campaign_path, claims::enqueue, created, get, post};

fn named(pass: &str) -> Value {
    let names = json!({
        "serial_number": "1", "pass_type_identifier": "pass.com.example", "authentication_token": "0123456789abcdef",
        "google_object_id": "3388000000022000000.1",
    });
    created(pass, &names)
}

#[tokio::test]
async fn a_name_of_another_pass_is_refused_by_its_field() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    assert_eq!(post(&sandbox, EVENTS, &named(PASS)).await.json()["result"], "applied");
    assert_eq!(post(&sandbox, EVENTS, &named(PASS)).await.json()["result"], "unchanged");

    let mut other_serial_number = named(OTHER_PASS);
    other_serial_number["serial_number"] = json!("2");
    for (event, field, expected) in [
        (named(OTHER_PASS), "serial_number", "the serial number belongs to another pass"),
        (other_serial_number, "google_object_id", "the Google object belongs to another pass"),
    ] {
        let alone = post(&sandbox, EVENTS, &event).await;
        assert_eq!(alone.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(alone.json()["errors"], json!({field: [expected]}));
        let in_an_array = post(&sandbox, EVENTS, &json!([named(PASS), event])).await.json();
        assert_eq!((&in_an_array[0]["result"], &in_an_array[1]["result"]), (&json!("unchanged"), &json!("refused")));
        assert_eq!(in_an_array[1]["errors"], json!({field: [expected]}));
        assert_eq!(enqueue(&sandbox, &[named(PASS), event]).await, 1, "only the refused message goes back");
    }
}

#[tokio::test]
async fn an_update_needs_an_instant_only_in_the_queue() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let update = json!({"event": "updated", "account_id": "demo", "campaign_id": CAMPAIGN});
    assert_eq!(post(&sandbox, EVENTS, &update).await.json()["result"], "applied");
    assert_eq!(enqueue(&sandbox, std::slice::from_ref(&update)).await, 1);
    let mut with_instant = update;
    with_instant["event_at"] = json!("2016-11-09T11:09:00Z");
    assert_eq!(enqueue(&sandbox, std::slice::from_ref(&with_instant)).await, 0);
    assert_eq!(post(&sandbox, EVENTS, &with_instant).await.json()["result"], "unchanged", "the first update is later");
}

#[tokio::test]
async fn a_failed_push_takes_its_registration_off_the_list() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let registrations = get(&sandbox, &campaign_path()).await.json();
    let [first, second, third] = [0, 1, 2].map(|place| registrations[place].clone());
    let failed = |registration: &Value| {
        json!({
            "event": "push_failed", "account_id": "demo", "campaign_id": CAMPAIGN, "pass_id": registration["pass_id"],
            "event_at": "2016-11-20T00:00:00Z", "event_extra": {"registration_id": registration["id"]},
        })
    };
    assert_eq!(post(&sandbox, EVENTS, &failed(&first)).await.json()["result"], "applied");
    assert_eq!(post(&sandbox, EVENTS, &json!([failed(&first)])).await.json()[0]["result"], "unchanged");
    assert_eq!(enqueue(&sandbox, &[failed(&second)]).await, 0);
    assert_eq!(get(&sandbox, &campaign_path()).await.ids(), [third["id"].as_str().unwrap()]);
}
