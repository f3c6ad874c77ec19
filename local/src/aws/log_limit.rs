//! Keeps an error that repeats from filling the log.

use std::time::Duration;

use tokio::time::Instant;

/// The shortest time between two lines.
const INTERVAL: Duration = Duration::from_mins(1);

/// Lets a line into the log once a minute while an error lasts.
#[derive(Debug, Default)]
pub struct LogLimit {
    logged_at: Option<Instant>,
}

impl LogLimit {
    /// Returns a limit under which nothing has been logged yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { logged_at: None }
    }

    /// Ends the error, so that the next one is logged at once.
    pub fn reset(&mut self) {
        self.logged_at = None;
    }

    /// Returns whether the line may be logged now, and counts it as logged if so.
    pub fn allows(&mut self, now: Instant) -> bool {
        let is_due = self.logged_at.is_none_or(|at| now >= at + INTERVAL);
        if is_due {
            self.logged_at = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_logged_once_a_minute_however_often_it_repeats() {
        let (mut limit, begin) = (LogLimit::default(), Instant::now());
        let logged = (0..1_200).filter(|tenth| limit.allows(begin + *tenth * Duration::from_millis(100)));
        assert_eq!(logged.collect::<Vec<_>>(), [0, 600], "in two minutes");
        limit.reset();
        assert!(limit.allows(begin + Duration::from_mins(2)), "another error");
    }
}
