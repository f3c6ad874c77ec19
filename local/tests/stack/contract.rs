//! The contract and the code agree: every route, error, header and example in one of them is also in the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    path::Path,
    sync::LazyLock,
};

use http::{Method, StatusCode, Uri};
use local::{aws::front::ApiFront, contract, template::Template, testing::sandbox::Sandbox};
use serde_json::{Value, json};

use crate::{
    Answer, CAMPAIGN, DEMO, PASS, REGISTRATION, admin, call, campaign_path, exchange, pass_path,
    push_targets::{campaign_targets, pass_targets},
    reports::report_path,
    wallet_calls,
};

/// The contract as it is served.
static CONTRACT: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(api_contract::OPENAPI).unwrap());

/// Returns the operations of the contract, by route key such as `GET /v2/…`.
pub(crate) fn operations() -> BTreeMap<String, &'static Value> {
    let paths = CONTRACT["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation))
    });
    operations.collect()
}

/// Returns the value that a reference leads to. Returns any other value as it is.
pub(crate) fn resolved(value: &'static Value) -> &'static Value {
    let Some(reference) = value["$ref"].as_str() else { return value };
    let pointer = reference.strip_prefix('#').unwrap();
    resolved(CONTRACT.pointer(pointer).unwrap_or_else(|| panic!("{reference} leads nowhere")))
}

/// Returns the documented error codes of an operation, by status.
fn error_codes(operation: &'static Value) -> BTreeMap<String, BTreeSet<String>> {
    let responses = operation["responses"].as_object().unwrap().iter();
    let codes = responses.map(|(status, response)| {
        let examples = resolved(response)["content"]["application/json"]["examples"].as_object();
        (status.clone(), examples.into_iter().flat_map(|examples| examples.keys().cloned()).collect())
    });
    codes.collect()
}

/// Returns whether the contract describes a route as such. It describes each call of a wallet, for which there is only
/// one route.
fn is_in_contract(function: Option<&str>) -> bool {
    function.is_some_and(|name| !["unmatched-route", "wallet-web-service"].contains(&name))
}

/// Fails if the contract does not document this answer. Requests that match no route are not part of the contract.
pub(crate) fn expect_documented(front: &ApiFront, method: &Method, target: &str, answer: &Answer) {
    let uri: Uri = target.parse().unwrap();
    let Some(matched) = front.gateway.route(method, uri.path()) else { return };
    match matched.function() {
        // The origin of the passes answers instead of the function, if there is one.
        Some("wallet-web-service") | None => return wallet_calls::expect_documented(method, uri.path(), answer),
        Some("google-wallet-callback") => return wallet_calls::expect_documented_of(&matched.key(), answer),
        _ => {}
    }
    let operations = operations();
    // The contract says once that `HEAD` is answered as `GET`.
    let key = matched.key().replace("HEAD ", "GET ");
    let Some(operation) = operations.get(&key) else {
        assert!(!is_in_contract(matched.function()), "{} is not in the contract", matched.key());
        return;
    };
    let codes = error_codes(operation);
    let codes = codes.get(answer.status.as_str()).unwrap_or_else(|| panic!("{} is not documented", answer.status));
    if answer.status.is_client_error() || answer.status.is_server_error() {
        let body = answer.json();
        let is_gateways = body.get("message").is_some() && body.get("status_code").is_none();
        assert!(is_gateways || codes.contains(body["error"].as_str().unwrap()), "not documented: {answer:?}");
    } else {
        let headers = resolved(&operation["responses"][answer.status.as_str()])["headers"].as_object();
        let documented =
            |name: &str| headers.is_some_and(|headers| headers.keys().any(|header| header.eq_ignore_ascii_case(name)));
        let undocumented = answer.headers.keys().map(http::HeaderName::as_str).find(|name| {
            !documented(name)
                && !["content-type", "cache-control", "strict-transport-security", "x-content-type-options"]
                    .contains(name)
                && !name.starts_with("access-control")
        });
        assert_eq!(undocumented, None, "the contract does not document this header");
    }
}

#[test]
fn the_served_contract_is_the_generated_one() {
    let made = contract::json().unwrap();
    assert!(
        made == api_contract::OPENAPI,
        "the contract has changed; to write it again: cargo run -p local -- contract"
    );
}

#[test]
fn every_route_of_the_template_is_in_the_contract_and_the_other_way_round() {
    let template = Template::read(&Template::default_path()).unwrap();
    let routes = template.routes.iter().filter(|route| is_in_contract(route.function()) && route.method != "HEAD");
    let routes: BTreeSet<_> = routes.map(|route| format!("{} {}", route.method, route.path)).collect();
    let operations = operations().into_keys().filter(|key| !wallet_calls::is_call(key));
    assert_eq!(operations.collect::<BTreeSet<_>>(), routes);
}

#[test]
fn every_operation_has_a_summary_and_a_unique_id() {
    let operations = operations();
    let ids: BTreeSet<_> = operations.values().map(|operation| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), operations.len());
    assert!(operations.values().all(|operation| operation["summary"].is_string()));
}

