//! Registrations from install to uninstall, over HTTP.

use http::{Method, StatusCode};
use local::aws::dynamodb::Data;
use local::{samples, stack::Stack, template::Template, testing::sandbox::Sandbox};
use serde_json::{Value, json};

use crate::{CAMPAIGN, EVENTS, OTHER_PASS, PASS, REGISTRATION, call, campaign_path, exchange, get, pass_path, post};

#[tokio::test]
async fn the_source_documents_example_comes_back_byte_for_byte() {
    let template = Template::read(&Template::default_path()).unwrap();
    let running = Stack::open(template, &Data::Temporary).await.unwrap().serve(0).await.unwrap();
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic ZGVtbzpkZW1v\r\nConnection: close\r\n\r\n",
        campaign_path()
    );
    let answer = exchange(&running.url, &request).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let expected = [
        ("ed2951b4-1127-4a96-a2b1-8a73adb4b2db", OTHER_PASS, "passbook", "ios", "11:09:00.745"),
        ("01ff7401-ba48-4bc4-90ab-714dac0971fd", PASS, "passbook", "ios", "11:11:29.498"),
        (REGISTRATION, PASS, "wallet_passes", "android", "14:29:11.651"),
    ];
    let expected = expected.map(|(id, pass_id, wallet, device_os, time)| {
        format!(
            r#"{{"id":"{id}","pass_id":"{pass_id}","wallet":"{wallet}","device_os":"{device_os}","created_at":"2016-11-09T{time}Z"}}"#
        )
    });
    assert_eq!(body, format!("[{}]", expected.join(",")));

    // One published client compares these names case-sensitively, and never ends if `X-Next-Page` is present but empty.
    for line in ["HTTP/1.1 200 OK", "X-Total: 3", "X-Total-Pages: 1", "X-Page: 1", "X-Per-Page: 25", "X-Offset: 0"] {
        assert!(head.lines().any(|found| found == line), "{head}");
    }
    assert!(!head.contains("X-Next-Page") && !head.contains("X-Prev-Page"));
    assert!(head.contains(&format!("Link: <{}?per_page=25>; rel=\"first\"", campaign_path())));
    running.stop().await;
}

