//! Claims over HTTP and through the queue: a refused request writes nothing, an interrupted one is completed by its
//! repetition, and operators correct what was claimed.

use std::collections::BTreeMap;

use api::route::{GOOGLE_CALLBACKS, WALLET_WEB_SERVICE};
use aws_sdk_dynamodb::types::AttributeValue;
use http::{Method, StatusCode};
use local::testing::{
    faults::{Fault, Faults},
    sandbox::Sandbox,
};
use rstest::rstest;
use serde_json::{Value, json};

use crate::{CAMPAIGN, DEMO, EVENTS, PASS, access::key_of, admin, call, campaign_path, created, get, pass_path, post};

/// A campaign that the tests make known without a type.
const UNTYPED: &str = "cbc3016c-4c55-4564-81e9-a21664817be2";
/// A campaign that is not known.
const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";

/// Returns every item of the table, by its keys.
async fn table(sandbox: &Sandbox) -> BTreeMap<(String, String), BTreeMap<String, String>> {
    let text = |value: AttributeValue| match value {
        AttributeValue::S(text) | AttributeValue::N(text) => text,
        other => format!("{other:?}"),
    };
    let items = sandbox.items().await.unwrap().into_iter().map(|item| {
        let item: BTreeMap<_, _> = item.into_iter().map(|(name, value)| (name, text(value))).collect();
        ((item["pk"].clone(), item["sk"].clone()), item)
    });
    items.collect()
}

fn event(name: &str, campaign: &str, second: u8) -> Value {
    json!({
        "event": name, "campaign_id": campaign, "pass_id": PASS, "event_at": format!("2016-11-10T00:00:{second:02}Z"),
        "event_extra": {"registration_id": PASS, "device_os": "ios", "device_app_vendor": "passbook"},
    })
}

/// Returns the event with another field.
fn with(mut event: Value, name: &str, value: impl Into<Value>) -> Value {
    event[name] = value.into();
    event
}

/// Returns the body that registers a pass with the same registration as [`event`].
fn registration(second: u8) -> Value {
    let at = format!("2016-11-10T00:00:{second:02}Z");
    json!({"id": PASS, "wallet": "passbook", "device_os": "ios", "created_at": at, "push_token": "token"})
}

fn registrations_path(campaign_type: &str, campaign: &str) -> String {
    format!("/v2/{campaign_type}/{campaign}/passes/{PASS}/registrations")
}

fn messages(events: &[Value]) -> Value {
    let message = |(number, event): (usize, &Value)| json!({"messageId": number.to_string(), "body": event.to_string(), "eventSource": "aws:sqs"});
    json!({"Records": events.iter().enumerate().map(message).collect::<Vec<_>>()})
}

/// Passes messages with these events to the function and returns how many go back to the queue.
pub(crate) async fn enqueue(sandbox: &Sandbox, events: &[Value]) -> usize {
    let answer = sandbox.fresh_functions().unwrap().invoke("registration-ingest", messages(events)).await.unwrap();
    answer["batchItemFailures"].as_array().unwrap().len()
}

/// Returns a sandbox with the source document's campaign, and a campaign without a type whose registration was removed.
async fn with_campaigns() -> Sandbox {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    for event in [event("installed", UNTYPED, 1), event("uninstalled", UNTYPED, 9)] {
        assert_eq!(post(&sandbox, EVENTS, &event).await.json(), json!({"result": "applied"}));
    }
    sandbox
}

