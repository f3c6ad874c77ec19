//! Push targets: who may list them, page by page, and how a failed push takes one off the list.

use http::{Method, StatusCode};
use local::{aws::front::ApiFront, testing::sandbox::Sandbox};
use rstest::rstest;
use serde_json::{Value, json};

use crate::{Answer, CAMPAIGN, DEMO, EVENTS, OTHER_PASS, PASS, access::key_of, call, get, post};

/// Returns the path of the campaign's push targets.
pub(crate) fn campaign_targets() -> String {
    format!("/v2/coupons/{CAMPAIGN}/push_targets")
}

/// Returns the path of the pass's push targets.
pub(crate) fn pass_targets() -> String {
    format!("/v2/coupons/{CAMPAIGN}/passes/{PASS}/push_targets")
}

/// Returns the registration id with this number. Ids are in the order of their numbers.
fn id(number: usize) -> String {
    format!("a0000000-0000-4000-8000-{number:012}")
}

fn installed(pass: &str, number: usize) -> Value {
    json!({
        "event": "installed", "campaign_id": CAMPAIGN, "pass_id": pass, "event_at": "2016-11-10T00:00:00Z",
        "event_extra": {
            "registration_id": id(number), "device_os": "ios", "device_app_vendor": "passbook",
            "push_token": format!("token-{number}"),
        },
    })
}

fn uninstalled(pass: &str, number: usize) -> Value {
    json!({
        "event": "uninstalled", "campaign_id": CAMPAIGN, "pass_id": pass, "event_at": "2016-11-11T00:00:00Z",
        "event_extra": {"registration_id": id(number)},
    })
}

async fn report(sandbox: &Sandbox, events: &[Value]) {
    let results = post(sandbox, EVENTS, &json!(events)).await.json();
    assert!(results.as_array().unwrap().iter().all(|result| result["result"] == "applied"), "{results}");
}

/// Starts a sandbox with the first events, which have no push tokens, and these registrations with push tokens.
async fn with_targets(pass: &str, numbers: impl IntoIterator<Item = usize>) -> Sandbox {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let events: Vec<_> = numbers.into_iter().map(|number| installed(pass, number)).collect();
    report(&sandbox, &events).await;
    sandbox
}

/// Returns the ids of the listed registrations.
fn ids(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let targets: Vec<Value> = if answer.header("content-type") == Some("application/json") {
        serde_json::from_str(&answer.body).unwrap()
    } else {
        answer.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    targets.iter().map(|target| target["registration_id"].as_str().unwrap().to_owned()).collect()
}

async fn listed(front: &ApiFront, target: &str, accept: &str) -> Answer {
    call(front, Method::GET, target, &[("accept", accept)], "").await
}

#[tokio::test]
async fn a_target_has_what_a_sender_needs_and_a_registration_without_push_token_is_none() {
    let sandbox = with_targets(PASS, [1]).await;
    let mut full = installed(OTHER_PASS, 2);
    full["pass_type_identifier"] = json!("pass.com.example");
    full["serial_number"] = json!("1");
    full["event_extra"]["device_app_vendor"] = json!("wallet_passes");
    full["event_extra"]["push_service_url"] = json!("https://push.example");
    report(&sandbox, &[full]).await;
    let other = json!({
        "registration_id": id(2), "pass_id": OTHER_PASS, "wallet": "wallet_passes",
        "pass_type_identifier": "pass.com.example", "push_token": "token-2",
        "push_service_url": "https://push.example",
    });
    let own = json!({
        "registration_id": id(1), "pass_id": PASS, "wallet": "passbook", "pass_type_identifier": null,
        "push_token": "token-1", "push_service_url": null,
    });
    assert_eq!(get(&sandbox, &pass_targets()).await.json(), json!([own]));
    assert_eq!(get(&sandbox, &campaign_targets()).await.json(), json!([other, own]), "in the order of the pass ids");
}

#[tokio::test]
async fn a_known_campaign_or_pass_without_targets_has_an_empty_list_and_an_unknown_one_none() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    for path in [campaign_targets(), pass_targets()] {
        assert_eq!(get(&sandbox, &path).await.body, "[]");
        let unknown = get(&sandbox, &path.replace(CAMPAIGN, PASS)).await;
        assert_eq!((unknown.status, &unknown.json()["error"]), (StatusCode::NOT_FOUND, &json!("campaign_not_found")));
    }
    let unknown = get(&sandbox, &pass_targets().replace(PASS, CAMPAIGN)).await;
    assert_eq!((unknown.status, &unknown.json()["error"]), (StatusCode::NOT_FOUND, &json!("pass_not_found")));
}

