//! The web service that a pass names, as wallets use it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicUsize, Ordering},
};

use domain::wallet::Wallet;
use http::{Method, StatusCode};
use local::{
    aws::front::ApiFront,
    simulated_wallet::{self, Extent, Visit, behaviour::SimulatedWallet},
    testing::{faults::Fault, sandbox::Sandbox},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::{prelude::*, test_runner::TestRunner};
use rstest::rstest;
use serde_json::{Value, json};
use strum::VariantArray as _;

use crate::{
    Answer, CAMPAIGN, EVENTS, OTHER_PASS, PASS, call, campaign_path, created, get, pass_path, post,
    reports::report_path, serve,
};

const PASS_TYPE: &str = "pass.com.example.coupon";
const TOKEN: &str = "0123456789abcdef";
const APPLE: &str = "ApplePass 0123456789abcdef";
const PASSD: &str = "passd/1.0 CFNetwork/1410.0.3 Darwin/22.6.0";
const DEVICE: &str = "19121d6b570b31a3fa56dbd45411c933";

/// Starts a sandbox in which wallets find the pass `PASS` by the serial number `1`.
async fn sandbox() -> Sandbox {
    let sandbox = Sandbox::start().await.unwrap();
    create(&sandbox, PASS, "1").await;
    sandbox
}

/// Gives a pass a serial number.
async fn create(sandbox: &Sandbox, pass: &str, serial_number: &str) {
    create_with(sandbox, pass, serial_number, TOKEN).await;
}

/// Gives a pass a serial number with a token.
async fn create_with(sandbox: &Sandbox, pass: &str, serial_number: &str, token: &str) {
    let names = json!({
        "serial_number": serial_number, "pass_type_identifier": PASS_TYPE, "authentication_token": token,
    });
    assert_eq!(post(sandbox, EVENTS, &created(pass, &names)).await.status, StatusCode::OK);
}

/// Reports over HTTP that a pass, or every pass of the campaign, has new contents.
async fn update(sandbox: &Sandbox, pass: Option<&str>) {
    let event = json!({"event": "updated", "campaign_id": CAMPAIGN, "pass_id": pass});
    assert_eq!(post(sandbox, EVENTS, &event).await.json()["result"], "applied");
}

fn path(rest: &str) -> String {
    format!("/wallet/demo/v1/{rest}")
}

fn registration(device: &str, serial_number: &str) -> String {
    path(&format!("devices/{device}/registrations/{PASS_TYPE}/{serial_number}"))
}

async fn send(front: &ApiFront, method: Method, target: &str, authorization: &str, body: &str) -> Answer {
    let headers = [("authorization", authorization), ("user-agent", PASSD), ("content-type", "application/json")];
    call(front, method, target, &headers, body).await
}

async fn register(front: &ApiFront, device: &str, serial_number: &str, push_token: &str) -> StatusCode {
    let body = json!({ "pushToken": push_token }).to_string();
    send(front, Method::POST, &registration(device, serial_number), APPLE, &body).await.status
}

async fn unregister(front: &ApiFront, device: &str, serial_number: &str) -> StatusCode {
    send(front, Method::DELETE, &registration(device, serial_number), APPLE, "").await.status
}

/// Asks which passes of a device have changed since the tag. Returns their serial numbers and the new tag, or `None` if
/// there are none.
async fn list(front: &ApiFront, device: &str, tag: Option<&str>) -> Option<(BTreeSet<String>, String)> {
    let query = tag.map(|tag| format!("?passesUpdatedSince={tag}")).unwrap_or_default();
    let target = path(&format!("devices/{device}/registrations/{PASS_TYPE}{query}"));
    let answer = send(front, Method::GET, &target, "", "").await;
    if answer.status == StatusCode::NO_CONTENT {
        assert_eq!(answer.body, "");
        return None;
    }
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let body = answer.json();
    let names = body["serialNumbers"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
    let (names, tag) = (names.collect::<BTreeSet<_>>(), body["lastUpdated"].as_str().unwrap().to_owned());
    assert!(!names.is_empty() && body.as_object().unwrap().len() == 2, "{body}");
    Some((names, tag))
}

#[tokio::test]
async fn each_call_has_the_status_that_devices_understand() {
    let sandbox = sandbox().await;
    let front = sandbox.fresh_front().unwrap();
    let own = registration(DEVICE, "1");
    let list = path(&format!("devices/{DEVICE}/registrations/{PASS_TYPE}"));
    let pass = path(&format!("passes/{PASS_TYPE}/1"));
    let long_token = json!({"pushToken": "x".repeat(385)}).to_string();
    let long_device = registration(&"x".repeat(129), "1");
    let bytes = " ".repeat(64 * 1024 + 1);
    let wrong = "ApplePass 0123456789abcdeF";
    let elsewhere = |target: &str| target.replace("/demo/", "/another/");
    for (method, target, authorization, body, expected) in [
        (Method::GET, list.clone(), "", "", 204),
        // The same status for a wrong token, no token, an unknown pass and an unknown account, whatever else is wrong.
        (Method::POST, own.clone(), wrong, "{}", 401),
        (Method::POST, own.clone(), "", "{", 401),
        (Method::POST, own.clone(), TOKEN, "{}", 401),
        (Method::POST, registration(DEVICE, "2"), APPLE, "{}", 401),
        (Method::POST, own.replace("pass.com", "com"), APPLE, "{}", 401),
        (Method::POST, elsewhere(&own), APPLE, "{}", 401),
        (Method::DELETE, own.clone(), wrong, "", 401),
        (Method::DELETE, registration(DEVICE, "2"), APPLE, "", 401),
        // What is beyond a limit.
        (Method::POST, own.clone(), APPLE, "{", 400),
        (Method::POST, own.clone(), APPLE, "[]", 400),
        (Method::POST, own.clone(), APPLE, r#"{"pushToken":7}"#, 400),
        (Method::POST, own.clone(), APPLE, &long_token, 400),
        (Method::POST, own.clone(), APPLE, &bytes, 400),
        (Method::POST, own.clone(), APPLE, r#"{"pushServiceUrl":"ftp://example.org"}"#, 400),
        (Method::POST, long_device.clone(), APPLE, "{}", 400),
        (Method::GET, list.clone(), "", "", 204),
        // Nothing to end.
        (Method::DELETE, own.clone(), APPLE, "", 200),
        (Method::DELETE, long_device, APPLE, "", 200),
        // Registered, with and without a body, and under every scheme.
        (Method::POST, own.clone(), APPLE, "", 201),
        (Method::POST, own.clone(), "Bearer 0123456789abcdef", "{}", 200),
        (Method::POST, own.clone(), APPLE, r#"{"pushToken":null,"more":[]}"#, 200),
        (Method::POST, own.clone(), APPLE, r#"{"pushToken":""}"#, 200),
        (Method::POST, own.clone(), APPLE, "\u{feff}{}", 200),
        (Method::GET, list.clone(), "", "", 200),
        (Method::GET, list.clone(), wrong, "", 200),
        (Method::GET, format!("{list}?passesUpdatedSince=a+b:c&more=%"), "", "", 200),
        (Method::GET, elsewhere(&list), "", "", 204),
        (Method::GET, list.replace(DEVICE, "another"), "", "", 204),
        (Method::GET, list.replace("pass.com", "com"), "", "", 204),
        (Method::DELETE, own.clone(), APPLE, "", 200),
        (Method::DELETE, own.clone(), APPLE, "", 200),
        (Method::GET, list.clone(), "", "", 204),
        // Registered again.
        (Method::POST, own.clone(), APPLE, "{}", 201),
        // Other calls. The pass itself is served elsewhere.
        (Method::POST, path("log"), "", r#"{"logs":["hello"]}"#, 200),
        (Method::POST, path("log"), "", "{", 200),
        (Method::POST, path("log"), "", &bytes, 200),
        (Method::POST, elsewhere(&path("log")), "", "", 200),
        (Method::POST, format!("{pass}/passLifecycleUpdate"), "", r#"{"passState":"x"}"#, 200),
        (Method::POST, format!("{pass}/personalize"), APPLE, "{}", 404),
        (Method::GET, pass, APPLE, "", 404),
        (Method::GET, path("log"), "", "", 404),
        (Method::HEAD, list.clone(), "", "", 404),
        (Method::PUT, own.clone(), APPLE, "{}", 404),
        (Method::GET, "/wallet/demo/v2/log".to_owned(), "", "", 404),
        // No redirect.
        (Method::GET, format!("{list}/"), "", "", 200),
        (Method::GET, list.replace("/demo/", "/demo//"), "", "", 200),
        (Method::POST, own.replace("/demo/", "/demo//"), APPLE, "{}", 200),
    ] {
        let answer = send(&front, method.clone(), &target, authorization, body).await;
        assert_eq!(answer.status.as_u16(), expected, "{method} {target} {authorization} {body:.80}");
        assert_eq!(answer.body.is_empty(), expected != 200 || method != Method::GET, "{method} {target}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_and_an_unknown_pass_have_one_answer_after_the_same_calls() {
    let sandbox = sandbox().await;
    let recorder = sandbox.recorder().await.unwrap();
    let front = sandbox.recorded_front(&recorder).unwrap();
    let unknown_account = registration(DEVICE, "1").replace("/demo/", "/another/");
    for method in [Method::POST, Method::DELETE] {
        let mut seen = Vec::new();
        for (target, authorization) in [
            (registration(DEVICE, "1"), "ApplePass fedcba9876543210"),
            (registration(DEVICE, "1"), "ApplePass short"),
            (registration(DEVICE, "2"), APPLE),
            (registration(DEVICE, "2"), "ApplePass the token of no pass"),
            (unknown_account.clone(), APPLE),
        ] {
            let Answer { status, headers, body, .. } = send(&front, method.clone(), &target, authorization, "{}").await;
            let calls: Vec<_> = recorder.take().into_iter().map(|call| call.operation).collect();
            assert_eq!(calls, ["BatchGetItem"], "{target}");
            seen.push((status, headers, body));
        }
        assert_eq!((seen[0].0, seen[0].2.as_str()), (StatusCode::UNAUTHORIZED, ""));
        assert!(seen.iter().all(|answer| *answer == seen[0]), "{seen:?}");
    }
}

/// What a part of a path keeps as it is (RFC 3986, section 3.3), without the slash.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What a whole path keeps as it is.
const PATH: &AsciiSet = &PART.remove(b'/');

#[rstest]
#[case("a/b", 201)]
#[case("a b", 201)]
#[case("é#&=+;", 201)]
#[case("/a//b", 201)]
#[case("passLifecycleUpdate", 201)]
// API Gateway decodes a path twice, and cuts it in between at a `?`.
#[case("100%", 400)]
#[case("a%2Fb", 401)]
#[case("a?b", 401)]
#[tokio::test]
async fn a_pass_is_found_by_every_serial_number_that_is_encoded_twice(#[case] serial_number: &str, #[case] once: u16) {
    let sandbox = sandbox().await;
    create(&sandbox, OTHER_PASS, serial_number).await;
    let front = sandbox.fresh_front().unwrap();
    let encoded = utf8_percent_encode(serial_number, PART).to_string();
    // iOS encodes each part of a path and then the whole path.
    let twice = utf8_percent_encode(&encoded, PATH).to_string();
    for (device, encoded, status) in [("once", encoded, once), ("twice", twice, 201)] {
        assert_eq!(register(&front, device, &encoded, "token").await.as_u16(), status, "{encoded}");
        if status != 201 {
            continue;
        }
        let (listed, _) = list(&front, device, None).await.unwrap();
        assert_eq!(listed, BTreeSet::from([serial_number.to_owned()]));
        assert_eq!(unregister(&front, device, &encoded).await, StatusCode::OK);
        assert_eq!(list(&front, device, None).await, None);
    }
}

#[tokio::test]
async fn of_two_passes_that_a_path_may_mean_the_token_decides() {
    let sandbox = sandbox().await;
    create(&sandbox, PASS, "a/b").await;
    create_with(&sandbox, OTHER_PASS, "a%2Fb", "fedcba9876543210").await;
    let front = sandbox.fresh_front().unwrap();
    // API Gateway decodes it twice, so the function gets `a%2Fb`.
    let path = "a%25252Fb";
    for (device, authorization, expected) in
        [("first", APPLE, "a/b"), ("second", "ApplePass fedcba9876543210", "a%2Fb")]
    {
        let target = registration(device, path);
        assert_eq!(send(&front, Method::POST, &target, authorization, "{}").await.status, StatusCode::CREATED);
        assert_eq!(list(&front, device, None).await.unwrap().0, BTreeSet::from([expected.to_owned()]));
        assert_eq!(send(&front, Method::DELETE, &target, authorization, "").await.status, StatusCode::OK);
        assert_eq!(list(&front, device, None).await, None);
    }
    let target = registration(DEVICE, path);
    let wrong = send(&front, Method::POST, &target, "ApplePass the token of no pass", "{}").await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_registration_has_the_serial_number_of_the_latest_post() {
    let sandbox = sandbox().await;
    create(&sandbox, PASS, "2").await;
    let front = sandbox.fresh_front().unwrap();
    let names = |name: &str| BTreeSet::from([name.to_owned()]);
    assert_eq!(register(&front, DEVICE, "1", "token").await, StatusCode::CREATED);
    let (listed, tag) = list(&front, DEVICE, None).await.unwrap();
    assert_eq!(listed, names("1"));
    assert_eq!(register(&front, DEVICE, "2", "token").await, StatusCode::OK);
    let (listed, tag) = list(&front, DEVICE, Some(&tag)).await.unwrap();
    assert_eq!(listed, names("2"));
    assert_eq!(list(&front, DEVICE, Some(&tag)).await, None);
    // The wallet removes what it had under the old serial number, but not the pass.
    assert_eq!(unregister(&front, DEVICE, "1").await, StatusCode::OK);
    assert_eq!(list(&front, DEVICE, None).await.unwrap().0, names("2"));
    assert_eq!(unregister(&front, DEVICE, "2").await, StatusCode::OK);
    assert_eq!(list(&front, DEVICE, None).await, None);
}

#[tokio::test]
async fn two_devices_with_one_push_token_are_two_registrations() {
    let sandbox = sandbox().await;
    let front = sandbox.fresh_front().unwrap();
    for device in ["first", "second"] {
        assert_eq!(register(&front, device, "1", "token").await, StatusCode::CREATED);
    }
    assert_eq!(get(&sandbox, &pass_path()).await.ids().len(), 2);
    assert_eq!(unregister(&front, "first", "1").await, StatusCode::OK);
    assert_eq!(get(&sandbox, &pass_path()).await.ids().len(), 1);
    assert_eq!((list(&front, "first", None).await, list(&front, "second", None).await.is_some()), (None, true));
}

#[tokio::test]
async fn a_repeated_registration_stores_the_new_push_token_and_counts_no_install() {
    let sandbox = sandbox().await;
    let front = sandbox.fresh_front().unwrap();
    assert_eq!(register(&front, DEVICE, "1", "old").await, StatusCode::CREATED);
    assert_eq!(register(&front, DEVICE, "1", "new").await, StatusCode::OK);
    assert_eq!(register(&front, DEVICE, "1", "new").await, StatusCode::OK);
    sandbox.tally().await.unwrap();
    let totals = get(&sandbox, &format!("{}/totals", report_path())).await.json();
    assert_eq!(totals["report"]["installs_count"], 1);
    let failed = |push_token: &str| {
        let now = jiff::Timestamp::now().to_string();
        json!({
            "event": "push_failed", "campaign_id": CAMPAIGN, "pass_id": PASS, "event_at": now,
            "event_extra": {"push_token": push_token},
        })
    };
    for (push_token, expected) in [("old", "unchanged"), ("new", "applied")] {
        let result = post(&sandbox, EVENTS, &failed(push_token)).await.json();
        assert_eq!(result["result"], expected, "{push_token}");
    }
}

#[tokio::test]
async fn what_the_index_does_not_show_yet_is_ended_all_the_same() {
    let sandbox = sandbox().await;
    let faults = sandbox.faults().await.unwrap();
    let front = sandbox.faulty_front(&faults).unwrap();
    faults.always(Fault::Behind);
    for _ in 0..2 {
        assert_eq!(register(&front, DEVICE, "1", "token").await, StatusCode::CREATED);
        assert_eq!(unregister(&front, DEVICE, "1").await, StatusCode::OK);
        assert!(get(&sandbox, &pass_path()).await.json().as_array().unwrap().is_empty());
    }
    assert_eq!(register(&front, DEVICE, "1", "token").await, StatusCode::CREATED, "right after it was unregistered");
    assert_eq!(get(&sandbox, &pass_path()).await.ids().len(), 1);
}

#[rstest]
#[case::the_serial_number_of_its_pass("1")]
#[case::the_serial_number_of_another_pass("2")]
#[tokio::test]
async fn what_an_event_registered_under_an_id_of_its_own_is_listed_and_ended(#[case] serial_number: &str) {
    let sandbox = sandbox().await;
    create(&sandbox, OTHER_PASS, "2").await;
    let front = sandbox.fresh_front().unwrap();
    let event = json!({
        "event": "installed", "campaign_id": CAMPAIGN, "pass_id": PASS, "event_at": "2016-11-09T12:00:00Z",
        "serial_number": serial_number, "pass_type_identifier": PASS_TYPE,
        "event_extra": {
            "registration_id": crate::REGISTRATION, "device_os": "ios", "device_app_vendor": "passbook",
            "device_library_identifier": DEVICE,
        },
    });
    assert_eq!(post(&sandbox, EVENTS, &event).await.json()["result"], "applied");
    assert_eq!(list(&front, DEVICE, None).await.unwrap().0, BTreeSet::from([serial_number.to_owned()]));
    let target = registration(DEVICE, serial_number);
    let wrong = send(&front, Method::DELETE, &target, "ApplePass fedcba9876543210", "").await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert_eq!(get(&sandbox, &pass_path()).await.ids().len(), 1);
    assert_eq!(unregister(&front, DEVICE, serial_number).await, StatusCode::OK);
    assert!(get(&sandbox, &pass_path()).await.json().as_array().unwrap().is_empty());
}

/// The signs of a wallet: its path, its headers and the members of its body besides the push token.
type Signs = (&'static str, &'static [(&'static str, &'static str)], &'static [(&'static str, &'static str)]);

/// Returns the signs by which each wallet is known, and its name.
fn wallets() -> [(&'static str, Signs); 8] {
    const FALLBACK: &str = "http://walletpasses.appspot.com/api/attido/";
    let attido = "registrations_attido";
    [
        ("passbook", ("registrations", &[("authorization", APPLE), ("user-agent", PASSD)], &[])),
        ("wallet_passes", ("registrations", &[("authorization", "AndroidPass 0123456789abcdef")], &[])),
        (
            "wallet_passes",
            (
                attido,
                &[("authorization", "AttidoPass 0123456789abcdef"), ("user-agent", "PassWallet/Android")],
                &[("pushServiceUrl", FALLBACK)],
            ),
        ),
        (
            "passwallet",
            (
                attido,
                &[("authorization", "AttidoPass 0123456789abcdef"), ("user-agent", "PassWallet/1.2")],
                &[("pushServiceUrl", "https://push.example.com")],
            ),
        ),
        ("pass2u", ("registrations", &[("authorization", APPLE), ("x-pass-client", "Passes")], &[])),
        ("passworks_wallet", ("registrations", &[("authorization", APPLE), ("x-pass-client", "Passworks")], &[])),
        ("other", ("registrations", &[("authorization", APPLE), ("user-agent", "okhttp/4.12.0")], &[])),
        ("other", ("registrations", &[("authorization", "WalletUnionPass 0123456789abcdef")], &[])),
    ]
}

#[tokio::test]
async fn each_wallet_is_listed_reported_and_unregistered_under_its_name() {
    let sandbox = sandbox().await;
    let front = sandbox.fresh_front().unwrap();
    for (number, (wallet, (registrations, headers, members))) in wallets().into_iter().enumerate() {
        let device = format!("device-{number}");
        let target = path(&format!("devices/{device}/{registrations}/{PASS_TYPE}/1"));
        let mut body = json!({"pushToken": "token"});
        for (name, value) in members {
            body[*name] = json!(value);
        }
        let answer = call(&front, Method::POST, &target, headers, body.to_string()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{wallet}");
        let filtered = get(&sandbox, &format!("{}?q[wallet_eq]={wallet}", campaign_path())).await;
        let os = if wallet == "passbook" { "ios" } else { "android" };
        let listed: Vec<Value> = serde_json::from_str(&filtered.body).unwrap();
        assert!(listed.iter().all(|registration| registration["device_os"] == os), "{listed:?}");
        assert_eq!(list(&front, &device, None).await.unwrap().0, BTreeSet::from(["1".to_owned()]), "{wallet}");
        sandbox.tally().await.unwrap();
        let totals = get(&sandbox, &format!("{}/totals", report_path())).await.json();
        assert_eq!(totals["report"]["wallets"][wallet]["active_count"], listed.len(), "{wallet}");
        // WalletPasses unregisters as Apple Wallet what it registered as PassWallet.
        assert_eq!(unregister(&front, &device, "1").await, StatusCode::OK);
        let left: Vec<Value> =
            serde_json::from_str(&get(&sandbox, &format!("{}?q[wallet_eq]={wallet}", campaign_path())).await.body)
                .unwrap();
        assert_eq!(left.len(), listed.len() - 1, "{wallet}");
    }
}

#[tokio::test]
async fn an_uninstall_by_the_derived_id_ends_what_a_wallet_registered() {
    let sandbox = sandbox().await;
    let front = sandbox.fresh_front().unwrap();
    assert_eq!(register(&front, DEVICE, "1", "token").await, StatusCode::CREATED);
    let event = json!({
        "event": "uninstalled", "campaign_id": CAMPAIGN, "pass_id": PASS,
        "event_at": jiff::Timestamp::now().to_string(),
        "event_extra": {"device_library_identifier": DEVICE, "device_app_vendor": Wallet::Passbook.as_str()},
    });
    assert_eq!(post(&sandbox, EVENTS, &event).await.json()["result"], "applied");
    assert_eq!(list(&front, DEVICE, None).await, None);
}

#[tokio::test]
async fn no_wallet_finds_a_broken_rule() {
    for wallet in SimulatedWallet::VARIANTS.iter().copied() {
        let sandbox = sandbox().await;
        create(&sandbox, OTHER_PASS, "B-1 é/7").await;
        let served = serve(sandbox.fresh_front().unwrap()).await;
        let [pass_type, serial_number, token] = [PASS_TYPE, "B-1 é/7", TOKEN].map(str::to_owned);
        let now = jiff::Timestamp::UNIX_EPOCH;
        let whole = Visit::new(wallet, served.wallet_url().parse().unwrap(), pass_type, serial_number, token, now);
        let path = pass_path().replace(PASS, OTHER_PASS);
        let mut listings = Vec::new();
        for extent in [Extent::Whole, Extent::KeepRegistered, Extent::KeepRegistered, Extent::Unregister] {
            let broken = simulated_wallet::run(&Visit { extent, ..whole.clone() }, |_| {}).await.unwrap();
            assert!(broken.is_empty(), "{extent:?}: {broken:?}");
            listings.push(get(&sandbox, &path).await.json());
        }
        let [after_whole, registered, registered_again, unregistered] = listings.try_into().unwrap();
        assert_eq!((after_whole, unregistered), (json!([]), json!([])));
        assert_eq!(registered.as_array().unwrap().len(), 1);
        assert_eq!(registered, registered_again, "a second visit changes nothing");
    }
}

#[tokio::test]
async fn an_update_is_listed_once_for_each_device_that_has_the_pass() {
    let sandbox = sandbox().await;
    create(&sandbox, OTHER_PASS, "2").await;
    let front = sandbox.fresh_front().unwrap();
    for (device, serial_number) in [("both", "1"), ("both", "2"), ("one", "1")] {
        assert_eq!(register(&front, device, serial_number, "token").await, StatusCode::CREATED);
    }
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let (listed, mut both) = list(&front, "both", None).await.unwrap();
    assert_eq!(listed, names(&["1", "2"]));
    let (listed, mut one) = list(&front, "one", None).await.unwrap();
    assert_eq!(listed, names(&["1"]));
    for (updated, expected_of_both, expected_of_one) in [
        (vec![Some(PASS)], Some(names(&["1"])), Some(names(&["1"]))),
        (vec![Some(OTHER_PASS)], Some(names(&["2"])), None),
        (vec![], None, None),
        (vec![None], Some(names(&["1", "2"])), Some(names(&["1"]))),
        // Within a millisecond.
        (vec![Some(PASS), Some(PASS), None], Some(names(&["1", "2"])), Some(names(&["1"]))),
    ] {
        for pass in updated {
            update(&sandbox, pass).await;
        }
        for (device, tag, expected) in [("both", &mut both, expected_of_both), ("one", &mut one, expected_of_one)] {
            let found = list(&front, device, Some(tag)).await;
            assert_eq!(found.as_ref().map(|(listed, _)| listed), expected.as_ref(), "{device}");
            if let Some((_, next)) = found {
                assert_ne!(next, *tag, "a device takes an unchanged tag for an error");
                *tag = next;
            }
            assert_eq!(list(&front, device, Some(tag)).await, None, "{device}");
        }
    }
}

/// What happens in the property test. Numbers stand for devices and passes.
#[derive(Debug, Clone, Copy)]
enum Step {
    Register(usize, usize),
    Unregister(usize, usize),
    List(usize),
    /// An update of a pass, or of every pass: without an instant, as it was just received, or with the instant so many
    /// minutes ago, because it comes late or once more. If the number is negative, the clock of its sender is ahead.
    Updated {
        pass: Option<usize>,
        minutes_ago: Option<i64>,
    },
}

const DEVICES: usize = 3;
/// The passes of the property test.
const PASSES: [&str; 3] = [PASS, OTHER_PASS, "d91aef7c-a166-4694-bb91-569714f9c33e"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (device, pass) = (0..DEVICES, 0..PASSES.len());
    let some_or_every = || prop::option::weighted(0.8, 0..PASSES.len());
    let step = prop_oneof![
        3 => (device.clone(), pass.clone()).prop_map(|(device, pass)| Step::Register(device, pass)),
        1 => (device.clone(), pass).prop_map(|(device, pass)| Step::Unregister(device, pass)),
        4 => device.prop_map(Step::List),
        5 => (some_or_every(), prop::option::weighted(0.4, -4..4_i64))
            .prop_map(|(pass, minutes_ago)| Step::Updated { pass, minutes_ago }),
    ];
    prop::collection::vec(step, 1..40)
}

/// Takes the steps, and compares each list with what it has to have: the passes that the device registered and that were
/// registered or updated since its last list.
async fn take(front: &ApiFront, case: usize, steps: Vec<Step>) {
    let mut pending: [BTreeMap<usize, bool>; DEVICES] = Default::default();
    let mut tags: [Option<String>; DEVICES] = Default::default();
    let name = |device: usize| format!("device-{case}-{device}");
    let number = |pass: usize| (pass + 1).to_string();
    for step in steps {
        match step {
            Step::Register(device, pass) => {
                let status = register(front, &name(device), &number(pass), "token").await;
                let is_known = pending[device].contains_key(&pass);
                assert_eq!(status, if is_known { StatusCode::OK } else { StatusCode::CREATED });
                pending[device].entry(pass).or_insert(true);
            }
            Step::Unregister(device, pass) => {
                assert_eq!(unregister(front, &name(device), &number(pass)).await, StatusCode::OK);
                pending[device].remove(&pass);
            }
            Step::List(device) => {
                let found = list(front, &name(device), tags[device].as_deref()).await;
                let expected: BTreeSet<_> = pending[device]
                    .iter()
                    .filter(|(_, is_pending)| **is_pending)
                    .map(|(pass, _)| number(*pass))
                    .collect();
                let (listed, tag) = found.map_or((BTreeSet::new(), None), |(listed, tag)| (listed, Some(tag)));
                assert_eq!(listed, expected);
                tags[device] = tag.or_else(|| tags[device].take());
                pending[device].values_mut().for_each(|is_pending| *is_pending = false);
            }
            Step::Updated { pass, minutes_ago } => {
                let ago = |minutes| (jiff::Timestamp::now() - jiff::SignedDuration::from_mins(minutes)).to_string();
                let at = minutes_ago.map(ago);
                let event = json!({
                    "event": "updated", "campaign_id": CAMPAIGN, "pass_id": pass.map(|pass| PASSES[pass]), "event_at": at,
                });
                let headers = [("content-type", "application/json")];
                let answer = call(front, Method::POST, EVENTS, &headers, event.to_string()).await;
                let is_stored = answer.json()["result"] == "applied";
                assert!(is_stored || at.is_some(), "an update without an instant is always stored");
                for registered in pending.iter_mut().flatten().filter(|_| is_stored) {
                    *registered.1 |= pass.is_none_or(|pass| pass == *registered.0);
                }
            }
        }
    }
}

#[test]
fn each_update_is_in_the_next_list_of_exactly_the_devices_that_have_the_pass() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let sandbox = runtime.block_on(async {
        let sandbox = sandbox().await;
        for (number, pass) in PASSES.into_iter().enumerate().skip(1) {
            create(&sandbox, pass, &(number + 1).to_string()).await;
        }
        sandbox
    });
    let front = sandbox.fresh_front().unwrap();
    let cases = AtomicUsize::new(0);
    let config = ProptestConfig { cases: 40, max_shrink_iters: 100, ..ProptestConfig::default() };
    let mut runner = TestRunner::new(config);
    runner
        .run(&steps(), |steps| {
            runtime.block_on(take(&front, cases.fetch_add(1, Ordering::Relaxed), steps));
            Ok(())
        })
        .unwrap();
}