#[test]
fn every_reference_has_a_target() {
    fn follow(value: &'static Value) -> usize {
        match value {
            Value::Object(object) if object.contains_key("$ref") => {
                resolved(value);
                1
            }
            Value::Object(object) => object.values().map(follow).sum(),
            Value::Array(array) => array.iter().map(follow).sum(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
        }
    }
    assert!(follow(&CONTRACT) > 0);
}

/// Returns the request that the examples of an operation describe: its path and its body.
pub(crate) fn example(path: &str, operation: &Value) -> (String, Option<Value>) {
    let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path");
    let target = in_path.fold(path.to_owned(), |target, parameter| {
        let name = parameter["name"].as_str().unwrap();
        target.replace(&format!("{{{name}}}"), parameter["example"].as_str().unwrap())
    });
    let body = operation["requestBody"]["content"]["application/json"].get("example");
    (target, body.cloned())
}

#[tokio::test]
async fn the_example_requests_are_answered_with_the_example_responses() {
    for (key, operation) in operations().into_iter().filter(|(_, operation)| operation["tags"] != json!(["Wallets"])) {
        let sandbox = Sandbox::with_first_events().await.unwrap();
        let front = sandbox.fresh_front().unwrap();
        let (method, path) = key.split_once(' ').unwrap();
        let (target, body) = example(path, operation);
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let headers = [("content-type", "application/json")];
        let answer = call(&front, method.parse().unwrap(), &target, &headers, &body).await;
        assert!(answer.status.is_success(), "{key}: {answer:?}");

        let response = &operation["responses"][answer.status.as_str()];
        let Some(content) = response.get("content") else {
            assert_eq!(answer.body, "", "{key}");
            continue;
        };
        if let Some(example) = content["application/json"].get("example") {
            assert_eq!(answer.body, example.to_string(), "{key}: identical byte for byte, including the order of keys");
        }
        if let Some(location) = response["headers"].get("Location") {
            assert_eq!(answer.header("location"), location["example"].as_str());
        }
        for name in ["X-Total", "X-Total-Pages", "X-Page", "X-Per-Page", "X-Offset"] {
            if let Some(header) = response["headers"].get(name) {
                assert_eq!(
                    answer.header(name).map(str::to_owned),
                    Some(header["example"].to_string()),
                    "{key}: {name}"
                );
            }
        }
    }
}

#[tokio::test]
async fn the_contract_needs_no_key() {
    let sandbox = Sandbox::start().await.unwrap();
    let front = sandbox.fresh_front().unwrap();
    let answer = call(&front, Method::GET, "/v2/openapi.json", &[("authorization", "Bearer wrong")], "").await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, Some("application/json")));
    assert_eq!(answer.body, api_contract::OPENAPI);
}

