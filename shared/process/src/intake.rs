//! Intake: applies events, from the queue and over HTTP.
//!
//! The functions parse queue messages and HTTP bodies into [`Parsed`] bodies. [`apply`] applies the valid ones to the
//! table and returns the outcome of each body, in the order of the bodies. The sources differ only in how they handle
//! refused and failed events.

use std::{collections::HashSet, time::Instant};

use domain::{
    event::{
        Refusal,
        passworks::{Parsed, Source},
    },
    fields::FieldErrors,
    id::AccountId,
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

/// Applies the events in `bodies`, which all come from `source`, and returns the outcome of each body, in the order of
/// `bodies`. Events that cannot be applied by `deadline` fail.
///
/// An event that names an unknown account is refused, so it cannot claim a campaign. Only events from the queue name
/// their account; a caller's account exists, because the caller's key belongs to it.
pub async fn apply(
    table: &Table,
    source: &Source,
    bodies: Vec<Parsed>,
    now: Timestamp,
    deadline: Instant,
) -> Vec<Received> {
    let unknown_accounts = match source {
        Source::Queue => table.unknown_accounts(accounts_of(&bodies), now).await,
        Source::Caller(_) => Ok(HashSet::new()),
    };
    let mut received = Vec::with_capacity(bodies.len());
    let (mut positions, mut events) = (Vec::new(), Vec::new());
    for (position, Parsed { wallet, event }) in bodies.into_iter().enumerate() {
        let outcome = match (event, &unknown_accounts) {
            (Ok(None), _) => Outcome::Unchanged,
            (Err(errors), _) => Outcome::Refused(Refusal::Invalid(errors)),
            (Ok(Some(_)), Err(error)) => Outcome::Failed(error.clone()),
            (Ok(Some(event)), Ok(unknown)) if unknown.contains(&event.account_id) => {
                Outcome::Refused(Refusal::Invalid(FieldErrors::of("account_id", "expected an account that exists")))
            }
            (Ok(Some(event)), Ok(_)) => {
                positions.push(position);
                events.push(event);
                // Replaced below.
                Outcome::Unchanged
            }
        };
        received.push(Received { wallet, outcome });
    }
    for (position, outcome) in positions.into_iter().zip(table.apply_all(&events, now, deadline).await) {
        received[position].outcome = outcome;
    }
    received
}

/// Returns the accounts that the events in `bodies` name.
fn accounts_of(bodies: &[Parsed]) -> HashSet<AccountId> {
    let events = bodies.iter().filter_map(|body| body.event.as_ref().ok()?.as_ref());
    events.map(|event| event.account_id.clone()).collect()
}
