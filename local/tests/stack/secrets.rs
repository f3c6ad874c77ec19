//! No device library identifier, push token, serial number, authentication token or Google object is in a line of the
//! log, at DEBUG. Metrics are counted from these lines, and there are no other traces.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use http::Method;
use local::{
    aws::front::ApiFront,
    simulated_wallet::{self, Extent, Visit, behaviour::SimulatedWallet},
    testing::{faults::Fault, google::SignedCallback, sandbox::Sandbox},
};
use serde_json::{Value, json};
use strum::VariantArray as _;
use tracing::Level;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::{
    CAMPAIGN, EVENTS, OTHER_PASS, PASS, call, created,
    google_wallet_callback::{self, Fixture, HOUR, ISSUER},
    post,
    push_targets::{campaign_targets, pass_targets},
    serve,
};

/// What each secret of this test contains, and nothing else.
const MARK: &str = "5ec2e7";
const DEVICE: &str = "5ec2e70b30b31a3fa56dbd45411c9330";
const PUSH_TOKEN: &str = "5ec2e7f0e1d2c3b4a5968778695a4b3c";
const TOKEN: &str = "5ec2e7141592653c0ffee5897932384";
const SERIAL_NUMBER: &str = "5ec2e7-1/é";
const OBJECT: &str = "3388000000022000000.5ec2e7-1";
const PASS_TYPE: &str = "pass.com.example.coupon";

/// The lines of the log so far.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))).unwrap()
    }

    /// Fails if a line has a secret, or if none of them has `expected`.
    fn expect_no_secret(&self, expected: &str) {
        let log = self.take();
        let leak = log.lines().find(|line| line.contains(MARK));
        assert_eq!(leak, None);
        assert!(log.contains(expected), "{expected} is not in the log");
    }
}

fn names() -> Value {
    json!({
        "serial_number": SERIAL_NUMBER, "pass_type_identifier": PASS_TYPE, "authentication_token": TOKEN,
        "google_object_id": OBJECT,
    })
}

/// Good events, and events that are refused because of what the secrets are in.
fn events() -> Vec<Value> {
    let now = || jiff::Timestamp::now().to_string();
    let of_pass = |event: &str, extra: Value| {
        json!({
            "event": event, "campaign_id": CAMPAIGN, "pass_id": PASS, "event_at": now(), "event_extra": extra,
        })
    };
    let install = json!({
        "device_app_vendor": "passbook", "device_os": "ios", "device_library_identifier": DEVICE,
        "push_token": PUSH_TOKEN,
    });
    let mut named = of_pass("installed", install.clone());
    named["serial_number"] = json!(SERIAL_NUMBER);
    named["pass_type_identifier"] = json!(PASS_TYPE);
    let with = |name: &str, value: Value| {
        let mut extra = install.clone();
        extra[name] = value;
        of_pass("installed", extra)
    };
    vec![
        created(PASS, &names()),
        named,
        with("device_library_identifier", json!(DEVICE.repeat(5))),
        with("push_token", json!([PUSH_TOKEN])),
        with("device_app_vendor", json!(DEVICE)),
        with("device_os", json!(PUSH_TOKEN)),
        with("registration_id", json!(DEVICE)),
        with(DEVICE, json!(DEVICE)),
        created(PASS, &json!({"serial_number": SERIAL_NUMBER.repeat(99), "pass_type_identifier": PASS_TYPE})),
        created(PASS, &json!({"serial_number": SERIAL_NUMBER, "pass_type_identifier": SERIAL_NUMBER})),
        created(PASS, &json!({"authentication_token": TOKEN})),
        created(PASS, &json!({"google_object_id": MARK})),
        created(OTHER_PASS, &json!({"google_object_id": OBJECT})),
        of_pass("push_failed", json!({"push_token": PUSH_TOKEN})),
        of_pass("push_failed", json!({"push_token": {PUSH_TOKEN: PUSH_TOKEN}})),
        of_pass("uninstalled", json!({"device_app_vendor": "passbook", "device_library_identifier": DEVICE})),
        of_pass(MARK, json!({})),
        json!(PUSH_TOKEN),
    ]
}