/// A request that must be answered with an error.
struct Bad {
    method: Method,
    target: String,
    authorization: String,
    content_type: &'static str,
    body: String,
}

impl Bad {
    fn get(target: String) -> Self {
        let (authorization, content_type, body) = (DEMO.to_owned(), "application/json", String::new());
        Self { method: Method::GET, target, authorization, content_type, body }
    }

    fn post(target: String, body: &str) -> Self {
        Self { method: Method::POST, body: body.to_owned(), ..Self::get(target) }
    }

    fn delete(target: String) -> Self {
        Self { method: Method::DELETE, ..Self::get(target) }
    }

    fn by(self, authorization: &str) -> Self {
        Self { authorization: authorization.to_owned(), ..self }
    }
}

/// Returns bad requests: at least one for each error that the contract documents for an operation.
fn bad_requests(reader: &str, stranger: &str) -> Vec<Bad> {
    let events = "/v2/registration_events".to_owned();
    let registration = format!("{}/{REGISTRATION}", pass_path());
    let unknown = |path: String| path.replace(CAMPAIGN, "00000000-0000-4000-8000-000000000000");
    let no_type = |path: String| path.replace("coupons", "tickets");
    let no_uuid = |path: String| path.replace(CAMPAIGN, "1");
    let created =
        json!({"event": "created", "campaign_id": CAMPAIGN, "pass_id": PASS, "event_at": "2016-12-01T00:00:00Z"});
    let removed = json!({
        "wallet": "passbook", "device_os": "ios", "id": REGISTRATION, "created_at": "2016-11-09T15:00:00Z",
    });
    let mut bad = Vec::new();
    for listing in [campaign_path(), pass_path()] {
        let query = |query: &str| Bad::get(format!("{listing}?{query}"));
        bad.extend([query("per_page=0"), query("cursor=x"), query("page=4000000000")]);
        bad.push(Bad::get(unknown(listing.clone())));
    }
    for listing in [campaign_targets(), pass_targets()] {
        bad.extend(["per_page=0", "cursor=x"].map(|query| Bad::get(format!("{listing}?{query}"))));
        bad.extend([unknown(listing.clone()), no_type(listing.clone())].map(Bad::get));
        bad.extend(["", reader].map(|authorization| Bad::get(listing.clone()).by(authorization)));
    }
    bad.extend([pass_path(), pass_targets()].map(|path| Bad::get(path.replace(PASS, CAMPAIGN))));
    let totals = format!("{}/totals", report_path());
    bad.push(Bad::get(format!("{}?start_date=x", report_path())));
    bad.extend([Bad::get("/v2/openapi.json?x=1".to_owned()), Bad::post(format!("{events}?x=1"), "{}")]);
    bad.extend([report_path(), totals.clone()].map(|path| Bad::get(unknown(path))));
    for path in [campaign_path(), pass_path(), report_path(), totals] {
        bad.extend([Bad::get(no_type(path.clone())), Bad::get(no_uuid(path.clone())), Bad::get(path).by("")]);
    }
    for body in ["{", "{}"] {
        bad.extend([Bad::post(pass_path(), body), Bad::post(events.clone(), body)]);
    }
    for path in [pass_path(), events.clone()] {
        bad.push(Bad::post(path.clone(), "{}").by("Bearer wrong"));
        bad.push(Bad::post(path.clone(), "{}").by(reader));
        bad.push(Bad { content_type: "text/csv", ..Bad::post(path.clone(), "{}") });
        bad.push(Bad::post(path, &" ".repeat(1024 * 1024 + 1)));
    }
    bad.extend([no_type(pass_path()), no_uuid(pass_path())].map(|path| Bad::post(path, "{}")));
    bad.push(Bad::post(pass_path(), "{}").by(stranger));
    bad.push(Bad::post(events, &created.to_string()).by(stranger));
    bad.push(Bad::post(pass_path(), &removed.to_string()));
    bad.extend(
        [no_type(registration.clone()), no_uuid(registration.clone()), unknown(registration.clone())].map(Bad::delete),
    );
    bad.push(Bad::delete(registration.replace(REGISTRATION, CAMPAIGN)));
    bad.extend(["", reader].map(|authorization| Bad::delete(registration.clone()).by(authorization)));
    bad
}

