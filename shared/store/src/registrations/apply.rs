//! Writes of registrations and passes: events, and the calls that register and unregister.
//!
//! The latest event of a registration determines its state. Each write has a condition that compares its instant with
//! the stored one, so a late or repeated event changes nothing and no read is needed before the write. A removed
//! registration stays as a tombstone, so that a late install from before the removal changes nothing.

use std::time::Duration;

use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemInput};
use domain::{
    event::{Change, Event, FailedAddress, Installation, Refusal, Subject},
    id::{AccountId, CampaignId, PassId, RegistrationId},
    pass::SerialNumber,
    registration::Registration,
    time::Timestamp,
};
use serde::Serialize;

use super::items::{DeviceAttributes, LAST_EVENT_AT, PassItem, RegistrationItem, StoredRegistration, TombstoneItem};
use crate::{
    Outcome, StoreError, Table,
    dynamodb::{
        codec::{self, text},
        conditional_put::{MAX_ATTEMPTS, Put, contended, has_written},
    },
    keys,
};

/// An install is applied if it is the first event of its registration or later than the stored event. It also replaces
/// an install at the same instant that has a smaller tie.
pub(crate) const INSTALL_DECIDES: &str = "attribute_not_exists(last_event_at) OR last_event_at < :at \
     OR (last_event_at = :at AND attribute_exists(created_at) AND tie < :tie)";
/// An uninstall is applied on the same condition, or if it happened at the same instant as the stored install.
pub(crate) const UNINSTALL_DECIDES: &str = "attribute_not_exists(last_event_at) OR last_event_at < :at \
     OR (last_event_at = :at AND attribute_exists(created_at))";
/// A `created` event is applied if it is the first of its pass, or earlier than the stored one, or simultaneous with a
/// smaller serial number. An absent serial number is the smallest. The order of arrival therefore does not matter.
pub(crate) const CREATED_DECIDES: &str = "attribute_not_exists(known_since) OR known_since > :at \
     OR (known_since = :at AND serial_number > :serial_number)";
/// A call registers a pass if no registration is stored or if the stored one was removed earlier.
const REGISTERS: &str =
    "attribute_not_exists(last_event_at) OR (attribute_not_exists(created_at) AND last_event_at < :at)";
/// A call ends a registration if it is active and its last event is at or before the instant of the call.
const UNREGISTERS: &str = "attribute_exists(created_at) AND last_event_at <= :at";

/// The result of registering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registered {
    /// The registration is active from now on.
    Created(Registration),
    /// The registration was already active. It stays as it is, except that what the wallet sent about its device is
    /// stored, and that events from before the call no longer decide.
    Active(Registration),
    /// The registration was removed at this instant, which is at or after the requested instant.
    RemovedSince(Timestamp),
}

/// The result of registering for a wallet, which is never refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegisteredForWallet {
    /// The registration is active from now on.
    Created(Registration),
    /// The registration was already active, as in [`Registered::Active`].
    Active(Registration),
}

/// The result of unregistering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unregistered {
    /// The registration was active and is removed now.
    Removed,
    /// The registration had already been removed.
    AlreadyRemoved,
    /// No such registration is stored: it never existed, or its tombstone has expired. Nothing was written.
    NeverSeen,
}

impl Registered {
    /// Returns the outcome in the terms used for events.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Created(_) => Outcome::Applied,
            Self::Active(_) => Outcome::Unchanged,
            Self::RemovedSince(at) => Outcome::Refused(Refusal::RemovedSince(*at)),
        }
    }
}

impl RegisteredForWallet {
    /// Returns the outcome in the terms used for events.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Created(_) => Outcome::Applied,
            Self::Active(_) => Outcome::Unchanged,
        }
    }
}

impl Unregistered {
    /// Returns the outcome in the terms used for events.
    #[must_use]
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Removed => Outcome::Applied,
            Self::AlreadyRemoved => Outcome::Unchanged,
            Self::NeverSeen => Outcome::Refused(Refusal::UnknownRegistration),
        }
    }
}

impl Table {
    /// Applies one event with one conditional write of one item, except that a push that failed at a push token may end
    /// several registrations of its pass. The campaign must have been claimed, and the names of a
    /// created pass must have been given to it.
    ///
    /// The latest event of a registration determines its state. At the same instant an uninstall beats an install, and
    /// of two installs the one with the greater tie stays. The same events leave the same state, in any order and with
    /// any repetitions, with one exception: an event that arrives after the tombstone has expired is applied.
    pub async fn apply(&self, event: &Event, now: Timestamp) -> Outcome {
        match self.write_event(event, now).await {
            Ok(true) => Outcome::Applied,
            Ok(false) => Outcome::Unchanged,
            Err(error) => Outcome::Failed(error),
        }
    }

