//! Transactions: either all their items are written or none.

use std::time::Instant;

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::transact_write_items::{TransactWriteItemsError, TransactWriteItemsInput},
    types::{CancellationReason, TransactWriteItem},
};
use tokio::time;

use super::limits;
use crate::{StoreError, Table};

/// How many items one transaction writes at most (Amazon DynamoDB, "Quotas").
pub(crate) const MAX_ITEMS: usize = 100;

/// The outcome of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transacted {
    /// It wrote every item.
    Done,
    /// It wrote nothing because a condition did not hold.
    ConditionFailed,
}

impl Table {
    /// Writes all of `writes` or none. Retries after a pause if the transaction conflicts with another one or is
    /// throttled. No attempt begins that may end after `deadline`.
    pub(crate) async fn transact(
        &self,
        writes: Vec<TransactWriteItem>,
        deadline: Instant,
    ) -> Result<Transacted, StoreError> {
        limits::expect_time_for_call(deadline)?;
        let mut pauses = limits::pauses(deadline);
        loop {
            let call = TransactWriteItemsInput::builder().set_transact_items(Some(writes.clone()));
            let Err(error) = self.client.send(call).await else {
                return Ok(Transacted::Done);
            };
            let Some(reasons) = cancellation_reasons(&error) else { return Err(error.into()) };
            let codes: Vec<&str> = reasons.iter().filter_map(CancellationReason::code).collect();
            if codes.contains(&"ConditionalCheckFailed") {
                return Ok(Transacted::ConditionFailed);
            }
            let problem = format!("the transaction was canceled: {}", codes.join(", "));
            if !codes.iter().all(|code| is_temporary(code)) {
                return Err(StoreError::Refused(problem));
            }
            let Some(pause) = pauses.next() else { return Err(StoreError::Unavailable(problem)) };
            time::sleep(pause).await;
        }
    }
}

/// Returns whether a retry may succeed despite this reason (Amazon DynamoDB API reference, "`TransactWriteItems`").
fn is_temporary(code: &str) -> bool {
    ["None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"].contains(&code)
}

/// Returns the reasons why a transaction was canceled, or `None` if the error is another one.
fn cancellation_reasons(error: &SdkError<TransactWriteItemsError>) -> Option<&[CancellationReason]> {
    match error.as_service_error()? {
        TransactWriteItemsError::TransactionCanceledException(canceled) => Some(canceled.cancellation_reasons()),
        _ => None,
    }
}
