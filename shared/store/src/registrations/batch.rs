//! Batches of events.
//!
//! Events that write different items are applied concurrently. Events that write one item, for example those of one
//! registration, are applied one after the other, in the order of the batch, so that their outcomes are those of that
//! order and no two writes of one item compete. The conditions of the writes make any order end in the same state.
//!
//! Each step is done for all events before the next: the campaigns are claimed, and pinned if an event names a pass; the
//! serial numbers and the Google objects are given to their passes (see `pass_names`); the events are applied; and the
//! types of campaigns that were known without one are stored (see `campaigns`). An event that is refused or fails takes
//! no further step, and its repetition completes the rest. Events of one campaign are claimed and pinned one after the
//! other, so that the first one in the batch wins and the others can use the remembered campaign. The first of them
//! takes the last step for all.
//!
//! A call that fails after all its retries has taken up to [`CALL_TIMEOUT`], so a step makes no call that would fail for
//! the same reason. If a partition is throttled for an event of a campaign, the campaign's remaining events fail without
//! a call, and those of other campaigns go on. If the table is unavailable, all remaining events fail without a call.
//!
//! A batch ends by its deadline, however many campaigns are throttled: in each step an event makes at most one call, or
//! takes at most as long as one, which is [`CALL_TIMEOUT`], and no event begins a step later than that before the
//! deadline. There is also time for the campaigns that are not throttled. Of the 100 messages in a batch of the queue,
//! each meets at most one throttled call, because it takes no further step after it. [`CONCURRENCY`] calls run at a
//! time, so in the worst case 33 claims, 33 writes and 34 types are throttled, each in two rounds. That makes at most
//! six rounds of calls in a row, after the call that looks up the accounts, and the function has time for seven calls
//! in a row. A call that succeeds waits at most until the last round begins. Events that name passes take three steps
//! more. If each step meets throttled calls, there may be eight rounds, and the events for which no time is left fail
//! and come again.
//!
//! [`CALL_TIMEOUT`]: limits::CALL_TIMEOUT

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use domain::{
    event::{Change, Creation, Event, FailedAddress, Refusal, Subject},
    id::{CampaignId, PassId, RegistrationId},
    time::Timestamp,
};
use futures_util::{StreamExt as _, stream};

use crate::{
    ClaimError, Outcome, StoreError, Table,
    dynamodb::limits::{self, CONCURRENCY},
    pass_names::Naming,
};

/// The positions of some events in their batch, in ascending order.
type Group = Vec<usize>;

/// The events of a batch, and the time that there is for them.
struct Batch<'a> {
    events: &'a [Event],
    now: Timestamp,
    /// The instant by which every call ends.
    deadline: Instant,
}

/// The reasons why a step makes no further calls.
#[derive(Default)]
struct Stops(Mutex<Reasons>);

#[derive(Default)]
struct Reasons {
    unavailable: Option<StoreError>,
    of_campaigns: HashMap<CampaignId, StoreError>,
}

/// One of the steps in which the events of a batch are processed.
#[derive(Clone, Copy)]
enum Step {
    Claim,
    Pin,
    NameBySerialNumber,
    NameByGoogleObject,
    Apply,
    CompleteClaim,
}

/// The item of its campaign that an event writes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Written {
    Pass(PassId),
    Registration(PassId, RegistrationId),
    Update(Option<PassId>),
    /// Any registrations of the pass.
    RegistrationsOf(PassId),
}