    /// Writes the item that an event leaves, if its condition holds; returns whether it was written.
    async fn write_event(&self, event: &Event, now: Timestamp) -> Result<bool, StoreError> {
        let Event { account_id, campaign_id, campaign_type: _, at, subject } = event;
        let (pass_id, change) = match subject {
            Subject::Pass { pass_id, change } => (pass_id, change),
            Subject::EveryPass(instant) => return self.store_update(*campaign_id, None, *at, *instant).await,
        };
        let put = match change {
            Change::Created(creation) => {
                let serial_number = creation.serial_number();
                let item = PassItem {
                    pk: keys::campaign_pk(*campaign_id),
                    sk: keys::pass_sk(*pass_id),
                    known_since: *at,
                    serial_number,
                };
                let serial_number = serial_number.map_or("", SerialNumber::as_str);
                self.put(&item, CREATED_DECIDES, *at)?
                    .expression_attribute_values(":serial_number", text(serial_number))
            }
            Change::Installed(installation) => {
                let item = RegistrationItem::new(account_id, *campaign_id, *pass_id, installation, *at, now);
                self.put(&item, INSTALL_DECIDES, *at)?.expression_attribute_values(":tie", text(item.tie.as_str()))
            }
            Change::Uninstalled { registration_id } => {
                let item = TombstoneItem::new(*campaign_id, *pass_id, *registration_id, *at, now);
                self.put(&item, UNINSTALL_DECIDES, *at)?
            }
            Change::Updated(instant) => return self.store_update(*campaign_id, Some(*pass_id), *at, *instant).await,
            Change::PushFailed(FailedAddress::OfRegistration { registration_id, push_token }) => {
                let item = TombstoneItem::new(*campaign_id, *pass_id, *registration_id, *at, now);
                return self.end_after_failed_push(&item, push_token.as_ref(), *at).await;
            }
            Change::PushFailed(FailedAddress::PushToken(push_token)) => {
                return self.end_by_push_token(*campaign_id, *pass_id, push_token, *at, now).await;
            }
        };
        has_written(self.client.send(put).await)
    }

