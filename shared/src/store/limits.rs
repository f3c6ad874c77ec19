//! How long and how often the table is asked, and by how many at a time.

use std::time::Duration;

/// A call is given up after this time, retries included, so that a caller hears of it before API Gateway's 30 seconds end.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(8);
/// One attempt. DynamoDB answers in milliseconds; a lost packet is noticed well before this.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a connection may take to be there.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The first and seven retries with jitter: what fits into [`CALL_TIMEOUT`] while a partition is throttled.
pub const ATTEMPTS: u32 = 8;
/// The longest wait before a retry.
pub const MAX_BACKOFF: Duration = Duration::from_secs(1);
/// How many registrations of a batch are written at a time: as many connections to the table.
pub const CONCURRENCY: usize = 32;
