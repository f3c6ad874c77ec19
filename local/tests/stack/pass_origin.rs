//! Passes come from the server in the parameter `PassOrigin`, as wallets and other callers ask for them.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, IF_MODIFIED_SINCE, LAST_MODIFIED, LOCATION},
    request::Parts,
};
use hyper::body::Bytes;
use local::{
    aws::front::{ApiFront, Front},
    simulated_wallet::{self, Visit, behaviour::SimulatedWallet},
    template::Template,
    testing::sandbox::Sandbox,
};
use percent_encoding::percent_decode_str;
use rstest::rstest;
use serde_json::json;
use tokio::net::TcpListener;

use crate::{EVENTS, PASS, Served, created, post, serve};

const PASS_TYPE: &str = "pass.com.example.coupon";
const TOKEN: &str = "0123456789abcdef";
const SERIAL_NUMBER: &str = "B-1 é/7";
/// Not UTF-8, as a real pass.
const PASS_DATA: &[u8] = b"PK\x03\x04\xff\x00";
/// A date in another form than HTTP's, because it is compared as text.
const MODIFIED: &str = "Fri, 27 Nov 2026 12:00:00 +0000";

/// A server that has one pass, at `/base`.
#[derive(Clone, Default)]
struct Origin {
    requests: Arc<Mutex<Vec<(Method, String, HeaderMap)>>>,
}

impl Front for Origin {
    async fn answer(&self, request: Parts, _: Bytes, _: SocketAddr) -> Response<Vec<u8>> {
        let target = request.uri.path_and_query().unwrap().as_str().to_owned();
        self.requests.lock().unwrap().push((request.method.clone(), target, request.headers.clone()));
        let mut response = Response::new(Vec::new());
        let path = percent_decode_str(request.uri.path()).decode_utf8().unwrap().into_owned();
        // The wallets use several schemes.
        let authorization = request.headers.get(AUTHORIZATION).map_or("", |value| value.to_str().unwrap());
        let is_authorized = authorization.ends_with(&format!(" {TOKEN}"));
        if path == format!("/base/v1/passes/{PASS_TYPE}/moved") {
            *response.status_mut() = StatusCode::FOUND;
            response.headers_mut().insert(LOCATION, HeaderValue::from_static("https://elsewhere.example/pass"));
        } else if !is_authorized || path != format!("/base/v1/passes/{PASS_TYPE}/{SERIAL_NUMBER}") {
            *response.status_mut() = StatusCode::UNAUTHORIZED;
        } else {
            response.headers_mut().insert(LAST_MODIFIED, HeaderValue::from_static(MODIFIED));
            if request.headers.get(IF_MODIFIED_SINCE).is_some_and(|since| since == MODIFIED) {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
            } else {
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/vnd.apple.pkpass"));
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("x-of-connection"));
                response.headers_mut().insert("x-of-connection", HeaderValue::from_static("1"));
                PASS_DATA.clone_into(response.body_mut());
            }
        }
        response
    }
}

/// Returns an API whose passes come from `origin`, or from nowhere, and what it needs as long as it is used.
async fn api(origin: Option<String>) -> (ApiFront, Sandbox) {
    let mut sandbox = Sandbox::start().await.unwrap();
    let names = json!({
        "serial_number": SERIAL_NUMBER, "pass_type_identifier": PASS_TYPE, "authentication_token": TOKEN,
    });
    assert_eq!(post(&sandbox, EVENTS, &created(PASS, &names)).await.status, StatusCode::OK);
    let parameters = origin.map(|url| ("PassOrigin".to_owned(), url)).into_iter().collect();
    sandbox.template = Template::read_with(&Template::default_path(), &parameters).unwrap();
    (sandbox.fresh_front().unwrap(), sandbox)
}

/// Returns an API whose passes come from a server, and that server.
async fn api_with_origin() -> (ApiFront, Origin, (Served, Sandbox)) {
    let origin = Origin::default();
    let served = serve(origin.clone()).await;
    let (api, sandbox) = api(Some(format!("http://{}/base", served.address))).await;
    (api, origin, (served, sandbox))
}

