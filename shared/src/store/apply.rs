use aws_sdk_dynamodb::{
    error::SdkError,
    operation::{
        put_item::{PutItemError, PutItemOutput, builders::PutItemFluentBuilder},
        update_item::UpdateItemError,
    },
    types::ReturnValuesOnConditionCheckFailure,
};
use serde::Serialize;

use super::{
    RegistrationStore, StoreError,
    item::{self, PassItem, RegistrationItem, StoredRegistration, TombstoneItem, text},
    key,
};
use crate::{
    clock::Timestamp,
    device::PushToken,
    event::{Change, Event, Installation},
    id::{CampaignId, PassId, RegistrationId},
    registration::Registration,
};

/// An install counts if it is the first event of its registration or later than the last.
pub(super) const INSTALL_DECIDES: &str = "attribute_not_exists(last_event_at) OR last_event_at < :at";
/// An uninstall does too, and at the same instant it beats an install.
pub(super) const UNINSTALL_DECIDES: &str = "attribute_not_exists(last_event_at) OR last_event_at < :at \
     OR (last_event_at = :at AND attribute_exists(created_at))";
/// The earliest `created` stays, and of two at the same instant the smaller serial number, so that every order of the same
/// events leaves the same item.
pub(super) const CREATED_DECIDES: &str = "attribute_not_exists(known_since) OR known_since > :at \
     OR (known_since = :at AND serial_number > :serial_number)";
/// A caller who registers finds an active registration as it is.
const REGISTERS: &str =
    "attribute_not_exists(last_event_at) OR (attribute_not_exists(created_at) AND last_event_at < :at)";
const UNREGISTERS: &str = "attribute_exists(created_at) AND last_event_at <= :at";

/// How often a call begins again because somebody else wrote the same registration in between.
const MAX_ATTEMPTS: usize = 5;

/// What applying an event did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is the latest of its registration, and the table says so now.
    Applied,
    /// It is older than what the table holds, or the same again.
    Unchanged,
}

/// What registering did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registered {
    /// The registration is active from now on.
    Created(Registration),
    /// It was active already and stays as it is, but for a new push token.
    Active(Registration),
    /// It was removed at that instant or later.
    RemovedSince(Timestamp),
}

/// What unregistering did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unregistered {
    /// The registration was active and is not any more.
    Removed,
    /// It was removed before.
    AlreadyRemoved,
    /// Nobody ever heard of it, and nothing was written.
    NeverSeen,
}

impl RegistrationStore {
    /// Applies one event by one conditional write of one item. The campaign must have been claimed.
    ///
    /// Per registration the latest event decides; see `shared::event`. Every order and every repetition of the same events
    /// leaves the same items.
    pub async fn apply(&self, event: &Event, now: Timestamp) -> Result<Outcome, StoreError> {
        let Event { account_id: _, campaign_id, campaign_type: _, pass_id, at, change } = event;
        let put = match change {
            Change::Created { serial_number } => {
                let item = PassItem {
                    pk: key::campaign_pk(*campaign_id),
                    sk: key::pass_sk(*pass_id),
                    known_since: *at,
                    serial_number: serial_number.as_ref(),
                };
                let serial_number = serial_number.as_ref().map_or("", |serial_number| serial_number.as_str());
                self.put(&item, CREATED_DECIDES, *at)?
                    .expression_attribute_values(":serial_number", text(serial_number))
            }
            Change::Installed(installation) => {
                let item = RegistrationItem::new(*campaign_id, *pass_id, installation, *at, now);
                self.put(&item, INSTALL_DECIDES, *at)?
            }
            Change::Uninstalled { registration_id } => {
                let item = TombstoneItem::new(*campaign_id, *pass_id, *registration_id, *at, now);
                self.put(&item, UNINSTALL_DECIDES, *at)?
            }
        };
        Ok(if has_written(put.send().await)? { Outcome::Applied } else { Outcome::Unchanged })
    }