#[tokio::test]
async fn a_refused_registration_does_not_decide_the_type_of_its_campaign() {
    let sandbox = with_campaigns().await;
    let refused = post(&sandbox, &registrations_path("generics", UNTYPED), &registration(5)).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert_eq!(get(&sandbox, &registrations_path("coupons", UNTYPED)).await.status, StatusCode::OK);

    let made = post(&sandbox, &registrations_path("coupons", UNTYPED), &registration(10)).await;
    assert_eq!(made.status, StatusCode::CREATED);
    assert_eq!(get(&sandbox, &registrations_path("generics", UNTYPED)).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_refused_request_writes_nothing() {
    let sandbox = with_campaigns().await;
    let (other_key, _) = key_of(&sandbox, "other", "read_write").await;
    let (reader, _) = key_of(&sandbox, "demo", "read_only").await;
    let before = table(&sandbox).await;

    let valid = registration(10).to_string();
    let invalid = with(registration(10), "wallet", "abacus").to_string();
    let ahead = with(registration(10), "created_at", "2999-01-01T00:00:00Z").to_string();
    let json_type = "application/json";
    let unknown_path = registrations_path("coupons", UNKNOWN);
    for (authorization, content_type, path, body, status) in [
        ("Bearer wrong", json_type, &unknown_path, &valid, 401),
        (&reader, json_type, &unknown_path, &valid, 403),
        (DEMO, json_type, &unknown_path, &invalid, 422),
        (DEMO, json_type, &unknown_path, &ahead, 422),
        (DEMO, json_type, &unknown_path, &"{".to_owned(), 400),
        (DEMO, "text/plain", &unknown_path, &valid, 415),
        (DEMO, json_type, &registrations_path("tickets", UNKNOWN), &valid, 404),
        (DEMO, json_type, &registrations_path("generics", UNTYPED), &registration(5).to_string(), 409),
        (DEMO, json_type, &registrations_path("generics", CAMPAIGN), &valid, 404),
        (&other_key, json_type, &pass_path(), &valid, 404),
    ] {
        let front = sandbox.fresh_front().unwrap();
        let headers = [("authorization", authorization), ("content-type", content_type)];
        let answer = call(&front, Method::POST, path, &headers, body).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(table(&sandbox).await, before, "{answer:?}");
    }
    for (campaign_type, campaign) in [("generics", UNTYPED), ("generics", CAMPAIGN), ("coupons", UNKNOWN)] {
        let path = format!("{}/{UNKNOWN}", registrations_path(campaign_type, campaign));
        let answer = call(&sandbox.fresh_front().unwrap(), Method::DELETE, &path, &[], "").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert_eq!(table(&sandbox).await, before, "{answer:?}");
    }

    let other_type = with(event("created", CAMPAIGN, 20), "campaign_type", "generics");
    let refused = [other_type, event("exploded", UNKNOWN, 20), with(event("created", UNKNOWN, 20), "pass_id", "x")];
    for refused in &refused {
        assert_eq!(post(&sandbox, EVENTS, refused).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let all = post(&sandbox, EVENTS, &json!(refused)).await.json();
    assert!(all.as_array().unwrap().iter().all(|result| result["result"] == "refused"), "{all}");
    assert_eq!(table(&sandbox).await, before);

    let of_account = |event: &Value, account: &str| with(event.clone(), "account_id", account);
    let mut from_queue: Vec<_> = refused.iter().map(|event| of_account(event, "demo")).collect();
    from_queue.push(of_account(&event("created", CAMPAIGN, 20), "other"));
    from_queue.push(of_account(&event("created", UNKNOWN, 20), "stranger"));
    from_queue.push(event("created", UNKNOWN, 20));
    assert_eq!(enqueue(&sandbox, &from_queue).await, from_queue.len());
    assert_eq!(table(&sandbox).await, before);
}

#[tokio::test]
async fn a_message_claims_a_campaign_only_once_its_account_exists() {
    let sandbox = Sandbox::start().await.unwrap();
    let events = [
        with(event("installed", CAMPAIGN, 1), "account_id", "acme"),
        with(event("installed", UNKNOWN, 1), "account_id", "demo"),
    ];
    assert_eq!(enqueue(&sandbox, &events).await, 1);
    let (key, _) = key_of(&sandbox, "acme", "read_write").await;
    assert_eq!(enqueue(&sandbox, &events).await, 0);
    let front = sandbox.fresh_front().unwrap();
    let listed = call(&front, Method::GET, &campaign_path(), &[("authorization", &key)], "").await;
    assert_eq!(listed.ids(), [PASS]);
}

/// What is known before a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    CampaignWithoutType,
    RegistrationWithoutType,
}

/// How a request arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Registering,
    Event,
    Queue,
}

/// Sends a request that names the type `coupons`, through functions behind `faults` or, if there are none, through
/// working ones. Returns whether it was answered with success.
async fn send(sandbox: &Sandbox, by: By, campaign: &str, faults: Option<&Faults>) -> bool {
    let event = with(event("installed", campaign, 5), "campaign_type", "coupons");
    if by == By::Queue {
        let functions = faults.map_or_else(|| sandbox.fresh_functions(), |faults| sandbox.faulty_functions(faults));
        let batch = messages(&[with(event, "account_id", "demo")]);
        let answer = functions.unwrap().invoke("registration-ingest", batch).await.unwrap();
        return answer["batchItemFailures"].as_array().unwrap().is_empty();
    }
    let front = faults.map_or_else(|| sandbox.fresh_front(), |faults| sandbox.faulty_front(faults)).unwrap();
    let (path, body) = match by {
        By::Registering => (registrations_path("coupons", campaign), registration(5)),
        By::Event | By::Queue => (EVENTS.to_owned(), event),
    };
    let headers = [("content-type", "application/json")];
    call(&front, Method::POST, &path, &headers, &body.to_string()).await.status.is_success()
}

#[rstest]
#[case(By::Registering, Before::Nothing)]
#[case(By::Registering, Before::CampaignWithoutType)]
#[case(By::Registering, Before::RegistrationWithoutType)]
#[case(By::Event, Before::Nothing)]
#[case(By::Event, Before::CampaignWithoutType)]
#[case(By::Event, Before::RegistrationWithoutType)]
#[case(By::Queue, Before::Nothing)]
#[case(By::Queue, Before::CampaignWithoutType)]
#[case(By::Queue, Before::RegistrationWithoutType)]
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_ends_after_any_call_is_completed_by_its_repetition(#[case] by: By, #[case] before: Before) {
    let sandbox = Sandbox::start().await.unwrap();
    let mut ends = Vec::new();
    for calls in 0.. {
        let campaign = format!("00000000-0000-4000-8000-{calls:012}");
        match before {
            Before::Nothing => {}
            Before::CampaignWithoutType => {
                assert_eq!(post(&sandbox, EVENTS, &event("created", &campaign, 1)).await.status, StatusCode::OK);
            }
            Before::RegistrationWithoutType => {
                assert_eq!(post(&sandbox, EVENTS, &event("installed", &campaign, 5)).await.status, StatusCode::OK);
            }
        }
        let faults = sandbox.faults().await.unwrap();
        faults.next(vec![Fault::None; calls]);
        faults.always(Fault::Denied);
        let is_complete = send(&sandbox, by, &campaign, Some(&faults)).await;
        assert!(send(&sandbox, by, &campaign, None).await);

        let items = table(&sandbox).await.into_iter().filter(|((pk, _), _)| pk.ends_with(&campaign));
        let items = items.map(|((_, sk), mut item)| {
            item.retain(|name, _| !["pk", "pass", "received_at", "known_since"].contains(&name.as_str()));
            (sk, item)
        });
        ends.push(items.collect::<Vec<_>>());
        if is_complete {
            break;
        }
    }
    // Before it is complete: the key or the account, the claim, the registration.
    assert!(ends.len() > 3, "{ends:?}");
    assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
    assert_eq!((ends[0][0].0.as_str(), &*ends[0][0].1["campaign_type"]), ("CAMPAIGN", "coupons"));
}

#[tokio::test]
async fn an_operator_corrects_the_type_of_a_campaign() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let set = |account: &str, campaign: &str, campaign_type: &str| {
        let ids = json!({"action": "set_campaign_type", "account_id": account, "campaign_id": campaign});
        admin(&sandbox, with(ids, "campaign_type", campaign_type))
    };
    let expected = json!({"campaign_id": CAMPAIGN, "account_id": "demo", "campaign_type": "generics"});
    assert_eq!(set("demo", CAMPAIGN, "generics").await, Ok(expected));
    assert_eq!(get(&sandbox, &campaign_path()).await.status, StatusCode::NOT_FOUND);
    assert_eq!(get(&sandbox, &campaign_path().replace("coupons", "generics")).await.ids().len(), 3);

    let unknown = |account: &str, campaign: &str| {
        Err(format!("the function failed: the account {account} has no campaign {campaign}"))
    };
    assert_eq!(set("other", CAMPAIGN, "coupons").await, unknown("other", CAMPAIGN));
    assert_eq!(set("demo", UNKNOWN, "coupons").await, unknown("demo", UNKNOWN));
    assert!(set("demo", CAMPAIGN, "tickets").await.unwrap_err().contains("campaign_type: expected one of coupons"));
}

#[tokio::test]
async fn an_operator_moves_a_campaign_to_another_account() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let move_to = |account: &str| {
        let ids = json!({"action": "move_campaign", "account_id": "demo", "campaign_id": CAMPAIGN});
        admin(&sandbox, with(ids, "to_account_id", account))
    };
    assert_eq!(move_to("acme").await, Err("the function failed: there is no account acme".to_owned()));
    assert_eq!(get(&sandbox, &campaign_path()).await.ids().len(), 3);

    let (key, _) = key_of(&sandbox, "acme", "read_write").await;
    for _ in 0..2 {
        let moved = json!({"campaign_id": CAMPAIGN, "account_id": "acme", "campaign_type": "coupons"});
        assert_eq!(move_to("acme").await, Ok(moved), "may be repeated");
    }
    let front = sandbox.fresh_front().unwrap();
    let listed = call(&front, Method::GET, &campaign_path(), &[("authorization", &key)], "").await;
    assert_eq!(listed.ids().len(), 3);
    assert_eq!(get(&sandbox, &campaign_path()).await.status, StatusCode::NOT_FOUND);
    let events = ["demo", "acme"].map(|account| with(event("installed", CAMPAIGN, 1), "account_id", account));
    assert_eq!(enqueue(&sandbox, &events).await, 1, "the previous account's message is refused");
}

