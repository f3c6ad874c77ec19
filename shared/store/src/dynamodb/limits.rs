//! Time limits, attempts and concurrency of the calls to the table.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder as _, ExponentialBuilder};

use crate::StoreError;

/// The time after which a call fails, retries included. It lets the caller get our answer before API Gateway's 30
/// seconds end.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(8);
/// The time limit of one attempt. DynamoDB answers in milliseconds, and a lost packet is noticed well before this.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);
/// The time limit for opening a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The maximum number of attempts of a call. Even with the longest pauses, a call on a throttled partition uses up its
/// attempts within [`CALL_TIMEOUT`], so it fails because of the partition and not because of the time, which would
/// concern the whole table (see `registrations::batch`). This assumes that DynamoDB answers each attempt within 100 ms
/// on average.
pub const ATTEMPTS: u32 = 18;
/// The longest pause before a retry.
pub const MAX_BACKOFF: Duration = Duration::from_millis(400);
/// How many calls of a batch or of a copy run concurrently, each over its own connection.
pub const CONCURRENCY: usize = 32;

/// The longest first pause before a retry. Each further one is twice as long, up to [`MAX_BACKOFF`]. The default of a
/// config that is built without the environment is a second (`aws-smithy-types`, `RetryConfig::standard`), so a single
/// fault would take half a second on average.
pub const INITIAL_BACKOFF: Duration = Duration::from_millis(50);

/// Returns an error if a call that begins now may end after `deadline`.
pub(crate) fn expect_time_for_call(deadline: Instant) -> Result<(), StoreError> {
    if is_time_for_call(deadline, Duration::ZERO) {
        Ok(())
    } else {
        Err(StoreError::Unavailable("there was no time left for a call".to_owned()))
    }
}

/// Returns the pauses between the attempts of a call that the SDK does not retry, as long as there is time for another
/// attempt. Each is random, between half and all of the longest pause; the SDK's are between nothing and all of it.
pub(crate) fn pauses(deadline: Instant) -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        // The jitter adds up to as much again.
        .with_min_delay(INITIAL_BACKOFF / 2)
        .with_max_delay(MAX_BACKOFF / 2)
        .without_max_times()
        .with_jitter()
        .build()
        .take_while(move |pause| is_time_for_call(deadline, *pause))
}

/// Returns whether a call that begins after `pause` ends by `deadline`, even if it takes [`CALL_TIMEOUT`].
fn is_time_for_call(deadline: Instant, pause: Duration) -> bool {
    Instant::now() + pause + CALL_TIMEOUT <= deadline
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The time until a throttled partition answers, as the documentation of [`ATTEMPTS`] assumes.
    const ROUND_TRIP: Duration = Duration::from_millis(100);

    fn longest_pauses() -> impl Iterator<Item = Duration> {
        (0..).map(|retry| INITIAL_BACKOFF.saturating_mul(2_u32.saturating_pow(retry)).min(MAX_BACKOFF))
    }

    #[test]
    fn a_throttled_call_uses_up_its_attempts_before_it_times_out() {
        let retries = usize::try_from(ATTEMPTS).unwrap() - 1;
        let longest = longest_pauses().take(retries).sum::<Duration>() + ROUND_TRIP * ATTEMPTS;
        assert!(longest < CALL_TIMEOUT, "{longest:?}");
    }

    #[test]
    fn pauses_are_at_least_half_of_the_longest_and_go_on_beyond_the_time_of_a_call() {
        let deadline = Instant::now() + Duration::from_hours(1);
        let draws: Vec<Vec<_>> = (0..10).map(|_| pauses(deadline).take(100).collect()).collect();
        for pauses in &draws {
            for (pause, longest) in pauses.iter().zip(longest_pauses()) {
                assert!((longest / 2..=longest).contains(pause), "{pauses:?}");
            }
            assert!(pauses.iter().sum::<Duration>() > 2 * CALL_TIMEOUT, "{pauses:?}");
        }
        assert!(draws.iter().any(|pauses| *pauses != draws[0]), "{draws:?}");
    }

    #[test]
    fn no_pause_begins_if_there_is_no_time_for_a_call_after_it() {
        let next_pause = |time_left| pauses(Instant::now() + time_left).next();
        assert_eq!(next_pause(CALL_TIMEOUT), None);
        assert!(next_pause(CALL_TIMEOUT + Duration::from_mins(1)).is_some());
    }
}