    /// Registers a pass at `at` unless it is registered already. The campaign must have been claimed.
    ///
    /// One conditional write; a second one where a new push token meets an active registration.
    pub async fn register(
        &self,
        campaign: CampaignId,
        pass: PassId,
        installation: &Installation,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<Registered, StoreError> {
        let item = RegistrationItem::new(campaign, pass, installation, at, now);
        for _ in 0..MAX_ATTEMPTS {
            let Err(standing) = self.put_or_standing(&item, REGISTERS, at).await? else {
                let Installation { registration_id, wallet, device_os, .. } = installation;
                let (id, wallet, device_os) = (*registration_id, *wallet, *device_os);
                return Ok(Registered::Created(Registration { id, pass_id: pass, wallet, device_os, created_at: at }));
            };
            let Some(standing) = standing else { continue };
            let Some(active) = standing.active().transpose()? else {
                return Ok(Registered::RemovedSince(standing.last_event_at));
            };
            let new_token =
                installation.push_token.as_ref().filter(|token| standing.push_token.as_ref() != Some(token));
            let stored = match new_token {
                Some(token) => self.store_push_token(campaign, &active, token).await?,
                None => true,
            };
            if stored {
                return Ok(Registered::Active(active));
            }
        }
        Err(contended(pass, installation.registration_id))
    }

    /// Ends a registration now, or at the instant of its last event where that lies ahead. The campaign must be known.
    ///
    /// One conditional write, and one more where the last event lies ahead.
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
            match self.put_or_standing(&item, UNREGISTERS, at).await? {
                Ok(()) => return Ok(Unregistered::Removed),
                Err(None) => return Ok(Unregistered::NeverSeen),
                Err(Some(standing)) if standing.active().is_none() => return Ok(Unregistered::AlreadyRemoved),
                Err(Some(standing)) => at = at.max(standing.last_event_at),
            }
        }
        Err(contended(pass, registration))
    }

    /// Whether the registration was still active and has the token now.
    async fn store_push_token(
        &self,
        campaign: CampaignId,
        registration: &Registration,
        push_token: &PushToken,
    ) -> Result<bool, StoreError> {
        let result = self
            .client
            .update_item()
            .table_name(&self.table_name)
            .key(key::PK, text(key::campaign_pk(campaign)))
            .key(key::SK, text(key::registration_sk(registration.pass_id, registration.id)))
            .update_expression("SET push_token = :push_token")
            .condition_expression("created_at = :created_at")
            .expression_attribute_values(":push_token", text(push_token.as_str()))
            .expression_attribute_values(":created_at", text(registration.created_at))
            .send()
            .await;
        match result {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
                _ => Err(error.into()),
            },
        }
    }

    fn put(&self, item: &impl Serialize, condition: &str, at: Timestamp) -> Result<PutItemFluentBuilder, StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table_name)
            .set_item(Some(item::write(item)?))
            .condition_expression(condition)
            .expression_attribute_values(":at", text(at));
        Ok(put)
    }

    /// Writes the item, or tells what stands in its way.
    async fn put_or_standing(
        &self,
        item: &impl Serialize,
        condition: &str,
        at: Timestamp,
    ) -> Result<Result<(), Option<StoredRegistration>>, StoreError> {
        let put = self
            .put(item, condition, at)?
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let Err(error) = put.send().await else { return Ok(Ok(())) };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(failure)) => {
                failure.item.clone().map(item::read).transpose().map(Err)
            }
            _ => Err(error.into()),
        }
    }
}

/// Whether the condition of a put held.
pub(super) fn has_written(result: Result<PutItemOutput, SdkError<PutItemError>>) -> Result<bool, StoreError> {
    match result {
        Ok(_) => Ok(true),
        Err(error) => match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(false),
            _ => Err(error.into()),
        },
    }
}

fn contended(pass: PassId, registration: RegistrationId) -> StoreError {
    let key = key::registration_sk(pass, registration);
    StoreError::Unavailable(format!("{key} was written by somebody else {MAX_ATTEMPTS} times in a row"))
}