#[tokio::test]
async fn the_documented_webhook_bodies_install_and_uninstall() {
    let sandbox = Sandbox::start().await.unwrap();
    let webhook = |name: &str| samples::read(&samples::folder().join("webhook").join(name)).unwrap();
    let (installed, uninstalled) = (webhook("installed.json"), webhook("uninstalled.json"));
    let campaign = format!("/v2/coupons/{}", installed["campaign_id"].as_str().unwrap());
    let pass = format!("{campaign}/passes/{}", installed["pass_id"].as_str().unwrap());
    let id = installed["event_extra"]["registration_id"].as_str().unwrap();

    for (event, result, active) in [
        (&installed, "applied", vec![id]),
        (&installed, "unchanged", vec![id]),
        (&uninstalled, "applied", vec![]),
        (&installed, "unchanged", vec![]),
        (&uninstalled, "unchanged", vec![]),
    ] {
        assert_eq!(post(&sandbox, EVENTS, event).await.json(), json!({"result": result}));
        for path in [&campaign, &pass] {
            assert_eq!(get(&sandbox, &format!("{path}/registrations")).await.ids(), active);
        }
    }
    // The event named no type, so the campaign answers under every type.
    for campaign_type in ["event_tickets", "event_tickers", "store_cards"] {
        let path = campaign.replace("coupons", campaign_type);
        assert_eq!(get(&sandbox, &format!("{path}/registrations")).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_created_event_makes_a_pass_known() {
    let sandbox = Sandbox::start().await.unwrap();
    let path = "/v2/store_cards/cbc3016c-4c55-4564-81e9-a21664817be2/passes/d91aef7c-a166-4694-bb91-569714f9c33e";
    assert_eq!(get(&sandbox, &format!("{path}/registrations")).await.status, StatusCode::NOT_FOUND);
    let created = json!({
        "event": "created", "campaign_id": "cbc3016c-4c55-4564-81e9-a21664817be2", "campaign_type": "store_cards",
        "pass_id": "d91aef7c-a166-4694-bb91-569714f9c33e", "event_at": "2016-08-10T11:30:06Z",
    });
    assert_eq!(post(&sandbox, EVENTS, &created).await.json(), json!({"result": "applied"}));
    let known = get(&sandbox, &format!("{path}/registrations")).await;
    assert_eq!((known.status, known.body.as_str()), (StatusCode::OK, "[]"));
    assert_eq!((known.header("x-total"), known.header("x-total-pages")), (Some("0"), Some("0")));
}

#[tokio::test]
async fn an_array_has_a_result_for_each_event_in_order() {
    let sandbox = Sandbox::start().await.unwrap();
    let event = |id: u8, name: &str, second: u8| {
        json!({
            "event": name, "campaign_id": CAMPAIGN, "pass_id": PASS, "event_at": format!("2016-08-10T11:30:{second:02}Z"),
            "event_extra": {
                "registration_id": format!("00000000-0000-4000-8000-{id:012}"),
                "device_os": "ios", "device_app_vendor": "passbook",
            },
        })
    };
    let other = json!({"event": "created", "campaign_id": CAMPAIGN, "account_id": "other"});
    let events = json!([
        event(1, "installed", 1),
        event(2, "installed", 1),
        event(1, "installed", 1),
        event(1, "uninstalled", 2),
        other,
        event(1, "installed", 3),
        event(2, "uninstalled", 0),
        {"event": "fetched"},
        7,
    ]);
    let answer = post(&sandbox, EVENTS, &events).await;
    let results: Vec<Value> = answer.json().as_array().unwrap().iter().map(|result| result["result"].clone()).collect();
    let expected =
        ["applied", "applied", "unchanged", "applied", "refused", "applied", "unchanged", "unchanged", "refused"];
    assert_eq!((answer.status, results), (StatusCode::OK, expected.map(Value::from).to_vec()));
    assert_eq!(answer.json()[4]["errors"]["account_id"][0], "expected the caller's own account, or none");
    assert_eq!(post(&sandbox, EVENTS, &json!([])).await.body, "[]");
}

#[tokio::test]
async fn a_registration_is_created_listed_and_ended() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let front = sandbox.fresh_front().unwrap();
    let body = json!({"wallet": "pass2u", "device_os": "android", "device_library_identifier": "a phone"});
    let made = post(&sandbox, &pass_path(), &body).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let location = made.header("location").unwrap();
    assert_eq!(location, format!("{}/{id}", pass_path()));
    assert_eq!(get(&sandbox, &pass_path()).await.json()[2], made.json());
    assert_eq!(post(&sandbox, &pass_path(), &body).await.json(), made.json());

    let delete = async |path: &str| call(&front, Method::DELETE, path, &[], "").await;
    let ended = delete(location).await;
    assert_eq!((ended.status, ended.body.as_str()), (StatusCode::NO_CONTENT, ""));
    assert_eq!(delete(location).await.status, StatusCode::NO_CONTENT);
    assert!(!get(&sandbox, &pass_path()).await.ids().contains(&id));

    let long_ago = json!({"wallet": "pass2u", "device_os": "android", "id": id, "created_at": "2016-11-09T00:00:00Z"});
    let conflict = post(&sandbox, &pass_path(), &long_ago).await;
    assert_eq!((conflict.status, &conflict.json()["error"]), (StatusCode::CONFLICT, &json!("registration_removed")));

    let never_seen = "00000000-0000-4000-8000-000000000000";
    for (path, code) in [
        (format!("{}/{never_seen}", pass_path()), "registration_not_found"),
        (format!("{}/x", pass_path()), "invalid_parameter"),
        (format!("{}/{REGISTRATION}", pass_path().replace("coupons", "generics")), "campaign_not_found"),
        (format!("{}/{REGISTRATION}", pass_path().replace(CAMPAIGN, never_seen)), "campaign_not_found"),
    ] {
        assert_eq!(delete(&path).await.json()["error"], code, "{path}");
    }
    assert!(get(&sandbox, &pass_path()).await.ids().contains(&REGISTRATION.to_owned()));
}

#[tokio::test]
async fn a_post_sets_the_type_of_a_new_campaign() {
    let sandbox = Sandbox::start().await.unwrap();
    let body = json!({"wallet": "passbook", "device_os": "ios", "id": REGISTRATION});
    assert_eq!(post(&sandbox, &pass_path(), &body).await.status, StatusCode::CREATED);
    let other_type = pass_path().replace("coupons", "generics");
    assert_eq!(post(&sandbox, &other_type, &body).await.status, StatusCode::NOT_FOUND);
    assert_eq!(get(&sandbox, &other_type).await.status, StatusCode::NOT_FOUND);
}
