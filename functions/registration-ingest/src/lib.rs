//! Install and uninstall events from the queue, in batches of which only the failed messages go back.

use std::convert::Infallible;

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use lambda_runtime::LambdaEvent;
pub use shared::store::TableConfig as Config;
use shared::{
    clock::{self, Timestamp},
    event::{self, Event, Source},
    event_counts::EventCounts,
    field::FieldErrors,
    json,
    registration::Wallet,
    store::{RegistrationStore, fate},
};
use tracing::warn;

/// The function.
#[derive(Debug, Clone)]
pub struct RegistrationIngest {
    store: RegistrationStore,
}

impl RegistrationIngest {
    /// The function over the table that `config` names.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { store: RegistrationStore::connect(config) }
    }

    /// Applies one batch.
    pub async fn handle(&self, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, Infallible> {
        let LambdaEvent { payload, context } = event;
        let request_id = &context.request_id;
        let now = clock::now();
        let (wallets, batch): (Vec<_>, Vec<_>) = payload.records.iter().map(|message| read(message, now)).unzip();
        let results = self.store.take_all(batch, now).await;
        let mut response = SqsBatchResponse::default();
        let mut counts = EventCounts::default();
        for ((message, wallet), result) in payload.records.iter().zip(wallets).zip(results) {
            counts.add(wallet, fate(&result));
            if let Err(error) = result {
                // A message without an id cannot be named; an empty name sends the whole batch back.
                let id = message.message_id.clone().unwrap_or_default();
                warn!(request_id, message_id = id, reason = %error, "a message goes back to the queue");
                response.batch_item_failures.push(failure(id));
            }
        }
        counts.log(request_id);
        Ok(response)
    }
}

/// The wallet that a message names, and its event, nothing where it changes nothing, or why it is none.
fn read(message: &SqsMessage, now: Timestamp) -> (Option<Wallet>, Result<Option<Event>, FieldErrors>) {
    match json::parse(message.body.as_deref().unwrap_or_default().as_bytes()) {
        Ok(body) => (event::wallet_named(&body), Event::from_json(&body, &Source::Queue, now)),
        Err(error) => (None, Err(FieldErrors::of("body", format_args!("expected JSON: {error}")))),
    }
}

fn failure(item_identifier: String) -> BatchItemFailure {
    let mut failure = BatchItemFailure::default();
    failure.item_identifier = item_identifier;
    failure
}
