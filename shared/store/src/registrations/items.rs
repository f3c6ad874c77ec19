//! The items of passes and registrations.

use std::time::Duration;

use domain::{
    device::{DeviceLibraryIdentifier, PushToken, SerialNumber},
    event::{Installation, Tie},
    id::{CampaignId, PassId, RegistrationId},
    registration::Registration,
    time::Timestamp,
    wallet::{DeviceOs, Wallet},
};
use serde::{Deserialize, Serialize};

use crate::{StoreError, keys};

/// How long a removed registration stays as a tombstone after its removal was received. A late install that arrives
/// after that may bring the registration back.
pub(crate) const TOMBSTONE_LIFE: Duration = Duration::from_hours(90 * 24);

/// The attribute with the instant of the earliest `created` event of a pass.
pub(crate) const KNOWN_SINCE: &str = "known_since";
/// The attribute with the serial number of a pass.
pub(crate) const SERIAL_NUMBER: &str = "serial_number";
/// The attribute with the instant of the latest event of a registration.
pub(crate) const LAST_EVENT_AT: &str = "last_event_at";
/// The attribute with the tie of an active registration's install.
pub(crate) const TIE: &str = "tie";
/// The attribute with the instant at which the install of an active registration was received.
pub(crate) const RECEIVED_AT: &str = "received_at";

/// A pass with a `created` event.
#[derive(Serialize)]
pub(crate) struct PassItem<'a> {
    pub(crate) pk: String,
    pub(crate) sk: String,
    pub(crate) known_since: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) serial_number: Option<&'a SerialNumber>,
}

/// An active registration.
#[derive(Serialize)]
pub(crate) struct RegistrationItem<'a> {
    pk: String,
    sk: String,
    pass: String,
    wallet: Wallet,
    device_os: DeviceOs,
    created_at: Timestamp,
    last_event_at: Timestamp,
    received_at: Timestamp,
    pub(crate) tie: Tie,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_library_identifier: Option<&'a DeviceLibraryIdentifier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    push_token: Option<&'a PushToken>,
}

impl<'a> RegistrationItem<'a> {
    pub(crate) fn new(
        campaign: CampaignId,
        pass: PassId,
        installation: &'a Installation,
        at: Timestamp,
        now: Timestamp,
    ) -> Self {
        let Installation { registration_id, wallet, device_os, device_library_identifier, push_token } = installation;
        Self {
            pk: keys::campaign_pk(campaign),
            sk: keys::registration_sk(pass, *registration_id),
            pass: keys::by_pass_hash(campaign, pass),
            wallet: *wallet,
            device_os: *device_os,
            created_at: at,
            last_event_at: at,
            received_at: now,
            tie: installation.tie(),
            device_library_identifier: device_library_identifier.as_ref(),
            push_token: push_token.as_ref(),
        }
    }
}

/// A removed registration, with the instant of its removal but nothing about the device.
#[derive(Serialize)]
pub(crate) struct TombstoneItem {
    pk: String,
    sk: String,
    last_event_at: Timestamp,
    expires_at: i64,
}

impl TombstoneItem {
    pub(crate) fn new(
        campaign: CampaignId,
        pass: PassId,
        registration: RegistrationId,
        at: Timestamp,
        now: Timestamp,
    ) -> Self {
        Self {
            pk: keys::campaign_pk(campaign),
            sk: keys::registration_sk(pass, registration),
            last_event_at: at,
            expires_at: now.plus(TOMBSTONE_LIFE).unix_seconds(),
        }
    }
}

/// The stored registration, active or removed, as DynamoDB returns it if a condition fails.
#[derive(Deserialize)]
pub(crate) struct StoredRegistration {
    sk: String,
    pub(crate) last_event_at: Timestamp,
    wallet: Option<Wallet>,
    device_os: Option<DeviceOs>,
    created_at: Option<Timestamp>,
    pub(crate) push_token: Option<PushToken>,
}

impl StoredRegistration {
    /// Returns the registration, or `None` if it is not active.
    pub(crate) fn active(&self) -> Option<Result<Registration, StoreError>> {
        let created_at = self.created_at?;
        let (Some(wallet), Some(device_os)) = (self.wallet, self.device_os) else {
            return Some(Err(StoreError::malformed(&self.sk, "an active registration has a wallet and a device_os")));
        };
        Some(registration(&self.sk, wallet, device_os, created_at))
    }
}

/// Returns the active registration whose item has this sort key.
pub(crate) fn registration(
    sk: &str,
    wallet: Wallet,
    device_os: DeviceOs,
    created_at: Timestamp,
) -> Result<Registration, StoreError> {
    let Some((pass_id, id)) = keys::parse_registration_sk(sk) else {
        return Err(StoreError::malformed(sk, "the sort key is not PASS#<pass_id>#<registration_id>"));
    };
    Ok(Registration { id, pass_id, wallet, device_os, created_at })
}
