//! Lines about work that takes longer than a moment, so that a user sees that it goes on.

use std::{future::Future, time::Duration};

use tokio::time::Instant;

/// When a progress line is reported: first after `first`, then after pauses that double up to `longest`.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The time after which work is slow enough for a line.
    pub first: Duration,
    /// The longest pause between two lines.
    pub longest: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), longest: Duration::from_secs(10) }
    }
}

impl Pace {
    /// Waits for `work`, and reports `line` from time to time until it is done.
    pub async fn report<T>(
        self,
        work: impl Future<Output = T>,
        line: impl Fn() -> String,
        mut report: impl FnMut(String),
    ) -> T {
        // On the heap, because the future of a whole copy is large.
        let mut work = Box::pin(work);
        let begin = Instant::now();
        let mut pause = self.first;
        loop {
            match tokio::time::timeout(pause, work.as_mut()).await {
                Ok(done) => return done,
                Err(_) => report(format!("{}, after {} s", line(), begin.elapsed().as_secs())),
            }
            pause = (pause * 2).min(self.longest);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn slow_work_is_reported_until_it_is_done() {
        let pace = Pace { first: Duration::from_millis(1), longest: Duration::from_millis(2) };
        let (done, work) = oneshot::channel();
        let (mut done, mut lines) = (Some(done), Vec::new());
        let report = |line| {
            lines.push(line);
            if lines.len() == 3
                && let Some(done) = done.take()
            {
                done.send("done").unwrap();
            }
        };
        assert_eq!(pace.report(work, || "7 of 9 items".to_owned(), report).await, Ok("done"));
        assert!(lines.iter().all(|line| line.starts_with("7 of 9 items, after ")), "{lines:?}");
        assert_eq!(lines.len(), 3);
    }

    #[tokio::test]
    async fn quick_work_is_not_reported() {
        let report = |line| panic!("{line}");
        assert_eq!(Pace::default().report(async { 1 }, String::new, report).await, 1);
    }
}
