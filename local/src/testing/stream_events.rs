//! Events of the table's stream, for tests, that no sample shows.

use serde_json::{Value, json};

use crate::samples::{self, SampleError};

/// Returns the first sample event of the stream with a wallet that does not exist, and with a push token.
pub fn with_an_unreadable_record() -> Result<Value, SampleError> {
    let mut event = samples::read(&samples::folder().join("dynamodb/source-document.json"))?;
    let mut records = event["Records"].as_array_mut().into_iter().flatten();
    if let Some(record) = records.find(|record| record["dynamodb"]["NewImage"]["wallet"].is_object()) {
        record["dynamodb"]["NewImage"]["wallet"] = json!({"S": "abacus"});
        record["dynamodb"]["NewImage"]["push_token"] = json!({"S": "a-secret-token"});
    }
    Ok(event)
}
