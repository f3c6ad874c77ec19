//! Counts installs and uninstalls from the table's stream.
//!
//! Lambda delivers the records of a shard in order, each at least once. Each record is nevertheless counted exactly
//! once, because one transaction adds to the counts and moves the shard's checkpoint past the record. This relies on
//! three properties of the event source, which the template sets:
//!
//! - It has a tumbling window, because Lambda names the shard only in events of a window.
//! - It sends one batch of a shard at a time.
//! - It sends a batch again until the batch is counted, without a limit.

use std::time::Instant;

use domain::time;
use lambda_runtime::{Diagnostic, LambdaEvent};
pub use process::config::TableConfig as Config;
use process::deadline;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};
use store::{NotAStreamRecord, StoreError, StreamRecord, Table, Tallied};
use thiserror::Error;
use tracing::{error, info};

/// The function.
#[derive(Debug, Clone)]
pub struct RegistrationTally {
    table: Table,
}

/// The parts of an event that this function reads (AWS Lambda developer guide, "Using AWS Lambda with Amazon DynamoDB",
/// "Tumbling windows").
#[derive(Debug, Deserialize)]
struct Batch<'a> {
    #[serde(rename = "Records", default, borrow)]
    records: Vec<&'a RawValue>,
    #[serde(rename = "shardId")]
    shard: String,
}

/// The answer that Lambda expects: the state of the window, which is always empty.
#[derive(Debug, Default, Serialize)]
pub struct Answer {
    state: Map<String, Value>,
}

/// Why a batch was not counted completely. Lambda sends the batch again.
#[derive(Debug, Error)]
pub enum TallyError {
    /// The event is not a batch of the table's stream.
    #[error("expected an event of a tumbling window of the table's stream: {0}")]
    InvalidEvent(#[from] serde_json::Error),
    /// A record of the batch has no valid sequence number.
    #[error(transparent)]
    NotAStreamRecord(#[from] NotAStreamRecord),
    /// The table failed or did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RegistrationTally {
    /// Returns the function, which uses the table that `config` names.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { table: config.connect() }
    }

    /// Counts the records of one batch that have not been counted yet.
    pub async fn handle(&self, event: LambdaEvent<Box<RawValue>>) -> Result<Answer, TallyError> {
        let LambdaEvent { payload, context } = event;
        let Batch { records, shard } = serde_json::from_str(payload.get())?;
        let read = records.iter().map(|record| StreamRecord::from_json(record.get())).collect::<Result<Vec<_>, _>>()?;
        let deadline = Instant::now() + deadline::time_left(context.deadline);
        let Tallied { changes, repeated, unreadable } = self.table.tally(&shard, &read, time::now(), deadline).await?;
        let (request_id, records) = (context.request_id, records.len());
        if unreadable > 0 {
            error!(request_id, shard, unreadable, "records could not be read and are kept under TALLY#UNREADABLE");
        }
        info!(request_id, shard, records, changes, repeated, "counted a batch of the stream");
        Ok(Answer::default())
    }
}

/// The error that Lambda receives and logs.
impl From<TallyError> for Diagnostic {
    fn from(error: TallyError) -> Self {
        let error_type = match error {
            TallyError::InvalidEvent(_) => "InvalidEvent",
            TallyError::NotAStreamRecord(_) => "InvalidRecord",
            TallyError::Store(_) => "Store",
        };
        Self { error_type: error_type.to_owned(), error_message: error.to_string() }
    }
}
