//! The items of passes and registrations.

use std::time::Duration;

use domain::{
    device::{PushServiceUrl, PushToken},
    event::{Installation, Tie},
    id::{AccountId, CampaignId, PassId, RegistrationId},
    pass::{PassTypeIdentifier, SerialNumber, TypedSerialNumber},
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
pub(crate) struct RegistrationItem {
    pk: String,
    sk: String,
    pass: String,
    wallet: Wallet,
    device_os: DeviceOs,
    created_at: Timestamp,
    last_event_at: Timestamp,
    received_at: Timestamp,
    pub(crate) tie: Tie,
    #[serde(flatten)]
    device: DeviceAttributes,
}

/// The attributes of an active registration that a wallet may send again: its device, its pass, and how a push reaches
/// it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeviceAttributes {
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pass_type: Option<PassTypeIdentifier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial_number: Option<SerialNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    push_token: Option<PushToken>,
    /// When the wallet last sent its push token, or confirmed the registration without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) push_token_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    push_service_url: Option<PushServiceUrl>,
}

impl DeviceAttributes {
    pub(crate) fn new(account: &AccountId, installation: &Installation, at: Timestamp) -> Self {
        let Installation {
            registration_id: _,
            wallet: _,
            device_os: _,
            device_library_identifier,
            push_token,
            push_service_url,
            serial_number,
        } = installation;
        Self {
            device: device_library_identifier.as_ref().map(|device| keys::by_device_hash(account, device)),
            pass_type: serial_number.as_ref().map(|typed| typed.pass_type.clone()),
            serial_number: serial_number.as_ref().map(|typed| typed.serial_number.clone()),
            push_token: push_token.clone(),
            push_token_at: push_token.is_some().then_some(at),
            push_service_url: push_service_url.clone(),
        }
    }

    /// Returns the serial number under which the pass was registered, if it is known.
    pub(crate) fn serial_number(&self) -> Option<TypedSerialNumber> {
        let (pass_type, serial_number) = self.pass_type.clone().zip(self.serial_number.clone())?;
        Some(TypedSerialNumber { pass_type, serial_number })
    }

    /// Returns these attributes after the wallet registered again at `at` and sent `others`. Attributes that it did not
    /// send stay as they are.
    ///
    /// If what is stored was sent after `at`, only absent attributes are added: calls may overtake each other, and an
    /// event from a clock that is ahead may have stored a later instant.
    #[must_use]
    pub(crate) fn confirmed_with(self, others: Self, at: Timestamp) -> Self {
        let push_token_at = self.push_token_at.max(Some(at));
        let (first, second) = if self.push_token_at > Some(at) { (self, others) } else { (others, self) };
        Self {
            device: first.device.or(second.device),
            pass_type: first.pass_type.or(second.pass_type),
            serial_number: first.serial_number.or(second.serial_number),
            push_token: first.push_token.or(second.push_token),
            push_token_at,
            push_service_url: first.push_service_url.or(second.push_service_url),
        }
    }
}

impl RegistrationItem {
    pub(crate) fn new(
        account: &AccountId,
        campaign: CampaignId,
        pass: PassId,
        installation: &Installation,
        at: Timestamp,
        now: Timestamp,
    ) -> Self {
        let Installation { registration_id, wallet, device_os, .. } = installation;
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
            device: DeviceAttributes::new(account, installation, at),
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
    #[serde(flatten)]
    pub(crate) device: DeviceAttributes,
}

impl StoredRegistration {
    /// Returns whether the registration is active, also if an attribute that it then has is missing.
    pub(crate) fn is_active(&self) -> bool {
        self.created_at.is_some()
    }

    /// Returns the registration, or `None` if it is not active.
    pub(crate) fn active(&self) -> Result<Option<Registration>, StoreError> {
        let Some(created_at) = self.created_at else { return Ok(None) };
        let (Some(wallet), Some(device_os)) = (self.wallet, self.device_os) else {
            return Err(StoreError::malformed(&self.sk, "an active registration has a wallet and a device_os"));
        };
        registration(&self.sk, wallet, device_os, created_at).map(Some)
    }
}

/// Returns the active registration whose item has this sort key.
pub(crate) fn registration(
    sk: &str,
    wallet: Wallet,
    device_os: DeviceOs,
    created_at: Timestamp,
) -> Result<Registration, StoreError> {
    let (pass_id, id) = registration_ids(sk)?;
    Ok(Registration { id, pass_id, wallet, device_os, created_at })
}

/// Returns the pass and the registration that the sort key of a registration names.
pub(crate) fn registration_ids(sk: &str) -> Result<(PassId, RegistrationId), StoreError> {
    keys::parse_registration_sk(sk)
        .ok_or_else(|| StoreError::malformed(sk, "the sort key is not PASS#<pass_id>#<registration_id>"))
}
