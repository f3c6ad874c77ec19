//! Whatever comes to the functions that need no API key, the answer has a documented status and repeats nothing of the
//! request, and nothing is written outside the account's own campaign.
//!
//! The functions are tested twice: with events of any contents, and behind the local gateway with requests that HTTP
//! allows. The function of wallets also gets arbitrary bytes over a connection.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io::Write as _,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use flate2::{Compression, write::GzEncoder};
use http::{Method, Request};
use local::{
    aws::front::{ApiFront, Front as _},
    functions::Functions,
    samples,
    testing::sandbox::Sandbox,
};
use proptest::{
    prelude::*,
    sample::{Index, select},
    test_runner::TestRunner,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime::Runtime,
};

use crate::{
    CAMPAIGN, PASS, admin,
    google_wallet_callback::{self, Fixture, callback, stored},
    serve,
};

const TOKEN: &str = "c0ffee3141592653c0ffee5897932384";
const DEVICE: &str = "c0ffee00c0ffee00c0ffee00c0ffee00";
const SERIAL_NUMBER: &str = "serial-c0ffee-1";
const PASS_TYPE: &str = "pass.com.example.coupon";
const PUSH_TOKEN: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
/// The token of a pass of another account.
const OTHER_TOKEN: &str = "another3141592653another5897932384";
const OTHER_CAMPAIGN: &str = "70e4b6a3-08f4-4d9a-b7e0-d9b26b8ee27a";

/// What the functions for wallets may answer.
const WALLET_STATUSES: [u64; 6] = [200, 201, 204, 400, 401, 404];
/// What the function for Google may answer if its table and Google's keys are within reach.
const GOOGLE_STATUSES: [u64; 4] = [200, 400, 404, 413];
/// What the gateway and the HTTP server answer before a function is asked.
const FRONT_STATUSES: [u64; 3] = [400, 413, 431];

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(ProptestConfig { cases, max_shrink_iters: 200, failure_persistence: None, ..Default::default() })
}

/// Starts a sandbox in which the accounts `demo` and `acme` have a pass each.
async fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    admin(&sandbox, json!({"action": "create_account", "account_id": "acme", "user_name": "acme"})).await.unwrap();
    let created = |account: &str, campaign: &str, serial_number: &str, token: &str| {
        let event = json!({
            "event": "created", "account_id": account, "campaign_id": campaign, "campaign_type": "coupons",
            "pass_id": PASS, "event_at": "2016-11-09T11:09:00Z", "serial_number": serial_number,
            "pass_type_identifier": PASS_TYPE, "authentication_token": token,
        });
        json!({"messageId": account, "body": event.to_string(), "eventSource": "aws:sqs"})
    };
    let messages = [
        created("demo", CAMPAIGN, SERIAL_NUMBER, TOKEN),
        created("demo", CAMPAIGN, "a/b c", TOKEN),
        created("acme", OTHER_CAMPAIGN, SERIAL_NUMBER, OTHER_TOKEN),
    ];
    let event = json!({ "Records": messages });
    let answer = sandbox.fresh_functions().unwrap().invoke("registration-ingest", event).await.unwrap();
    assert_eq!(answer["batchItemFailures"], json!([]));
    sandbox
}

/// Returns all that is stored, except what a wallet with the token may write: registrations of the pass.
async fn stored_elsewhere(sandbox: &Sandbox) -> BTreeSet<String> {
    let own = [format!("S(\"CAMPAIGN#{CAMPAIGN}\")"), format!("S(\"PASS#{PASS}#")];
    let mut items = stored(sandbox).await;
    items.retain(|item| !own.iter().all(|part| item.contains(part)));
    items
}

/// Any text, with what a parser might stumble over.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => ".{0,20}",
        2 => "(%[0-9A-Fa-f]{0,2}|[/a-z.+?#&=]){0,12}",
        1 => select(vec!["", "/", "//", "..", "\0", "\u{feff}", "%", "%00", "%FF", "\r\n", "\u{202e}"])
            .prop_map(str::to_owned),
        1 => (1..9_000_usize).prop_map(|length| "x".repeat(length)),
    ]
}