#[tokio::test]
async fn every_error_of_the_contract_occurs() {
    // These errors need a failing table or more registrations than this test has. Other tests cover them.
    const TESTED_ELSEWHERE: [&str; 3] = ["internal_error", "unavailable", "too_many_to_sort"];

    let sandbox = Sandbox::with_first_events().await.unwrap();
    let front = sandbox.fresh_front().unwrap();
    let bearer = |key: &Value| format!("Bearer {}", key["api_key"].as_str().unwrap());
    let reader = json!({"action": "add_key", "account_id": "demo", "access": "read_only"});
    let reader = bearer(&admin(&sandbox, reader).await.unwrap());
    admin(&sandbox, json!({"action": "create_account", "account_id": "other", "user_name": "other"})).await.unwrap();
    let stranger = json!({"action": "add_key", "account_id": "other", "access": "read_write"});
    let stranger = bearer(&admin(&sandbox, stranger).await.unwrap());
    let registration = format!("{}/{REGISTRATION}", pass_path());
    assert_eq!(call(&front, Method::DELETE, &registration, &[], "").await.status, StatusCode::NO_CONTENT);

    let mut answered: BTreeSet<(String, String)> = BTreeSet::new();
    for Bad { method, target, authorization, content_type, body } in bad_requests(&reader, &stranger) {
        let headers = [("authorization", authorization.as_str()), ("content-type", content_type)];
        let answer = call(&front, method.clone(), &target, &headers, &body).await;
        assert!(answer.status.is_client_error(), "{method} {target} {body:.80}: {answer:?}");
        let path = target.split('?').next().unwrap();
        let key = front.gateway.route(&method, path).unwrap().key();
        answered.insert((key, answer.json()["error"].as_str().unwrap().to_owned()));
    }
    let documented: BTreeSet<(String, String)> = operations()
        .into_iter()
        .flat_map(|(key, operation)| {
            error_codes(operation).into_values().flatten().map(move |code| (key.clone(), code))
        })
        .filter(|(_, code)| !TESTED_ELSEWHERE.contains(&code.as_str()))
        .collect();
    assert_eq!(answered, documented);
}

#[tokio::test]
async fn the_page_that_shows_the_contract_loads_nothing_from_other_servers() {
    let template = Template::read(&Template::default_path()).unwrap();
    let stack = local::stack::Stack::open(template, &local::aws::dynamodb::Data::Temporary).await.unwrap();
    let running = stack.serve(0).await.unwrap();
    let get = async |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        exchange(&running.url, &request).await
    };
    assert!(get("/docs").await.contains("Location: /docs/\r\n"));
    let page = get("/docs/").await;
    assert!(page.starts_with("HTTP/1.1 200 OK") && page.contains("Content-Security-Policy: default-src 'self';"));
    let is_loaded = |text: &&str| {
        let extension = Path::new(text).extension().and_then(OsStr::to_str);
        extension.is_some_and(|extension| ["js", "css"].contains(&extension))
    };
    let files: Vec<_> = page.split(['"', '\'']).filter(is_loaded).collect();
    assert!(files.len() >= 3, "{page}");
    for file in files {
        assert!(!file.contains("//"), "{file} is on another server");
        let answer = get(&format!("/docs/{}", file.trim_start_matches("./"))).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{file}: {}", &answer[..80]);
    }
    assert!(get("/docs/swagger-initializer.js").await.contains(r#""url": "/v2/openapi.json""#));
    assert!(get("/docs/no-such-file").await.starts_with("HTTP/1.1 404"));
    running.stop().await;
}
