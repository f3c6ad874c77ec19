//! Google Wallet's callbacks, signed by test keys.

use std::collections::BTreeSet;

use domain::time;
use http::{Method, StatusCode};
use local::{
    aws::front::ApiFront,
    testing::{
        faults::Fault,
        google::{self, KeysServer, SignedCallback},
        sandbox::Sandbox,
    },
};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{Answer, CAMPAIGN, EVENTS, PASS, admin, call, campaign_path, created, get};

pub(crate) const PATH: &str = "/wallet/demo/google";
pub(crate) const ISSUER: &str = "3388000000022000000";
pub(crate) const OBJECT: &str = "3388000000022000000.pass-1";
/// How many milliseconds after the test a callback expires. A later callback expires later.
pub(crate) const HOUR: i64 = 3_600_000;

/// A stack whose account `demo` has the issuer, and a server that publishes the root key of the callbacks.
pub(crate) struct Fixture {
    pub(crate) sandbox: Sandbox,
    pub(crate) server: KeysServer,
    pub(crate) front: ApiFront,
}

impl Fixture {
    pub(crate) async fn start() -> Self {
        let mut sandbox = Sandbox::with_first_events().await.unwrap();
        let server = google::play(&mut sandbox.template).await.unwrap();
        let issuers = json!({"action": "set_google_issuers", "account_id": "demo", "issuer_ids": ["1", ISSUER]});
        admin(&sandbox, issuers).await.unwrap();
        let front = sandbox.fresh_front().unwrap();
        Self { sandbox, server, front }
    }

    /// Reports the pass that the object stands for.
    pub(crate) async fn create(&self) {
        let created = created(PASS, &json!({ "google_object_id": OBJECT }));
        let headers = [("content-type", "application/json")];
        let answer = call(&self.front, Method::POST, EVENTS, &headers, created.to_string()).await;
        assert_eq!(answer.json()["result"], "applied");
    }

    async fn send(&self, body: &Value) -> StatusCode {
        self.send_to(PATH, &body.to_string()).await.status
    }

    async fn send_to(&self, path: &str, body: &str) -> Answer {
        let answer = call(&self.front, Method::POST, path, &[("content-type", "application/json")], body).await;
        assert_eq!(answer.body, "");
        answer
    }

    /// Returns the registration of the object, if it is active.
    async fn installed(&self) -> Vec<Value> {
        let listed = get(&self.sandbox, &campaign_path()).await.json();
        // The UUIDv5 of PASS/google_wallet/OBJECT, as docs/api.md says.
        let id = "b7cfd4c1-11be-5094-9c70-1f855cbe85f0";
        listed.as_array().unwrap().iter().filter(|listed| listed["id"] == id).cloned().collect()
    }

    /// Returns all that is stored.
    pub(crate) async fn stored(&self) -> BTreeSet<String> {
        stored(&self.sandbox).await
    }
}

/// Returns every item of the table, as text.
pub(crate) async fn stored(sandbox: &Sandbox) -> BTreeSet<String> {
    let items = sandbox.items().await.unwrap();
    items
        .into_iter()
        .map(|item| {
            let mut attributes: Vec<_> = item.into_iter().collect();
            attributes.sort_by(|one, other| one.0.cmp(&other.0));
            format!("{attributes:?}")
        })
        .collect()
}

pub(crate) fn now() -> i64 {
    time::now().unix_milliseconds()
}

/// Returns a callback that expires in this many hours.
pub(crate) fn callback(event_type: &str, hours: i64) -> SignedCallback {
    SignedCallback::new(event_type, ISSUER, OBJECT, now() + hours * HOUR)
}

#[tokio::test]
async fn callbacks_register_and_end_in_their_own_order() {
    let fixture = Fixture::start().await;
    fixture.create().await;
    let saved = callback("save", 2).body();
    assert_eq!(fixture.send(&saved).await, StatusCode::OK);
    let installed = fixture.installed().await;
    assert_eq!((&installed[0]["wallet"], &installed[0]["pass_id"]), (&json!("google_wallet"), &json!(PASS)));

    let stored = fixture.stored().await;
    assert_eq!(fixture.send(&saved).await, StatusCode::OK, "sent again");
    assert_eq!(fixture.send(&callback("del", 1).body()).await, StatusCode::OK, "an older one");
    assert_eq!(fixture.stored().await, stored);

    assert_eq!(fixture.send(&callback("del", 3).body()).await, StatusCode::OK, "a later one");
    assert_eq!(fixture.installed().await, [Value::Null; 0]);
    assert_eq!(fixture.send(&saved).await, StatusCode::OK, "late");
    assert_eq!(fixture.installed().await, [Value::Null; 0]);
    assert_eq!(fixture.server.requests(), 1, "the keys are fetched once");

    fixture.sandbox.tally().await.unwrap();
    let totals = get(&fixture.sandbox, &format!("/v2/coupons/{CAMPAIGN}/reports/totals")).await.json();
    let counts = &totals["report"];
    assert_eq!((&counts["installs_count"], &counts["uninstalls_count"]), (&json!(4), &json!(1)), "{totals}");
}