/// The given text most of the time, or any text.
fn mostly(known: &'static str) -> impl Strategy<Value = String> {
    prop_oneof![9 => Just(known.to_owned()), 1 => text()]
}

/// A path as a function gets it: decoded once.
fn path() -> impl Strategy<Value = String> {
    let account = prop_oneof![16 => Just("demo".to_owned()), 2 => Just("acme".to_owned()), 1 => text()];
    let serial_number =
        prop_oneof![4 => mostly(SERIAL_NUMBER), 1 => select(vec!["a/b c", "a%2Fb%20c"]).prop_map(str::to_owned)]
            .boxed();
    let registrations = select(vec!["registrations", "registrations", "registrations_attido", "registration"]);
    let of_device = (mostly(DEVICE), registrations, mostly(PASS_TYPE));
    let of_device = of_device
        .prop_map(|(device, registrations, pass_type)| format!("devices/{device}/{registrations}/{pass_type}"))
        .boxed();
    let call = prop_oneof![
        6 => (of_device.clone(), serial_number.clone()).prop_map(|(before, number)| format!("{before}/{number}")),
        3 => of_device,
        1 => (mostly(PASS_TYPE), serial_number).prop_map(|(pass_type, number)| format!("passes/{pass_type}/{number}")),
        1 => mostly(PASS_TYPE).prop_map(|pass_type| format!("passes/{pass_type}/1/passLifecycleUpdate")),
        2 => Just("log".to_owned()),
        1 => text(),
    ];
    let version = prop_oneof![16 => Just("/v1/".to_owned()), 2 => Just("//v1/".to_owned()), 1 => text()];
    let end = select(vec!["", "", "", "/", "//", "\0"]);
    (account, version, call, end)
        .prop_map(|(account, version, call, end)| format!("/wallet/{account}{version}{call}{end}"))
}

fn headers() -> impl Strategy<Value = Vec<(String, String)>> {
    let scheme = prop_oneof![
        select(vec!["ApplePass", "AndroidPass", "AttidoPass", "Bearer", ""]).prop_map(str::to_owned),
        text()
    ];
    let authorization = prop_oneof![
        4 => (scheme, select(vec![" ", "  ", "\t", ""])).prop_map(|(scheme, between)| format!("{scheme}{between}{TOKEN}")),
        1 => Just(format!("ApplePass {OTHER_TOKEN}")),
        1 => text(),
    ]
    .boxed();
    let names = select(vec![
        "user-agent",
        "x-pass-client",
        "content-type",
        "content-encoding",
        "accept",
        "cookie",
        "if-modified-since",
    ]);
    let values = prop_oneof![
        select(vec!["passd/1.0", "Passes", "gzip", "application/json", "é"]).prop_map(str::to_owned),
        text()
    ];
    let others = prop::collection::vec((names.prop_map(str::to_owned), values), 0..6);
    // Several `authorization` headers are possible.
    let authorizations = prop_oneof![
        4 => prop::collection::vec(authorization.clone(), 1),
        1 => prop::collection::vec(authorization, 0..3),
    ];
    (authorizations, others).prop_map(|(authorizations, others)| {
        let authorizations = authorizations.into_iter().map(|value| ("authorization".to_owned(), value));
        authorizations.chain(others).collect()
    })
}

/// A path and headers, except those with which the other account's own pass would be registered.
fn path_and_headers() -> impl Strategy<Value = (String, Vec<(String, String)>)> {
    (path(), headers()).prop_filter("a request that the other account may make", |(path, headers)| {
        !path.starts_with("/wallet/acme") || !headers.iter().any(|(_, value)| value.contains(OTHER_TOKEN))
    })
}

/// Any value of JSON, as text, with what is at the limits of the format.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        select(vec![
            "null",
            "true",
            "0",
            "-0",
            "1e999",
            "-1e-999",
            "123456789012345678901234567890",
            "\"\\ud800\"",
            "\"\\u0000\""
        ])
        .prop_map(str::to_owned),
        text().prop_map(|text| json!(text).to_string()),
        Just(json!(PUSH_TOKEN).to_string()),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|values| format!("[{}]", values.join(","))),
            prop::collection::vec((text(), inner), 0..4).prop_map(|members| object(&members)),
        ]
    })
}

