//! The API of Amazon SQS in front of the queues, in the AWS JSON protocol that current SDKs and the AWS CLI use.
//!
//! It supports `SendMessage`, `SendMessageBatch`, `GetQueueUrl`, `GetQueueAttributes` and, to look at the dead letters,
//! `ReceiveMessage`.

use std::{collections::BTreeSet, net::SocketAddr};

use http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use hyper::body::Bytes;
use md5::{Digest as _, Md5};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::aws::{front::Front, queue::LocalQueue};

/// The largest message, in bytes.
const MAX_MESSAGE_BYTES: usize = 1024 * 1024;
/// The largest number of messages that one call may send.
const MAX_BATCH: usize = 10;

/// The queues that feed functions, each with its dead-letter queue.
pub struct SqsFront {
    /// The queues.
    pub queues: Vec<LocalQueue>,
    /// The URL of this front. The URL of a queue is this URL, `/` and the name of the queue.
    pub url: String,
}

/// The parameters of all supported calls.
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

/// An error as SQS reports it.
struct Refusal {
    code: &'static str,
    message: String,
}

/// The queue that a call names: a queue that feeds a function, or the dead-letter queue of one.
#[derive(Clone, Copy)]
enum Target<'a> {
    Queue(&'a LocalQueue),
    DeadLetters(&'a LocalQueue),
}

impl SqsFront {
    fn call(&self, action: &str, body: &[u8]) -> Result<Value, Refusal> {
        let call: Call = serde_json::from_slice(body)
            .map_err(|error| refusal("InvalidParameterValue", format!("the body is not valid: {error}")))?;
        let target = self.target(&call)?;
        match (action, target) {
            ("GetQueueUrl", target) => Ok(json!({ "QueueUrl": format!("{}/{}", self.url, target.name()) })),
            ("GetQueueAttributes", target) => Ok(target.attributes()),
            ("SendMessage", Target::Queue(queue)) => {
                let body = call.message_body.ok_or_else(|| refusal("MissingParameter", "MessageBody is required"))?;
                send(queue, body)
            }
            ("SendMessageBatch", Target::Queue(queue)) => {
                check_batch(&call.entries)?;
                let (mut sent, mut failed) = (Vec::new(), Vec::new());
                for Entry { id, message_body } in call.entries {
                    match send(queue, message_body) {
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
            ("ReceiveMessage", Target::DeadLetters(queue)) => {
                let messages = queue.dead_letters();
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
                let message = format!("the local stack does not support {action} on this queue");
                Err(refusal("UnsupportedOperation", message))
            }
        }
    }

    fn target(&self, call: &Call) -> Result<Target<'_>, Refusal> {
        let named = call.queue_url.as_deref().and_then(|url| url.rsplit('/').next()).or(call.queue_name.as_deref());
        let named = named.unwrap_or_default();
        self.queues
            .iter()
            .flat_map(|queue| [Target::Queue(queue), Target::DeadLetters(queue)])
            .find(|target| target.name() == named)
            .ok_or_else(|| refusal("QueueDoesNotExist", format!("there is no queue {named}")))
    }
}

impl Target<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Queue(queue) => &queue.settings().name,
            Self::DeadLetters(queue) => &queue.settings().dead_letter_queue,
        }
    }

    fn attributes(&self) -> Value {
        let (waiting, hidden) = match self {
            Self::Queue(queue) => {
                let counts = queue.counts();
                (counts.waiting, counts.hidden)
            }
            Self::DeadLetters(queue) => (queue.counts().dead, 0),
        };
        json!({ "Attributes": {
            "ApproximateNumberOfMessages": waiting.to_string(),
            "ApproximateNumberOfMessagesNotVisible": hidden.to_string(),
        } })
    }
}

/// Checks what makes SQS refuse a batch as a whole.
fn check_batch(entries: &[Entry]) -> Result<(), Refusal> {
    let is_id =
        |id: &str| (1..=80).contains(&id.len()) && id.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    let ids: BTreeSet<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
    let code = if entries.is_empty() {
        "EmptyBatchRequest"
    } else if entries.len() > MAX_BATCH {
        "TooManyEntriesInBatchRequest"
    } else if !ids.iter().all(|id| is_id(id)) {
        "InvalidBatchEntryId"
    } else if ids.len() < entries.len() {
        "BatchEntryIdsNotDistinct"
    } else if entries.iter().map(|entry| entry.message_body.len()).sum::<usize>() > MAX_MESSAGE_BYTES {
        "BatchRequestTooLong"
    } else {
        return Ok(());
    };
    let entries = format!("1 to {MAX_BATCH} entries with distinct ids of letters, digits, - and _");
    Err(refusal(code, format!("expected {entries}, and at most {MAX_MESSAGE_BYTES} bytes together")))
}

