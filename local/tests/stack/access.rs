//! Accounts, API keys, and the rights of each key.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{Method, StatusCode};
use local::{aws::front::ApiFront, testing::sandbox::Sandbox};
use rstest::rstest;
use serde_json::{Value, json};

use crate::{
    CAMPAIGN, DEMO, PASS, REGISTRATION, admin, call, campaign_path, get, pass_path, post,
    push_targets::{campaign_targets, pass_targets},
    reports::report_path,
};

/// Adds a key to an account, and creates the account if it does not exist. Returns the key and its id.
pub(crate) async fn key_of(sandbox: &Sandbox, account: &str, access: &str) -> (String, String) {
    let _ = admin(sandbox, json!({"action": "create_account", "account_id": account, "user_name": account})).await;
    let event = json!({"action": "add_key", "account_id": account, "access": access});
    let key = admin(sandbox, event).await.unwrap();
    (key["api_key"].as_str().unwrap().to_owned(), key["key_id"].as_str().unwrap().to_owned())
}

/// Returns a valid request for every route that needs a key.
fn routes() -> [(Method, String, Value); 9] {
    let event = json!({
        "event": "uninstalled", "campaign_id": CAMPAIGN, "pass_id": PASS, "event_at": "2016-12-01T00:00:00Z",
        "event_extra": {"registration_id": REGISTRATION},
    });
    let registration = json!({"wallet": "pass2u", "device_os": "ios", "device_library_identifier": "another"});
    [
        (Method::GET, campaign_path(), Value::Null),
        (Method::GET, pass_path(), Value::Null),
        (Method::GET, campaign_targets(), Value::Null),
        (Method::GET, pass_targets(), Value::Null),
        (Method::GET, report_path(), Value::Null),
        (Method::GET, format!("{}/totals", report_path()), Value::Null),
        (Method::POST, pass_path(), registration),
        (Method::DELETE, format!("{}/{REGISTRATION}", pass_path()), Value::Null),
        (Method::POST, "/v2/registration_events".to_owned(), event),
    ]
}

async fn ask(front: &ApiFront, (method, target, body): &(Method, String, Value), authorization: &str) -> crate::Answer {
    let headers = [("authorization", authorization), ("content-type", "application/json")];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    call(front, method.clone(), target, &headers, &body).await
}

#[tokio::test]
async fn every_wrong_key_gets_the_same_answer() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let (revoked, key_id) = key_of(&sandbox, "demo", "read_write").await;
    admin(&sandbox, json!({"action": "revoke_key", "account_id": "demo", "key_id": key_id})).await.unwrap();
    let front = sandbox.fresh_front().unwrap();
    let mut answers = Vec::new();
    for route in routes() {
        for wrong in
            ["", "Basic", "Basic ZGVtbzp3cm9uZw==", "Basic b3RoZXI6ZGVtbw==", "Bearer wrong", "Digest demo", &revoked]
        {
            answers.push(ask(&front, &route, wrong).await);
        }
    }
    for answer in &answers {
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert!(answer.header("www-authenticate").unwrap().starts_with("Basic "));
        assert_eq!((&answer.body, &answer.headers), (&answers[0].body, &answers[0].headers));
    }
    assert_eq!(answers[0].json()["error"], "unauthorized");
    assert_eq!(get(&sandbox, &campaign_path()).await.ids().len(), 3, "nothing was written");
}

#[rstest]
#[case::no_such_type("/v2/tickets/x/registrations", StatusCode::NOT_FOUND)]
#[case::malformed("/v2/coupons/x/registrations", StatusCode::UNAUTHORIZED)]
#[case::unknown("/v2/coupons/00000000-0000-4000-8000-000000000000/registrations?page=x", StatusCode::UNAUTHORIZED)]
#[case::invalid("/v2/coupons/bd69162b-8995-4c89-bdca-898fae6050d0/registrations?page=x", StatusCode::UNAUTHORIZED)]
#[tokio::test]
async fn the_route_is_checked_first_then_the_key_then_the_rest(#[case] target: &str, #[case] status: StatusCode) {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let front = sandbox.fresh_front().unwrap();
    assert_eq!(call(&front, Method::GET, target, &[("authorization", "Bearer wrong")], "").await.status, status);
}

