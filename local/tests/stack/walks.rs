//! Walks through listings. Every request goes to functions that have just started, so nothing depends on their memory.

use std::{cell::Cell, collections::BTreeSet, ops::Range};

use http::{Method, StatusCode};
use local::{aws::front::ApiFront, testing::sandbox::Sandbox};
use proptest::{prelude::*, sample::select, test_runner::TestRunner};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Answer, CAMPAIGN, DEMO, admin, call, campaign_path, get, post};

const COUNT: usize = 5_000;

/// Starts a stack and installs the first `count` registrations. Returns their ids in order.
pub(crate) async fn installed(count: usize) -> (Sandbox, Vec<String>) {
    let sandbox = Sandbox::start().await.unwrap();
    let ids = install(&sandbox, 0..count).await;
    (sandbox, ids)
}

/// Installs registrations, three per second, alternately in two wallets. Returns their ids in order.
async fn install(sandbox: &Sandbox, numbers: Range<usize>) -> Vec<String> {
    let id = |number: usize| format!("00000000-0000-4000-8000-{number:012x}");
    let event = |number: usize| {
        let seconds = number / 3;
        json!({
            "event": "installed", "campaign_id": CAMPAIGN, "campaign_type": "coupons",
            "pass_id": format!("00000000-0000-4000-9000-{:012x}", number / 2),
            "event_at": format!("2016-11-09T{:02}:{:02}:{:02}Z", seconds / 3600, seconds / 60 % 60, seconds % 60),
            "event_extra": {
                "registration_id": id(number),
                "device_os": if number.is_multiple_of(2) { "ios" } else { "android" },
                "device_app_vendor": if number.is_multiple_of(2) { "passbook" } else { "google_wallet" },
            },
        })
    };
    for first in numbers.clone().step_by(500) {
        let events: Vec<Value> = (first..numbers.end.min(first + 500)).map(event).collect();
        let answer = post(sandbox, "/v2/registration_events", &Value::Array(events)).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.json().as_array().unwrap().iter().all(|result| result["result"] == "applied"));
    }
    numbers.map(id).collect()
}

fn paging(answer: &Answer) -> [Option<&str>; 7] {
    ["x-total", "x-total-pages", "x-page", "x-per-page", "x-offset", "x-next-page", "x-prev-page"]
        .map(|name| answer.header(name))
}