async fn send(api: &ApiFront, method: &str, target: &str, headers: &[(&str, &str)]) -> Response<Vec<u8>> {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    api.answer(parts, Bytes::new(), ([127, 0, 0, 1], 1).into()).await
}

/// Returns the target of a request for a pass, whose serial number is given as it is in the URL.
fn target(serial_number: &str) -> String {
    format!("/wallet/demo/v1/passes/{PASS_TYPE}/{serial_number}")
}

#[rstest]
#[case(SimulatedWallet::Passbook)]
#[case(SimulatedWallet::WalletPasses)]
#[case(SimulatedWallet::Other)]
#[tokio::test]
async fn a_wallet_fetches_its_pass_and_finds_no_broken_rule(#[case] wallet: SimulatedWallet) {
    let (api, _, _running) = api_with_origin().await;
    let served = serve(api).await;
    let service = served.wallet_url().parse().unwrap();
    let [pass_type, serial_number, token] = [PASS_TYPE, SERIAL_NUMBER, TOKEN].map(str::to_owned);
    let visit = Visit::new(wallet, service, pass_type, serial_number, token, jiff::Timestamp::UNIX_EPOCH);
    let visit = Visit { expects_pass: true, ..visit };
    let mut statuses = BTreeMap::new();
    let broken = simulated_wallet::run(&visit, |exchange| {
        statuses.insert(exchange.step, exchange.answer.status().as_u16());
    });
    let broken = broken.await.unwrap();
    assert!(broken.is_empty(), "{broken:?}");
    assert_eq!((statuses["fetch the pass"], statuses["fetch the pass if it changed"]), (200, 304));
    assert_eq!(statuses["fetch the pass with a wrong token"], 401);
}

#[tokio::test]
async fn the_origin_gets_the_request_of_the_wallet_and_the_wallet_its_answer() {
    let (api, origin, running) = api_with_origin().await;
    let authorization = format!("ApplePass {TOKEN}");
    let headers = [
        ("host", "api.example.com"),
        ("authorization", authorization.as_str()),
        ("user-agent", "passd/1.0"),
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "1"),
        ("forwarded", "for=192.0.2.1"),
    ];
    // As iOS sends it: each part encoded twice.
    let answer = send(&api, "GET", &target("B-1%2520%25C3%25A9%252F7?a=%2F&b"), &headers).await;
    assert_eq!((answer.status(), answer.body().as_slice()), (StatusCode::OK, PASS_DATA));
    assert_eq!(answer.headers()[CONTENT_TYPE], "application/vnd.apple.pkpass");
    assert_eq!(answer.headers()[LAST_MODIFIED], MODIFIED);
    assert!(answer.headers().contains_key("apigw-requestid"));
    assert!(!answer.headers().contains_key(CONNECTION) && !answer.headers().contains_key("x-of-connection"));

    let (method, asked, received) = origin.requests.lock().unwrap().pop().unwrap();
    assert_eq!((method, asked), (Method::GET, format!("/base/v1/passes/{PASS_TYPE}/B-1%20%C3%A9%2F7?a=%2F&b")));
    let values = |name: &str| received.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(values("host"), [running.0.address.to_string()]);
    assert_eq!((values("authorization"), values("user-agent")), (vec![authorization.as_str()], vec!["passd/1.0"]));
    assert_eq!(values("forwarded"), ["for=192.0.2.1", "for=127.0.0.1;host=api.example.com;proto=https"]);
    assert_eq!(values("via"), ["HTTP/1.1 AmazonAPIGateway"]);
    assert!(values("x-hop").is_empty() && values("connection").is_empty(), "{received:?}");
}