fn send(queue: &LocalQueue, body: String) -> Result<Value, Refusal> {
    if body.is_empty() || body.len() > MAX_MESSAGE_BYTES {
        return Err(refusal("InvalidParameterValue", format!("expected a body of 1 to {MAX_MESSAGE_BYTES} bytes")));
    }
    if !body.chars().all(is_allowed) {
        let message =
            "expected a body of characters that XML 1.0 allows, so no control characters except tab and line ends";
        return Err(refusal("InvalidMessageContents", message));
    }
    let digest = md5(&body);
    Ok(json!({ "MessageId": queue.send(body), "MD5OfMessageBody": digest }))
}

/// Returns whether SQS accepts a character in a message (Amazon SQS API reference, `SendMessage`).
fn is_allowed(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

impl Front for SqsFront {
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
    hex::encode(Md5::digest(body.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rstest::rstest;

    use super::*;
    use crate::template::Queue;

    fn queue(name: &str) -> LocalQueue {
        LocalQueue::new(Queue {
            name: name.to_owned(),
            function: "registration-ingest".to_owned(),
            visibility_timeout: Duration::from_mins(6),
            max_receive_count: 2,
            dead_letter_queue: format!("{name}-dead"),
            batch_size: 10,
            batching_window: Duration::ZERO,
            maximum_concurrency: 2,
        })
    }

    #[test]
    fn a_call_reaches_the_queue_that_it_names() {
        let (events, webhooks) = (queue("events"), queue("webhooks"));
        let front = SqsFront { queues: vec![events.clone(), webhooks.clone()], url: "http://sqs".to_owned() };
        let call = |action: &str, body: Value| front.call(action, body.to_string().as_bytes());
        let url = |name: &str| json!({"QueueUrl": format!("http://sqs/{name}"), "MessageBody": "{}"});

        assert!(call("SendMessage", url("webhooks")).is_ok());
        assert_eq!((events.counts().waiting, webhooks.counts().waiting), (0, 1));
        let found = call("GetQueueUrl", json!({"QueueName": "webhooks-dead"}));
        assert_eq!(found.unwrap_or_default(), json!({"QueueUrl": "http://sqs/webhooks-dead"}));
        for (action, name, code) in
            [("SendMessage", "events-dead", "UnsupportedOperation"), ("SendMessage", "elsewhere", "QueueDoesNotExist")]
        {
            assert_eq!(call(action, url(name)).map_err(|refusal| refusal.code), Err(code));
        }
    }

    #[rstest]
    #[case::empty(&[], 2, "EmptyBatchRequest")]
    #[case::too_many(&["1"; 11], 2, "TooManyEntriesInBatchRequest")]
    #[case::the_same_id(&["1", "1"], 2, "BatchEntryIdsNotDistinct")]
    #[case::an_invalid_id(&["a.b"], 2, "InvalidBatchEntryId")]
    #[case::no_id(&[""], 2, "InvalidBatchEntryId")]
    #[case::too_long_together(&["1", "2"], MAX_MESSAGE_BYTES / 2 + 1, "BatchRequestTooLong")]
    fn a_batch_that_sqs_refuses_is_refused_as_a_whole(#[case] ids: &[&str], #[case] length: usize, #[case] code: &str) {
        let queue = queue("events");
        let front = SqsFront { queues: vec![queue.clone()], url: "http://sqs".to_owned() };
        let entries: Vec<_> = ids.iter().map(|id| json!({"Id": id, "MessageBody": "x".repeat(length)})).collect();
        let body = json!({"QueueUrl": "events", "Entries": entries}).to_string();
        let refused = front.call("SendMessageBatch", body.as_bytes()).map_err(|refusal| refusal.code);
        assert_eq!((refused, queue.counts().waiting), (Err(code), 0));
    }

    #[rstest]
    #[case("{\"a\": \"\u{e4}\u{1f600}\"}\r\n\t", None)]
    #[case("\u{0}", Some("InvalidMessageContents"))]
    #[case("{}\u{1b}", Some("InvalidMessageContents"))]
    #[case("\u{ffff}", Some("InvalidMessageContents"))]
    #[case("", Some("InvalidParameterValue"))]
    fn a_message_has_only_characters_that_sqs_accepts(#[case] body: &str, #[case] code: Option<&str>) {
        let sent = send(&queue("events"), body.to_owned());
        assert_eq!(sent.err().map(|refusal| refusal.code), code);
    }
}
