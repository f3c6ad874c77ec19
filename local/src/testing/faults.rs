//! Injects faults into calls to the table, for tests: a proxy in front of an engine that can delay, cut off or garble
//! responses, and answer with errors.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::{template::Function, testing::permissions};

/// A fault of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No fault.
    None,
    /// The response is delayed by this duration.
    Slow(Duration),
    /// The partition is throttled: 400 `ProvisionedThroughputExceededException`.
    Throttled,
    /// 500 `InternalServerError`.
    Internal,
    /// The call is not carried out, and there is no response.
    Lost,
    /// 400 `AccessDeniedException`. The call is not repeated, so with this fault for every call a request ends here,
    /// like one whose process crashed.
    Denied,
    /// The call is carried out, but the connection closes before the response.
    Unanswered,
    /// The call is carried out, but the connection closes in the middle of the response.
    CutOff,
    /// The response has status 200 and is not JSON.
    Rubbish,
    /// The response has status 200 and no body.
    Empty,
    /// A `TransactWriteItems` meets another transaction: 400 `TransactionCanceledException`. Other calls have no fault.
    Conflict,
    /// A `BatchGetItem` returns all its keys as unprocessed. Other calls have no fault.
    Unprocessed,
    /// A `BatchGetItem` that is not strongly consistent finds nothing, like on a replica that is behind, and neither does
    /// a `Query` of an index. Other calls have no fault.
    Behind,
}