#[tokio::test]
async fn a_key_comes_in_three_forms() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let front = sandbox.fresh_front().unwrap();
    for authorization in ["Basic ZGVtbzpkZW1v", "Bearer demo", "demo"] {
        assert_eq!(ask(&front, &routes()[0], authorization).await.ids().len(), 3);
    }
}

#[tokio::test]
async fn basic_takes_the_user_name_or_the_account_id() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    admin(&sandbox, json!({"action": "create_account", "account_id": "acme-1", "user_name": "Acme"})).await.unwrap();
    let (key, _) = key_of(&sandbox, "acme-1", "read_write").await;
    let front = sandbox.fresh_front().unwrap();
    for (user_name, status) in [
        ("Acme", StatusCode::NOT_FOUND),
        ("acme-1", StatusCode::NOT_FOUND),
        ("acme", StatusCode::UNAUTHORIZED),
        ("demo", StatusCode::UNAUTHORIZED),
        ("", StatusCode::UNAUTHORIZED),
    ] {
        let authorization = format!("Basic {}", BASE64_STANDARD.encode(format!("{user_name}:{key}")));
        let answer = ask(&front, &routes()[0], &authorization).await;
        assert_eq!(answer.status, status, "{user_name}: another account's campaign is not found");
    }
}

#[tokio::test]
async fn no_answer_may_be_cached_sniffed_or_fetched_without_tls() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let front = sandbox.fresh_front().unwrap();
    let mut answers = Vec::new();
    for (method, target, body) in routes() {
        answers.push(ask(&front, &(method.clone(), target.clone(), body.clone()), DEMO).await);
        answers.push(ask(&front, &(method, target, body), "Bearer wrong").await);
    }
    let others = [
        (Method::GET, format!("{}?page=x", campaign_path())),
        (Method::GET, format!("{}/", campaign_path())),
        (Method::PUT, campaign_path()),
        (Method::GET, "/v2/nowhere".to_owned()),
    ];
    for (method, target) in others {
        answers.push(ask(&front, &(method, target, Value::Null), DEMO).await);
    }
    let contract = ask(&front, &(Method::GET, "/v2/openapi.json".to_owned(), Value::Null), DEMO).await;
    assert_eq!(contract.header("cache-control"), Some("public, max-age=300"));
    assert!(answers.iter().all(|answer| answer.header("cache-control") == Some("private, no-store")));
    for answer in answers.iter().chain([&contract]) {
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{answer:?}");
        assert_eq!(answer.header("strict-transport-security"), Some("max-age=31536000"), "{answer:?}");
    }
}

#[tokio::test]
async fn another_account_sees_nothing_and_changes_nothing() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let (key, _) = key_of(&sandbox, "acme", "read_write").await;
    let front = sandbox.fresh_front().unwrap();
    let before = get(&sandbox, &campaign_path()).await.body;
    for route in routes() {
        let theirs = ask(&front, &route, &key).await;
        assert_eq!((theirs.status, &theirs.json()["error"]), (StatusCode::NOT_FOUND, &json!("campaign_not_found")));
        // The answer is identical, byte for byte, to the answer for an unknown campaign.
        if route.0 == Method::GET {
            let unknown = (route.0, route.1.replace(CAMPAIGN, "00000000-0000-4000-8000-000000000000"), route.2);
            let unknown = ask(&front, &unknown, &key).await;
            assert_eq!((theirs.body, theirs.headers), (unknown.body, unknown.headers));
        }
    }
    let invalid = (Method::GET, format!("{}?page=x", campaign_path()), Value::Null);
    assert_eq!(ask(&front, &invalid, &key).await.status, StatusCode::NOT_FOUND);
    let invalid = (Method::POST, pass_path(), json!({}));
    assert_eq!(ask(&front, &invalid, &key).await.status, StatusCode::NOT_FOUND);
    assert_eq!(get(&sandbox, &campaign_path()).await.body, before);
}

