//! The queue, and Lambda's event source mapping, which feeds a function from it.
//!
//! Messages are handed out in batches and are hidden in the meantime. A message that fails becomes visible again after
//! the visibility timeout; a message that fails too often becomes a dead letter. Everything is in memory, so messages
//! are lost when the stack stops.
//!
//! Source: Amazon SQS developer guide, "Visibility timeout" and "Using dead-letter queues"; AWS Lambda developer guide,
//! "Using Lambda with Amazon SQS".

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore};
use tracing::{error, warn};
use uuid::Uuid;

use crate::{
    functions::Functions,
    template::{Queue, REGION},
};

/// A queue and its dead letters. A clone refers to the same queue.
#[derive(Clone)]
pub struct LocalQueue {
    settings: Arc<Queue>,
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Message>,
    /// The messages that are handed out, by receipt handle, each with the time at which it becomes visible again.
    hidden: BTreeMap<String, (Instant, Message)>,
    dead: VecDeque<Message>,
}

/// A message in a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The id of the message, a UUID.
    pub id: String,
    /// The body.
    pub body: String,
    sent_at: i64,
    first_received_at: Option<i64>,
    receive_count: u32,
}

/// The number of messages in a queue, by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Messages ready to be received.
    pub waiting: usize,
    /// Messages that are handed out and not yet deleted.
    pub hidden: usize,
    /// Dead letters.
    pub dead: usize,
}

/// A function's response to a batch.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchResponse {
    batch_item_failures: Vec<ItemFailure>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ItemFailure {
    item_identifier: String,
}

impl LocalQueue {
    /// Creates an empty queue.
    #[must_use]
    pub fn new(settings: Queue) -> Self {
        Self { settings: Arc::new(settings), state: Arc::default(), changed: Arc::default() }
    }

    /// Returns the queue's settings from the template.
    #[must_use]
    pub fn settings(&self) -> &Queue {
        &self.settings
    }

    /// Sends a message and returns its id.
    #[must_use]
    pub fn send(&self, body: String) -> String {
        let id = Uuid::new_v4().to_string();
        let sent_at = jiff::Timestamp::now().as_millisecond();
        let message = Message { id: id.clone(), body, sent_at, first_received_at: None, receive_count: 0 };
        self.state().waiting.push_back(message);
        self.changed.notify_one();
        id
    }

