//! Metrics of events: one log line for each wallet, with the number of events of each outcome.
//!
//! The metric filters of `template.yaml` add the numbers up.

use std::collections::BTreeMap;

use domain::wallet::Wallet;
use store::Outcome;
use tracing::info;

/// The number of events of each outcome, by wallet.
#[derive(Debug, Clone, Default)]
pub struct EventMetrics(BTreeMap<Option<Wallet>, ByOutcome>);

#[derive(Debug, Clone, Copy, Default)]
struct ByOutcome {
    applied: usize,
    unchanged: usize,
    refused: usize,
    failed: usize,
}

impl EventMetrics {
    /// Adds one event, which counts once, by what it did to the registrations. `wallet` is the wallet that it names, or
    /// `None` if it names no known wallet.
    pub fn add(&mut self, wallet: Option<Wallet>, outcome: &Outcome) {
        let counts = self.0.entry(wallet).or_default();
        match outcome {
            Outcome::Applied | Outcome::TypeNotStored { is_applied: true, .. } => counts.applied += 1,
            Outcome::Unchanged | Outcome::TypeNotStored { is_applied: false, .. } => counts.unchanged += 1,
            Outcome::Refused(_) => counts.refused += 1,
            Outcome::Failed(_) => counts.failed += 1,
        }
    }

    /// Returns the number of events that changed an item.
    #[must_use]
    pub fn applied(&self) -> usize {
        self.0.values().map(|counts| counts.applied).sum()
    }

    /// Writes a log line for each wallet. Events without a known wallet are logged under `unknown`.
    pub fn log(&self, request_id: &str) {
        for (wallet, ByOutcome { applied, unchanged, refused, failed }) in &self.0 {
            let wallet = wallet.map_or("unknown", Wallet::as_str);
            info!(request_id, wallet, applied, unchanged, refused, failed, "events processed");
        }
    }
}

#[cfg(test)]
mod tests {
    use store::StoreError;

    use super::*;

    #[test]
    fn an_event_counts_once() {
        let error = StoreError::Throttled("slow down".to_owned());
        let mut metrics = EventMetrics::default();
        for outcome in [
            Outcome::TypeNotStored { is_applied: true, error: error.clone() },
            // The same event when it comes again.
            Outcome::Unchanged,
            Outcome::TypeNotStored { is_applied: false, error: error.clone() },
            Outcome::Failed(error),
        ] {
            metrics.add(None, &outcome);
        }
        let ByOutcome { applied, unchanged, refused, failed } = metrics.0[&None];
        assert_eq!((applied, unchanged, refused, failed), (1, 2, 0, 1));
    }
}