/// Requests of wallets that are wrong in one part, each with its body.
fn bad_requests() -> Vec<(Method, String, String, String)> {
    let root = "/wallet/demo/v1";
    let path =
        |device: &str, pass_type: &str| format!("{root}/devices/{device}/registrations/{pass_type}/5ec2e7-1%2F%C3%A9");
    let own = path(DEVICE, PASS_TYPE);
    let (right, wrong) = (format!("ApplePass {TOKEN}"), format!("ApplePass {TOKEN}0"));
    let bodies = [
        json!(PUSH_TOKEN).to_string(),
        json!([PUSH_TOKEN]).to_string(),
        json!({"pushToken": [PUSH_TOKEN]}).to_string(),
        json!({"pushToken": PUSH_TOKEN.repeat(99)}).to_string(),
        json!({"pushToken": format!("{PUSH_TOKEN}\n")}).to_string(),
        json!({"pushServiceUrl": PUSH_TOKEN}).to_string(),
        format!("{{\"pushToken\":\"{PUSH_TOKEN}\",\"pushToken\":\"{PUSH_TOKEN}\"}}"),
        format!("{{\"pushToken\":\"{PUSH_TOKEN}"),
        format!("{{\"pushToken\":{PUSH_TOKEN}}}"),
        PUSH_TOKEN.to_owned(),
    ];
    let mut all: Vec<_> = bodies.into_iter().map(|body| (Method::POST, own.clone(), right.clone(), body)).collect();
    for (method, path, authorization) in [
        (Method::POST, own.clone(), wrong),
        (Method::DELETE, own.clone(), TOKEN.to_owned()),
        (Method::DELETE, own.clone(), format!("{TOKEN} {TOKEN}é")),
        (Method::POST, path(&DEVICE.repeat(5), PASS_TYPE), right.clone()),
        (Method::POST, path(DEVICE, SERIAL_NUMBER), right.clone()),
        (Method::PUT, own.clone(), right.clone()),
        (Method::GET, format!("{own}?passesUpdatedSince={MARK}"), right.clone()),
        (
            Method::GET,
            format!("{root}/devices/{DEVICE}/registrations/{PASS_TYPE}?passesUpdatedSince={MARK}%"),
            right.clone(),
        ),
        (Method::GET, format!("{root}/devices/{DEVICE}/registrations/{DEVICE}"), String::new()),
        (Method::GET, format!("{root}/passes/{PASS_TYPE}/{MARK}"), right.clone()),
        (Method::POST, format!("{root}/passes/{PASS_TYPE}/{MARK}/passLifecycleUpdate"), right.clone()),
        (Method::GET, format!("{root}/{MARK}"), right.clone()),
        (Method::GET, format!("/wallets/{MARK}"), right.clone()),
        (Method::GET, format!("/wallet/%20{MARK}/v1/log"), right.clone()),
        (Method::GET, format!("/v2/coupons/{CAMPAIGN}/passes/{MARK}/registrations"), right),
    ] {
        all.push((method, path, authorization, json!({"pushToken": PUSH_TOKEN}).to_string()));
    }
    let line = format!(
        "Register task (for device {DEVICE}, pass type {PASS_TYPE}, serial number {SERIAL_NUMBER}; with token {TOKEN}) \
         encountered error: Authentication failure"
    );
    for log in [json!({"logs": [line, SERIAL_NUMBER]}), json!({"logs": {DEVICE: DEVICE}}), json!(DEVICE)] {
        all.push((Method::POST, format!("{root}/log"), String::new(), log.to_string()));
    }
    all
}

async fn send_all(front: &ApiFront) {
    for (method, path, authorization, body) in bad_requests() {
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        call(front, method, &path, &headers, body).await;
    }
    for targets in [campaign_targets(), pass_targets()] {
        for (accept, query) in
            [("*/*", ""), ("application/x-ndjson", ""), ("*/*", "?cursor=5ec2e7"), ("*/*", "?5ec2e7=1")]
        {
            call(front, Method::GET, &format!("{targets}{query}"), &[("accept", accept)], "").await;
        }
    }
}

