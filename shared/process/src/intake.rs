//! Intake: the one way in for events of every source.
//!
//! A queue message and an HTTP body are parsed into [`Parsed`] bodies. [`apply`] applies the valid ones to the table and returns what
//! became of each, in their order. The sources differ only in what they do with a refused or failed event.

use domain::{
    event::{
        Refusal,
        passworks::{Parsed, Source},
    },
    fields::FieldErrors,
    json,
    time::Timestamp,
    wallet::Wallet,
};
use store::{Outcome, Table};

/// What became of one body.
#[derive(Debug, Clone)]
pub struct Received {
    /// The wallet that the body states, for metrics.
    pub wallet: Option<Wallet>,
    /// The outcome of its event.
    pub outcome: Outcome,
}

/// Parses a body that is still text.
#[must_use]
pub fn parse(body: &[u8], source: &Source, now: Timestamp) -> Parsed {
    match json::parse(body) {
        Ok(body) => Parsed::from_json(&body, source, now),
        Err(error) => {
            Parsed { wallet: None, event: Err(FieldErrors::of("body", format_args!("expected JSON: {error}"))) }
        }
    }
}

/// Applies the events in `bodies` and returns what became of each body, in their order.
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