    /// Registers a pass at `at` unless it is registered already. The account must have claimed the campaign.
    ///
    /// If the registration is active, what the wallet sent about its device is stored. Attributes that it did not send
    /// stay. The call also confirms the registration: it counts as an event at `at`, so that an uninstall, an install
    /// or a failed push from before changes nothing, and a copy brings what was stored. The instant and the contents of
    /// the install stay, because the wallet did not install the pass again.
    ///
    /// Costs one conditional write, and a second one if the registration is active. A repetition therefore costs two
    /// writes, one of them failed.
    pub async fn register(
        &self,
        account: &AccountId,
        campaign: CampaignId,
        pass: PassId,
        installation: &Installation,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<Registered, StoreError> {
        for _ in 0..MAX_ATTEMPTS {
            if let Some(registered) = self.try_to_register(account, campaign, pass, installation, at, now).await? {
                return Ok(registered);
            }
        }
        Err(contended(&keys::registration_sk(pass, installation.registration_id)))
    }

    /// Registers a pass now for its wallet, unless it is registered already, like [`register`](Self::register). If the
    /// registration was removed at `now` or later, by an event from a clock that is ahead, it begins one millisecond
    /// after that: the wallet has the pass, and would take a refusal for an outage.
    ///
    /// Costs one conditional write more in that case.
    pub async fn register_for_wallet(
        &self,
        account: &AccountId,
        campaign: CampaignId,
        pass: PassId,
        installation: &Installation,
        now: Timestamp,
    ) -> Result<RegisteredForWallet, StoreError> {
        let mut at = now;
        for _ in 0..MAX_ATTEMPTS {
            match self.try_to_register(account, campaign, pass, installation, at, now).await? {
                Some(Registered::Created(registration)) => return Ok(RegisteredForWallet::Created(registration)),
                Some(Registered::Active(registration)) => return Ok(RegisteredForWallet::Active(registration)),
                Some(Registered::RemovedSince(removed_at)) => at = removed_at.plus(Duration::from_millis(1)),
                None => {}
            }
        }
        Err(contended(&keys::registration_sk(pass, installation.registration_id)))
    }

    /// Registers a pass at `at` unless it is registered already. Returns `None` if another writer changed the
    /// registration in between.
    async fn try_to_register(
        &self,
        account: &AccountId,
        campaign: CampaignId,
        pass: PassId,
        installation: &Installation,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Registered>, StoreError> {
        let item = RegistrationItem::new(account, campaign, pass, installation, at, now);
        let stored = match self.put_registration(&item, REGISTERS, at).await? {
            Put::Written => {
                let Installation { registration_id, wallet, device_os, .. } = installation;
                let (id, wallet, device_os) = (*registration_id, *wallet, *device_os);
                let registration = Registration { id, pass_id: pass, wallet, device_os, created_at: at };
                return Ok(Some(Registered::Created(registration)));
            }
            Put::Rejected { stored: None } => return Ok(None),
            Put::Rejected { stored: Some(stored) } => stored,
        };
        let Some(active) = stored.active()? else {
            return Ok(Some(Registered::RemovedSince(stored.last_event_at)));
        };
        let is_confirmed = self.confirm(campaign, &active, &stored, account, installation, at).await?;
        Ok(is_confirmed.then_some(Registered::Active(active)))
    }

    /// Ends a registration now, or at the instant of its last event if that is in the future. The campaign must be
    /// known.
    ///
    /// Costs one conditional write, and a second one if the last event is in the future.
    pub async fn unregister(
        &self,
        campaign: CampaignId,
        pass: PassId,
        registration: RegistrationId,
        now: Timestamp,
    ) -> Result<Unregistered, StoreError> {
        let mut at = now;
        for _ in 0..MAX_ATTEMPTS {
            let item = TombstoneItem::new(campaign, pass, registration, at, now);
            match self.put_registration(&item, UNREGISTERS, at).await? {
                Put::Written => return Ok(Unregistered::Removed),
                Put::Rejected { stored: None } => return Ok(Unregistered::NeverSeen),
                Put::Rejected { stored: Some(stored) } if !stored.is_active() => {
                    return Ok(Unregistered::AlreadyRemoved);
                }
                Put::Rejected { stored: Some(stored) } => at = at.max(stored.last_event_at),
            }
        }
        Err(contended(&keys::registration_sk(pass, registration)))
    }

    /// Confirms an active registration: stores the attributes that differ, and `at` as the instant of its last event
    /// unless that is later. Makes no call if nothing differs. Returns `false` if the registration was changed after it
    /// was read, so that no later call is undone, not even if the SDK repeats this one.
    ///
    /// Leaves the tie as it is: it is that of the install.
    async fn confirm(
        &self,
        campaign: CampaignId,
        registration: &Registration,
        stored: &StoredRegistration,
        account: &AccountId,
        installation: &Installation,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let StoredRegistration { last_event_at, device, .. } = stored;
        let after = device.clone().confirmed_with(DeviceAttributes::new(account, installation, at), at);
        let before = codec::encode(device)?;
        let mut changed: Vec<_> =
            codec::encode(&after)?.into_iter().filter(|(name, value)| before.get(name) != Some(value)).collect();
        if *last_event_at < at {
            changed.push((LAST_EVENT_AT.to_owned(), text(at)));
        }
        if changed.is_empty() {
            return Ok(true);
        }
        let push_token_at = if device.push_token_at.is_some() {
            "push_token_at = :read_push_token_at"
        } else {
            "attribute_not_exists(push_token_at)"
        };
        let condition = format!("created_at = :created_at AND last_event_at = :read_last_event_at AND {push_token_at}");
        let mut assignments = Vec::new();
        let mut update = UpdateItemInput::builder()
            .table_name(&self.name)
            .key(keys::PK, text(keys::campaign_pk(campaign)))
            .key(keys::SK, text(keys::registration_sk(registration.pass_id, registration.id)))
            .condition_expression(condition)
            .expression_attribute_values(":created_at", text(registration.created_at))
            .expression_attribute_values(":read_last_event_at", text(*last_event_at));
        if let Some(push_token_at) = device.push_token_at {
            update = update.expression_attribute_values(":read_push_token_at", text(push_token_at));
        }
        for (name, value) in changed {
            assignments.push(format!("{name} = :{name}"));
            update = update.expression_attribute_values(format!(":{name}"), value);
        }
        let update = update.update_expression(format!("SET {}", assignments.join(", ")));
        match self.client.send(update).await {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
                _ => Err(error.into()),
            },
        }
    }

    /// Writes the item of a registration on a condition, in which `:at` is the given instant.
    async fn put_registration(
        &self,
        item: &impl Serialize,
        condition: &str,
        at: Timestamp,
    ) -> Result<Put<StoredRegistration>, StoreError> {
        self.written_or_stored(self.put(item, condition, at)?).await
    }
}
