use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use thiserror::Error;

/// Why the table did not answer.
#[derive(Debug, Clone, Error)]
pub enum StoreError {
    /// Throttled, unreachable or too slow, after every retry: the same call may succeed later.
    #[error("the table does not answer: {0}")]
    Unavailable(String),
    /// The call was refused: the table, its indexes or the permissions are not what the code expects.
    #[error("the table refused the call: {0}")]
    Refused(String),
    /// A stored item is not what its key promises.
    #[error("the item {key} is not what its key promises: {problem}")]
    Malformed {
        /// The item's sort key.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl StoreError {
    pub(super) fn malformed(key: &str, problem: impl std::fmt::Display) -> Self {
        Self::Malformed { key: key.to_owned(), problem: problem.to_string() }
    }
}

impl<E> From<SdkError<E>> for StoreError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    fn from(error: SdkError<E>) -> Self {
        let is_passing = match &error {
            SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => true,
            SdkError::ServiceError(service) => {
                service.raw().status().is_server_error() || service.err().code().is_some_and(is_throttling)
            }
            _ => false,
        };
        let cause = DisplayErrorContext(error).to_string();
        if is_passing { Self::Unavailable(cause) } else { Self::Refused(cause) }
    }
}

/// The codes that Amazon DynamoDB's developer guide, "Error handling", marks "OK to retry? Yes" and that come with a 400.
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