#[tokio::test]
async fn a_campaign_belongs_to_the_account_that_made_it_known() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let (key, _) = key_of(&sandbox, "acme", "read_write").await;
    let front = sandbox.fresh_front().unwrap();
    let path = pass_path().replace(CAMPAIGN, "11111111-0000-4000-8000-000000000000");
    let body = json!({"wallet": "pass2u", "device_os": "ios", "id": REGISTRATION});
    assert_eq!(ask(&front, &(Method::POST, path.clone(), body.clone()), &key).await.status, StatusCode::CREATED);
    assert_eq!(ask(&front, &(Method::GET, path.clone(), Value::Null), &key).await.ids(), [REGISTRATION]);
    assert_eq!(get(&sandbox, &path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(post(&sandbox, &path, &body).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_read_only_key_lists_registrations_and_counts_and_does_not_write() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let (key, _) = key_of(&sandbox, "demo", "read_only").await;
    let front = sandbox.fresh_front().unwrap();
    for route in routes() {
        let answer = ask(&front, &route, &key).await;
        let may_read = route.0 == Method::GET && !route.1.ends_with("/push_targets");
        let expected = if may_read { StatusCode::OK } else { StatusCode::FORBIDDEN };
        assert_eq!(answer.status, expected, "{answer:?}");
    }
    assert_eq!(get(&sandbox, &campaign_path()).await.ids().len(), 3);
}

#[tokio::test]
async fn an_operator_adds_lists_and_revokes_keys() {
    let sandbox = Sandbox::start().await.unwrap();
    let (first, first_id) = key_of(&sandbox, "acme", "read_write").await;
    let (second, second_id) = key_of(&sandbox, "acme", "read_only").await;

    let listed = admin(&sandbox, json!({"action": "list_keys", "account_id": "acme"})).await.unwrap();
    assert!(!listed.to_string().contains(&first) && !listed.to_string().contains(&second));
    let keys: Vec<_> = listed["keys"].as_array().unwrap().iter().map(|key| (&key["key_id"], &key["access"])).collect();
    assert_eq!(keys.len(), 2);
    assert!(keys.contains(&(&json!(first_id), &json!("read_write"))));
    assert!(keys.contains(&(&json!(second_id), &json!("read_only"))));

    let revoke = json!({"action": "revoke_key", "account_id": "acme", "key_id": first_id});
    let revoked = admin(&sandbox, revoke.clone()).await.unwrap();
    assert!(revoked["revoked_at"].is_string() && first.ends_with(revoked["last_four"].as_str().unwrap()));
    assert_eq!(admin(&sandbox, revoke).await.unwrap(), revoked, "revoking again does not change the instant");

    let front = sandbox.fresh_front().unwrap();
    assert_eq!(ask(&front, &routes()[0], &first).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(&front, &routes()[0], &second).await.status, StatusCode::NOT_FOUND, "the other key is still valid");
}

#[rstest]
#[case(json!({}), "invalid event: account_id: is required; action: is required")]
#[case(json!({"action": "drop", "account_id": "acme"}), "action: expected one of create_account")]
#[case(json!({"action": "create_account", "account_id": "demo", "user_name": "x"}), "there is an account demo already")]
#[case(json!({"action": "create_account", "account_id": "acme", "user_name": "a:b"}), "user_name: expected 1 to 64")]
#[case(json!({"action": "add_key", "account_id": "acme"}), "there is no account acme")]
#[case(json!({"action": "add_key", "account_id": "demo", "access": "all"}), "access: expected one of read_write")]
#[case(json!({"action": "list_keys", "account_id": "acme"}), "there is no account acme")]
#[case(json!({"action": "revoke_key", "account_id": "demo", "key_id": "x"}), "key_id: expected the 64 hexadecimal")]
#[case(json!({"action": "revoke_key", "account_id": "demo", "key_id": "0".repeat(64)}), "the account demo has no key 0000")]
#[tokio::test]
async fn an_error_of_account_admin_names_the_problem(#[case] event: Value, #[case] expected: &str) {
    let sandbox = Sandbox::start().await.unwrap();
    let error = admin(&sandbox, event).await.unwrap_err();
    assert!(error.contains(expected), "{error}");
}

// The order of the rules is documented in `api::access`.
#[rstest]
#[case::type_before_key(Method::GET, "/v2/tickets/x/registrations?page=x", "Bearer wrong", "", "route_not_found")]
#[case::key_before_path(Method::GET, "/v2/coupons/x/registrations?page=x", "Bearer wrong", "", "unauthorized")]
#[case::path_before_campaign(Method::GET, "/v2/coupons/x/registrations?page=x", DEMO, "", "invalid_parameter")]
#[case::campaign_before_query(
    Method::GET,
    "/v2/generics/bd69162b-8995-4c89-bdca-898fae6050d0/registrations?page=x",
    DEMO,
    "",
    "campaign_not_found"
)]
#[case::pass_before_query(
    Method::GET,
    "/v2/coupons/bd69162b-8995-4c89-bdca-898fae6050d0/passes/00000000-0000-4000-8000-000000000000/registrations?page=x",
    DEMO,
    "",
    "pass_not_found"
)]
#[case::pass_before_page(
    Method::GET,
    "/v2/coupons/bd69162b-8995-4c89-bdca-898fae6050d0/passes/00000000-0000-4000-8000-000000000000/registrations?page=9999",
    DEMO,
    "",
    "pass_not_found"
)]
#[case::campaign_before_period(
    Method::GET,
    "/v2/generics/bd69162b-8995-4c89-bdca-898fae6050d0/reports?start_date=x",
    DEMO,
    "",
    "campaign_not_found"
)]
#[case::type_before_key_of_a_write(
    Method::POST,
    "/v2/tickets/x/passes/x/registrations",
    "Bearer wrong",
    "x",
    "route_not_found"
)]
#[case::key_before_path_of_a_write(
    Method::POST,
    "/v2/coupons/x/passes/x/registrations",
    "Bearer wrong",
    "x",
    "unauthorized"
)]
#[case::path_before_body(Method::POST, "/v2/coupons/x/passes/x/registrations", DEMO, "x", "invalid_parameter")]
#[case::campaign_before_body(
    Method::POST,
    "/v2/generics/bd69162b-8995-4c89-bdca-898fae6050d0/passes/b50a5348-27c5-40de-ae4a-5d8436284d65/registrations",
    DEMO,
    "x",
    "campaign_not_found"
)]
#[case::campaign_before_registration(
    Method::DELETE,
    "/v2/generics/bd69162b-8995-4c89-bdca-898fae6050d0/passes/b50a5348-27c5-40de-ae4a-5d8436284d65/registrations/00000000-0000-4000-8000-000000000000",
    DEMO,
    "",
    "campaign_not_found"
)]
#[case::key_before_body_of_events(Method::POST, "/v2/registration_events", "Bearer wrong", "x", "unauthorized")]
#[tokio::test]
async fn a_request_that_breaks_several_rules_is_refused_by_the_first(
    #[case] method: Method,
    #[case] target: &str,
    #[case] authorization: &str,
    #[case] body: &str,
    #[case] expected: &str,
) {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let headers = [("authorization", authorization), ("content-type", "application/json")];
    let answer = call(&sandbox.fresh_front().unwrap(), method, target, &headers, body).await;
    assert_eq!(answer.json()["error"], expected, "{answer:?}");
}

#[tokio::test]
async fn a_read_only_key_is_refused_before_the_path_and_the_body_are_checked() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let (key, _) = key_of(&sandbox, "demo", "read_only").await;
    let headers = [("authorization", key.as_str()), ("content-type", "text/plain")];
    let front = sandbox.fresh_front().unwrap();
    let answer = call(&front, Method::POST, "/v2/coupons/x/passes/x/registrations", &headers, "x").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}
