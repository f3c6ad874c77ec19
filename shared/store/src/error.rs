//! Errors of the table, divided by whether the same call may succeed later.

use std::error::Error;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use serde::Deserialize;
use thiserror::Error;

/// The error of a call to the table.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreError {
    /// The table is unreachable, too slow or over a limit of its own, even after every retry. Any other call will
    /// probably fail too. The same call may succeed later.
    #[error("the table does not answer: {0}")]
    Unavailable(String),
    /// The partition of the item, or of its entry in an index, is throttled, even after every retry. Calls on other
    /// partitions may succeed now, and the same call may succeed later.
    #[error("the table throttles the partition: {0}")]
    Throttled(String),
    /// What concerns this campaign took too long, although the table answers. Calls for other campaigns may succeed
    /// now, and the same call may succeed later.
    #[error("the campaign takes too long: {0}")]
    TooSlow(String),
    /// The table refused the call: the table, its indexes or the permissions are not what the code expects.
    #[error("the table refused the call: {0}")]
    Refused(String),
    /// An item does not have the attributes that its key promises.
    #[error("the item {key} is not what its key promises: {problem}")]
    Malformed {
        /// The item's sort key.
        key: String,
        /// The reason why the item is malformed.
        problem: String,
    },
}

impl StoreError {
    pub(crate) fn unwritable(problem: impl std::fmt::Display) -> Self {
        Self::malformed("to be written", problem)
    }

    pub(crate) fn malformed(key: &str, problem: impl std::fmt::Display) -> Self {
        Self::Malformed { key: key.to_owned(), problem: problem.to_string() }
    }
}

impl<E> From<SdkError<E>> for StoreError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    fn from(error: SdkError<E>) -> Self {
        let kind = match &error {
            SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => Self::Unavailable,
            SdkError::ServiceError(service) => {
                let (status, code) = (service.raw().status(), service.err().code().unwrap_or_default());
                if is_of_a_partition(code, service.raw().body().bytes().unwrap_or_default()) {
                    Self::Throttled
                // A successful response that cannot be parsed was damaged in transit.
                } else if status.is_success() || status.is_server_error() || is_temporary(code) {
                    Self::Unavailable
                } else {
                    Self::Refused
                }
            }
            _ => Self::Refused,
        };
        kind(cause_of(&error))
    }
}

/// Returns the error and its causes as text for the log, but never the raw response, which may contain a push token.
fn cause_of<E>(error: &SdkError<E>) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    if let SdkError::ServiceError(service) = error {
        let metadata = service.err().meta();
        return format!("{}: {}", metadata.code().unwrap_or("no code"), metadata.message().unwrap_or("no message"));
    }
    with_causes(error)
}

/// Returns the error and its causes as text for the log.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// The body of a throttling error. The member begins with a small letter for `ThrottlingException`, and with a capital
/// for `ProvisionedThroughputExceededException` and `RequestLimitExceeded` (`aws-sdk-dynamodb`, `protocol_serde`, the
/// file of each exception).
#[derive(Deserialize)]
struct ThrottlingError {
    #[serde(rename = "throttlingReasons", alias = "ThrottlingReasons", default)]
    reasons: Vec<ThrottlingReason>,
}

/// Why a call is throttled: for example `IndexWriteKeyRangeThroughputExceeded` or `TableWriteAccountLimitExceeded`.
#[derive(Deserialize)]
struct ThrottlingReason {
    reason: String,
}

