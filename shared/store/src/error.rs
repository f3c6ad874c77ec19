//! Errors of the table, divided by whether the same call may succeed later.

use std::error::Error;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use thiserror::Error;

/// The error of a call to the table.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreError {
    /// The table is throttled, unreachable or too slow, even after every retry. The same call may succeed later.
    #[error("the table does not answer: {0}")]
    Unavailable(String),
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
        let is_transient = match &error {
            SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => true,
            SdkError::ServiceError(service) => {
                let status = service.raw().status();
                // A successful response that cannot be parsed was damaged in transit.
                status.is_success() || status.is_server_error() || service.err().code().is_some_and(is_throttling)
            }
            _ => false,
        };
        let cause = cause_of(&error);
        if is_transient { Self::Unavailable(cause) } else { Self::Refused(cause) }
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
    let mut cause = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        cause = format!("{cause}: {error}");
        source = error.source();
    }
    cause
}

/// Returns whether an error with this code and status 400 may be retried. Amazon DynamoDB's developer guide, "Error
/// handling", marks these codes "OK to retry? Yes".
fn is_throttling(code: &str) -> bool {
    matches!(
        code,
        "ProvisionedThroughputExceededException"
            | "ThrottlingException"
            | "RequestLimitExceeded"
            | "LimitExceededException"
            | "ReplicatedWriteConflictException"
    )
}
