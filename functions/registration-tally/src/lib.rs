//! Counts of installs and uninstalls, kept by the stream of the table.
//!
//! Lambda hands over the changes of one shard in their order, each at least once. A record is counted exactly once all the same,
//! because one transaction adds to the counts and moves the shard's checkpoint past it. That relies on three things of the event
//! source, which the template states: events of a tumbling window, which alone name their shard; one batch of a shard at a time; and
//! no limit to how often a batch is sent again.

use lambda_runtime::{Diagnostic, LambdaEvent};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
pub use shared::store::TableConfig as Config;
use shared::{
    clock,
    store::{InvalidRecord, RegistrationStore, StoreError, StreamRecord, Tallied},
};
use thiserror::Error;
use tracing::{error, info};

/// The function.
#[derive(Debug, Clone)]
pub struct RegistrationTally {
    store: RegistrationStore,
}

/// What is read of an event (AWS Lambda developer guide, "Using AWS Lambda with Amazon DynamoDB", "Tumbling windows").
#[derive(Debug, Deserialize)]
struct Batch {
    #[serde(rename = "Records", default)]
    records: Vec<Value>,
    #[serde(rename = "shardId")]
    shard: String,
}

/// What Lambda wants to hear: the state of the window, of which there is none.
#[derive(Debug, Default, Serialize)]
pub struct Answer {
    state: Map<String, Value>,
}

/// Why a batch was not counted to its end. Lambda sends it again.
#[derive(Debug, Error)]
pub enum TallyError {
    /// It is not a batch of the table's stream.
    #[error("expected an event of a tumbling window of the table's stream: {0}")]
    InvalidEvent(#[from] serde_json::Error),
    /// A record in it cannot be placed.
    #[error(transparent)]
    InvalidRecord(#[from] InvalidRecord),
    /// The table did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RegistrationTally {
    /// The function over the table that `config` names.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { store: RegistrationStore::connect(config) }
    }

    /// Counts one batch.
    pub async fn handle(&self, event: LambdaEvent<Value>) -> Result<Answer, TallyError> {
        let LambdaEvent { payload, context } = event;
        let Batch { records, shard } = Batch::deserialize(payload)?;
        let read = records.iter().map(StreamRecord::from_json).collect::<Result<Vec<_>, _>>()?;
        let Tallied { changes, repeated, unreadable } = self.store.tally(&shard, &read, clock::now()).await?;
        let (request_id, records) = (context.request_id, records.len());
        if unreadable > 0 {
            error!(request_id, shard, unreadable, "records could not be read and are kept under TALLY#UNREADABLE");
        }
        info!(request_id, shard, records, changes, repeated, "a batch of the stream");
        Ok(Answer::default())
    }
}

/// What Lambda is told, and keeps in its log.
impl From<TallyError> for Diagnostic {
    fn from(error: TallyError) -> Self {
        let error_type = match error {
            TallyError::InvalidEvent(_) => "InvalidEvent",
            TallyError::InvalidRecord(_) => "InvalidRecord",
            TallyError::Store(_) => "Store",
        };
        Self { error_type: error_type.to_owned(), error_message: error.to_string() }
    }
}
