//! Batches of events.
//!
//! Events of different registrations are applied concurrently. Events of one registration are applied one after the
//! other, in the order of the batch, so that their outcomes are those of that order and no two writes of one item
//! compete. The conditions of the writes make any order end in the same state.
//!
//! The campaigns are claimed first. Claims of one campaign are also made one after the other, so that the first one in
//! the batch wins and the others can use the remembered campaign.

use std::{collections::HashMap, hash::Hash, sync::OnceLock};

use domain::{
    event::{Change, Event},
    id::RegistrationId,
    time::Timestamp,
};
use futures_util::{StreamExt as _, stream};

use crate::{ClaimError, Outcome, StoreError, Table, dynamodb::limits::CONCURRENCY};

/// The positions of some events in their batch, in ascending order.
type Group = Vec<usize>;

/// One of the two steps in which every event of a batch is processed.
#[derive(Clone, Copy)]
enum Step {
    Claim,
    Apply,
}

impl Table {
    /// Applies a batch of events and returns an outcome for each, in the order of the events.
    ///
    /// Claims each campaign first. Once the table is found unavailable, the remaining events of the same step (the
    /// claims, or the events of claimed campaigns) fail without a call.
    pub async fn apply_all(&self, events: &[Event], now: Timestamp) -> Vec<Outcome> {
        let mut outcomes = vec![Outcome::Unchanged; events.len()];
        let by_campaign = grouped(events, 0..events.len(), |event| event.campaign_id);
        for (position, claimed) in self.run_step_for_groups(Step::Claim, events, by_campaign, now).await {
            outcomes[position] = claimed;
        }
        let claimed = (0..events.len()).filter(|position| matches!(outcomes[*position], Outcome::Unchanged));
        let by_registration =
            grouped(events, claimed, |event| (event.campaign_id, event.pass_id, registration_of(event)));
        for (position, applied) in self.run_step_for_groups(Step::Apply, events, by_registration, now).await {
            outcomes[position] = applied;
        }
        outcomes
    }

    /// Runs `step` for every event: within a group one after the other, the groups concurrently. Returns the outcomes
    /// in any order, each with the position of its event.
    async fn run_step_for_groups(
        &self,
        step: Step,
        events: &[Event],
        groups: Vec<Group>,
        now: Timestamp,
    ) -> Vec<(usize, Outcome)> {
        let unavailable = &OnceLock::<StoreError>::new();
        let each_group = groups.into_iter().map(|group| async move {
            let mut outcomes = Vec::with_capacity(group.len());
            for position in group {
                let outcome = match unavailable.get() {
                    Some(error) => Outcome::Failed(error.clone()),
                    None => self.run_step(step, &events[position], now).await,
                };
                if let Outcome::Failed(error @ StoreError::Unavailable(_)) = &outcome {
                    unavailable.get_or_init(|| error.clone());
                }
                outcomes.push((position, outcome));
            }
            outcomes
        });
        stream::iter(each_group).buffer_unordered(CONCURRENCY).concat().await
    }

    async fn run_step(&self, step: Step, event: &Event, now: Timestamp) -> Outcome {
        match step {
            Step::Claim => match self.claim(event.campaign_id, &event.account_id, event.campaign_type, now).await {
                Ok(()) => Outcome::Unchanged,
                Err(ClaimError::Refused(refusal)) => Outcome::Refused(refusal),
                Err(ClaimError::Store(error)) => Outcome::Failed(error),
            },
            Step::Apply => self.apply(event, now).await,
        }
    }
}

fn grouped<K: Eq + Hash>(
    events: &[Event],
    positions: impl Iterator<Item = usize>,
    key: impl Fn(&Event) -> K,
) -> Vec<Group> {
    let mut groups: HashMap<K, Group> = HashMap::new();
    for position in positions {
        groups.entry(key(&events[position])).or_default().push(position);
    }
    groups.into_values().collect()
}

fn registration_of(event: &Event) -> Option<RegistrationId> {
    match &event.change {
        Change::Created { .. } => None,
        Change::Installed(installation) => Some(installation.registration_id),
        Change::Uninstalled { registration_id } => Some(*registration_id),
    }
}
