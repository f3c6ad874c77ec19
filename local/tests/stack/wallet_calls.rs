//! The contract and the calls of wallets and Google: each has the statuses that the contract says, and no others.

use std::collections::{BTreeMap, BTreeSet};

use http::{Method, StatusCode};
use local::aws::gateway;
use serde_json::json;
use strum::VariantNames as _;
use wallet_web_service::call::Call;

use crate::{
    Answer, EVENTS, PASS, call,
    contract::{example, operations, resolved},
    created,
    google_wallet_callback::{self, Fixture, callback},
    post,
};

/// The path of the calls of an account's wallets.
const ROOT: &str = "/wallet/{account_id}/v1";
const TOKEN: &str = "ApplePass c0ffee3141592653c0ffee5897932384";

/// Returns whether an operation, such as `GET /wallet/…`, is a call for which API Gateway has no route of its own.
pub(crate) fn is_call(key: &str) -> bool {
    key.split_once(' ').is_some_and(|(_, path)| path.starts_with(ROOT))
}

/// Returns the operation of a wallet's request, or `None` if there is no such call.
fn operation_of(method: &Method, path: &str) -> Option<String> {
    let path = gateway::received_path(path)?;
    let below = path.strip_prefix("/wallet/").unwrap();
    let of_device = "devices/{device_library_identifier}";
    let of_pass = "{pass_type_identifier}/{serial_number}";
    let call = match Call::parse(method, &below[below.find('/').unwrap()..]) {
        Call::Register(target) | Call::Unregister(target) => {
            let registrations = if target.is_attido { "registrations_attido" } else { "registrations" };
            format!("{of_device}/{registrations}/{of_pass}")
        }
        Call::List { .. } => format!("{of_device}/registrations/{{pass_type_identifier}}"),
        Call::Log => "log".to_owned(),
        Call::LifecycleUpdate => format!("passes/{of_pass}/passLifecycleUpdate"),
        Call::Unknown => return None,
    };
    Some(format!("{method} {ROOT}/{call}"))
}

/// Fails if the contract does not document this answer to a wallet.
pub(crate) fn expect_documented(method: &Method, path: &str, answer: &Answer) {
    match operation_of(method, path) {
        Some(key) => expect_documented_of(&key, answer),
        None if answer.body.is_empty() => assert_eq!(answer.status, StatusCode::NOT_FOUND),
        None => assert!(is_gateways(answer), "{method} {path} is no call: {answer:?}"),
    }
}

/// Returns whether an answer is an error of API Gateway.
fn is_gateways(answer: &Answer) -> bool {
    answer.status.as_u16() >= 400 && answer.json().get("message").is_some()
}

/// Fails if the contract does not document this answer of an operation, which has no body unless it is a list.
pub(crate) fn expect_documented_of(key: &str, answer: &Answer) {
    let operation = operations().remove(key).unwrap_or_else(|| panic!("{key} is not in the contract"));
    let response = operation["responses"].get(answer.status.as_str());
    let response = resolved(response.unwrap_or_else(|| panic!("{} is not documented for {key}", answer.status)));
    if answer.status == StatusCode::OK && response.get("content").is_some() {
        let members: BTreeSet<_> = answer.json().as_object().unwrap().keys().cloned().collect();
        assert_eq!(members, ["lastUpdated", "serialNumbers"].map(str::to_owned).into());
    } else {
        assert!(answer.body.is_empty() || is_gateways(answer), "{key}: {answer:?}");
    }
}

#[tokio::test]
async fn each_call_of_the_web_service_is_an_operation() {
    let fixture = Fixture::start().await;
    let mut found = BTreeSet::new();
    for (key, operation) in operations().into_iter().filter(|(key, _)| is_call(key)) {
        let (method, path) = key.split_once(' ').unwrap();
        let (target, _) = example(path, operation);
        let method: Method = method.parse().unwrap();
        assert_eq!(fixture.front.gateway.route(&method, &target).unwrap().function(), Some("wallet-web-service"));
        let parsed = Call::parse(&method, target.strip_prefix("/wallet/demo").unwrap());
        found.insert(<&str>::from(&parsed));
        // The pass itself is not served by the function.
        let expected = (operation["operationId"] != "getLatestPass").then_some(key.clone());
        assert_eq!(operation_of(&method, &target), expected);
    }
    assert_eq!(found, Call::VARIANTS.iter().copied().collect());
}

