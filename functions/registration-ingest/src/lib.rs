//! Applies events from the queue in batches. Only messages whose event was refused or failed go back to the queue.

mod message;

use std::{convert::Infallible, time::Instant};

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use domain::{event::passworks::Source, time};
use lambda_runtime::LambdaEvent;
pub use process::config::TableConfig as Config;
use process::{
    deadline,
    event_metrics::EventMetrics,
    intake::{self, Received},
};
use store::{Outcome, Table};
use tracing::warn;

/// The function.
#[derive(Debug, Clone)]
pub struct RegistrationIngest {
    table: Table,
}

impl RegistrationIngest {
    /// Returns the function, which uses the table that `config` names.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { table: config.connect() }
    }

    /// Applies one batch and returns the ids of the messages that go back to the queue.
    pub async fn handle(&self, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, Infallible> {
        let LambdaEvent { payload, context } = event;
        let request_id = &context.request_id;
        let now = time::now();
        let deadline = Instant::now() + deadline::time_left(context.deadline);
        let bodies = payload.records.iter().map(|message| message.body.as_deref().unwrap_or_default().as_bytes());
        let bodies = bodies.map(|body| message::parse(body, now)).collect();
        let received = intake::apply(&self.table, &Source::Queue, bodies, now, deadline).await;

        let mut response = SqsBatchResponse::default();
        let mut metrics = EventMetrics::default();
        for (message, Received { wallet, outcome }) in payload.records.iter().zip(received) {
            metrics.add(wallet, &outcome);
            let reason = match outcome {
                Outcome::Applied | Outcome::Unchanged => continue,
                Outcome::Refused(refusal) => refusal.to_string(),
                Outcome::Failed(error) | Outcome::TypeNotStored { error, .. } => error.to_string(),
            };
            // A message without an id cannot be listed as failed. An empty id in the list returns the whole batch to
            // the queue.
            let id = message.message_id.clone().unwrap_or_default();
            warn!(request_id, message_id = id, reason, "a message goes back to the queue");
            response.batch_item_failures.push(failure(id));
        }
        metrics.log(request_id);
        Ok(response)
    }
}

fn failure(item_identifier: String) -> BatchItemFailure {
    let mut failure = BatchItemFailure::default();
    failure.item_identifier = item_identifier;
    failure
}
