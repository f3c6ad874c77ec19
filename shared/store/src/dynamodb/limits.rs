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
/// The maximum number of attempts of a call. Pauses have jitter. Even if they are the longest possible, a call on a
/// throttled partition uses up its attempts within [`CALL_TIMEOUT`], so it fails because of the partition and not
/// because of the time, which would concern the whole table (see `registrations::batch`).
pub const ATTEMPTS: u32 = 16;
/// The longest pause before a retry.
pub const MAX_BACKOFF: Duration = Duration::from_millis(600);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The time until a throttled partition answers.
    const ROUND_TRIP: Duration = Duration::from_millis(20);

    #[test]
    fn a_throttled_call_uses_up_its_attempts_before_it_times_out() {
        let longest_pauses = (0..ATTEMPTS - 1).map(|retry| (INITIAL_BACKOFF * 2_u32.pow(retry)).min(MAX_BACKOFF));
        let longest = longest_pauses.sum::<Duration>() + ROUND_TRIP * ATTEMPTS;
        assert!(longest < CALL_TIMEOUT, "{longest:?}");
    }

    #[test]
    fn pauses_begin_with_milliseconds_are_jittered_and_end_within_the_time_of_a_call() {
        let draws: Vec<Vec<_>> = (0..10).map(|_| pauses().collect()).collect();
        for pauses in &draws {
            assert!(pauses[0] < 2 * INITIAL_BACKOFF, "{pauses:?}");
            assert!(pauses.iter().sum::<Duration>() <= CALL_TIMEOUT, "{pauses:?}");
        }
        assert!(draws.iter().any(|pauses| *pauses != draws[0]), "{draws:?}");
    }
}
