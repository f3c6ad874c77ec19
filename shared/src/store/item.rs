//! The items as the table holds them, each written and read in one place.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{StoreError, key};
use crate::{
    campaign::{Campaign, CampaignType},
    clock::Timestamp,
    device::{DeviceLibraryIdentifier, PushToken, SerialNumber},
    event::Installation,
    id::{AccountId, CampaignId, PassId, RegistrationId},
    registration::{DeviceOs, Registration, Wallet},
};

/// An item as the SDK has it.
pub(super) type Item = std::collections::HashMap<String, AttributeValue>;

/// How long a removed registration is remembered, from when the removal was received: an event that arrives later than this
/// after a removal may bring the registration back.
pub(super) const TOMBSTONE_LIFE: Duration = Duration::from_hours(90 * 24);

/// When a pass was made known.
pub(super) const KNOWN_SINCE: &str = "known_since";
/// What a pass is known by to its wallets.
pub(super) const SERIAL_NUMBER: &str = "serial_number";
/// When the event happened that decided about a registration.
pub(super) const LAST_EVENT_AT: &str = "last_event_at";
/// When the install of an active registration was received.
pub(super) const RECEIVED_AT: &str = "received_at";

/// What is read of a campaign's own item.
#[derive(Deserialize)]
pub(super) struct CampaignItem {
    account_id: AccountId,
    campaign_type: Option<CampaignType>,
}

impl From<CampaignItem> for Campaign {
    fn from(item: CampaignItem) -> Self {
        let CampaignItem { account_id, campaign_type } = item;
        Self { account_id, campaign_type }
    }
}

/// A pass that a `created` event made known.
#[derive(Serialize)]
pub(super) struct PassItem<'a> {
    pub(super) pk: String,
    pub(super) sk: String,
    pub(super) known_since: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) serial_number: Option<&'a SerialNumber>,
}

/// An active registration.
#[derive(Serialize)]
pub(super) struct RegistrationItem<'a> {
    pk: String,
    sk: String,
    pass: String,
    wallet: Wallet,
    device_os: DeviceOs,
    created_at: Timestamp,
    last_event_at: Timestamp,
    received_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_library_identifier: Option<&'a DeviceLibraryIdentifier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    push_token: Option<&'a PushToken>,
}

impl<'a> RegistrationItem<'a> {
    pub(super) fn new(
        campaign: CampaignId,
        pass: PassId,
        installation: &'a Installation,
        at: Timestamp,
        now: Timestamp,
    ) -> Self {
        let Installation { registration_id, wallet, device_os, device_library_identifier, push_token } = installation;
        Self {
            pk: key::campaign_pk(campaign),
            sk: key::registration_sk(pass, *registration_id),
            pass: key::by_pass_hash(campaign, pass),
            wallet: *wallet,
            device_os: *device_os,
            created_at: at,
            last_event_at: at,
            received_at: now,
            device_library_identifier: device_library_identifier.as_ref(),
            push_token: push_token.as_ref(),
        }
    }
}

/// A removed registration: when, and nothing about the device.
#[derive(Serialize)]
pub(super) struct TombstoneItem {
    pk: String,
    sk: String,
    last_event_at: Timestamp,
    expires_at: i64,
}

impl TombstoneItem {
    pub(super) fn new(
        campaign: CampaignId,
        pass: PassId,
        registration: RegistrationId,
        at: Timestamp,
        now: Timestamp,
    ) -> Self {
        Self {
            pk: key::campaign_pk(campaign),
            sk: key::registration_sk(pass, registration),
            last_event_at: at,
            expires_at: now.plus(TOMBSTONE_LIFE).unix_seconds(),
        }
    }
}

/// What a failed condition tells of the registration that stands in the way.
#[derive(Deserialize)]
pub(super) struct StoredRegistration {
    sk: String,
    pub(super) last_event_at: Timestamp,
    wallet: Option<Wallet>,
    device_os: Option<DeviceOs>,
    created_at: Option<Timestamp>,
    pub(super) push_token: Option<PushToken>,
}

impl StoredRegistration {
    /// The registration, where it is active.
    pub(super) fn active(&self) -> Option<Result<Registration, StoreError>> {
        let created_at = self.created_at?;
        let (Some(wallet), Some(device_os)) = (self.wallet, self.device_os) else {
            return Some(Err(StoreError::malformed(&self.sk, "an active registration has a wallet and a device_os")));
        };
        Some(registration(&self.sk, wallet, device_os, created_at))
    }
}

/// The active registration whose item has this sort key.
pub(super) fn registration(
    sk: &str,
    wallet: Wallet,
    device_os: DeviceOs,
    created_at: Timestamp,
) -> Result<Registration, StoreError> {
    let Some((pass_id, id)) = key::parse_registration_sk(sk) else {
        return Err(StoreError::malformed(sk, "the sort key is not PASS#<pass_id>#<registration_id>"));
    };
    Ok(Registration { id, pass_id, wallet, device_os, created_at })
}

/// The item as the SDK takes it.
pub(super) fn write<T: Serialize>(item: &T) -> Result<Item, StoreError> {
    serde_dynamo::to_item(item).map_err(StoreError::unwritable)
}

/// The item as a `T`.
pub(super) fn read<T: DeserializeOwned>(item: Item) -> Result<T, StoreError> {
    let sk = item.get(key::SK).and_then(|sk| sk.as_s().ok()).cloned();
    serde_dynamo::from_item(item).map_err(|error| StoreError::malformed(sk.as_deref().unwrap_or("without key"), error))
}

/// A string attribute.
pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}