    /// Counts the messages, by state.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let state = self.state();
        Counts { waiting: state.waiting.len(), hidden: state.hidden.len(), dead: state.dead.len() }
    }

    /// Returns the dead letters, which stay in the queue.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<Message> {
        self.state().dead.iter().cloned().collect()
    }

    /// Hands batches to the function until the stack stops.
    pub async fn feed(self, functions: Functions) {
        let under_way = Arc::new(Semaphore::new(self.settings.maximum_concurrency));
        loop {
            self.wait_for_messages().await;
            // As Lambda does: collect from the first message until the batch is full or the batching window ends.
            let deadline = tokio::time::Instant::now() + self.settings.batching_window;
            while self.counts().waiting < self.settings.batch_size {
                let more = tokio::time::timeout_at(deadline, self.changed.notified()).await;
                if more.is_err() {
                    break;
                }
            }
            let Ok(permit) = Arc::clone(&under_way).acquire_owned().await else { return };
            let batch = self.receive(self.settings.batch_size, Instant::now());
            let (queue, functions) = (self.clone(), functions.clone());
            tokio::spawn(async move {
                queue.apply(&functions, batch).await;
                drop(permit);
            });
        }
    }

    async fn wait_for_messages(&self) {
        loop {
            let now = Instant::now();
            let next_return = {
                let mut state = self.state();
                state.return_visible(now, self.settings.max_receive_count);
                if !state.waiting.is_empty() {
                    return;
                }
                state.hidden.values().map(|(visible_at, _)| *visible_at).min()
            };
            match next_return {
                Some(visible_at) => {
                    let _ = tokio::time::timeout_at(visible_at.into(), self.changed.notified()).await;
                }
                None => self.changed.notified().await,
            }
        }
    }

    async fn apply(&self, functions: &Functions, batch: Vec<(String, Message)>) {
        if batch.is_empty() {
            return;
        }
        let event = self.event(&batch);
        let response = match functions.invoke(&self.settings.function, event).await {
            Ok(answer) => serde_json::from_value::<BatchResponse>(answer).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match response {
            Ok(response) => self.settle(&batch, &response),
            Err(error) => error!(error, "a batch failed; its messages come back after the visibility timeout"),
        }
    }

    /// Deletes the messages that did not fail. If the response names a message that is not in the batch, all messages
    /// of the batch count as failed. Failed messages stay hidden until the visibility timeout.
    fn settle(&self, batch: &[(String, Message)], response: &BatchResponse) {
        let failures: Vec<&str> =
            response.batch_item_failures.iter().map(|failure| failure.item_identifier.as_str()).collect();
        let all_known = failures.iter().all(|failure| batch.iter().any(|(_, message)| message.id == *failure));
        if !all_known {
            warn!("the function reported a message that is not in the batch, so the whole batch failed");
            return;
        }
        let mut state = self.state();
        for (receipt_handle, message) in batch {
            if !failures.contains(&message.id.as_str()) {
                state.hidden.remove(receipt_handle);
            }
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Hands out up to `max` messages and hides them until the visibility timeout.
    fn receive(&self, max: usize, now: Instant) -> Vec<(String, Message)> {
        let mut state = self.state();
        state.return_visible(now, self.settings.max_receive_count);
        let count = max.min(state.waiting.len());
        let mut messages: Vec<_> = state.waiting.drain(..count).collect();
        for message in &mut messages {
            message.receive_count += 1;
            message.first_received_at.get_or_insert_with(|| jiff::Timestamp::now().as_millisecond());
        }
        let visible_at = now + self.settings.visibility_timeout;
        let batch: Vec<_> = messages.into_iter().map(|message| (Uuid::new_v4().to_string(), message)).collect();
        state.hidden.extend(batch.iter().map(|(handle, message)| (handle.clone(), (visible_at, message.clone()))));
        batch
    }

    fn event(&self, batch: &[(String, Message)]) -> Value {
        let arn = self.settings.arn();
        let record = |(receipt_handle, message): &(String, Message)| {
            json!({
                "messageId": message.id,
                "receiptHandle": receipt_handle,
                "body": message.body,
                "attributes": {
                    "ApproximateReceiveCount": message.receive_count.to_string(),
                    "SentTimestamp": message.sent_at.to_string(),
                    "SenderId": "local",
                    "ApproximateFirstReceiveTimestamp":
                        message.first_received_at.unwrap_or(message.sent_at).to_string(),
                },
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": arn,
                "awsRegion": REGION,
            })
        };
        json!({ "Records": batch.iter().map(record).collect::<Vec<_>>() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Makes the messages whose visibility timeout has ended visible again, or turns them into dead letters if they
    /// were received too often.
    fn return_visible(&mut self, now: Instant, max_receive_count: u32) {
        let due: Vec<String> =
            self.hidden.iter().filter(|(_, (at, _))| *at <= now).map(|(handle, _)| handle.clone()).collect();
        for handle in due {
            let Some((_, message)) = self.hidden.remove(&handle) else { continue };
            if message.receive_count >= max_receive_count {
                warn!(message_id = message.id, "a message failed too often and is now a dead letter");
                self.dead.push_back(message);
            } else {
                self.waiting.push_back(message);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn queue() -> LocalQueue {
        LocalQueue::new(Queue {
            name: "events".to_owned(),
            function: "registration-ingest".to_owned(),
            visibility_timeout: Duration::from_mins(6),
            max_receive_count: 2,
            dead_letter_queue: "dead".to_owned(),
            batch_size: 10,
            batching_window: Duration::ZERO,
            maximum_concurrency: 2,
        })
    }

    fn failed(ids: &[&str]) -> BatchResponse {
        let failure = |id: &&str| ItemFailure { item_identifier: (*id).to_owned() };
        BatchResponse { batch_item_failures: ids.iter().map(failure).collect() }
    }

    #[test]
    fn only_the_failed_message_comes_back_and_becomes_a_dead_letter_if_it_fails_too_often() {
        let queue = queue();
        let (good, bad) = (queue.send("good".to_owned()), queue.send("bad".to_owned()));
        let start = Instant::now();

        let batch = queue.receive(10, start);
        assert_eq!(batch.iter().map(|(_, message)| &message.id).collect::<Vec<_>>(), [&good, &bad]);
        assert!(queue.receive(10, start).is_empty(), "messages that were handed out are hidden");
        queue.settle(&batch, &failed(&[&bad]));
        assert_eq!(queue.counts(), Counts { waiting: 0, hidden: 1, dead: 0 });

        let later = start + Duration::from_mins(6);
        let batch = queue.receive(10, later);
        assert_eq!(batch[0].1.receive_count, 2);
        queue.settle(&batch, &failed(&[&bad]));
        assert!(queue.receive(10, later + Duration::from_mins(6)).is_empty());
        assert_eq!(queue.dead_letters().iter().map(|message| message.body.as_str()).collect::<Vec<_>>(), ["bad"]);
    }

    #[test]
    fn a_response_that_names_an_unknown_message_fails_the_whole_batch() {
        let queue = queue();
        let _ = queue.send("good".to_owned());
        let batch = queue.receive(10, Instant::now());
        queue.settle(&batch, &failed(&[""]));
        assert_eq!(queue.counts(), Counts { waiting: 0, hidden: 1, dead: 0 });
    }
}
