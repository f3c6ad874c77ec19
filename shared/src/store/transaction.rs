use aws_sdk_dynamodb::{
    error::SdkError,
    operation::transact_write_items::TransactWriteItemsError,
    types::{CancellationReason, TransactWriteItem},
};

use super::{RegistrationStore, StoreError};

/// How many items one transaction writes at the most (Amazon DynamoDB, "Quotas").
pub(super) const MAX_ITEMS: usize = 100;
/// How often a transaction that met another one on the same item begins again.
const MAX_ATTEMPTS: usize = 10;

/// What a transaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transacted {
    /// All of it.
    Done,
    /// Nothing: an item was not as a condition says.
    ConditionFailed,
}

impl RegistrationStore {
    /// Writes all of it or nothing.
    pub(super) async fn transact(&self, writes: Vec<TransactWriteItem>) -> Result<Transacted, StoreError> {
        let mut conflict = String::new();
        for _ in 0..MAX_ATTEMPTS {
            let Err(error) = self.client.transact_write_items().set_transact_items(Some(writes.clone())).send().await
            else {
                return Ok(Transacted::Done);
            };
            let Some(reasons) = reasons(&error) else { return Err(error.into()) };
            let codes: Vec<&str> = reasons.iter().filter_map(CancellationReason::code).collect();
            if codes.contains(&"ConditionalCheckFailed") {
                return Ok(Transacted::ConditionFailed);
            }
            let is_passing = |code: &&str| {
                ["None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"].contains(code)
            };
            conflict = format!("the transaction was canceled: {}", codes.join(", "));
            if !codes.iter().all(is_passing) {
                return Err(StoreError::Refused(conflict));
            }
        }
        Err(StoreError::Unavailable(conflict))
    }
}

/// Why a transaction was canceled, where it was.
fn reasons(error: &SdkError<TransactWriteItemsError>) -> Option<&[CancellationReason]> {
    match error.as_service_error()? {
        TransactWriteItemsError::TransactionCanceledException(canceled) => Some(canceled.cancellation_reasons()),
        _ => None,
    }
}