#[tokio::test]
async fn every_status_of_a_wallets_call_occurs_and_no_other() {
    // These need a failing table or too many requests. Other tests cover them.
    const TESTED_ELSEWHERE: [&str; 3] = ["429", "500", "503"];
    // The gateway passes the request on to another server only if `PassOrigin` is set.
    const PASSED_ON: &str = "default";

    let fixture = Fixture::start().await;
    let names = json!({
        "serial_number": "1", "pass_type_identifier": "pass.com.example.coupon",
        "authentication_token": TOKEN.strip_prefix("ApplePass "),
    });
    assert_eq!(post(&fixture.sandbox, EVENTS, &created(PASS, &names)).await.json()["result"], "applied");
    let huge = "x".repeat(6 * 1024 * 1024);
    let long = "x".repeat(10_240);
    let mut answered: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut operations = operations();
    operations.retain(|_, operation| operation["tags"] == json!(["Wallets"]));
    let mut all: Vec<_> = operations.iter().filter(|(key, _)| is_call(key)).collect();
    // The list is asked for when there is a registration, and after it has ended.
    let order = |key: &str| match key {
        _ if key.starts_with("POST") => 0,
        _ if key.starts_with("GET") => 1,
        _ => 2,
    };
    all.sort_by_key(|(key, _)| order(key));
    for (key, operation) in all {
        let (method, path) = key.split_once(' ').unwrap();
        let method: Method = method.parse().unwrap();
        let (target, body) = example(path, operation);
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let unknown = target.replace("/demo/", "/another/");
        let mut requests = vec![(target.clone(), TOKEN, body.clone()), (unknown, TOKEN, body.clone())];
        requests.push((target.clone(), TOKEN, body.clone()));
        requests.push((target.clone(), "ApplePass 0000000000000000", body.clone()));
        requests.extend([format!("{target}?{long}"), format!("{target}%25zz")].map(|path| (path, TOKEN, body.clone())));
        if operation.get("requestBody").is_some() {
            requests.extend(["{", huge.as_str()].map(|body| (target.clone(), TOKEN, body.to_owned())));
        }
        for (target, authorization, body) in requests {
            let headers = [("authorization", authorization), ("content-type", "application/json")];
            let answer = call(&fixture.front, method.clone(), &target, &headers, &body).await;
            answered.entry(key.clone()).or_default().insert(answer.status.as_str().to_owned());
        }
    }

    let google = format!("POST {}", google_wallet_callback::PATH.replace("demo", "{account_id}"));
    let save = callback("save", 1).body().to_string();
    for (path, body) in [
        // Before and after the object is known.
        (google_wallet_callback::PATH.to_owned(), save.clone()),
        (google_wallet_callback::PATH.to_owned(), save),
        (google_wallet_callback::PATH.to_owned(), "{}".to_owned()),
        (google_wallet_callback::PATH.to_owned(), huge),
        (format!("{}?{long}", google_wallet_callback::PATH), String::new()),
    ] {
        let answer = call(&fixture.front, Method::POST, &path, &[("content-type", "application/json")], body).await;
        if answered.entry(google.clone()).or_default().is_empty() {
            fixture.create().await;
        }
        answered.entry(google.clone()).or_default().insert(answer.status.as_str().to_owned());
    }

    let documented: BTreeMap<String, BTreeSet<String>> = operations
        .into_iter()
        .map(|(key, operation)| {
            let statuses = operation["responses"].as_object().unwrap().keys().cloned();
            let expected = statuses.filter(|status| !TESTED_ELSEWHERE.contains(&&**status) && status != PASSED_ON);
            (key, expected.collect())
        })
        .collect();
    assert_eq!(answered, documented);
}