impl Table {
    /// Applies a batch of events and returns an outcome for each, in the order of the events.
    ///
    /// Events that cannot be applied by `deadline` fail.
    pub async fn apply_all(&self, events: &[Event], now: Timestamp, deadline: Instant) -> Vec<Outcome> {
        let batch = Batch { events, now, deadline };
        let mut outcomes = vec![Outcome::Unchanged; events.len()];
        let campaign_of = |event: &Event| event.campaign_id;

        // Events with the same campaign, account and type make the same claim, so the first of them makes it.
        let same_claim = |event: &Event| (event.campaign_id, event.account_id.clone(), event.campaign_type);
        let claims = grouped(events, 0..events.len(), same_claim);
        let mut claiming: Vec<_> = claims.iter().map(|group| group[0]).collect();
        claiming.sort_unstable();
        let by_campaign = grouped(events, claiming, campaign_of);
        for (position, claimed) in self.run_step_for_groups(Step::Claim, &batch, by_campaign).await {
            outcomes[position] = claimed;
        }
        for group in claims {
            for position in &group[1..] {
                outcomes[*position] = outcomes[group[0]].clone();
            }
        }

        let names_pass = |event: &Event| creation_of(event).is_some_and(Creation::has_names);
        self.run_step_in_order(Step::Pin, &batch, &mut outcomes, |event| {
            names_pass(event).then_some(event.campaign_id)
        })
        .await;
        self.run_step_in_order(Step::NameBySerialNumber, &batch, &mut outcomes, |event| {
            let (serial_number, _) = creation_of(event)?.typed_serial_number()?;
            Some((event.account_id.clone(), serial_number.clone()))
        })
        .await;
        self.run_step_in_order(Step::NameByGoogleObject, &batch, &mut outcomes, |event| {
            Some((event.account_id.clone(), creation_of(event)?.google_object_id.clone()?))
        })
        .await;
        let searched: HashSet<_> = events.iter().filter_map(pass_with_failed_token).collect();
        self.run_step_in_order(Step::Apply, &batch, &mut outcomes, |event| {
            // A push that failed at a push token concerns the registrations that the events before it left.
            let written = match Written::by(event) {
                Written::Registration(pass, _) if searched.contains(&(event.campaign_id, pass)) => {
                    Written::RegistrationsOf(pass)
                }
                written => written,
            };
            Some((event.campaign_id, written))
        })
        .await;

        let with_type = positions_done(&outcomes).into_iter().filter(|position| {
            let Event { campaign_id, campaign_type, .. } = &events[*position];
            campaign_type.is_some() && !self.remembers_type_of(*campaign_id, now)
        });
        let by_campaign: HashMap<_, _> =
            grouped(events, with_type, campaign_of).into_iter().map(|group| (group[0], group)).collect();
        let first_events = by_campaign.keys().map(|first| vec![*first]).collect();
        for (first, completed) in self.run_step_for_groups(Step::CompleteClaim, &batch, first_events).await {
            if let Outcome::Failed(error) = completed {
                for position in &by_campaign[&first] {
                    let is_applied = outcomes[*position] == Outcome::Applied;
                    outcomes[*position] = Outcome::TypeNotStored { is_applied, error: error.clone() };
                }
            }
        }
        outcomes
    }

    /// Runs `step` for the events that have a `key` and were neither refused nor failed so far: those with the same key
    /// one after the other, in their order. An event that already changed an item stays applied if the step changes
    /// nothing.
    async fn run_step_in_order<K: Eq + Hash>(
        &self,
        step: Step,
        batch: &Batch<'_>,
        outcomes: &mut [Outcome],
        key: impl Fn(&Event) -> Option<K>,
    ) {
        let concerned = positions_done(outcomes).into_iter().filter(|position| key(&batch.events[*position]).is_some());
        let groups = grouped(batch.events, concerned, &key);
        for (position, outcome) in self.run_step_for_groups(step, batch, groups).await {
            if outcome != Outcome::Unchanged {
                outcomes[position] = outcome;
            }
        }
    }

    /// Runs `step` for every event: within a group one after the other, the groups concurrently. Returns the outcomes
    /// in any order, each with the position of its event.
    async fn run_step_for_groups(&self, step: Step, batch: &Batch<'_>, groups: Vec<Group>) -> Vec<(usize, Outcome)> {
        let stops = &Stops::default();
        let each_group = groups.into_iter().map(|group| async move {
            let mut outcomes = Vec::with_capacity(group.len());
            for position in group {
                let event = &batch.events[position];
                let outcome = match stops.before(event.campaign_id).or_else(|| batch.too_late()) {
                    Some(error) => Outcome::Failed(error),
                    None => self.run_step(step, event, batch.now).await,
                };
                if let Outcome::Failed(error) = &outcome {
                    stops.add(event.campaign_id, error);
                }
                outcomes.push((position, outcome));
            }
            outcomes
        });
        stream::iter(each_group).buffer_unordered(CONCURRENCY).concat().await
    }

    async fn run_step(&self, step: Step, event: &Event, now: Timestamp) -> Outcome {
        let Event { account_id, campaign_id, campaign_type, .. } = event;
        match step {
            Step::Claim => claimed(self.claim(*campaign_id, account_id, *campaign_type, now).await),
            Step::Pin => claimed(self.pin_campaign(*campaign_id, account_id, now).await),
            Step::NameBySerialNumber => named(self.name_serial_number_of(event).await, Refusal::SerialNumberTaken),
            Step::NameByGoogleObject => named(self.name_google_object_of(event).await, Refusal::GoogleObjectTaken),
            Step::Apply => self.apply(event, now).await,
            Step::CompleteClaim => {
                let Some(campaign_type) = campaign_type else { return Outcome::Unchanged };
                let completed = self.complete_claim(*campaign_id, account_id, *campaign_type, now).await;
                completed.map_or_else(Outcome::Failed, |()| Outcome::Unchanged)
            }
        }
    }

