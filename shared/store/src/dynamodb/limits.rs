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
/// The maximum number of attempts of a call: the first and seven retries with jitter. They fit into [`CALL_TIMEOUT`]
/// even while a partition is throttled.
pub const ATTEMPTS: u32 = 8;
/// The longest pause before a retry.
pub const MAX_BACKOFF: Duration = Duration::from_secs(1);
/// How many writes of a batch or of a copy run concurrently, each over its own connection.
pub const CONCURRENCY: usize = 32;

/// The first pause before a retry that this crate makes. Each further pause is twice as long, up to [`MAX_BACKOFF`].
const INITIAL_BACKOFF: Duration = Duration::from_millis(50);

/// Returns the pauses between the [`ATTEMPTS`] of a call that the SDK does not retry, with jitter.
pub(crate) fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(INITIAL_BACKOFF)
        .with_max_delay(MAX_BACKOFF)
        .with_max_times(ATTEMPTS as usize - 1)
        .with_jitter()
        .build()
}
