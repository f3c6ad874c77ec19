//! The Lambda Runtime API, for tests: hands events to a function's real binary and receives its responses.
//!
//! Source: AWS Lambda developer guide, "Using the Lambda runtime API for custom runtimes".

use std::{io, net::SocketAddr, process::Stdio, time::Duration};

use http::{HeaderValue, Method, Response, StatusCode};
use hyper::body::Bytes;
use serde_json::Value;
use thiserror::Error;
use tokio::{
    io::AsyncReadExt as _,
    net::TcpListener,
    process::{Child, ChildStderr, ChildStdout, Command},
    sync::{Mutex, mpsc, watch},
    task::JoinHandle,
};
use uuid::Uuid;

use crate::aws::front::{self, Front};

/// The ARN by which a function is invoked, without an alias or a version.
const FUNCTION_ARN: &str = "arn:aws:lambda:local:000000000000:function:tested";
/// How long a test waits for a binary to respond.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);

/// A function's real binary, running as Lambda runs it.
pub struct LambdaProcess {
    process: Child,
    output: JoinHandle<io::Result<String>>,
    events: mpsc::Sender<Invocation>,
    answers: mpsc::Receiver<Answer>,
    asked: watch::Receiver<bool>,
    _stop: watch::Sender<bool>,
}

/// A function's response to an event, or the error that it reported.
pub type Answer = Result<Value, Value>;

/// Why there is no response from a binary.
#[derive(Debug, Error)]
pub enum ProcessError {
    /// The binary could not be started, or communication with it failed.
    #[error("the binary cannot be run: {0}")]
    Io(#[from] io::Error),
    /// The binary ended before it responded.
    #[error("the binary ended; it wrote: {0}")]
    Ended(String),
    /// The binary took too long.
    #[error("the binary did not answer within {ANSWER_TIMEOUT:?}")]
    TimedOut,
}

/// An event, and the ARN by which the function is invoked.
struct Invocation {
    event: Value,
    arn: String,
}

struct RuntimeApi {
    events: Mutex<mpsc::Receiver<Invocation>>,
    answers: mpsc::Sender<Answer>,
    asked: watch::Sender<bool>,
}

impl LambdaProcess {
    /// Starts the binary at `path` with only these environment variables and those of the Lambda runtime.
    pub async fn start(
        path: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ProcessError> {
        Self::start_by(Command::new(path), variables).await
    }

    /// Starts the binary through another program, such as a profiler.
    pub async fn start_by(
        mut command: Command,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ProcessError> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let address = listener.local_addr()?;
        let (events, receiver) = mpsc::channel(1);
        let (sender, answers) = mpsc::channel(1);
        let (stop, stopping) = watch::channel(false);
        let (asks, asked) = watch::channel(false);
        let api = RuntimeApi { events: Mutex::new(receiver), answers: sender, asked: asks };
        tokio::spawn(front::serve(listener, api, stopping));
        let mut process = command
            .env_clear()
            .envs(variables)
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "tested")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_LOG_FORMAT", "JSON")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = tokio::spawn(read_output(process.stdout.take(), process.stderr.take()));
        Ok(Self { process, output, events, answers, asked, _stop: stop })
    }

    /// Returns the id of the process, or `None` if it has ended.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Waits until the binary requests its first event.
    pub async fn ready(&mut self) -> Result<(), ProcessError> {
        match tokio::time::timeout(ANSWER_TIMEOUT, self.asked.wait_for(|asked| *asked)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(ProcessError::TimedOut),
        }
    }

    /// Hands an event to the binary and waits for its response.
    pub async fn invoke(&mut self, event: &Value) -> Result<Answer, ProcessError> {
        self.invoke_by(FUNCTION_ARN.to_owned(), event).await
    }

    /// Hands an event to the binary as if it was invoked through `alias`, and waits for its response.
    pub async fn invoke_through(&mut self, alias: &str, event: &Value) -> Result<Answer, ProcessError> {
        self.invoke_by(format!("{FUNCTION_ARN}:{alias}"), event).await
    }

    async fn invoke_by(&mut self, arn: String, event: &Value) -> Result<Answer, ProcessError> {
        // If the binary has ended, it never fetches the event, and the wait below reports that.
        let _ = self.events.try_send(Invocation { event: event.clone(), arn });
        tokio::select! {
            answer = self.answers.recv() => match answer {
                Some(answer) => Ok(answer),
                None => Err(ProcessError::TimedOut),
            },
            _ = self.process.wait() => Err(ProcessError::Ended(self.output().await?)),
            () = tokio::time::sleep(ANSWER_TIMEOUT) => Err(ProcessError::TimedOut),
        }
    }

