//! The deadline of an invocation.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long before Lambda's deadline a function ends its work, so that its answer arrives: the caller of the API gets
/// this API's error and not API Gateway's, and the queue gets back only the messages that failed.
pub const ANSWER_MARGIN: Duration = Duration::from_secs(2);

/// Returns how long the work of an invocation may take: until shortly before Lambda's deadline, in milliseconds since
/// 1970.
#[must_use]
pub fn time_left(deadline: u64) -> Duration {
    let end = UNIX_EPOCH + Duration::from_millis(deadline).saturating_sub(ANSWER_MARGIN);
    end.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO)
}