#[rstest]
#[case::campaign(campaign_targets(), "application/json")]
#[case::pass(pass_targets(), "application/json")]
#[case::campaign_as_lines(campaign_targets(), "application/x-ndjson")]
#[case::pass_as_lines(pass_targets(), "application/x-ndjson")]
#[tokio::test]
async fn a_walk_lists_each_target_that_stays_once_while_others_come_and_go(#[case] path: String, #[case] accept: &str) {
    // The even ones stay. On each page an odd one ends behind the walk, and one before it; a new one comes.
    let sandbox = with_targets(PASS, 0..40).await;
    let front = sandbox.fresh_front().unwrap();
    let (mut walked, mut page) = (Vec::new(), 0);
    let mut next = Some(format!("{path}?per_page=7"));
    while let Some(target) = next {
        let answer = listed(&front, &target, accept).await;
        assert_eq!((answer.header("content-type"), answer.header("vary")), (Some(accept), Some("accept")));
        assert_eq!(answer.link("first"), Some(format!("{path}?per_page=7")));
        walked.extend(ids(&answer));
        next = answer.link("next");
        page += 1;
        if next.is_some() {
            let changes =
                [uninstalled(PASS, 2 * page - 1), uninstalled(PASS, 41 - 2 * page), installed(PASS, 50 + page)];
            report(&sandbox, &changes).await;
        }
    }
    assert!(page > 3 && walked.is_sorted());
    walked.retain(|found| (0..40).step_by(2).any(|number| *found == id(number)));
    assert_eq!(walked, (0..40).step_by(2).map(id).collect::<Vec<_>>());
}

#[rstest]
#[case::page("page=1", "page")]
#[case::filter("q[wallet_eq]=passbook", "q[wallet_eq]")]
#[case::too_many("per_page=1001", "per_page")]
#[tokio::test]
async fn a_list_of_push_targets_has_no_page_numbers_and_no_filters(#[case] query: &str, #[case] name: &str) {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let answer = get(&sandbox, &format!("{}?{query}", campaign_targets())).await;
    assert_eq!((answer.status, &answer.json()["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_parameter")));
    assert!(answer.json()["errors"][name].is_array());
}

#[tokio::test]
async fn a_cursor_is_valid_for_its_own_list_only() {
    let sandbox = with_targets(PASS, 0..3).await;
    let next = get(&sandbox, &format!("{}?per_page=1", campaign_targets())).await.link("next").unwrap();
    assert_eq!(ids(&get(&sandbox, &next).await), [id(1)]);
    for other in [
        next.replace("per_page=1", "per_page=2"),
        next.replace("/push_targets", &format!("/passes/{PASS}/push_targets")),
        next.replace("/push_targets", "/registrations"),
        next.replace("cursor=", "cursor=A"),
    ] {
        assert_eq!(get(&sandbox, &other).await.json()["error"], "invalid_cursor", "{other}");
    }
}