    /// Kills the binary and returns its output.
    pub async fn stop(mut self) -> Result<String, ProcessError> {
        self.process.kill().await?;
        self.output().await
    }

    /// Stops offering events, so that the binary exits by itself, and returns its output.
    pub async fn finish(mut self) -> Result<String, ProcessError> {
        let (events, _) = mpsc::channel(1);
        self.events = events;
        self.ended().await
    }

    /// Waits until the binary ends by itself, and returns its output.
    pub async fn ended(mut self) -> Result<String, ProcessError> {
        match tokio::time::timeout(ANSWER_TIMEOUT, self.process.wait()).await {
            Ok(_) => self.output().await,
            Err(_) => Err(ProcessError::TimedOut),
        }
    }

    /// Returns the binary's output, once it has ended: standard output, then standard error.
    async fn output(&mut self) -> Result<String, ProcessError> {
        Ok((&mut self.output).await.map_err(io::Error::from)??)
    }
}

/// Reads the output of the process while it runs, because a process blocks when a pipe is full.
async fn read_output(stdout: Option<ChildStdout>, stderr: Option<ChildStderr>) -> io::Result<String> {
    let (mut output, mut errors) = (String::new(), String::new());
    let (stdout, stderr) = tokio::join!(
        async { if let Some(mut stdout) = stdout { stdout.read_to_string(&mut output).await } else { Ok(0) } },
        async { if let Some(mut stderr) = stderr { stderr.read_to_string(&mut errors).await } else { Ok(0) } },
    );
    stdout?;
    stderr?;
    Ok(output + &errors)
}

impl Front for RuntimeApi {
    async fn answer(&self, request: http::request::Parts, body: Bytes, _: SocketAddr) -> Response<Vec<u8>> {
        let path = request.uri.path();
        let mut response = Response::new(Vec::new());
        if request.method == Method::GET && path.ends_with("/runtime/invocation/next") {
            self.asked.send_replace(true);
            let Some(Invocation { event, arn }) = self.events.lock().await.recv().await else {
                return front_closed();
            };
            let headers = response.headers_mut();
            let request_id = Uuid::new_v4().to_string();
            if let Ok(request_id) = HeaderValue::try_from(request_id) {
                headers.insert("lambda-runtime-aws-request-id", request_id);
            }
            // The 15 minutes of `campaign-recount`, which is the function with the longest timeout.
            let deadline = jiff::Timestamp::now().as_millisecond() + 900_000;
            headers.insert("lambda-runtime-deadline-ms", HeaderValue::from(deadline));
            headers.insert(
                "lambda-runtime-trace-id",
                HeaderValue::from_static("Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700"),
            );
            if let Ok(arn) = HeaderValue::try_from(arn) {
                headers.insert("lambda-runtime-invoked-function-arn", arn);
            }
            *response.body_mut() = event.to_string().into_bytes();
            return response;
        }
        *response.status_mut() = StatusCode::ACCEPTED;
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        // Sending fails if the test is over, because the receiver is dropped then.
        let _ = self.answers.send(if path.ends_with("/response") { Ok(body) } else { Err(body) }).await;
        response
    }
}

fn front_closed() -> Response<Vec<u8>> {
    let mut response = Response::new(Vec::new());
    *response.status_mut() = StatusCode::GONE;
    response
}

/// Parses the output of a binary, which must be one JSON object per line. Lambda's log filter needs a `level` and a
/// `timestamp` at the top of each object (AWS Lambda developer guide, "Log-level filtering"), so a line without them is
/// an error.
pub fn log_lines(output: &str) -> Result<Vec<Value>, String> {
    let parse = |line: &str| {
        let parsed: Value = serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))?;
        let has_level =
            ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"].iter().any(|level| parsed["level"].as_str() == Some(level));
        let timestamp = parsed["timestamp"].as_str().map(str::parse::<jiff::Timestamp>);
        if has_level && matches!(timestamp, Some(Ok(_))) {
            Ok(parsed)
        } else {
            Err(format!("expected a level and a timestamp: {line}"))
        }
    };
    output.lines().map(parse).collect()
}
