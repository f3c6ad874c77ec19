//! Batches of events.
//!
//! Events of different registrations are applied concurrently. Events of one registration are applied one after the
//! other, in the order of the batch, so that their outcomes are those of that order and no two writes of one item
//! compete. The conditions of the writes make any order end in the same state.
//!
//! Each step is done for all events before the next: the campaigns are claimed, the events are applied, and the types
//! of campaigns that were known without one are stored (see `campaigns`). Events of one campaign take the first and the
//! last step one after the other, so that the first one in the batch wins and the others can use the remembered
//! campaign.

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

/// One of the steps in which the events of a batch are processed.
#[derive(Clone, Copy)]
enum Step {
    Claim,
    Apply,
    CompleteClaim,
}

impl Table {
    /// Applies a batch of events and returns an outcome for each, in the order of the events.
    ///
    /// Once the table is found unavailable, the remaining events of the same step fail without a call.
    pub async fn apply_all(&self, events: &[Event], now: Timestamp) -> Vec<Outcome> {
        let mut outcomes = vec![Outcome::Unchanged; events.len()];
        let campaign_of = |event: &Event| event.campaign_id;

        // Events with the same campaign, account and type make the same claim, so the first of them makes it.
        let same_claim = |event: &Event| (event.campaign_id, event.account_id.clone(), event.campaign_type);
        let claims = grouped(events, 0..events.len(), same_claim);
        let mut claiming: Vec<_> = claims.iter().map(|group| group[0]).collect();
        claiming.sort_unstable();
        let by_campaign = grouped(events, claiming, campaign_of);
        for (position, claimed) in self.run_step_for_groups(Step::Claim, events, by_campaign, now).await {
            outcomes[position] = claimed;
        }
        for group in claims {
            for position in &group[1..] {
                outcomes[*position] = outcomes[group[0]].clone();
            }
        }

        let by_registration = grouped(events, positions_done(&outcomes), |event| {
            (event.campaign_id, event.pass_id, registration_of(event))
        });
        for (position, applied) in self.run_step_for_groups(Step::Apply, events, by_registration, now).await {
            outcomes[position] = applied;
        }

        let with_type =
            positions_done(&outcomes).into_iter().filter(|position| events[*position].campaign_type.is_some());
        let by_campaign = grouped(events, with_type, campaign_of);
        for (position, completed) in self.run_step_for_groups(Step::CompleteClaim, events, by_campaign, now).await {
            if let failed @ Outcome::Failed(_) = completed {
                outcomes[position] = failed;
            }
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
        let Event { account_id, campaign_id, campaign_type, .. } = event;
        match (step, campaign_type) {
            (Step::Claim, _) => match self.claim(*campaign_id, account_id, *campaign_type, now).await {
                Ok(()) => Outcome::Unchanged,
                Err(ClaimError::Refused(refusal)) => Outcome::Refused(refusal),
                Err(ClaimError::Store(error)) => Outcome::Failed(error),
            },
            (Step::Apply, _) => self.apply(event, now).await,
            (Step::CompleteClaim, None) => Outcome::Unchanged,
            (Step::CompleteClaim, Some(campaign_type)) => {
                let completed = self.complete_claim(*campaign_id, account_id, *campaign_type, now).await;
                completed.map_or_else(Outcome::Failed, |()| Outcome::Unchanged)
            }
        }
    }
}

/// Returns the positions of the events that were neither refused nor failed so far.
fn positions_done(outcomes: &[Outcome]) -> Vec<usize> {
    let is_done = |position: &usize| matches!(outcomes[*position], Outcome::Applied | Outcome::Unchanged);
    (0..outcomes.len()).filter(is_done).collect()
}

fn grouped<K: Eq + Hash>(
    events: &[Event],
    positions: impl IntoIterator<Item = usize>,
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
