//! Time limits, attempts and concurrency of the calls to the table.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};

/// The time after which a call fails, retries included. It lets the caller get our answer before API Gateway's 30
/// seconds end.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(8);
/// The time limit of one attempt. DynamoDB answers in milliseconds, and a lost packet is noticed well before this.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);
/// The time limit for opening a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The maximum number of attempts of a call. Retries have jitter, so while a partition is throttled, they wait for it
/// about as long as [`CALL_TIMEOUT`] allows.
pub const ATTEMPTS: u32 = 16;
/// The longest pause before a retry.
pub const MAX_BACKOFF: Duration = Duration::from_secs(1);
/// How many writes of a batch or of a copy run concurrently, each over its own connection.
pub const CONCURRENCY: usize = 32;

/// The longest first pause before a retry. Each further one is twice as long, up to [`MAX_BACKOFF`]. The default of a
/// config that is built without the environment is a second (`aws-smithy-types`, `RetryConfig::standard`), so a single
/// fault would take half a second on average.
pub const INITIAL_BACKOFF: Duration = Duration::from_millis(50);

/// Returns the pauses between the attempts of a call that the SDK does not retry, with jitter. Together they last as
/// long as [`CALL_TIMEOUT`].
pub(crate) fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(INITIAL_BACKOFF)
        .with_max_delay(MAX_BACKOFF)
        .without_max_times()
        .with_total_delay(Some(CALL_TIMEOUT))
        .with_jitter()
        .build()
}