fn object(members: &[(String, String)]) -> String {
    let members: Vec<_> = members.iter().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
    format!("{{{}}}", members.join(","))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A body, whose members may have these names.
fn body(names: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let member = (prop_oneof![4 => select(names).prop_map(str::to_owned), 1 => text()], value());
    let object = prop::collection::vec(member, 0..5).prop_map(|members| object(&members).into_bytes()).boxed();
    prop_oneof![
        4 => Just(json!({ "pushToken": PUSH_TOKEN }).to_string().into_bytes()),
        6 => object.clone(),
        1 => object.prop_map(|bytes| gzip(&bytes)),
        1 => value().prop_map(String::into_bytes),
        2 => prop::collection::vec(any::<u8>(), 0..60),
        1 => (1..3_000_usize, select(vec!["[", "{\"logs\":", "{\"pushToken\":["]))
            .prop_map(|(depth, open)| open.repeat(depth).into_bytes()),
        1 => (60_000..70_000_usize).prop_map(|length| vec![b' '; length]),
    ]
}

const WALLET_MEMBERS: &[&str] = &["pushToken", "pushServiceUrl", "logs"];
const GOOGLE_MEMBERS: &[&str] = &["signature", "intermediateSigningKey", "protocolVersion", "signedMessage"];

/// The sample event with another method, path, headers and body.
fn event(
    sample: &str,
    method: &str,
    path: &str,
    headers: &[(String, String)],
    body: &[u8],
    encoding: Encoding,
) -> Value {
    let mut event = samples::read(&samples::folder().join(sample)).unwrap();
    event["rawPath"] = json!(path);
    event["requestContext"]["http"]["method"] = json!(method);
    event["requestContext"]["http"]["path"] = json!(path);
    // A header that is repeated comes once, with its values joined.
    let mut joined: BTreeMap<&str, String> = BTreeMap::new();
    for (name, value) in headers.iter().filter(|(_, value)| value.parse::<http::HeaderValue>().is_ok()) {
        joined.entry(name).and_modify(|known| write!(known, ",{value}").unwrap()).or_insert_with(|| value.clone());
    }
    event["headers"] = json!(joined);
    let (text, is_encoded) = match encoding {
        Encoding::Text => (String::from_utf8_lossy(body).into_owned(), false),
        Encoding::Base64 => (BASE64_STANDARD.encode(body), true),
    };
    event["body"] = json!(text);
    event["isBase64Encoded"] = json!(is_encoded);
    event
}

/// How an event has its body.
#[derive(Debug, Clone, Copy)]
enum Encoding {
    Text,
    Base64,
}

fn encoding() -> impl Strategy<Value = Encoding> {
    prop_oneof![Just(Encoding::Text), Just(Encoding::Base64)]
}

fn method() -> impl Strategy<Value = &'static str> {
    select(vec!["POST", "POST", "POST", "POST", "DELETE", "DELETE", "GET", "GET", "HEAD", "PUT", "OPTIONS"])
}

/// Fails unless an answer is one of a wallet's function: a known status, and no body unless it is a list.
fn expect_bare(status: u64, headers: &str, body: &str, statuses: &[u64]) {
    assert!(statuses.contains(&status), "{status} {body}");
    let secrets = [TOKEN, OTHER_TOKEN, DEVICE, PUSH_TOKEN];
    assert!(!secrets.iter().any(|secret| headers.contains(secret) || body.contains(secret)), "{headers} {body}");
    if body.is_empty() {
        return;
    }
    let body: Value = serde_json::from_str(body).unwrap();
    let is_gateways = FRONT_STATUSES.contains(&status) && body["message"].is_string();
    let known = [json!(SERIAL_NUMBER), json!("a/b c")];
    let is_list = || body["serialNumbers"].as_array().unwrap().iter().all(|name| known.contains(name));
    assert!(is_gateways || (status == 200 && is_list()), "{status} {body}");
}

async fn expect_answer(functions: &Functions, function: &str, event: Value, statuses: &[u64]) {
    let answer = functions.invoke(function, event).await.unwrap();
    let status = answer["statusCode"].as_u64().unwrap();
    expect_bare(status, &answer["headers"].to_string(), answer["body"].as_str().unwrap(), statuses);
}

