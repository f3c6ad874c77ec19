//! Time limits, attempts and concurrency of the calls to the table.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};

/// A call fails after this time, retries included, so that the caller gets our answer before API Gateway's 30 seconds end.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(8);
/// The time for one attempt. DynamoDB answers in milliseconds; a lost packet is noticed well before this.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);
/// The time for opening a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The first attempt and seven retries with jitter: what fits into [`CALL_TIMEOUT`] while a partition is throttled.
pub const ATTEMPTS: u32 = 8;
/// The longest pause before a retry.
pub const MAX_BACKOFF: Duration = Duration::from_secs(1);
/// How many registrations of a batch are written concurrently, each over a connection of its own.
pub const CONCURRENCY: usize = 32;

/// The first pause before a retry of ours; each further one is twice as long.
const INITIAL_BACKOFF: Duration = Duration::from_millis(50);

/// The pauses between the [`ATTEMPTS`] of a call that the SDK does not retry, with jitter.
pub(crate) fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(INITIAL_BACKOFF)
        .with_max_delay(MAX_BACKOFF)
        .with_max_times(ATTEMPTS as usize - 1)
        .with_jitter()
        .build()
}
