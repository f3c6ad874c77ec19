//! Intake: applies events, whatever their source.
//!
//! The functions parse queue messages and HTTP bodies into [`Parsed`] bodies. [`apply`] applies the valid ones to the
//! table and returns the outcome of each body, in the order of the bodies. The sources differ only in how they handle
//! refused and failed events.

use domain::{
    event::{Refusal, passworks::Parsed},
    time::Timestamp,
    wallet::Wallet,
};
use store::{Outcome, Table};

/// A received body and its outcome.
#[derive(Debug, Clone)]
pub struct Received {
    /// The wallet that the body names, or `None` if it names no known wallet. For metrics.
    pub wallet: Option<Wallet>,
    /// The outcome of the event in the body.
    pub outcome: Outcome,
}

/// Applies the events in `bodies` and returns the outcome of each body, in the order of `bodies`.
pub async fn apply(table: &Table, bodies: Vec<Parsed>, now: Timestamp) -> Vec<Received> {
    let mut received = Vec::with_capacity(bodies.len());
    let (mut positions, mut events) = (Vec::new(), Vec::new());
    for (position, Parsed { wallet, event }) in bodies.into_iter().enumerate() {
        let outcome = match event {
            Ok(Some(event)) => {
                positions.push(position);
                events.push(event);
                // Replaced below.
                Outcome::Unchanged
            }
            Ok(None) => Outcome::Unchanged,
            Err(errors) => Outcome::Refused(Refusal::Invalid(errors)),
        };
        received.push(Received { wallet, outcome });
    }
    for (position, outcome) in positions.into_iter().zip(table.apply_all(&events, now).await) {
        received[position].outcome = outcome;
    }
    received
}
