//! Measures the cost of requests, for tests: a proxy in front of an engine that records each call and its request
//! units.
//!
//! To prove that calls run concurrently, it can hold back calls until a given number of them are under way. A call
//! that its caller gives up is still made and recorded, because DynamoDB would still execute it.

use std::{
    collections::VecDeque,
    error::Error,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use http::{Response, StatusCode, header::CONTENT_LENGTH};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Barrier, watch},
};

use crate::aws::front::{self, Front};

/// A proxy that records the calls that pass through it.
pub struct Recorder {
    endpoint: String,
    log: Arc<Log>,
    _stop: watch::Sender<bool>,
}

#[derive(Default)]
struct Log {
    calls: Mutex<Vec<Call>>,
    held: Mutex<Held>,
    /// The number of calls that have arrived and are not recorded yet.
    under_way: watch::Sender<usize>,
}

/// Calls that are held back until several are under way.
#[derive(Default)]
struct Held {
    /// What the next calls wait for, and how many calls wait for it.
    rounds: VecDeque<(Arc<Barrier>, usize)>,
}

/// One call to the engine.
#[derive(Debug, Clone)]
pub struct Call {
    /// The operation: `BatchGetItem`, `Query`, …
    pub operation: String,
    /// The request units that the call consumed, of the table and its indexes.
    pub units: f64,
    /// The sizes of the request body and the response body, in bytes. The response includes its consumed capacity.
    pub bytes: (usize, usize),
}

#[derive(Clone)]
struct Proxy {
    engine: String,
    log: Arc<Log>,
}

impl Recorder {
    /// Starts a proxy in front of the engine at `endpoint`, which is `http://HOST:PORT`.
    pub async fn in_front_of(endpoint: &str) -> io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let address = listener.local_addr()?;
        let log = Arc::<Log>::default();
        let engine = endpoint.trim_start_matches("http://").to_owned();
        let (stop, stopping) = watch::channel(false);
        tokio::spawn(front::serve(listener, Proxy { engine, log: Arc::clone(&log) }, stopping));
        Ok(Self { endpoint: format!("http://{address}"), log, _stop: stop })
    }

    /// Returns the URL of the proxy.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Removes and returns the calls recorded since the last `take`.
    #[must_use]
    pub fn take(&self) -> Vec<Call> {
        std::mem::take(&mut self.log.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until every call that has arrived is recorded.
    pub async fn settled(&self) {
        // The sender lives as long as the log, so waiting cannot fail.
        let _ = self.log.under_way.subscribe().wait_for(|calls| *calls == 0).await;
    }

    /// Holds back each call until `count` calls are under way. If fewer than `count` calls run concurrently, they hang.
    pub fn hold_until(&self, count: usize) {
        self.hold([(count, usize::MAX)]);
    }

    /// Holds back the next `count` calls until all of them are under way, and none after them.
    pub fn hold_next(&self, count: usize) {
        self.hold_rounds(&[count]);
    }

    /// Holds back the calls of each round trip until all of them are under way: first as many calls as the first number
    /// says, then as many as the second one says, and so on. If those of a round trip do not run concurrently, they hang.
    pub fn hold_rounds(&self, rounds: &[usize]) {
        self.hold(rounds.iter().map(|calls| (*calls, *calls)));
    }

    fn hold(&self, rounds: impl IntoIterator<Item = (usize, usize)>) {
        let rounds = rounds.into_iter().filter(|(count, _)| *count > 0);
        let rounds = rounds.map(|(count, calls)| (Arc::new(Barrier::new(count)), calls)).collect();
        *self.log.held.lock().unwrap_or_else(PoisonError::into_inner) = Held { rounds };
    }
}

impl Held {
    /// Returns what the call that arrives now has to wait for.
    fn next(&mut self) -> Option<Arc<Barrier>> {
        let (barrier, calls) = self.rounds.front_mut()?;
        let barrier = Arc::clone(barrier);
        *calls -= 1;
        if *calls == 0 {
            self.rounds.pop_front();
        }
        Some(barrier)
    }
}

impl Proxy {
    async fn forward(
        &self,
        mut request: http::request::Parts,
        body: &[u8],
    ) -> Result<(Response<()>, Value), Box<dyn Error + Send + Sync>> {
        // The embedded engine does not check signatures, so the proxy may alter the call.
        let mut call: Value = serde_json::from_slice(body)?;
        call["ReturnConsumedCapacity"] = json!("TOTAL");
        request.headers.remove(CONTENT_LENGTH);
        let stream = TcpStream::connect(&self.engine).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let call = Full::new(Bytes::from(call.to_string()));
        let response = sender.send_request(http::Request::from_parts(request, call)).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        connection.abort();
        Ok((Response::from_parts(parts, ()), serde_json::from_slice(&body)?))
    }

    /// Makes one call and records it.
    async fn record(self, request: http::request::Parts, body: Bytes) -> Response<Vec<u8>> {
        let target = request.headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
        let request_bytes = body.len();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        match self.forward(request, &body).await {
            Ok((response, body)) => {
                let units = if is_failed_condition(&body) { 1.0 } else { units(&body["ConsumedCapacity"]) };
                let call = Call { operation, units, bytes: (request_bytes, body.to_string().len()) };
                self.log.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
                let mut response = response.map(|()| body.to_string().into_bytes());
                // Both headers describe the body as the engine sent it.
                response.headers_mut().remove(CONTENT_LENGTH);
                response.headers_mut().remove("x-amz-crc32");
                response
            }
            Err(error) => bad_gateway(error),
        }
    }
}

impl Front for Proxy {
    async fn answer(&self, request: http::request::Parts, body: Bytes, _: SocketAddr) -> Response<Vec<u8>> {
        self.log.under_way.send_modify(|calls| *calls += 1);
        let proxy = self.clone();
        // A task of its own, so that the call is made even if the caller gives it up.
        let call = tokio::spawn(async move {
            let barrier = proxy.log.held.lock().unwrap_or_else(PoisonError::into_inner).next();
            if let Some(barrier) = barrier {
                barrier.wait().await;
            }
            let log = Arc::clone(&proxy.log);
            let answer = proxy.record(request, body).await;
            log.under_way.send_modify(|calls| *calls -= 1);
            answer
        });
        call.await.unwrap_or_else(bad_gateway)
    }
}

fn bad_gateway(error: impl std::fmt::Display) -> Response<Vec<u8>> {
    let mut response = Response::new(error.to_string().into_bytes());
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}

/// Returns whether a write failed its condition. On AWS that costs as much as the write, which the engine does not
/// report (Amazon DynamoDB developer guide, "DynamoDB read and write operations"): one write unit, because an item has
/// less than a kilobyte.
fn is_failed_condition(body: &Value) -> bool {
    body["__type"].as_str().is_some_and(|kind| kind.ends_with("#ConditionalCheckFailedException"))
}

/// Returns the request units of a call on one table, or their sum for a batch.
fn units(consumed: &Value) -> f64 {
    match consumed {
        Value::Array(tables) => tables.iter().map(units).sum(),
        table => table["CapacityUnits"].as_f64().unwrap_or_default(),
    }
}
