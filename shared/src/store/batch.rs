use std::{
    collections::HashMap,
    hash::Hash,
    sync::atomic::{AtomicBool, Ordering},
};

use futures_util::{StreamExt as _, stream};
use thiserror::Error;

use super::{ClaimError, Outcome, RegistrationStore, StoreError, limits::CONCURRENCY};
use crate::{
    clock::Timestamp,
    event::{Change, Event},
    event_counts::Fate,
    field::FieldErrors,
    id::RegistrationId,
};

/// Why an event was not applied.
#[derive(Debug, Clone, Error)]
pub enum ApplyError {
    /// It is no event.
    #[error("{0}")]
    Malformed(FieldErrors),
    /// Its campaign belongs to another account or is of another type: it will never be applied.
    #[error("{0}")]
    Refused(ClaimError),
    /// The table did not answer: the same event may be applied later.
    #[error(transparent)]
    Store(StoreError),
    /// The table had stopped answering before this event's turn came.
    #[error("the table stopped answering before this event's turn came")]
    NotTried,
}

impl From<ClaimError> for ApplyError {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Store(error) => Self::Store(error),
            refused @ (ClaimError::OtherAccount | ClaimError::OtherType(_)) => Self::Refused(refused),
        }
    }
}

/// What became of an event, in a word.
#[must_use]
pub fn fate(result: &Result<Outcome, ApplyError>) -> Fate {
    match result {
        Ok(Outcome::Applied) => Fate::Applied,
        Ok(Outcome::Unchanged) => Fate::Unchanged,
        Err(ApplyError::Malformed(_) | ApplyError::Refused(_)) => Fate::Refused,
        Err(ApplyError::Store(_) | ApplyError::NotTried) => Fate::Failed,
    }
}

/// What is done with each event of a batch.
#[derive(Clone, Copy)]
enum Step {
    Claim,
    Apply,
}

impl RegistrationStore {
    /// Applies what was read of a batch: events, some that change nothing here, and what is no event. A result for each, in their order.
    pub async fn take_all(
        &self,
        batch: Vec<Result<Option<Event>, FieldErrors>>,
        now: Timestamp,
    ) -> Vec<Result<Outcome, ApplyError>> {
        let mut results = Vec::with_capacity(batch.len());
        let (mut places, mut events) = (Vec::new(), Vec::new());
        for (place, read) in batch.into_iter().enumerate() {
            results.push(read.map_or_else(
                |errors| Err(ApplyError::Malformed(errors)),
                |event| {
                    places.extend(event.is_some().then_some(place));
                    events.extend(event);
                    Ok(Outcome::Unchanged)
                },
            ));
        }
        for (place, result) in places.into_iter().zip(self.apply_all(&events, now).await) {
            results[place] = result;
        }
        results
    }

    /// Applies a batch: the events of one registration in their order, different registrations side by side. A result for
    /// each event, in the order of the events.
    ///
    /// Each campaign is claimed first. Once the table has stopped answering, the rest is not tried.
    pub async fn apply_all(&self, events: &[Event], now: Timestamp) -> Vec<Result<Outcome, ApplyError>> {
        let mut results = vec![Err(ApplyError::NotTried); events.len()];
        let by_campaign = grouped(events, 0..events.len(), |event| event.campaign_id);
        for (place, claimed) in self.take_steps(Step::Claim, events, by_campaign, now).await {
            results[place] = claimed;
        }
        let claimed = (0..events.len()).filter(|place| results[*place].is_ok());
        let by_registration =
            grouped(events, claimed, |event| (event.campaign_id, event.pass_id, registration_of(event)));
        for (place, applied) in self.take_steps(Step::Apply, events, by_registration, now).await {
            results[place] = applied;
        }
        results
    }

    /// Takes one step with every event: those of a group one after the other, the groups side by side.
    async fn take_steps(
        &self,
        step: Step,
        events: &[Event],
        groups: Vec<Group>,
        now: Timestamp,
    ) -> Vec<(usize, Result<Outcome, ApplyError>)> {
        let unreachable = &AtomicBool::new(false);
        let each_group = groups.into_iter().map(|group| async move {
            let mut results = Vec::with_capacity(group.len());
            for place in group {
                let result = if unreachable.load(Ordering::Relaxed) {
                    Err(ApplyError::NotTried)
                } else {
                    self.take_step(step, &events[place], now).await
                };
                if let Err(ApplyError::Store(StoreError::Unavailable(_))) = result {
                    unreachable.store(true, Ordering::Relaxed);
                }
                results.push((place, result));
            }
            results
        });
        stream::iter(each_group).buffer_unordered(CONCURRENCY).concat().await
    }

    async fn take_step(&self, step: Step, event: &Event, now: Timestamp) -> Result<Outcome, ApplyError> {
        match step {
            Step::Claim => {
                self.claim(event.campaign_id, &event.account_id, event.campaign_type, now).await?;
                Ok(Outcome::Unchanged)
            }
            Step::Apply => self.apply(event, now).await.map_err(ApplyError::Store),
        }
    }
}

/// The places of some events in their batch, in order.
type Group = Vec<usize>;

fn grouped<K: Eq + Hash>(
    events: &[Event],
    places: impl Iterator<Item = usize>,
    key: impl Fn(&Event) -> K,
) -> Vec<Group> {
    let mut groups: HashMap<K, Group> = HashMap::new();
    for place in places {
        groups.entry(key(&events[place])).or_default().push(place);
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
