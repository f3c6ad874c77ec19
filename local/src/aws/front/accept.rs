//! Accepts connections, also at times when the process has no file descriptor left for one.

use std::{
    io,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tracing::error;

use crate::aws::log_limit::LogLimit;

/// The pause after a connection could not be accepted. Without it, the loop would spin until a descriptor is free.
const PAUSE: Duration = Duration::from_millis(100);

/// Limits the log of all ports together, because they lack the same descriptors.
static LOG: Mutex<LogLimit> = Mutex::new(LogLimit::new());

/// Accepts the connections of one port.
pub(super) struct Acceptor {
    pause: Duration,
}

impl Acceptor {
    pub(super) fn new() -> Self {
        Self { pause: PAUSE }
    }

    /// Calls `next` until it returns a connection. Pauses after an error. All ports log at most one error a minute.
    pub(super) async fn accept<C, F: Future<Output = io::Result<C>>>(&self, mut next: impl FnMut() -> F) -> C {
        loop {
            match next().await {
                Ok(connection) => return connection,
                // The caller is gone before it was accepted. The next one is not affected.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if LOG.lock().unwrap_or_else(PoisonError::into_inner).allows(Instant::now()) {
                        error!(%error, "connections cannot be accepted; trying again until they can");
                    }
                    tokio::time::sleep(self.pause).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn it_pauses_after_each_error_until_a_connection_is_accepted() {
        let pause = Duration::from_millis(2);
        let (calls, begin) = (Cell::new(0), Instant::now());
        let next = || {
            calls.set(calls.get() + 1);
            let answer = match calls.get() {
                1..4 => Err(io::Error::other("too many open files")),
                4 => Err(io::Error::from(io::ErrorKind::ConnectionAborted)),
                call => Ok(call),
            };
            std::future::ready(answer)
        };
        assert_eq!(Acceptor { pause }.accept(next).await, 5);
        assert!(begin.elapsed() >= 3 * pause);
    }
}