/// Callbacks that are applied, repeated, forged and malformed.
fn callbacks() -> Vec<String> {
    let expires_at = google_wallet_callback::now() + HOUR;
    let callback = |kind: &str, object: &str| SignedCallback::new(kind, ISSUER, object, expires_at);
    let saved = callback("save", OBJECT).body().to_string();
    let mut other = callback("save", OBJECT);
    other.message = json!({"eventType": MARK, "objectId": OBJECT, "nonce": MARK});
    vec![
        saved.clone(),
        saved.clone(),
        callback("del", OBJECT).body().to_string(),
        callback("save", &format!("{OBJECT}-unknown")).body().to_string(),
        SignedCallback { recipient: "1".to_owned(), ..callback("save", OBJECT) }.body().to_string(),
        SignedCallback { key_expires_at: 0, ..callback("save", OBJECT) }.body().to_string(),
        other.body().to_string(),
        saved.replace("signature\"", "5ec2e7\""),
        format!("{{\"signedMessage\":{MARK}"),
        json!(MARK).to_string(),
    ]
}

async fn send_callbacks(front: &ApiFront) {
    for body in callbacks() {
        call(front, Method::POST, google_wallet_callback::PATH, &[("content-type", "application/json")], body).await;
    }
}

/// The log is that of one thread, on which the whole stack runs.
#[tokio::test]
async fn no_line_of_the_log_has_a_secret_of_a_wallet() {
    let log = Log::default();
    let lines = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::DEBUG)
        .with_span_events(FmtSpan::FULL)
        .with_ansi(false)
        .with_writer(move || lines.clone())
        .finish();
    // As long as there is only one subscriber, `tracing` asks that of the thread which reaches a line first. If that is
    // the thread of another test, it has none, and the line is never written (`tracing_core::callsite`).
    let _another = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    let _guard = tracing::subscriber::set_default(subscriber);
    let Fixture { sandbox, server, front } = Fixture::start().await;

    for event in events() {
        post(&sandbox, EVENTS, &event).await;
        let message = json!({"messageId": "1", "body": event.to_string(), "eventSource": "aws:sqs"});
        let functions = sandbox.fresh_functions().unwrap();
        functions.invoke("registration-ingest", json!({ "Records": [message] })).await.unwrap();
    }
    post(&sandbox, EVENTS, &json!(events())).await;
    log.expect_no_secret("events processed");

    visit(&sandbox).await;
    log.expect_no_secret("call=\"unregister\"");

    send_all(&front).await;
    log.expect_no_secret("wallets complained");

    send_callbacks(&front).await;
    log.expect_no_secret("a callback is about an object that no pass has");
    sandbox.tally().await.unwrap();

    // The table or the server of the keys fails. A fault of a call makes it an error, whose causes are logged.
    server.fail();
    send_callbacks(&sandbox.fresh_front().unwrap()).await;
    expect_no_secret_if_the_table_fails(&sandbox, &log).await;
}

/// Makes every wallet's requests, over HTTP, so that registrations are there and have ended.
async fn visit(sandbox: &Sandbox) {
    let served = serve(sandbox.fresh_front().unwrap()).await;
    for wallet in SimulatedWallet::VARIANTS.iter().copied() {
        let [pass_type, serial_number, token] = [PASS_TYPE, SERIAL_NUMBER, TOKEN].map(str::to_owned);
        let now = jiff::Timestamp::UNIX_EPOCH;
        let whole = Visit::new(wallet, served.wallet_url().parse().unwrap(), pass_type, serial_number, token, now);
        let whole = Visit { device: DEVICE.to_owned(), push_token: PUSH_TOKEN.to_owned(), ..whole };
        for extent in [Extent::Whole, Extent::KeepRegistered] {
            let broken = simulated_wallet::run(&Visit { extent, ..whole.clone() }, |_| {}).await.unwrap();
            assert!(broken.is_empty(), "{wallet}: {broken:?}");
        }
    }
}

async fn expect_no_secret_if_the_table_fails(sandbox: &Sandbox, log: &Log) {
    for fault in [Fault::Denied, Fault::Rubbish] {
        let faults = sandbox.faults().await.unwrap();
        faults.always(fault);
        let front = sandbox.faulty_front(&faults).unwrap();
        send_all(&front).await;
        send_callbacks(&front).await;
        for event in events().into_iter().take(2) {
            call(&front, Method::POST, EVENTS, &[("content-type", "application/json")], event.to_string()).await;
        }
        log.expect_no_secret("request failed");
    }
}