#[tokio::test]
async fn a_forged_callback_changes_nothing_and_fetches_no_more_keys() {
    let fixture = Fixture::start().await;
    fixture.create().await;
    let of_another_issuer = || SignedCallback::new("del", "2", "2.x", now() + HOUR).body();
    assert_eq!(fixture.send(&of_another_issuer()).await, StatusCode::BAD_REQUEST);
    let to_another = fixture.send_to("/wallet/acme/google", &callback("save", 1).body().to_string()).await;
    assert_eq!(to_another.status, StatusCode::BAD_REQUEST, "an account without issuers");
    assert_eq!(fixture.server.requests(), 0, "without an issuer no keys are needed");
    assert_eq!(fixture.send(&callback("save", 1).body()).await, StatusCode::OK);
    let (stored, requests) = (fixture.stored().await, fixture.server.requests());
    let good = || callback("del", 2);
    let mut changed = good().body();
    changed["signedMessage"] = json!(changed["signedMessage"].as_str().unwrap().replace("pass-1", "pass-2"));
    for forged in [
        SignedCallback { root: google::key(9), ..good() }.body(),
        SignedCallback { intermediate: google::key(9), key_expires_at: 0, ..good() }.body(),
        SignedCallback { recipient: "1".to_owned(), ..good() }.body(),
        SignedCallback { recipient: "2".to_owned(), ..good() }.body(),
        of_another_issuer(),
        changed,
        json!({}),
    ] {
        assert_eq!(fixture.send(&forged).await, StatusCode::BAD_REQUEST, "{forged}");
    }
    let long = fixture.send_to(PATH, &"x".repeat(64 * 1024 + 1)).await;
    assert_eq!(long.status, StatusCode::PAYLOAD_TOO_LARGE);
    let no_account = fixture.send_to("/wallet/a%20b/google", &good().body().to_string()).await;
    assert_eq!(no_account.status, StatusCode::NOT_FOUND);
    assert_eq!((fixture.stored().await, fixture.server.requests()), (stored, requests));
}

#[tokio::test]
async fn a_callback_that_comes_before_created_is_applied_when_it_comes_again() {
    let fixture = Fixture::start().await;
    let saved = callback("save", 1).body();
    assert_eq!(fixture.send(&saved).await, StatusCode::NOT_FOUND);
    fixture.create().await;
    assert_eq!(fixture.send(&saved).await, StatusCode::OK);
    assert_eq!(fixture.installed().await.len(), 1);
}

#[tokio::test]
async fn a_stack_that_plays_google_applies_what_the_command_signs() {
    let fixture = Fixture::start().await;
    fixture.create().await;
    for (event_type, expires_in, expected) in [("save", "60", 1), ("del", "30", 1), ("del", "90", 0)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_local"));
        command.args(["google-callback", event_type, OBJECT, "--expires-in", expires_in]);
        let callback = serde_json::from_slice(&command.output().await.unwrap().stdout).unwrap();
        assert_eq!(fixture.send(&callback).await, StatusCode::OK);
        assert_eq!(fixture.installed().await.len(), expected, "{event_type} {expires_in}");
    }
}

#[tokio::test]
async fn a_callback_of_another_type_changes_nothing() {
    let fixture = Fixture::start().await;
    let mut activated = callback("activate", 1);
    activated.message = json!({"eventType": "activate", "objectIds": [OBJECT], "deviceContext": {}});
    assert_eq!(fixture.send(&activated.body()).await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_or_table_a_callback_is_to_come_again() {
    let fixture = Fixture::start().await;
    fixture.create().await;
    let saved = callback("save", 1).body();
    let faults = fixture.sandbox.faults().await.unwrap();
    let front = fixture.sandbox.faulty_front(&faults).unwrap();
    faults.always(Fault::Internal);
    let answer = call(&front, Method::POST, PATH, &[("content-type", "application/json")], saved.to_string()).await;
    assert_eq!((answer.status, fixture.server.requests()), (StatusCode::SERVICE_UNAVAILABLE, 0));

    fixture.server.fail();
    assert_eq!(fixture.send(&saved).await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(fixture.send(&saved).await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(fixture.server.requests(), 1, "not tried again at once");
    assert_eq!(fixture.installed().await, [Value::Null; 0]);

    let restarted = fixture.sandbox.fresh_front().unwrap();
    fixture.server.publish(&callback("save", 1).published_keys(now() + HOUR));
    let answer = call(&restarted, Method::POST, PATH, &[("content-type", "application/json")], saved.to_string()).await;
    assert_eq!((answer.status, fixture.installed().await.len()), (StatusCode::OK, 1), "it came again");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_allows_every_call_of_a_callback() {
    let fixture = Fixture::start().await;
    fixture.create().await;
    let faults = fixture.sandbox.faults().await.unwrap();
    faults.enforce_policy_of(fixture.sandbox.template.functions["google-wallet-callback"].clone());
    let front = fixture.sandbox.faulty_front(&faults).unwrap();
    for (event_type, hours) in [("save", 1), ("del", 2)] {
        let body = callback(event_type, hours).body().to_string();
        let answer = call(&front, Method::POST, PATH, &[("content-type", "application/json")], body).await;
        assert_eq!(answer.status, StatusCode::OK);
    }
    assert_eq!(faults.denied(), [""; 0]);
    let stored = fixture.stored().await;
    assert!(stored.iter().any(|item| item.contains("GOOGLE_KEYS")), "{stored:?}");
}