#[tokio::test]
async fn a_campaign_with_a_serial_number_of_a_wallet_is_not_moved() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    key_of(&sandbox, "acme", "read_write").await;
    let names = json!({"serial_number": "1", "pass_type_identifier": "pass.com.example"});
    assert_eq!(enqueue(&sandbox, &[created(crate::PASS, &names)]).await, 0);
    let moving = json!({
        "action": "move_campaign", "account_id": "demo", "campaign_id": CAMPAIGN, "to_account_id": "acme",
    });
    let refused = admin(&sandbox, moving).await.unwrap_err();
    assert!(refused.contains(&format!("the campaign {CAMPAIGN} stays with its account")), "{refused}");
    assert_eq!(get(&sandbox, &campaign_path()).await.ids().len(), 3);
}

const ALIAS: &str = "through an alias or a version, account-admin acts only for the account smoke-test";
const RESERVED: &str = "the account smoke-test is reserved";

/// Each row is an action with the answer or error of an invocation without an alias for the accounts `smoke-test` and
/// `acme`, and then through an alias or a version for the same accounts.
#[rstest]
#[case::create("create_account", [RESERVED, "is an account acme already"], ["is an account smoke-test already", ALIAS])]
#[case::add("add_key", [RESERVED, "api_key"], ["api_key", ALIAS])]
#[case::list("list_keys", ["keys", "keys"], ["keys", ALIAS])]
#[case::revoke("revoke_key", ["has no key", "has no key"], ["has no key", ALIAS])]
#[case::set("set_campaign_type", ["has no campaign", "has no campaign"], [ALIAS, ALIAS])]
#[case::transfer("move_campaign", ["has no campaign", "has no campaign"], [ALIAS, ALIAS])]
#[case::issuers("set_google_issuers", ["google_issuer_ids", "google_issuer_ids"], [ALIAS, ALIAS])]
#[case::show("show_wallets", ["web_service_url", "web_service_url"], [ALIAS, ALIAS])]
#[tokio::test]
async fn the_alias_that_the_deploying_workflow_may_invoke_reaches_only_the_account_of_the_smoke_test(
    #[case] action: &str,
    #[case] operator: [&str; 2],
    #[case] workflow: [&str; 2],
) {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let functions = sandbox.fresh_functions().unwrap();
    let create = |account| json!({"action": "create_account", "account_id": account, "user_name": account});
    functions.invoke("account-admin", create("acme")).await.unwrap();
    functions.invoke_qualified("account-admin", Some("live"), create("smoke-test")).await.unwrap();
    let qualifiers = [(None, operator), (Some("live"), workflow), (Some("7"), workflow), (Some("$LATEST"), workflow)];
    for (qualifier, expected) in qualifiers {
        for (account, expected) in ["smoke-test", "acme"].into_iter().zip(expected) {
            let event = json!({
                "action": action, "account_id": account, "user_name": account, "key_id": "0".repeat(64),
                "campaign_id": CAMPAIGN, "campaign_type": "generics", "to_account_id": "acme",
                "issuer_ids": [],
            });
            let before = table(&sandbox).await;
            let answer = functions.invoke_qualified("account-admin", qualifier, event).await;
            let answer = answer.map_or_else(|error| error.to_string(), |answer| answer.to_string());
            assert!(answer.contains(expected), "{qualifier:?} {account}: {answer}");
            if !["api_key", "google_issuer_ids"].contains(&expected) {
                assert_eq!(table(&sandbox).await, before, "{qualifier:?} {account}");
            }
        }
    }
}