/// A proxy that injects faults. It stops accepting connections when it is dropped.
pub struct Faults {
    endpoint: String,
    plan: Arc<Mutex<Plan>>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Plan {
    next: VecDeque<Fault>,
    always: Option<Fault>,
    /// Faults of the calls that contain a text.
    containing: Vec<(String, Fault)>,
    /// The function whose policy has to allow every call.
    caller: Option<Function>,
    denied: Vec<String>,
    operations: Vec<String>,
}

impl Faults {
    /// Starts a proxy in front of the engine at `endpoint`, which is `http://HOST:PORT`. No faults are planned yet.
    pub async fn in_front_of(endpoint: &str) -> io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let address = listener.local_addr()?;
        let engine = endpoint.trim_start_matches("http://").to_owned();
        let plan = Arc::<Mutex<Plan>>::default();
        let shared = Arc::clone(&plan);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (engine, plan) = (engine.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    // An error ends the connection, which the caller notices.
                    let _ = serve(stream, &engine, &plan).await;
                });
            }
        });
        Ok(Self { endpoint: format!("http://{address}"), plan, accepting })
    }

    /// Returns the URL of the proxy.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Plans a fault for each of the next calls, in this order.
    pub fn next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.plan().next.extend(faults);
    }

    /// Plans a fault for every call that has no other one planned.
    pub fn always(&self, fault: Fault) {
        self.plan().always = Some(fault);
    }

    /// Plans a fault for every call that contains `text` and has no fault planned by `next`.
    pub fn always_if_containing(&self, text: &str, fault: Fault) {
        self.plan().containing.push((text.to_owned(), fault));
    }

    /// Denies every call that the policy of `function` does not allow.
    pub fn enforce_policy_of(&self, function: Function) {
        self.plan().caller = Some(function);
    }

    /// Returns why calls were denied by a policy, since this method was last called.
    #[must_use]
    pub fn denied(&self) -> Vec<String> {
        std::mem::take(&mut self.plan().denied)
    }

    /// Returns the number of calls since this method was last called.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.operations().len()
    }

    /// Returns the operations of the calls since this method or `calls` was last called, such as `PutItem`.
    #[must_use]
    pub fn operations(&self) -> Vec<String> {
        std::mem::take(&mut self.plan().operations)
    }

    fn plan(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Plan {
    fn take(&mut self, request: &[u8]) -> Fault {
        self.operations.push(operation(request));
        if let Some(Err(denied)) = self.caller.as_ref().map(|caller| check_policy(caller, request)) {
            self.denied.push(denied);
            return Fault::Denied;
        }
        let request = String::from_utf8_lossy(request);
        let containing = self.containing.iter().find(|(text, _)| request.contains(text)).map(|(_, fault)| *fault);
        self.next.pop_front().or(containing).or(self.always).unwrap_or(Fault::None)
    }
}

async fn serve(caller: TcpStream, engine: &str, plan: &Mutex<Plan>) -> io::Result<()> {
    let mut caller = BufReader::new(caller);
    loop {
        let Some(request) = message(&mut caller).await? else { return Ok(()) };
        let fault = plan.lock().unwrap_or_else(PoisonError::into_inner).take(&request);
        let answer = match fault {
            Fault::Lost => {
                // Waits for the end of the connection.
                message(&mut caller).await?;
                return Ok(());
            }
            Fault::Throttled => error(400, "ProvisionedThroughputExceededException"),
            Fault::Internal => error(500, "InternalServerError"),
            Fault::Denied => error(400, "AccessDeniedException"),
            Fault::Rubbish => response(200, "<html>"),
            Fault::Empty => response(200, ""),
            Fault::Conflict if operation(&request) == "TransactWriteItems" => conflict(),
            Fault::Unprocessed if is_batch_get(&request) => unprocessed(&request),
            Fault::Behind if is_batch_get(&request) && !is_consistent(&request) => {
                response(200, &json!({"Responses": {}, "UnprocessedKeys": {}}).to_string())
            }
            Fault::Behind if operation(&request) == "Query" && body(&request)["IndexName"].is_string() => {
                response(200, &json!({"Items": [], "Count": 0, "ScannedCount": 0}).to_string())
            }
            Fault::None
            | Fault::Slow(_)
            | Fault::Unanswered
            | Fault::CutOff
            | Fault::Conflict
            | Fault::Unprocessed
            | Fault::Behind => {
                let mut engine = BufReader::new(TcpStream::connect(engine).await?);
                engine.get_mut().write_all(&request).await?;
                message(&mut engine).await?.unwrap_or_default()
            }
        };
        match fault {
            Fault::Unanswered => return Ok(()),
            Fault::CutOff => return caller.get_mut().write_all(&answer[..answer.len() - 10]).await,
            Fault::Slow(delay) => tokio::time::sleep(delay).await,
            Fault::None
            | Fault::Lost
            | Fault::Throttled
            | Fault::Internal
            | Fault::Denied
            | Fault::Rubbish
            | Fault::Empty
            | Fault::Conflict
            | Fault::Unprocessed
            | Fault::Behind => {}
        }
        caller.get_mut().write_all(&answer).await?;
    }
}

/// Reads one HTTP/1.1 message with its head, or returns `None` if the connection has ended.
async fn message(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Vec<u8>>> {
    let mut message = Vec::new();
    while !message.ends_with(b"\r\n\r\n") {
        if stream.read_until(b'\n', &mut message).await? == 0 {
            return Ok(None);
        }
    }
    let head = String::from_utf8_lossy(&message).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let begin = message.len();
    message.resize(begin + length.unwrap_or(0), 0);
    stream.read_exact(&mut message[begin..]).await?;
    Ok(Some(message))
}

fn check_policy(caller: &Function, request: &[u8]) -> Result<(), String> {
    permissions::check(caller, &operation(request), &body(request))
}

/// Returns the operation that a request calls, such as `PutItem`.
fn operation(request: &[u8]) -> String {
    let head = String::from_utf8_lossy(request);
    let target = head.lines().filter_map(|line| line.split_once(": "));
    let target = target.filter(|(name, _)| name.eq_ignore_ascii_case("x-amz-target")).map(|(_, target)| target).next();
    target.and_then(|target| target.rsplit('.').next()).unwrap_or_default().to_owned()
}

fn body(request: &[u8]) -> Value {
    let body = request.windows(4).position(|end| end == b"\r\n\r\n").map_or(&[][..], |end| &request[end + 4..]);
    serde_json::from_slice(body).unwrap_or_default()
}

fn is_batch_get(request: &[u8]) -> bool {
    operation(request) == "BatchGetItem"
}

fn is_consistent(request: &[u8]) -> bool {
    String::from_utf8_lossy(request).contains(r#""ConsistentRead":true"#)
}

/// Returns the response that names every requested key as unprocessed.
fn unprocessed(request: &[u8]) -> Vec<u8> {
    response(200, &json!({"Responses": {}, "UnprocessedKeys": body(request)["RequestItems"]}).to_string())
}

fn conflict() -> Vec<u8> {
    let canceled = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "message": "injected by a test",
        "CancellationReasons": [{"Code": "None"}, {"Code": "TransactionConflict"}],
    });
    response(400, &canceled.to_string())
}

fn error(status: u16, code: &str) -> Vec<u8> {
    response(
        status,
        &format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"injected by a test"}}"#),
    )
}

fn response(status: u16, body: &str) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status} -\r\ncontent-type: application/x-amz-json-1.0\r\n");
    format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
