//! Tests of the whole stack as its callers see it: over HTTP, through the queue and from the command line.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod bodies;
mod burst;
mod claims;
mod command;
mod contract;
mod copies;
mod costs;
mod docs;
mod errors;
mod events_for_wallets;
mod exports;
mod faults;
mod filters;
mod first_start;
mod fuzzing;
mod google_wallet_callback;
mod invoke;
mod lives;
mod pages;
mod pass_origin;
mod paths;
mod permissions;
mod push_targets;
mod queue;
mod refusals;
mod reports;
mod secrets;
mod simulated_wallet;
mod stream;
mod template;
mod walks;
mod wallet_calls;
mod wallet_web_service;

use std::net::SocketAddr;

use http::{HeaderMap, HeaderValue, Method, StatusCode, response::Parts};
use local::{
    aws::front::{self, ApiFront, Front},
    testing::sandbox::Sandbox,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// The campaign of the source document.
pub(crate) const CAMPAIGN: &str = "bd69162b-8995-4c89-bdca-898fae6050d0";
/// A pass of that campaign, with two registrations.
pub(crate) const PASS: &str = "b50a5348-27c5-40de-ae4a-5d8436284d65";
/// Another pass of that campaign.
pub(crate) const OTHER_PASS: &str = "22d5b0ed-cc82-4743-a4fb-ee655d928037";
/// One of the two registrations.
pub(crate) const REGISTRATION: &str = "fe9c5b7a-fd1e-49fd-8467-cd010c28b481";

/// The `Authorization` header of the account `demo`.
pub(crate) const DEMO: &str = "Basic ZGVtbzpkZW1v";

/// The path to which events are sent.
pub(crate) const EVENTS: &str = "/v2/registration_events";

/// Returns the path of the campaign's registrations.
pub(crate) fn campaign_path() -> String {
    format!("/v2/coupons/{CAMPAIGN}/registrations")
}

/// Returns the path of the pass's registrations.
pub(crate) fn pass_path() -> String {
    format!("/v2/coupons/{CAMPAIGN}/passes/{PASS}/registrations")
}

/// Returns the event by which a pass of the campaign becomes known under these names.
pub(crate) fn created(pass: &str, names: &Value) -> Value {
    let mut event = json!({
        "event": "created", "account_id": "demo", "campaign_id": CAMPAIGN, "campaign_type": "coupons", "pass_id": pass,
        "event_at": "2016-11-09T11:09:00Z",
    });
    event.as_object_mut().unwrap().extend(names.as_object().unwrap().clone());
    event
}

/// A response of the API.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// All headers except `apigw-requestid`.
    pub(crate) headers: HeaderMap,
    pub(crate) request_id: Option<HeaderValue>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Returns the ids of the listed registrations.
    pub(crate) fn ids(&self) -> Vec<String> {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        let registrations = self.json();
        let id = |registration: &Value| registration["id"].as_str().unwrap().to_owned();
        registrations.as_array().unwrap().iter().map(id).collect()
    }

    /// Returns the target of `rel` in the `Link` header.
    pub(crate) fn link(&self, rel: &str) -> Option<String> {
        let links = self.header("link")?.split(", ").map(|link| link.split_once(">; ").unwrap());
        links
            .into_iter()
            .find(|(_, found)| *found == format!("rel=\"{rel}\""))
            .map(|(target, _)| target[1..].to_owned())
    }
}

/// Sends one request, as the account `demo` unless `headers` has credentials. Fails if the contract does not document
/// the response.
pub(crate) async fn call(
    front: &ApiFront,
    method: Method,
    target: &str,
    headers: &[(&str, &str)],
    body: impl AsRef<[u8]>,
) -> Answer {
    let mut request = http::Request::builder().method(&method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if !headers.iter().any(|(name, _)| *name == "authorization") {
        request = request.header("authorization", DEMO);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let caller = ([127, 0, 0, 1], 1).into();
    let (Parts { status, mut headers, .. }, body) =
        front.answer(parts, body.as_ref().to_vec().into(), caller).await.into_parts();
    let request_id = headers.remove("apigw-requestid");
    let answer = Answer { status, headers, request_id, body: String::from_utf8(body).unwrap() };
    contract::expect_documented(front, &method, target, &answer);
    answer
}

/// Invokes `account-admin`, as an operator does.
pub(crate) async fn admin(sandbox: &Sandbox, event: Value) -> Result<Value, String> {
    sandbox.fresh_functions().unwrap().invoke("account-admin", event).await.map_err(|error| error.to_string())
}

/// Sends a `GET` to functions that have just started.
pub(crate) async fn get(sandbox: &Sandbox, target: &str) -> Answer {
    call(&sandbox.fresh_front().unwrap(), Method::GET, target, &[], "").await
}

/// Sends a `POST` with JSON to functions that have just started.
pub(crate) async fn post(sandbox: &Sandbox, target: &str, body: &Value) -> Answer {
    let headers = [("content-type", "application/json")];
    call(&sandbox.fresh_front().unwrap(), Method::POST, target, &headers, &body.to_string()).await
}

/// A front on a free port, which is served until this is dropped.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    _stop: watch::Sender<bool>,
}

impl Served {
    /// Returns the URL of the web service for wallets of the account `demo`.
    pub(crate) fn wallet_url(&self) -> String {
        format!("http://{}/wallet/demo", self.address)
    }
}

/// Serves a front on a free port.
pub(crate) async fn serve(front: impl Front) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopping) = watch::channel(false);
    tokio::spawn(front::serve(listener, front, stopping));
    Served { address, _stop: stop }
}

/// Sends one request over a new connection and returns the response, both as text.
pub(crate) async fn exchange(url: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