/// Returns whether an error means that only the partition of the call is throttled, and not the whole table.
///
/// A table in on-demand mode answers with either of these codes, and the reasons in the body say which limit was
/// exceeded: `KeyRangeThroughputExceeded` is that of a partition, and the others are those of the table and the account
/// (Amazon DynamoDB API reference, "`ThrottlingReason`";
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/troubleshooting-throttling-diagnostics.html>).
/// Without reasons the code decides. `RequestLimitExceeded` is always a limit of the account.
fn is_of_a_partition(code: &str, body: &[u8]) -> bool {
    let is_throttling = matches!(code, "ProvisionedThroughputExceededException" | "ThrottlingException");
    let reasons = || serde_json::from_slice(body).map_or_else(|_| Vec::new(), |ThrottlingError { reasons }| reasons);
    is_throttling && reasons().iter().all(|reason| reason.reason.ends_with("KeyRangeThroughputExceeded"))
}

/// Returns whether an error with this code and status 400 may be retried. Amazon DynamoDB's developer guide, "Error
/// handling", marks these codes "OK to retry? Yes". `RequestLimitExceeded` is a limit of the account, and
/// `TransactionInProgressException` means that an earlier attempt has not ended yet.
fn is_temporary(code: &str) -> bool {
    matches!(
        code,
        "ProvisionedThroughputExceededException"
            | "ThrottlingException"
            | "RequestLimitExceeded"
            | "LimitExceededException"
            | "ReplicatedWriteConflictException"
            | "TransactionInProgressException"
    )
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::operation::put_item::PutItemError;
    use aws_smithy_runtime_api::http::{Response, StatusCode};
    use rstest::rstest;

    use super::*;

    const PROVISIONED: &str = "ProvisionedThroughputExceededException";
    const CAPITAL: &str = "ThrottlingReasons";
    const SMALL: &str = "throttlingReasons";
    const OF_THE_INDEX: &str = "IndexWriteKeyRangeThroughputExceeded";
    const OF_THE_TABLE: &str = "TableWriteMaxOnDemandThroughputExceeded";
    const OF_THE_ACCOUNT: &str = "TableWriteAccountLimitExceeded";

    #[rstest]
    #[case::old_engine(PROVISIONED, CAPITAL, &[], StoreError::Throttled)]
    #[case::hot_key(PROVISIONED, CAPITAL, &[OF_THE_INDEX], StoreError::Throttled)]
    #[case::maximum(PROVISIONED, CAPITAL, &[OF_THE_TABLE], StoreError::Unavailable)]
    #[case::account(PROVISIONED, CAPITAL, &[OF_THE_ACCOUNT], StoreError::Unavailable)]
    #[case::of_the_index("ThrottlingException", SMALL, &[OF_THE_INDEX], StoreError::Throttled)]
    #[case::of_the_table("ThrottlingException", SMALL, &[OF_THE_TABLE], StoreError::Unavailable)]
    #[case::of_the_account("ThrottlingException", SMALL, &[OF_THE_ACCOUNT], StoreError::Unavailable)]
    #[case::of_both("ThrottlingException", SMALL, &[OF_THE_INDEX, OF_THE_ACCOUNT], StoreError::Unavailable)]
    #[case::rate_of_the_account("RequestLimitExceeded", CAPITAL, &[OF_THE_ACCOUNT], StoreError::Unavailable)]
    #[case::earlier_attempt("TransactionInProgressException", SMALL, &[], StoreError::Unavailable)]
    #[case::invalid("ValidationException", SMALL, &[], StoreError::Refused)]
    fn throttling_is_of_a_partition_or_of_the_whole_table(
        #[case] code: &str,
        #[case] member: &str,
        #[case] reasons: &[&str],
        #[case] expected: fn(String) -> StoreError,
    ) {
        let reasons: Vec<_> = reasons.iter().map(|reason| serde_json::json!({"reason": reason})).collect();
        let body = serde_json::json!({"__type": code, member: reasons}).to_string();
        let metadata = aws_sdk_dynamodb::error::ErrorMetadata::builder().code(code).message("slow down").build();
        let raw = Response::new(StatusCode::try_from(400).unwrap(), body.into());
        let error = SdkError::service_error(PutItemError::generic(metadata), raw);
        assert_eq!(StoreError::from(error), expected(format!("{code}: slow down")));
    }
}