#[test]
fn the_web_service_answers_every_event_as_documented_and_writes_only_for_the_pass() {
    let runtime = Runtime::new().unwrap();
    let sandbox = runtime.block_on(sandbox());
    let functions = sandbox.fresh_functions().unwrap();
    let before = runtime.block_on(stored_elsewhere(&sandbox));
    let cases = (method(), path_and_headers(), body(WALLET_MEMBERS), encoding(), text());
    runner(1_000)
        .run(&cases, |(method, (path, headers), body, encoding, query)| {
            let mut event = event("http/wallet-register.json", method, &path, &headers, &body, encoding);
            event["rawQueryString"] = json!(format!("passesUpdatedSince={query}"));
            runtime.block_on(expect_answer(&functions, "wallet-web-service", event, &WALLET_STATUSES));
            Ok(())
        })
        .unwrap();
    assert_eq!(runtime.block_on(stored_elsewhere(&sandbox)), before);
    let all = runtime.block_on(stored(&sandbox));
    assert!(all.len() > before.len(), "some requests registered the pass");
    assert!(!all.iter().any(|item| item.contains(DEVICE) || item.contains(TOKEN)), "only digests are stored");
}

/// Writes a path as a client might, with any bytes encoded that a URI must not have, and some others.
fn written(path: &str, encoded: &[Index]) -> String {
    let also: BTreeSet<usize> = encoded.iter().map(|index| index.index(path.len().max(1))).collect();
    let mut written = String::new();
    for (position, byte) in path.bytes().enumerate() {
        let is_plain = byte.is_ascii_alphanumeric() || b"/-._~%+&=:@".contains(&byte);
        if is_plain && !also.contains(&position) {
            written.push(char::from(byte));
        } else {
            write!(written, "%{byte:02X}").unwrap();
        }
    }
    written
}

#[test]
fn the_gateway_and_the_web_service_answer_every_request_as_documented() {
    let runtime = Runtime::new().unwrap();
    let sandbox = runtime.block_on(sandbox());
    let front = sandbox.fresh_front().unwrap();
    let before = runtime.block_on(stored_elsewhere(&sandbox));
    let statuses = [&WALLET_STATUSES[..], &FRONT_STATUSES].concat();
    let encoded = prop::collection::vec(any::<Index>(), 0..4);
    let cases = (method(), path_and_headers(), encoded, body(WALLET_MEMBERS), any::<Vec<u8>>());
    runner(1_000)
        .run(&cases, |(method, (path, headers), encoded, body, junk)| {
            let mut request = Request::builder().method(method).uri(written(&path, &encoded));
            let junk = http::HeaderValue::from_bytes(&junk).ok().map(|value| ("x-junk".to_owned(), value));
            let values = headers.iter().filter_map(|(name, value)| {
                Some((name.clone(), http::HeaderValue::from_bytes(value.as_bytes()).ok()?))
            });
            for (name, value) in values.chain(junk) {
                request = request.header(name, value);
            }
            let Ok(request) = request.body(()) else { return Ok(()) };
            let (status, headers, body) = runtime.block_on(answer(&front, request, body));
            // Other paths are not for wallets: their errors have a body, and are tested elsewhere.
            if front.gateway.route(&Method::POST, &written(&path, &encoded)).unwrap().function()
                == Some("wallet-web-service")
            {
                expect_bare(status, &headers, &body, &statuses);
            }
            assert!(status < 500, "{status}");
            Ok(())
        })
        .unwrap();
    assert_eq!(runtime.block_on(stored_elsewhere(&sandbox)), before);
    let all = runtime.block_on(stored(&sandbox));
    assert!(all.len() > before.len(), "some requests registered the pass");
}

async fn answer(front: &ApiFront, request: Request<()>, body: Vec<u8>) -> (u64, String, String) {
    let (parts, ()) = request.into_parts();
    let response = front.answer(parts, body.into(), ([127, 0, 0, 1], 1).into()).await;
    let (parts, body) = response.into_parts();
    (parts.status.as_u16().into(), format!("{:?}", parts.headers), String::from_utf8(body).unwrap())
}