#[tokio::test]
async fn no_campaign_is_moved_to_the_account_of_the_smoke_test() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let functions = sandbox.fresh_functions().unwrap();
    let create = json!({"action": "create_account", "account_id": "smoke-test", "user_name": "smoke-test"});
    functions.invoke_qualified("account-admin", Some("live"), create).await.unwrap();
    let event = json!({
        "action": "move_campaign", "account_id": "demo", "campaign_id": CAMPAIGN, "to_account_id": "smoke-test",
    });
    let before = table(&sandbox).await;
    let error = functions.invoke("account-admin", event).await.unwrap_err().to_string();
    assert!(error.contains(RESERVED), "{error}");
    assert_eq!(table(&sandbox).await, before);
}

#[tokio::test]
async fn an_operator_sets_the_google_issuers_of_an_account_and_sees_the_urls_for_wallets() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let set = |account: &str, issuers: Value| {
        let event = json!({"action": "set_google_issuers", "account_id": account, "issuer_ids": issuers});
        admin(&sandbox, event)
    };
    let show = || admin(&sandbox, json!({"action": "show_wallets", "account_id": "demo"}));
    let shown = show().await.unwrap();
    // The function knows no HTTP, so it does not take them from the routes.
    let [web_service, callbacks] = [WALLET_WEB_SERVICE.trim_end_matches("/{call+}"), GOOGLE_CALLBACKS.1]
        .map(|path| path.replace("{account_id}", "demo"));
    let web_service_url = shown["web_service_url"].as_str().unwrap();
    let api_url = web_service_url.strip_suffix(&web_service).unwrap();
    assert!(api_url.starts_with("https://") && !api_url.ends_with('/'), "{shown}");
    assert_eq!(shown["google_callback_url"], format!("{api_url}{callbacks}"));
    assert!(shown["warning"].as_str().unwrap().contains("DomainName"), "{shown}");
    for issuers in [json!(["1", "2"]), json!(["3"]), json!([])] {
        let answer = set("demo", issuers.clone()).await.unwrap();
        assert_eq!((&answer["google_issuer_ids"], &answer), (&issuers, &show().await.unwrap()));
    }
    for (issuers, expected) in [
        (Value::Null, "issuer_ids: is required"),
        (json!("1"), "issuer_ids: expected an array of at most 20"),
        (json!(vec!["1"; 21]), "issuer_ids: expected an array of at most 20"),
        (json!(["1", 2]), "issuer_ids: expected 1 to 32 bytes of digits"),
        (json!(["1", "x"]), "issuer_ids: expected 1 to 32 bytes of digits"),
    ] {
        let error = set("demo", issuers).await.unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    let error = set("nowhere", json!([])).await.unwrap_err();
    assert!(error.contains("there is no account nowhere"), "{error}");
}
