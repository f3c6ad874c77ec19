//! Install and uninstall events from the queue, in batches of which only the failed messages go back.

use std::convert::Infallible;

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use lambda_runtime::LambdaEvent;
pub use shared::store::TableConfig as Config;
use shared::{
    clock::{self, Timestamp},
    event::{Event, Source},
    json,
    store::{Outcome, RegistrationStore},
};
use tracing::{info, warn};

/// The function.
#[derive(Debug, Clone)]
pub struct RegistrationIngest {
    store: RegistrationStore,
}

/// What became of a message that stays out of the failures.
type Applied = Result<Outcome, String>;

impl RegistrationIngest {
    /// The function over the table that `config` names.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { store: RegistrationStore::connect(config) }
    }

    /// Applies one batch.
    pub async fn handle(&self, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, Infallible> {
        let LambdaEvent { payload, context } = event;
        let results = self.apply(&payload.records, clock::now()).await;
        let mut response = SqsBatchResponse::default();
        let (mut applied, mut unchanged) = (0_usize, 0_usize);
        for (message, result) in payload.records.iter().zip(results) {
            match result {
                Ok(Outcome::Applied) => applied += 1,
                Ok(Outcome::Unchanged) => unchanged += 1,
                Err(reason) => {
                    // A message without an id cannot be named; an empty name sends the whole batch back.
                    let id = message.message_id.clone().unwrap_or_default();
                    warn!(request_id = context.request_id, message_id = id, reason, "a message goes back to the queue");
                    response.batch_item_failures.push(failure(id));
                }
            }
        }
        let failed = response.batch_item_failures.len();
        info!(request_id = context.request_id, applied, unchanged, failed, "a batch of events");
        Ok(response)
    }

    async fn apply(&self, messages: &[SqsMessage], now: Timestamp) -> Vec<Applied> {
        let mut results = Vec::with_capacity(messages.len());
        let (mut places, mut events) = (Vec::new(), Vec::new());
        for (place, message) in messages.iter().enumerate() {
            results.push(match read(message, now) {
                Ok(None) => Ok(Outcome::Unchanged),
                Err(reason) => Err(reason),
                Ok(Some(event)) => {
                    places.push(place);
                    events.push(event);
                    Ok(Outcome::Unchanged)
                }
            });
        }
        for (place, result) in places.into_iter().zip(self.store.apply_all(&events, now).await) {
            results[place] = result.map_err(|error| error.to_string());
        }
        results
    }
}

/// The event of a message, nothing where it changes nothing, or why it is none.
fn read(message: &SqsMessage, now: Timestamp) -> Result<Option<Event>, String> {
    let body = message.body.as_deref().unwrap_or_default();
    let body = json::parse(body.as_bytes()).map_err(|error| format!("expected a JSON body: {error}"))?;
    Event::from_json(&body, &Source::Queue, now).map_err(|errors| errors.to_string())
}

fn failure(item_identifier: String) -> BatchItemFailure {
    let mut failure = BatchItemFailure::default();
    failure.item_identifier = item_identifier;
    failure
}