    async fn name_serial_number_of(&self, event: &Event) -> Result<Naming, StoreError> {
        let Subject::Pass { pass_id, change: Change::Created(creation) } = &event.subject else {
            return Ok(Naming::Unchanged);
        };
        let Some((serial_number, token)) = creation.typed_serial_number() else { return Ok(Naming::Unchanged) };
        let token = token.map(|token| (token, event.at));
        self.name_by_serial_number(&event.account_id, event.campaign_id, *pass_id, serial_number, token).await
    }

    async fn name_google_object_of(&self, event: &Event) -> Result<Naming, StoreError> {
        let Subject::Pass { pass_id, change: Change::Created(creation) } = &event.subject else {
            return Ok(Naming::Unchanged);
        };
        let Some(object) = &creation.google_object_id else { return Ok(Naming::Unchanged) };
        self.name_by_google_object(&event.account_id, event.campaign_id, *pass_id, object).await
    }
}

/// Returns the outcome of an event after its campaign was claimed or pinned.
fn claimed(result: Result<(), ClaimError>) -> Outcome {
    match result {
        Ok(()) => Outcome::Unchanged,
        Err(ClaimError::Refused(refusal)) => Outcome::Refused(refusal),
        Err(ClaimError::Store(error)) => Outcome::Failed(error),
    }
}

/// Returns the outcome of an event after a name was given to its pass. `taken` is the refusal if another pass has it.
fn named(result: Result<Naming, StoreError>, taken: Refusal) -> Outcome {
    match result {
        Ok(Naming::Stored) => Outcome::Applied,
        Ok(Naming::Unchanged) => Outcome::Unchanged,
        Ok(Naming::Taken) => Outcome::Refused(taken),
        Err(error) => Outcome::Failed(error),
    }
}

fn creation_of(event: &Event) -> Option<&Creation> {
    match &event.subject {
        Subject::Pass { change: Change::Created(creation), .. } => Some(creation),
        Subject::Pass { .. } | Subject::EveryPass(_) => None,
    }
}

impl Batch<'_> {
    /// Returns the error of an event if it is too late to begin a call.
    fn too_late(&self) -> Option<StoreError> {
        limits::expect_time_for_call(self.deadline).err()
    }
}

impl Stops {
    /// Returns why a call for an event of the campaign would fail.
    fn before(&self, campaign: CampaignId) -> Option<StoreError> {
        let reasons = self.reasons();
        reasons.unavailable.as_ref().or_else(|| reasons.of_campaigns.get(&campaign)).cloned()
    }

    /// Adds the error of a call for an event of the campaign, if further calls would fail for the same reason.
    fn add(&self, campaign: CampaignId, error: &StoreError) {
        match error {
            StoreError::Unavailable(_) => self.reasons().unavailable = Some(error.clone()),
            StoreError::Throttled(_) | StoreError::TooSlow(_) => {
                self.reasons().of_campaigns.insert(campaign, error.clone());
            }
            // The next event may have another item.
            StoreError::Refused(_) | StoreError::Malformed { .. } => {}
        }
    }

    /// Locks the reasons. A panic elsewhere cannot leave a half-written one, so a poisoned lock is safe to use.
    fn reasons(&self) -> MutexGuard<'_, Reasons> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Written {
    fn by(event: &Event) -> Self {
        match &event.subject {
            Subject::Pass { pass_id, change } => match change {
                Change::Created(_) => Self::Pass(*pass_id),
                Change::Installed(installation) => Self::Registration(*pass_id, installation.registration_id),
                Change::Uninstalled { registration_id } => Self::Registration(*pass_id, *registration_id),
                Change::Updated(_) => Self::Update(Some(*pass_id)),
                Change::PushFailed(FailedAddress::OfRegistration { registration_id, .. }) => {
                    Self::Registration(*pass_id, *registration_id)
                }
                Change::PushFailed(FailedAddress::PushToken(_)) => Self::RegistrationsOf(*pass_id),
            },
            Subject::EveryPass(_) => Self::Update(None),
        }
    }
}

/// Returns the campaign and the pass of an event about a push that failed at a push token.
fn pass_with_failed_token(event: &Event) -> Option<(CampaignId, PassId)> {
    match Written::by(event) {
        Written::RegistrationsOf(pass) => Some((event.campaign_id, pass)),
        Written::Pass(_) | Written::Registration(..) | Written::Update(_) => None,
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