/// Follows `rel` from `answer` to the end. Returns the ids of all pages in the order of the listing, and the last
/// answer.
async fn follow(sandbox: &Sandbox, mut answer: Answer, rel: &str) -> (Vec<String>, Answer) {
    let mut ids = answer.ids();
    while let Some(target) = answer.link(rel) {
        answer = get(sandbox, &target).await;
        let page = answer.ids();
        match rel {
            "prev" => ids.splice(0..0, page),
            _ => ids.splice(ids.len().., page),
        };
    }
    (ids, answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_registrations_are_walked_by_page_and_by_link() {
    let (sandbox, all) = installed(COUNT).await;
    let path = campaign_path();

    let mut walked = Vec::new();
    for page in 1..=100 {
        let answer = get(&sandbox, &format!("{path}?page={page}&per_page=50")).await;
        walked.extend(answer.ids());
        let (next, previous) = ((page + 1).to_string(), (page - 1).to_string());
        let next = (page < 100).then_some(next.as_str());
        let previous = (page > 1).then_some(previous.as_str());
        let number = page.to_string();
        let expected = [Some("5000"), Some("100"), Some(number.as_str()), Some("50"), Some("0"), next, previous];
        assert_eq!(paging(&answer), expected);
        assert_eq!(
            (answer.link("next").is_some(), answer.link("prev").is_some()),
            (next.is_some(), previous.is_some())
        );
    }
    assert_eq!(walked, all, "every id once and in order");

    let first = get(&sandbox, &format!("{path}?per_page=500")).await;
    let (walked, last) = follow(&sandbox, first, "next").await;
    assert_eq!(walked, all);
    assert_eq!(paging(&last), [Some("5000"), Some("10"), Some("10"), Some("500"), Some("0"), None, Some("9")]);
    let (walked, first) = follow(&sandbox, last, "prev").await;
    assert_eq!(walked, all, "the same backwards");
    assert_eq!(paging(&first)[5..], [Some("2"), None]);

    // Newest first, with an offset.
    let first = get(&sandbox, &format!("{path}?per_page=1000&offset=10&q[s]=created_at+desc")).await;
    assert_eq!(paging(&first)[..2], [Some("5000"), Some("5")]);
    let (walked, _) = follow(&sandbox, first, "next").await;
    assert_eq!(walked.into_iter().rev().collect::<Vec<_>>(), all[..COUNT - 10]);

    // With filters that match every second registration, a few registrations, and those of one minute.
    for (per_page, filter, expected) in [
        (500, "q[wallet_eq]=google_wallet", all.iter().skip(1).step_by(2).cloned().collect::<Vec<_>>()),
        (8, "q%5Bid_match%5D=%25ff", all.iter().filter(|id| id.ends_with("ff")).cloned().collect()),
        (50, "q[created_at_gteq]=2016-11-09T00:20&q[created_at_lt]=2016-11-09T00:21", all[3600..3780].to_vec()),
    ] {
        let first = get(&sandbox, &format!("{path}?per_page={per_page}&{filter}")).await;
        assert_eq!(first.header("x-total"), Some(expected.len().to_string().as_str()), "{filter}");
        let (walked, last) = follow(&sandbox, first, "next").await;
        assert_eq!(walked, expected, "{filter}");
        let (walked, _) = follow(&sandbox, last, "prev").await;
        assert_eq!(walked, expected, "{filter}");
    }

    // Sorted by another attribute: the limit is 5,000 registrations.
    let first = get(&sandbox, &format!("{path}?per_page=1000&q[s]=device_os+asc")).await;
    let by_system: Vec<_> = all.iter().skip(1).step_by(2).chain(all.iter().step_by(2)).cloned().collect();
    let (walked, last) = follow(&sandbox, first, "next").await;
    assert_eq!(walked, by_system);
    let (walked, _) = follow(&sandbox, last, "prev").await;
    assert_eq!(walked, by_system);
    let third = get(&sandbox, &format!("{path}?page=3&per_page=1000&q[s]=device_os+asc")).await;
    assert_eq!(third.ids(), by_system[2000..3000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_finds_its_page_up_to_a_limit() {
    let (sandbox, mut all) = installed(10_000).await;
    let path = campaign_path();
    let filtered = format!("{path}?per_page=1&q[id_not_eq]={}", all[0]);
    assert_eq!(get(&sandbox, &filtered).await.header("x-total"), Some("9999"), "counting reads at most 10,000");
    all.extend(install(&sandbox, 10_000..11_001).await);
    assert_eq!(get(&sandbox, &filtered).await.header("x-total"), None, "counting them would read too many");

    let jump = get(&sandbox, &format!("{path}?page=11&per_page=1000")).await;
    assert_eq!(jump.ids(), all[10_000..11_000]);
    assert_eq!(jump.header("x-total"), None, "counting them would read too many");
    assert_eq!((jump.header("x-next-page"), jump.header("x-prev-page")), (Some("12"), Some("10")));
    // The jump to page 11 stored a bookmark for page 12. Without it, page 12 would be too far.
    assert_eq!(get(&sandbox, &format!("{path}?page=12&per_page=1000")).await.ids(), all[11_000..]);
    let limit = get(&sandbox, &format!("{path}?page=101&per_page=100")).await;
    assert_eq!(limit.ids(), all[10_000..10_100]);
    let too_far = get(&sandbox, &format!("{path}?page=103&per_page=100")).await;
    assert_eq!((too_far.status, &too_far.json()["error"]), (StatusCode::BAD_REQUEST, &json!("page_too_far")));
    assert!(too_far.json()["errors"]["page"][0].as_str().unwrap().contains("Link"));

    let too_many = get(&sandbox, &format!("{path}?q[s]=wallet+asc")).await;
    assert_eq!((too_many.status, &too_many.json()["error"]), (StatusCode::BAD_REQUEST, &json!("too_many_to_sort")));

    // If a filter matches none of the first 10,000 registrations, the page is empty, and its next link continues the
    // search.
    let last = &all[11_000];
    let mut answer = get(&sandbox, &format!("{path}?per_page=2&q[id_eq]={last}")).await;
    assert_eq!((answer.ids().len(), answer.header("x-total")), (0, None));
    let target = answer.link("next").unwrap();
    answer = get(&sandbox, &target).await;
    assert_eq!(answer.ids(), all[11_000..]);
    assert_eq!((answer.header("x-next-page"), answer.header("x-prev-page")), (None, Some("1")));
}

#[tokio::test]
async fn pages_past_the_end_are_empty() {
    let (sandbox, all) = installed(10).await;
    let path = campaign_path();
    for (query, expected, previous) in [
        ("page=2&per_page=10", 0, Some("1")),
        ("page=3&per_page=10", 0, None),
        ("page=2&per_page=5&offset=5", 0, Some("1")),
        ("page=1&offset=10", 0, None),
        ("page=4294967295", 0, None),
        ("page=3&per_page=5&q[s]=wallet+asc", 0, Some("2")),
        ("page=9&per_page=5&q[s]=wallet+asc", 0, None),
    ] {
        let answer = get(&sandbox, &format!("{path}?{query}")).await;
        if query.contains("4294967295") {
            assert_eq!(answer.json()["error"], "page_too_far");
            continue;
        }
        assert_eq!(answer.ids().len(), expected, "{query}");
        assert_eq!((answer.header("x-next-page"), answer.header("x-prev-page")), (None, previous), "{query}");
        assert_eq!(answer.header("x-total"), Some("10"));
    }
    let whole: BTreeSet<_> = get(&sandbox, &path).await.ids().into_iter().collect();
    assert_eq!(whole, all.into_iter().collect());
}

#[tokio::test]
async fn a_second_walk_by_page_numbers_is_exact_after_the_listing_shrank() {
    let (sandbox, all) = installed(10).await;
    for order in ["created_at asc", "wallet asc"] {
        for page in 1..=5 {
            get(&sandbox, &format!("{}?page={page}&per_page=2&q[s]={order}", campaign_path()).replace(' ', "+")).await;
        }
    }
    let removed: Vec<_> = [0, 1, 2, 5, 6, 9].iter().map(|number| uninstalled(&all[*number], *number)).collect();
    assert_eq!(post(&sandbox, "/v2/registration_events", &Value::Array(removed)).await.status, StatusCode::OK);
    for (order, expected) in [("created_at asc", [3, 4, 7, 8]), ("wallet asc", [3, 7, 4, 8])] {
        let mut walked = Vec::new();
        for (page, previous) in [(1, None), (2, Some("1")), (3, None), (4, None), (5, None)] {
            let target = format!("{}?page={page}&per_page=2&q[s]={order}", campaign_path()).replace(' ', "+");
            let answer = get(&sandbox, &target).await;
            walked.extend(answer.ids());
            assert_eq!(
                (answer.header("x-page"), answer.header("x-prev-page")),
                (Some(page.to_string().as_str()), previous)
            );
        }
        assert_eq!(walked, expected.map(|number: usize| all[number].clone()), "{order}");
    }
}

/// Returns the event that ends the registration with this number.
fn uninstalled(id: &str, number: usize) -> Value {
    json!({
        "event": "uninstalled", "campaign_id": CAMPAIGN, "pass_id": format!("00000000-0000-4000-9000-{:012x}", number / 2),
        "event_at": "2016-11-10T00:00:00Z", "event_extra": {"registration_id": id},
    })
}

#[tokio::test]
async fn callers_do_not_share_their_walks() {
    let (sandbox, all) = installed(10).await;
    let add_key = json!({"action": "add_key", "account_id": "demo", "access": "read_only"});
    let key = admin(&sandbox, add_key).await.unwrap()["api_key"].as_str().unwrap().to_owned();
    let front = sandbox.fresh_front().unwrap();
    let page = async |authorization: &str, page: usize| {
        let target = format!("{}?page={page}&per_page=4", campaign_path());
        call(&front, Method::GET, &target, &[("authorization", authorization)], "").await.ids()
    };
    assert_eq!(page(DEMO, 1).await, all[..4]);
    let removed = json!([uninstalled(&all[0], 0)]);
    assert_eq!(post(&sandbox, "/v2/registration_events", &removed).await.status, StatusCode::OK);
    assert_eq!(page(&key, 1).await, all[1..5]);
    assert_eq!(page(DEMO, 2).await, all[4..8], "after the first caller's page 1");
    assert_eq!(page(&key, 2).await, all[5..9], "after the second caller's page 1");
}

/// A change of the listing between two pages: the registration with this number comes or goes.
type Change = usize;

/// Installs or ends the registration with this number in a campaign of its own.
fn change(campaign: &str, number: usize, is_installed: bool, at: usize) -> Value {
    let (system, wallet) = (["ios", "android", "wp"][number % 3], ["passbook", "pass2u"][number % 2]);
    json!({
        "event": if is_installed { "installed" } else { "uninstalled" },
        "campaign_id": campaign, "campaign_type": "coupons", "pass_id": format!("00000000-0000-4000-9000-{number:012x}"),
        "event_at": format!("2016-11-09T00:{:02}:{:02}Z", at / 60, at % 60),
        "event_extra": {
            "registration_id": format!("00000000-0000-4000-8000-{number:012x}"), "device_os": system,
            "device_app_vendor": wallet,
        },
    })
}

/// Walks twice by page number through a listing that changes between the pages.
async fn walk_twice(front: &ApiFront, campaign: &str, query: &str, per_page: usize, changes: &[Vec<Change>]) {
    let matches = |number: &usize| !query.contains("device_os_in") || number % 3 != 2;
    let mut active = BTreeSet::new();
    let mut at = 0;
    let mut apply = async |active: &mut BTreeSet<usize>, numbers: &[usize]| {
        let mut events = Vec::new();
        for number in numbers {
            at += 1;
            events.push(change(campaign, *number, active.insert(*number), at));
            if events.last().unwrap()["event"] == "uninstalled" {
                active.remove(number);
            }
        }
        let headers = [("content-type", "application/json")];
        let body = Value::Array(events).to_string();
        let answer = call(front, Method::POST, "/v2/registration_events", &headers, &body).await;
        assert!(answer.json().as_array().unwrap().iter().all(|result| result["result"] == "applied"), "{answer:?}");
    };
    apply(&mut active, &(0..9).collect::<Vec<_>>()).await;
    let (first, second) = changes.split_at(changes.len() / 2);
    for changes in [first, second] {
        // The registrations that are active during the whole walk, and all that the walk listed.
        let (mut lasting, mut listed) = (active.clone(), Vec::new());
        for (page, numbers) in changes.iter().enumerate() {
            let target = format!("/v2/coupons/{campaign}/registrations?page={}&per_page={per_page}{query}", page + 1);
            listed.extend(call(front, Method::GET, &target, &[], "").await.ids());
            apply(&mut active, numbers).await;
            lasting.retain(|number| !numbers.contains(number));
        }
        for page in changes.len().. {
            let target = format!("/v2/coupons/{campaign}/registrations?page={}&per_page={per_page}{query}", page + 1);
            let ids = call(front, Method::GET, &target, &[], "").await.ids();
            if ids.is_empty() {
                break;
            }
            listed.extend(ids);
        }
        let number = |id: &String| usize::from_str_radix(&id[24..], 16).unwrap();
        let numbers: Vec<_> = listed.iter().map(number).collect();
        let once: BTreeSet<_> = numbers.iter().copied().collect();
        let is_changed = |number: &usize| changes.iter().flatten().any(|changed| changed == number);
        for number in &once {
            // A registration that ended and came back during the walk is a new one, which comes later.
            let count = numbers.iter().filter(|found| *found == number).count();
            assert!(count == 1 || is_changed(number), "{number} is listed {count} times: {query} {changes:?}");
        }
        // The first registrations are skipped because of the offset, whichever they are at that time.
        lasting.retain(|number| matches(number) && !query.contains("offset"));
        assert!(lasting.is_subset(&once), "{lasting:?} is not all in {numbers:?}: {query} {changes:?}");
    }
}

/// A lone walk lists every registration that is there all the time exactly once, in every order and with every filter,
/// also if an earlier walk went further.
#[test]
fn a_walk_by_page_numbers_is_exact_while_the_listing_changes() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let sandbox = runtime.block_on(Sandbox::start()).unwrap();
    let front = sandbox.fresh_front().unwrap();
    let orders = ["", "&q[s]=created_at+desc", "&q[s]=wallet", "&q[s]=device_os+desc", "&q[s]=id"];
    let filters = ["", "&offset=2", "&q[device_os_in][]=ios&q[device_os_in][]=android", "&q[id_match]=%25"];
    let changes = prop::collection::vec(prop::collection::vec(0..12_usize, 0..4), 2..12);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(40));
    let cases = (select(orders.to_vec()), select(filters.to_vec()), 1..5_usize, changes);
    let count = Cell::new(0);
    let result = runner.run(&cases, |(order, filter, per_page, changes)| {
        count.set(count.get() + 1);
        let campaign = Uuid::from_u128(count.get()).to_string();
        let changes: Vec<_> =
            changes.into_iter().map(|numbers| BTreeSet::from_iter(numbers).into_iter().collect()).collect();
        runtime.block_on(walk_twice(&front, &campaign, &format!("{filter}{order}"), per_page, &changes));
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[tokio::test]
async fn a_walk_keeps_its_place_while_registrations_come_and_go() {
    let (sandbox, all) = installed(10).await;
    let path = campaign_path();
    let first = get(&sandbox, &format!("{path}?page=1&per_page=4")).await;
    assert_eq!(first.ids(), all[..4]);

    // The last registration of page 1 ends, and a new one precedes all others.
    let event = |name: &str, id: &str, at: &str| {
        json!({
            "event": name, "campaign_id": CAMPAIGN, "pass_id": "00000000-0000-4000-9000-000000000001", "event_at": at,
            "event_extra": {"registration_id": id, "device_os": "ios", "device_app_vendor": "passbook"},
        })
    };
    let newcomer = "00000000-0000-4000-8000-0000000000ff";
    let changes = json!([
        event("uninstalled", &all[3], "2016-11-10T00:00:00Z"),
        event("installed", newcomer, "2016-11-08T00:00:00Z"),
    ]);
    assert_eq!(post(&sandbox, "/v2/registration_events", &changes).await.status, StatusCode::OK);

    for target in [format!("{path}?page=2&per_page=4"), first.link("next").unwrap()] {
        let second = get(&sandbox, &target).await;
        assert_eq!(second.ids(), all[4..8], "neither skipped nor repeated: {target}");
        assert_eq!(second.header("x-page"), Some("2"));
        let back = get(&sandbox, &second.link("prev").unwrap()).await;
        assert_eq!(back.ids(), [newcomer, &all[0], &all[1], &all[2]]);
    }
}
