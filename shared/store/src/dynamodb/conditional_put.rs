//! Conditional puts: an item is written only if a condition on the stored item holds, so no read is needed before the
//! write.
//!
//! If the condition does not hold, DynamoDB can return the stored item. A caller that decides by it may try again,
//! [`MAX_ATTEMPTS`] times, because another writer may have changed the item in between.

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::put_item::{PutItemError, PutItemInput, PutItemOutput, builders::PutItemInputBuilder},
    types::ReturnValuesOnConditionCheckFailure,
};
use domain::time::Timestamp;
use serde::{Serialize, de::DeserializeOwned};

use super::codec::{self, text};
use crate::{StoreError, Table};

/// How many times a put is tried if other writers keep changing the same item.
pub(crate) const MAX_ATTEMPTS: usize = 5;

/// The result of a conditional put.
pub(crate) enum Put<T> {
    /// The condition held, and the item was written.
    Written,
    /// The condition did not hold, so nothing was written.
    Rejected {
        /// The stored item, or `None` if there is none.
        stored: Option<T>,
    },
}

impl Table {
    /// Returns a put of the item on a condition, in which `:at` is the given instant.
    pub(crate) fn put(
        &self,
        item: &impl Serialize,
        condition: &str,
        at: Timestamp,
    ) -> Result<PutItemInputBuilder, StoreError> {
        let put = PutItemInput::builder()
            .table_name(&self.name)
            .set_item(Some(codec::encode(item)?))
            .condition_expression(condition)
            .expression_attribute_values(":at", text(at));
        Ok(put)
    }

    /// Sends a conditional put. Returns the stored item if the condition does not hold.
    pub(crate) async fn written_or_stored<T: DeserializeOwned>(
        &self,
        put: PutItemInputBuilder,
    ) -> Result<Put<T>, StoreError> {
        let put = put.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let Err(error) = self.client.send(put).await else { return Ok(Put::Written) };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(failure)) => {
                Ok(Put::Rejected { stored: failure.item.clone().map(codec::decode).transpose()? })
            }
            _ => Err(error.into()),
        }
    }
}

/// Returns whether a conditional put was written.
pub(crate) fn has_written(result: Result<PutItemOutput, SdkError<PutItemError>>) -> Result<bool, StoreError> {
    match result {
        Ok(_) => Ok(true),
        Err(error) => match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(false),
            _ => Err(error.into()),
        },
    }
}

/// Returns the error for an item that other writers keep changing. `key` is its sort key.
pub(crate) fn contended(key: &str) -> StoreError {
    StoreError::Unavailable(format!("{key} was changed by another writer {MAX_ATTEMPTS} times in a row"))
}
