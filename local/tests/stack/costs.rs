//! The cost of requests: calls, round trips and request units.

use std::time::{Duration, Instant};

use domain::{time, wallet::Wallet};
use http::{Method, StatusCode};
use local::testing::{
    campaigns,
    google::SignedCallback,
    recorder::{Call, Recorder},
    sandbox::Sandbox,
};
use rstest::rstest;
use serde_json::json;

use crate::{
    call, campaign_path, get,
    google_wallet_callback::{self, Fixture, callback},
    pass_path, post,
    push_targets::{campaign_targets, pass_targets},
    reports::report_path,
};

fn operations(calls: &[Call]) -> Vec<&str> {
    let mut operations: Vec<_> = calls.iter().map(|call| call.operation.as_str()).collect();
    operations.sort_unstable();
    operations
}

fn units(calls: &[Call]) -> f64 {
    calls.iter().map(|call| call.units).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_and_a_report_take_one_round_trip() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    sandbox.tally().await.unwrap();
    let recorder = sandbox.recorder().await.unwrap();
    let front = sandbox.recorded_front(&recorder).unwrap();
    for (path, expected) in [
        // One call reads the key, the campaign and the totals.
        (campaign_path(), vec![("BatchGetItem", 1.5), ("Query", 0.5)]),
        // The page shows that the pass is known, and it has all registrations, so they are not counted separately.
        (pass_path(), vec![("BatchGetItem", 1.0), ("Query", 0.5)]),
        (report_path(), vec![("BatchGetItem", 1.0), ("Query", 0.5)]),
    ] {
        // If one call waited for another, none would be answered.
        recorder.hold_until(expected.len());
        let answer = call(&front, Method::GET, &path, &[], "").await;
        assert_eq!(answer.status, StatusCode::OK);
        let mut calls: Vec<_> = recorder.take().into_iter().map(|call| (call.operation, call.units)).collect();
        calls.sort_by(|left, right| left.0.cmp(&right.0));
        let calls: Vec<_> = calls.iter().map(|(operation, units)| (operation.as_str(), *units)).collect();
        assert_eq!(calls, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_read_for_a_request_without_credentials() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let recorder = sandbox.recorder().await.unwrap();
    let front = sandbox.recorded_front(&recorder).unwrap();
    for authorization in ["", "Digest demo", "Basic %%%"] {
        let answer = call(&front, Method::GET, &campaign_path(), &[("authorization", authorization)], "").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    assert!(recorder.take().is_empty());
}

/// With a key that is not valid, a request may read its key and one short page, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_a_valid_key_costs_at_most_six_read_units() {
    // The key is looked for a second time, because it may have been made just before.
    const CHECK: &[&str] = &["BatchGetItem", "BatchGetItem"];
    const CHECK_AND_PAGE: &[&str] = &["BatchGetItem", "BatchGetItem", "Query"];
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.load_campaign(crate::CAMPAIGN.parse().unwrap(), 10_003).await.unwrap();
    report_every_day_of_a_month(&sandbox).await;
    let recorder = sandbox.recorder().await.unwrap();
    let (campaign, pass, report) = (campaign_path(), pass_path(), report_path());
    let first = get(&sandbox, &format!("{campaign}?per_page=100")).await;
    let second = get(&sandbox, &first.link("next").unwrap()).await;
    let third = get(&sandbox, &second.link("next").unwrap()).await;
    let bookmarked = get(&sandbox, &format!("{campaign}?page=1&per_page=100")).await;
    assert_eq!(bookmarked.status, StatusCode::OK);
    let json = r#"{"wallet":"passbook","device_os":"ios","device_library_identifier":"d"}"#;
    for (method, target, body, expected) in [
        (Method::GET, campaign.clone(), "", CHECK_AND_PAGE),
        (Method::GET, format!("{campaign}?per_page=100"), "", CHECK_AND_PAGE),
        (Method::GET, format!("{campaign}?page=1&per_page=100"), "", CHECK_AND_PAGE),
        (Method::GET, format!("{campaign}?q[s]=created_at+desc"), "", CHECK_AND_PAGE),
        (Method::GET, first.link("next").unwrap(), "", CHECK_AND_PAGE),
        (Method::GET, third.link("prev").unwrap(), "", CHECK),
        (Method::GET, format!("{campaign}?per_page=101"), "", CHECK),
        (Method::GET, format!("{campaign}?page=2&per_page=100"), "", CHECK),
        (Method::GET, format!("{campaign}?page=9&per_page=1000"), "", CHECK),
        (Method::GET, format!("{campaign}?offset=1"), "", CHECK),
        (Method::GET, format!("{campaign}?q[id_match]=zz%25"), "", CHECK),
        (Method::GET, format!("{campaign}?q[created_at_gteq]=2016"), "", CHECK),
        (Method::GET, format!("{campaign}?q[s]=wallet"), "", CHECK),
        (Method::GET, format!("{campaign}?perpage=1"), "", CHECK),
        (Method::GET, format!("{campaign}?cursor=x"), "", CHECK),
        (Method::GET, pass.clone(), "", CHECK_AND_PAGE),
        (Method::GET, format!("{pass}?q[id_match]=zz%25"), "", CHECK),
        (Method::GET, format!("{pass}?page=2"), "", CHECK),
        (Method::GET, campaign_targets(), "", CHECK),
        (Method::GET, pass_targets(), "", CHECK),
        (Method::GET, report.clone(), "", CHECK_AND_PAGE),
        (Method::GET, format!("{report}?start_date=2016-11-09&end_date=2016-11-09"), "", CHECK),
        (Method::GET, format!("{report}?start_date=x"), "", CHECK),
        (Method::GET, format!("{report}/totals"), "", CHECK_AND_PAGE),
        (Method::GET, "/v2/coupons/x/registrations".to_owned(), "", CHECK),
        (Method::POST, pass.clone(), json, CHECK),
        (Method::POST, pass.clone(), "{", CHECK),
        (Method::DELETE, format!("{pass}/{}", crate::REGISTRATION), "", CHECK),
        (Method::POST, "/v2/registration_events".to_owned(), "[]", CHECK),
    ] {
        let front = sandbox.recorded_front(&recorder).unwrap();
        // The first calls are held back until all of them have arrived, so that none is given up before it is sent.
        recorder.hold_next(expected.len() - 1);
        let headers = [("authorization", "Bearer wrong"), ("content-type", "application/json")];
        let answer = call(&front, method.clone(), &target, &headers, body).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {target}");
        recorder.settled().await;
        let calls = recorder.take();
        assert_eq!(operations(&calls), expected, "{method} {target}");
        assert!(units(&calls) <= 6.0, "{method} {target}: {calls:?}");
        let is_month = target == report;
        assert!(!is_month || units(&calls) >= 2.0, "the month has counts: {calls:?}");
    }
}

/// Installs a pass in every wallet on each of the last 32 days, and counts the installs.
async fn report_every_day_of_a_month(sandbox: &Sandbox) {
    let now = time::now();
    let event = |number: u64| {
        let wallet = Wallet::ALL[usize::try_from(number).unwrap() % Wallet::ALL.len()];
        json!({
            "event": "installed", "campaign_id": crate::CAMPAIGN, "pass_id": crate::PASS,
            "event_at": now.minus(Duration::from_hours(4 * number)).unwrap(),
            "event_extra": {
                "registration_id": format!("c0000000-0000-4000-8000-{number:012}"), "device_os": "ios",
                "device_app_vendor": wallet,
            },
        })
    };
    let events: Vec<_> = (0..6 * 32).map(event).collect();
    assert_eq!(post(sandbox, "/v2/registration_events", &json!(events)).await.status, StatusCode::OK);
    sandbox.tally().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_costs_the_same_at_any_depth() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.load_campaign(crate::CAMPAIGN.parse().unwrap(), 100_003).await.unwrap();
    let recorder = sandbox.recorder().await.unwrap();
    let path = campaign_path();
    let mut costs = Vec::new();
    // Page 99 is reached by a jump. Pages beyond page 100 are reached by requesting every page before them.
    let mut walked = 100;
    for page in [2, 100, 2_000] {
        let front = sandbox.fresh_front().unwrap();
        for page in walked + 1..page - 1 {
            call(&front, Method::GET, &format!("{path}?page={page}&per_page=50"), &[], "").await;
        }
        walked = walked.max(page);
        for page in [page - 1, page] {
            recorder.take().clear();
            // A new front has functions that remember nothing.
            let front = sandbox.recorded_front(&recorder).unwrap();
            let answer = call(&front, Method::GET, &format!("{path}?page={page}&per_page=50"), &[], "").await;
            let expected = (page - 1) * 50..page * 50;
            assert_eq!(answer.ids(), expected.map(campaigns::registration_id).collect::<Vec<_>>());
            assert_eq!(answer.header("x-total"), Some("100003"), "read from one item");
        }
        let calls = recorder.take();
        costs.push((operations(&calls).join(" "), units(&calls)));
    }
    assert!(costs.iter().all(|cost| *cost == costs[0]), "{costs:?}");
    // The key, the campaign, the totals, the read of a bookmark, the write of a bookmark, and 2 read units for the
    // page.
    assert!(costs[0].1 <= 0.5 + 0.5 + 0.5 + 1.0 + 1.0 + 2.0, "{costs:?}");

    let front = sandbox.recorded_front(&recorder).unwrap();
    recorder.take().clear();
    call(&front, Method::GET, &format!("{path}?per_page=1000"), &[], "").await;
    let page: Vec<_> = recorder.take().into_iter().filter(|call| call.operation == "Query").collect();
    assert!(units(&page) < 25.0, "1,000 registrations: {page:?}");

    for after in ["", "?per_page=50"] {
        let front = sandbox.recorded_front(&recorder).unwrap();
        // The totals are remembered for three seconds. On a busy machine, the second page may come later.
        loop {
            let began = Instant::now();
            let first = call(&front, Method::GET, &format!("{path}{after}"), &[], "").await;
            recorder.take().clear();
            call(&front, Method::GET, &first.link("next").unwrap(), &[], "").await;
            let calls = recorder.take();
            if began.elapsed() < Duration::from_secs(3) {
                let reason = "key, campaign and totals are remembered; Link needs no bookmark";
                assert_eq!(operations(&calls), ["Query"], "{reason}");
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_pass_costs_the_same_at_any_depth() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let event = |number: usize| {
        json!({
            "event": "installed", "campaign_id": crate::CAMPAIGN, "pass_id": crate::PASS,
            "event_at": format!("2016-11-10T{:02}:{:02}:{:02}Z", number / 3600, number / 60 % 60, number % 60),
            "event_extra": {
                "registration_id": campaigns::registration_id(number), "device_os": "ios", "device_app_vendor": "passbook",
            },
        })
    };
    for first in [0, 500] {
        let events: Vec<_> = (first..first + 500).map(event).collect();
        assert_eq!(post(&sandbox, "/v2/registration_events", &json!(events)).await.status, StatusCode::OK);
    }
    let recorder = sandbox.recorder().await.unwrap();
    let front = sandbox.recorded_front(&recorder).unwrap();
    let mut costs = Vec::new();
    let mut next = Some(format!("{}?per_page=50", pass_path()));
    while let Some(target) = next {
        recorder.take().clear();
        let answer = call(&front, Method::GET, &target, &[], "").await;
        assert_eq!(answer.header("x-total"), Some("1002"), "counted by reading");
        costs.push((answer.ids().len(), units(&recorder.take())));
        next = answer.link("next");
    }
    // The first request also reads the key and the campaign. The last page has two registrations.
    assert_eq!((costs.len(), costs[20].0), (21, 2));
    assert!(costs[1..20].iter().all(|cost| *cost == costs[1]), "{costs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_push_targets_is_one_strongly_consistent_query_at_any_depth() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.load_campaign(crate::CAMPAIGN.parse().unwrap(), 1_000).await.unwrap();
    let recorder = sandbox.recorder().await.unwrap();
    let front = sandbox.recorded_front(&recorder).unwrap();
    let mut costs = Vec::new();
    let mut next = Some(format!("{}?per_page=50", campaign_targets()));
    while let Some(target) = next {
        let answer = call(&front, Method::GET, &target, &[], "").await;
        next = answer.link("next");
        let calls = recorder.take();
        costs.push((operations(&calls).join(" "), units(&calls)));
    }
    assert_eq!(costs.len(), 20);
    // The first request also reads the key and the campaign.
    assert_eq!(costs[0].0, "BatchGetItem Query");
    assert_eq!(costs[1].0, "Query");
    assert!(costs[1..19].iter().all(|cost| *cost == costs[1]), "{costs:?}");
    // 51 items of about half a kilobyte, at one unit for each 4 KB.
    assert!((5.0..=9.0).contains(&costs[1].1), "{costs:?}");
}

#[rstest]
#[case::without_a_device(None, 3.0)]
#[case::with_a_device(Some("d".repeat(128)), 4.0)]
#[tokio::test(flavor = "multi_thread")]
async fn an_install_costs_a_write_unit_for_the_item_and_one_for_each_index_and_a_late_event_one(
    #[case] device: Option<String>,
    #[case] units_of_a_change: f64,
) {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let recorder = sandbox.recorder().await.unwrap();
    let front = sandbox.recorded_front(&recorder).unwrap();
    let event = |name: &str, at: &str| {
        json!({
            "event": name, "campaign_id": crate::CAMPAIGN, "pass_id": crate::PASS, "event_at": at,
            "event_extra": {
                "registration_id": "5f0c1d6e-6f1c-4d8a-9d4c-0c6f3f3c1b2a", "device_os": "ios",
                "device_app_vendor": "passbook", "push_token": "t".repeat(384), "device_library_identifier": device,
            },
        })
        .to_string()
    };
    let headers = [("content-type", "application/json")];
    let mut first = true;
    for (body, expected) in [
        (event("installed", "2016-11-10T00:00:00Z"), units_of_a_change),
        (event("installed", "2016-11-10T00:00:00Z"), 1.0),
        (event("uninstalled", "2016-11-09T00:00:00Z"), 1.0),
        (event("uninstalled", "2016-11-11T00:00:00Z"), units_of_a_change),
    ] {
        let answer = call(&front, Method::POST, "/v2/registration_events", &headers, &body).await;
        assert_eq!(answer.status, StatusCode::OK);
        let calls = recorder.take();
        // A process claims a campaign with its first write to it, even if the campaign is already claimed. Then it
        // remembers the campaign.
        let claims = calls.iter().filter(|call| call.operation == "UpdateItem").count();
        assert_eq!(claims, usize::from(std::mem::take(&mut first)));
        let written: Vec<_> = calls.iter().filter(|call| call.operation == "PutItem").cloned().collect();
        assert_eq!(written.len(), 1);
        assert!((units(&written) - expected).abs() < f64::EPSILON, "{written:?}");
    }
}

/// Fails unless the request makes exactly the calls of `rounds`, those of each round trip concurrently, and writes at a
/// cost of `written` write units. The recorder holds back the calls of a round trip until all of them are under way.
async fn expect_rounds(
    recorder: &Recorder,
    case: &str,
    rounds: &[&[&str]],
    written: f64,
    request: impl Future<Output = ()>,
) {
    recorder.hold_rounds(&rounds.iter().map(|calls| calls.len()).collect::<Vec<_>>());
    let answered = tokio::time::timeout(Duration::from_secs(25), request).await;
    answered.unwrap_or_else(|_| panic!("{case}: the calls of a round trip do not run concurrently"));
    let calls = recorder.take();
    let mut expected: Vec<_> = rounds.concat();
    expected.sort_unstable();
    assert_eq!(operations(&calls), expected, "{case}");
    let writes: Vec<_> =
        calls.into_iter().filter(|call| ["PutItem", "UpdateItem"].contains(&&*call.operation)).collect();
    assert!((units(&writes) - written).abs() < f64::EPSILON, "{case}: {writes:?}");
}

const WALLET_HEADERS: [(&str, &str); 2] =
    [("authorization", "ApplePass c0ffee3141592653c0ffee5897932384"), ("user-agent", "passd/1.0")];
const READ: &[&str] = &["BatchGetItem"];
const PUT: &[&str] = &["PutItem"];
const UPDATE: &[&str] = &["UpdateItem"];
const READ_AND_QUERY: &[&str] = &["BatchGetItem", "Query"];

fn wallet_path(device: &str, serial_number: &str) -> String {
    format!("/wallet/demo/v1/devices/{device}/registrations/pass.com.example.coupon/{serial_number}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_a_wallet_takes_at_most_three_round_trips_and_five_write_units() {
    let sandbox = Sandbox::with_wallet_events().await.unwrap();
    let recorder = sandbox.recorder().await.unwrap();
    let front = sandbox.recorded_front(&recorder).unwrap();
    let path = wallet_path(&"d".repeat(128), "1");
    let token = |letter: &str| json!({"pushToken": letter.repeat(384)}).to_string();
    let unknown = wallet_path("d", "2");
    let (own, wrong) = (WALLET_HEADERS, [("authorization", "ApplePass 0000000000000000"), WALLET_HEADERS[1]]);
    let (post, delete) = (Method::POST, Method::DELETE);
    for (case, method, path, headers, body, status, rounds, written) in [
        ("new", &post, &path, own, token("a"), 201, &[READ, PUT][..], 4.0),
        ("again", &post, &path, own, token("a"), 200, &[READ, PUT, UPDATE], 2.0),
        ("a new push token", &post, &path, own, token("b"), 200, &[READ, PUT, UPDATE], 2.0),
        ("a wrong token", &post, &path, wrong, token("b"), 401, &[READ], 0.0),
        ("a wrong token", &delete, &path, wrong, String::new(), 401, &[READ], 0.0),
        ("an unknown pass", &post, &unknown, own, token("b"), 401, &[READ], 0.0),
        // The registrations are looked for under their derived ids and in the index.
        ("ended", &delete, &path, own, String::new(), 200, &[READ, READ_AND_QUERY, PUT], 4.0),
        ("ended before", &delete, &path, own, String::new(), 200, &[READ, READ_AND_QUERY], 0.0),
        ("registered after its end", &post, &path, own, token("a"), 201, &[READ, PUT], 4.0),
    ] {
        let request = async {
            let answer = call(&front, method.clone(), path, &headers, &body).await;
            assert_eq!(answer.status.as_u16(), status, "{case}");
        };
        expect_rounds(&recorder, case, rounds, written, request).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_ahead_takes_a_third_round_trip_and_a_serial_number_found_decoded_does_not() {
    let sandbox = Sandbox::with_wallet_events().await.unwrap();
    let pass = crate::OTHER_PASS;
    let ahead = time::now().plus(Duration::from_mins(4)).to_string();
    let events = json!([
        {
            "event": "uninstalled", "campaign_id": crate::CAMPAIGN, "pass_id": pass, "event_at": ahead,
            "event_extra": {"device_library_identifier": "d", "device_app_vendor": "passbook"},
        },
        {
            "event": "created", "campaign_id": crate::CAMPAIGN, "pass_id": pass, "event_at": "2016-11-09T11:09:00Z",
            "serial_number": "a b", "pass_type_identifier": "pass.com.example.coupon",
            "authentication_token": "c0ffee3141592653c0ffee5897932384",
        },
    ]);
    let results = post(&sandbox, "/v2/registration_events", &events).await.json();
    assert!(results.as_array().unwrap().iter().all(|result| result["result"] == "applied"), "{results}");
    let recorder = sandbox.recorder().await.unwrap();
    let front = sandbox.recorded_front(&recorder).unwrap();
    for (case, path, rounds, written) in [
        // The write that fails costs a unit too.
        ("a removal ahead", wallet_path("d", "1"), &[READ, PUT, PUT][..], 5.0),
        // One call reads it as it came and decoded.
        ("a serial number found decoded", wallet_path("e", "a%252520b"), &[READ, PUT], 4.0),
    ] {
        let request = async {
            let answer = call(&front, Method::POST, &path, &WALLET_HEADERS, r#"{"pushToken":"t"}"#).await;
            assert_eq!(answer.status, StatusCode::CREATED, "{case}");
        };
        expect_rounds(&recorder, case, rounds, written, request).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_of_google_takes_two_round_trips_and_a_third_to_store_fetched_keys() {
    let fixture = Fixture::start().await;
    fixture.create().await;
    let recorder = fixture.sandbox.recorder().await.unwrap();
    let front = fixture.sandbox.recorded_front(&recorder).unwrap();
    let saved = callback("save", 1).body().to_string();
    let forged = SignedCallback { recipient: "1".to_owned(), ..callback("save", 2) }.body().to_string();
    let expires_at = google_wallet_callback::now() + google_wallet_callback::HOUR;
    let unknown =
        SignedCallback::new("save", google_wallet_callback::ISSUER, "3388000000022000000.unknown", expires_at);
    for (case, body, status, rounds, written) in [
        // The keys are fetched, and stored for other processes.
        ("save, first of all", saved.clone(), 200, &[READ, PUT, PUT][..], 4.0),
        ("save again", saved, 200, &[READ, PUT], 1.0),
        ("del", callback("del", 3).body().to_string(), 200, &[READ, PUT], 3.0),
        ("save after del", callback("save", 4).body().to_string(), 200, &[READ, PUT], 3.0),
        ("forged", forged, 400, &[READ], 0.0),
        ("an unknown object", unknown.body().to_string(), 404, &[READ], 0.0),
        ("malformed", "{}".to_owned(), 400, &[], 0.0),
    ] {
        let request = async {
            let headers = [("content-type", "application/json")];
            let answer = call(&front, Method::POST, google_wallet_callback::PATH, &headers, body).await;
            assert_eq!(answer.status.as_u16(), status, "{case}");
        };
        expect_rounds(&recorder, case, rounds, written, request).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_push_targets_is_read_after_the_key() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let installed = json!({
        "event": "installed", "campaign_id": crate::CAMPAIGN, "pass_id": crate::PASS,
        "event_at": "2016-11-10T00:00:00Z",
        "event_extra": {
            "device_library_identifier": "d", "device_os": "ios", "device_app_vendor": "passbook", "push_token": "t",
        },
    });
    assert_eq!(post(&sandbox, "/v2/registration_events", &installed).await.json()["result"], "applied");
    let recorder = sandbox.recorder().await.unwrap();
    for target in [campaign_targets(), pass_targets()] {
        // A new front has functions that remember nothing.
        let front = sandbox.recorded_front(&recorder).unwrap();
        let request = async {
            assert_eq!(call(&front, Method::GET, &target, &[], "").await.status, StatusCode::OK);
        };
        expect_rounds(&recorder, &target, &[READ, &["Query"]], 0.0, request).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_a_device_takes_two_round_trips_however_many_passes_it_has() {
    let sandbox = Sandbox::start().await.unwrap();
    let named = |number: usize| {
        let id = campaigns::registration_id(number);
        json!({
            "event": "installed", "campaign_id": crate::CAMPAIGN, "pass_id": id, "event_at": "2016-11-10T00:00:00Z",
            "serial_number": number.to_string(), "pass_type_identifier": "pass.com.example.coupon",
            "event_extra": {
                "registration_id": id, "device_os": "ios", "device_app_vendor": "passbook",
                "device_library_identifier": "device",
            },
        })
    };
    let recorder = sandbox.recorder().await.unwrap();
    let front = sandbox.recorded_front(&recorder).unwrap();
    let path = "/wallet/demo/v1/devices/device/registrations/pass.com.example.coupon";
    let mut count = 0;
    for unknown in [path.replace("/device/", "/unknown/"), path.replace("coupon", "other")] {
        let request = async {
            assert_eq!(call(&front, Method::GET, &unknown, &[], "").await.status, StatusCode::NO_CONTENT);
        };
        expect_rounds(&recorder, &unknown, &[&["Query"]], 0.0, request).await;
    }
    // The updates of 100 passes, less the one of their campaign, are read with one call.
    for (passes, reads) in [(1, 1), (99, 1), (100, 2), (300, 4)] {
        let events: Vec<_> = (count..passes).map(named).collect();
        assert_eq!(post(&sandbox, "/v2/registration_events", &json!(events)).await.status, StatusCode::OK);
        count = passes;
        let reads = vec!["BatchGetItem"; reads];
        let mut tag = String::new();
        let first = async {
            let body = call(&front, Method::GET, path, &[], "").await.json();
            assert_eq!(body["serialNumbers"].as_array().unwrap().len(), passes);
            body["lastUpdated"].as_str().unwrap().clone_into(&mut tag);
        };
        expect_rounds(&recorder, "first", &[&["Query"], &reads], 0.0, first).await;
        let unchanged = async {
            let target = format!("{path}?passesUpdatedSince={tag}");
            assert_eq!(call(&front, Method::GET, &target, &[], "").await.status, StatusCode::NO_CONTENT);
        };
        expect_rounds(&recorder, "unchanged", &[&["Query"], &reads], 0.0, unchanged).await;
    }
}