#[test]
fn any_bytes_over_a_connection_are_answered_or_refused() {
    let runtime = Runtime::new().unwrap();
    let sandbox = runtime.block_on(sandbox());
    let served = runtime.block_on(serve(sandbox.fresh_front().unwrap()));
    let before = runtime.block_on(stored_elsewhere(&sandbox));
    let bytes = || prop::collection::vec(any::<u8>(), 0..30);
    runner(300)
        .run(&(bytes(), bytes(), bytes()), |(path, header, body)| {
            let head = [
                format!("POST /wallet/demo/v1/devices/{DEVICE}/registrations/{PASS_TYPE}/{SERIAL_NUMBER}").as_bytes(),
                &path,
                b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: ",
                &header,
                format!("\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(),
            ]
            .concat();
            let answer = runtime.block_on(async {
                let mut stream = TcpStream::connect(served.address).await.unwrap();
                stream.write_all(&[head, body].concat()).await.unwrap();
                stream.shutdown().await.unwrap();
                let mut answer = Vec::new();
                // A server that closes the connection before it has read all of the request resets it.
                let _ = stream.read_to_end(&mut answer).await;
                String::from_utf8_lossy(&answer).into_owned()
            });
            let status: Option<u64> = answer.get(9..12).and_then(|status| status.parse().ok());
            let is_known = |status| [&WALLET_STATUSES[..], &FRONT_STATUSES].concat().contains(&status);
            assert!(status.is_none_or(is_known), "{answer}");
            assert!(!answer.contains(DEVICE) && !answer.contains(SERIAL_NUMBER), "{answer}");
            Ok(())
        })
        .unwrap();
    assert_eq!(runtime.block_on(stored_elsewhere(&sandbox)), before);
}

#[test]
fn the_receiver_of_callbacks_answers_every_event_as_documented_and_writes_nothing() {
    let runtime = Runtime::new().unwrap();
    let fixture = runtime.block_on(async {
        let fixture = Fixture::start().await;
        fixture.create().await;
        fixture
    });
    let functions = fixture.sandbox.fresh_functions().unwrap();
    let account = prop_oneof![4 => Just("demo".to_owned()), 1 => text()];
    let before = runtime.block_on(fixture.stored());
    runner(400)
        .run(&(account, headers(), body(GOOGLE_MEMBERS), encoding()), |(account, headers, body, encoding)| {
            let path = format!("/wallet/{account}/google");
            let mut event = event("http/google-callback.json", "POST", &path, &headers, &body, encoding);
            event["pathParameters"]["account_id"] = json!(account);
            runtime.block_on(expect_answer(&functions, "google-wallet-callback", event, &GOOGLE_STATUSES));
            Ok(())
        })
        .unwrap();
    assert_eq!(runtime.block_on(fixture.stored()), before);
}

#[test]
fn a_callback_with_one_other_byte_is_refused_and_writes_nothing() {
    let runtime = Runtime::new().unwrap();
    let fixture = runtime.block_on(async {
        let fixture = Fixture::start().await;
        fixture.create().await;
        fixture
    });
    let body = callback("save", 1).body().to_string().into_bytes();
    let functions = fixture.sandbox.fresh_functions().unwrap();
    let event = |body: &[u8]| {
        event("http/google-callback.json", "POST", google_wallet_callback::PATH, &[], body, Encoding::Base64)
    };
    // The keys are stored with the first callback that needs them.
    let mut other = callback("save", 1).body();
    other["signature"] = json!("MEUCIQ==");
    runtime.block_on(expect_answer(&functions, "google-wallet-callback", event(other.to_string().as_bytes()), &[400]));
    let before = runtime.block_on(fixture.stored());
    runner(400)
        .run(&(any::<Index>(), any::<u8>()), |(position, byte)| {
            let mut changed = body.clone();
            let position = position.index(changed.len());
            prop_assume!(changed[position] != byte);
            changed[position] = byte;
            runtime.block_on(expect_answer(&functions, "google-wallet-callback", event(&changed), &[400]));
            Ok(())
        })
        .unwrap();
    assert_eq!(runtime.block_on(fixture.stored()), before);
    runtime.block_on(expect_answer(&functions, "google-wallet-callback", event(&body), &[200]));
    assert_ne!(runtime.block_on(fixture.stored()), before, "unchanged it is applied");
}
