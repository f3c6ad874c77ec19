//! What became of events, by wallet: a line of the log for each wallet, which the metric filters of `template.yaml` add up.

use std::collections::BTreeMap;

use tracing::info;

use crate::registration::Wallet;

/// What became of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It changed an item.
    Applied,
    /// It is older than what is known, the same again, or one that changes nothing here.
    Unchanged,
    /// It is wrong, and sending it again does not help.
    Refused,
    /// The table did not answer; the same event may be applied later.
    Failed,
}

/// How many events of each wallet had which fate.
#[derive(Debug, Clone, Default)]
pub struct EventCounts(BTreeMap<Option<Wallet>, ByFate>);

#[derive(Debug, Clone, Copy, Default)]
struct ByFate {
    applied: usize,
    unchanged: usize,
    refused: usize,
    failed: usize,
}

impl EventCounts {
    /// Adds one event, of the wallet that it names.
    pub fn add(&mut self, wallet: Option<Wallet>, fate: Fate) {
        let counts = self.0.entry(wallet).or_default();
        match fate {
            Fate::Applied => counts.applied += 1,
            Fate::Unchanged => counts.unchanged += 1,
            Fate::Refused => counts.refused += 1,
            Fate::Failed => counts.failed += 1,
        }
    }

    /// How many events changed an item.
    #[must_use]
    pub fn applied(&self) -> usize {
        self.0.values().map(|counts| counts.applied).sum()
    }

    /// Writes a line for each wallet; `unknown` stands for events that name none.
    pub fn log(&self, request_id: &str) {
        for (wallet, ByFate { applied, unchanged, refused, failed }) in &self.0 {
            let wallet = wallet.map_or("unknown", Wallet::as_str);
            info!(request_id, wallet, applied, unchanged, refused, failed, "events");
        }
    }
}