#[tokio::test]
async fn head_is_answered_like_get() {
    let sandbox = with_targets(PASS, 0..2).await;
    let front = sandbox.fresh_front().unwrap();
    for path in [campaign_targets(), pass_targets()] {
        let target = format!("{path}?per_page=1");
        let [get, head] = [Method::GET, Method::HEAD].map(|method| call(&front, method, &target, &[], ""));
        let (get, head) = (get.await, head.await);
        // The server leaves out the body of a HEAD.
        assert_eq!((ids(&get).len(), get.status, get.headers), (1, head.status, head.headers));
        assert_eq!(call(&front, Method::POST, &target, &[], "").await.header("allow"), Some("GET, HEAD"));
    }
}

// The order of the rules is documented in `api::access`.
#[rstest]
#[case::no_key(&campaign_targets(), "no", StatusCode::UNAUTHORIZED)]
#[case::read_only(&campaign_targets(), "reader", StatusCode::FORBIDDEN)]
#[case::read_only_for_a_pass(&pass_targets(), "reader", StatusCode::FORBIDDEN)]
#[case::access_before_path("/v2/coupons/x/push_targets", "reader", StatusCode::FORBIDDEN)]
#[case::access_before_query(&format!("{}?page=1", campaign_targets()), "reader", StatusCode::FORBIDDEN)]
#[case::access_before_campaign(&campaign_targets().replace(CAMPAIGN, PASS), "reader", StatusCode::FORBIDDEN)]
#[case::access_before_pass(&pass_targets().replace(PASS, CAMPAIGN), "reader", StatusCode::FORBIDDEN)]
#[case::type_before_access("/v2/tickets/x/push_targets", "reader", StatusCode::NOT_FOUND)]
#[case::other_account(&campaign_targets(), "stranger", StatusCode::NOT_FOUND)]
#[case::other_account_for_a_pass(&pass_targets(), "stranger", StatusCode::NOT_FOUND)]
#[case::campaign_before_query(&format!("{}?page=1", campaign_targets()), "stranger", StatusCode::NOT_FOUND)]
#[case::path_before_campaign("/v2/coupons/x/push_targets", "stranger", StatusCode::BAD_REQUEST)]
#[tokio::test]
async fn only_a_key_of_the_account_that_may_write_lists_push_targets(
    #[case] target: &str,
    #[case] caller: &str,
    #[case] status: StatusCode,
) {
    let sandbox = with_targets(PASS, 0..2).await;
    let (reader, _) = key_of(&sandbox, "demo", "read_only").await;
    let (stranger, _) = key_of(&sandbox, "acme", "read_write").await;
    let keys = [("no", "wrong"), ("reader", reader.as_str()), ("stranger", stranger.as_str())];
    let (_, key) = keys.iter().find(|(name, _)| *name == caller).unwrap();
    // The second request is made by a process that remembers the key.
    let front = sandbox.fresh_front().unwrap();
    for _ in 0..2 {
        let answer = call(&front, Method::GET, target, &[("authorization", key)], "").await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(!answer.body.contains("token-"));
    }
    assert_eq!(call(&front, Method::GET, &campaign_targets(), &[("authorization", DEMO)], "").await.status, 200);
}

#[rstest]
#[case::by_registration(json!({"registration_id": id(1)}))]
#[case::by_push_token(json!({"push_token": "token-1"}))]
#[tokio::test]
async fn a_failed_push_takes_its_target_off_the_list_unless_the_token_came_later(#[case] address: Value) {
    let sandbox = with_targets(PASS, 0..3).await;
    let all = [0, 1, 2].map(id);
    let failed = |instant: &str| {
        json!({
            "event": "push_failed", "campaign_id": CAMPAIGN, "pass_id": PASS, "event_at": instant,
            "event_extra": address,
        })
    };
    let older = post(&sandbox, EVENTS, &failed("2016-11-09T23:59:59Z")).await;
    assert_eq!(older.json()["result"], "unchanged");
    assert_eq!(ids(&get(&sandbox, &campaign_targets()).await), all);
    report(&sandbox, &[failed("2016-11-10T00:00:00Z")]).await;
    for path in [campaign_targets(), pass_targets()] {
        assert_eq!(ids(&get(&sandbox, &path).await), [0, 2].map(id));
    }
}