#[rstest]
#[case::encoded_once("B-1%20%C3%A9%2F7", &[], 200)]
#[case::raw_slash("B-1%20%C3%A9/7", &[], 200)]
#[case::unchanged("B-1%20%C3%A9/7", &[("if-modified-since", MODIFIED)], 304)]
#[case::changed("B-1%20%C3%A9/7", &[("if-modified-since", "Thu, 26 Nov 2026 12:00:00 +0000")], 200)]
#[case::wrong_token("B-1%20%C3%A9/7", &[("authorization", "ApplePass 0123456789abcdeF")], 401)]
#[case::unknown_pass("2", &[], 401)]
#[case::redirect("moved", &[], 302)]
#[tokio::test]
async fn the_answer_of_the_origin_is_passed_on(
    #[case] serial_number: &str,
    #[case] headers: &[(&str, &str)],
    #[case] expected: u16,
) {
    let (api, origin, _running) = api_with_origin().await;
    let authorization = format!("ApplePass {TOKEN}");
    let mut all = headers.to_vec();
    if !headers.iter().any(|(name, _)| *name == "authorization") {
        all.push(("authorization", &authorization));
    }
    let answer = send(&api, "GET", &target(serial_number), &all).await;
    assert_eq!(answer.status(), expected);
    assert_eq!(answer.body().is_empty(), expected != 200);
    assert_eq!(answer.headers().contains_key(LOCATION), expected == 302);
    assert_eq!(origin.requests.lock().unwrap().len(), 1, "a redirect is not followed");
}

#[rstest]
#[case::dots("..%2f..%2f..%2fadmin", None)]
#[case::encoded_dots("%252e%252e/%252e%252e/admin", None)]
#[case::another_host("//evil.example/1", Some("///evil.example/1"))]
#[case::a_user("@evil.example", Some("/@evil.example"))]
#[case::a_query("1%3Fa=b%23c", Some("/1%3Fa=b%23c"))]
#[case::dots_in_one_segment("..%252f..%252fadmin", Some("/..%2f..%2fadmin"))]
#[tokio::test]
async fn no_serial_number_leaves_the_server_or_its_path(#[case] serial_number: &str, #[case] expected: Option<&str>) {
    let (api, origin, _running) = api_with_origin().await;
    let answer = send(&api, "GET", &target(serial_number), &[]).await;
    let asked: Vec<_> = origin.requests.lock().unwrap().iter().map(|(_, target, _)| target.clone()).collect();
    let expected: Vec<_> = expected.iter().map(|rest| format!("/base/v1/passes/{PASS_TYPE}{rest}")).collect();
    assert_eq!(asked, expected);
    assert_eq!(answer.status(), if expected.is_empty() { StatusCode::BAD_REQUEST } else { StatusCode::UNAUTHORIZED });
}

#[tokio::test]
async fn an_origin_that_cannot_be_reached_is_503() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (api, _sandbox) = api(Some(format!("http://{address}"))).await;
    let answer = send(&api, "GET", &target("1"), &[]).await;
    assert_eq!(
        (answer.status(), answer.body().as_slice()),
        (StatusCode::SERVICE_UNAVAILABLE, &b"{\"message\":\"Service Unavailable\"}"[..])
    );
}

#[rstest]
#[case::another_method("HEAD", "/wallet/demo/v1/passes/pass.com.example.coupon/1", 404)]
#[case::another_call("POST", "/wallet/demo/v1/passes/pass.com.example.coupon/1/passLifecycleUpdate", 200)]
#[case::without_a_serial_number("GET", "/wallet/demo/v1/passes/pass.com.example.coupon", 404)]
#[case::a_url_that_ends_in_a_slash("GET", "/wallet/demo//v1/passes/pass.com.example.coupon/1", 404)]
#[case::the_list("GET", "/wallet/demo/v1/devices/device/registrations/pass.com.example.coupon", 204)]
#[tokio::test]
async fn everything_else_is_answered_as_without_an_origin(
    #[case] method: &str,
    #[case] target: &str,
    #[case] expected: u16,
) {
    let (api_with, origin, _running) = api_with_origin().await;
    let (api_without, _sandbox) = api(None).await;
    for api in [api_with, api_without] {
        assert_eq!(send(&api, method, target, &[]).await.status(), expected);
    }
    assert!(origin.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn without_an_origin_there_is_no_pass() {
    let (api, _sandbox) = api(None).await;
    let answer = send(&api, "GET", &target("1"), &[]).await;
    assert_eq!((answer.status(), answer.body().as_slice()), (StatusCode::NOT_FOUND, &b""[..]));
}
