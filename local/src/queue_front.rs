//! The queue as Amazon SQS shows it: `SendMessage`, `SendMessageBatch`, `GetQueueUrl`, `GetQueueAttributes`, and
//! `ReceiveMessage` to look at the dead letters, in the AWS JSON protocol that current SDKs and the AWS CLI speak.

use std::{fmt::Write as _, net::SocketAddr};

use http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use hyper::body::Bytes;
use md5::{Digest as _, Md5};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{front::Front, queue::LocalQueue};

/// The largest message, in bytes.
const MAX_MESSAGE_BYTES: usize = 1024 * 1024;
/// The largest batch to send.
const MAX_BATCH: usize = 10;

/// The queue in front of the ingest function.
pub struct QueueFront {
    /// The queue.
    pub queue: LocalQueue,
    /// What the queue's URLs begin with.
    pub url: String,
}

/// What a caller may say.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Call {
    queue_name: Option<String>,
    queue_url: Option<String>,
    message_body: Option<String>,
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    id: String,
    message_body: String,
}

/// An error of SQS's.
struct Refusal {
    code: &'static str,
    message: String,
}

/// Which of the two queues a call is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Events,
    DeadLetters,
}

impl QueueFront {
    fn call(&self, action: &str, body: &[u8]) -> Result<Value, Refusal> {
        let call: Call = serde_json::from_slice(body)
            .map_err(|error| refusal("InvalidParameterValue", format!("the body is not what was expected: {error}")))?;
        let which = self.which(&call)?;
        match (action, which) {
            ("GetQueueUrl", which) => Ok(json!({ "QueueUrl": format!("{}/{}", self.url, self.name(which)) })),
            ("GetQueueAttributes", which) => Ok(self.attributes(which)),
            ("SendMessage", Which::Events) => {
                let body = call.message_body.ok_or_else(|| refusal("MissingParameter", "MessageBody is required"))?;
                self.send(body)
            }
            ("SendMessageBatch", Which::Events) => {
                if call.entries.is_empty() || call.entries.len() > MAX_BATCH {
                    return Err(refusal("InvalidParameterValue", format!("expected 1 to {MAX_BATCH} entries")));
                }
                let (mut sent, mut failed) = (Vec::new(), Vec::new());
                for Entry { id, message_body } in call.entries {
                    match self.send(message_body) {
                        Ok(mut answer) => {
                            answer["Id"] = json!(id);
                            sent.push(answer);
                        }
                        Err(Refusal { code, message }) => {
                            failed.push(json!({ "Id": id, "SenderFault": true, "Code": code, "Message": message }));
                        }
                    }
                }
                Ok(json!({ "Successful": sent, "Failed": failed }))
            }
            ("ReceiveMessage", Which::DeadLetters) => {
                let messages = self.queue.dead_letters();
                let shown = messages.iter().map(|message| {
                    json!({
                        "MessageId": message.id,
                        "ReceiptHandle": message.id,
                        "Body": message.body,
                        "MD5OfBody": md5(&message.body),
                    })
                });
                Ok(json!({ "Messages": shown.collect::<Vec<_>>() }))
            }
            (action, _) => {
                let message = format!("{action} is not one of what this queue does locally");
                Err(refusal("UnsupportedOperation", message))
            }
        }
    }

    fn send(&self, body: String) -> Result<Value, Refusal> {
        if body.is_empty() || body.len() > MAX_MESSAGE_BYTES {
            return Err(refusal("InvalidParameterValue", format!("expected a body of 1 to {MAX_MESSAGE_BYTES} bytes")));
        }
        let digest = md5(&body);
        Ok(json!({ "MessageId": self.queue.send(body), "MD5OfMessageBody": digest }))
    }

    fn attributes(&self, which: Which) -> Value {
        let counts = self.queue.counts();
        let (waiting, hidden) = match which {
            Which::Events => (counts.waiting, counts.hidden),
            Which::DeadLetters => (counts.dead, 0),
        };
        json!({ "Attributes": {
            "ApproximateNumberOfMessages": waiting.to_string(),
            "ApproximateNumberOfMessagesNotVisible": hidden.to_string(),
        } })
    }

    fn which(&self, call: &Call) -> Result<Which, Refusal> {
        let named = call.queue_url.as_deref().and_then(|url| url.rsplit('/').next()).or(call.queue_name.as_deref());
        let named = named.unwrap_or_default();
        [Which::Events, Which::DeadLetters]
            .into_iter()
            .find(|which| self.name(*which) == named)
            .ok_or_else(|| refusal("QueueDoesNotExist", format!("there is no queue {named}")))
    }

    fn name(&self, which: Which) -> &str {
        let settings = self.queue.settings();
        match which {
            Which::Events => &settings.name,
            Which::DeadLetters => &settings.dead_letter_queue,
        }
    }
}

impl Front for QueueFront {
    async fn answer(&self, request: http::request::Parts, body: Bytes, _: SocketAddr) -> Response<Vec<u8>> {
        let target = request.headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
        let action = target.strip_prefix("AmazonSQS.").unwrap_or_default();
        let (status, answer) = match self.call(action, &body) {
            Ok(answer) => (StatusCode::OK, answer),
            Err(Refusal { code, message }) => {
                (StatusCode::BAD_REQUEST, json!({ "__type": format!("com.amazonaws.sqs#{code}"), "message": message }))
            }
        };
        let mut response = Response::new(answer.to_string().into_bytes());
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.0"));
        response
    }
}

fn refusal(code: &'static str, message: impl Into<String>) -> Refusal {
    Refusal { code, message: message.into() }
}

fn md5(body: &str) -> String {
    Md5::digest(body.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
