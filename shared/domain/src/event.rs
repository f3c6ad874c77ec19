//! Events: reports about passes, independent of their source and wire form.
//!
//! The event with the latest instant determines a registration's state, so events may arrive in any order and more than
//! once. The store enforces that rule with the conditions of its writes (`store::registrations::apply`). Each wire form
//! has its own module, which parses it into an [`Event`]; [`passworks`] is the first.

pub mod passworks;

use std::{fmt, time::Duration};

use thiserror::Error;

use crate::{
    campaign::CampaignType,
    device::{DeviceLibraryIdentifier, PushToken, SerialNumber},
    fields::FieldErrors,
    id::{AccountId, CampaignId, PassId, RegistrationId},
    time::Timestamp,
    wallet::{DeviceOs, Wallet},
};

/// How far an event may be ahead of our clock. An event further ahead would block its registration until its instant.
pub const MAX_LEAD: Duration = Duration::from_mins(5);

/// Something that happened to a pass and that changes the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The account that the campaign belongs to.
    pub account_id: AccountId,
    /// The campaign of the pass.
    pub campaign_id: CampaignId,
    /// The campaign's type, if the event names it.
    pub campaign_type: Option<CampaignType>,
    /// The pass.
    pub pass_id: PassId,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub change: Change,
}

/// What happened to a pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The pass was created.
    Created {
        /// Its serial number, if the event names it.
        serial_number: Option<SerialNumber>,
    },
    /// A wallet registered the pass.
    Installed(Installation),
    /// A wallet removed the pass.
    Uninstalled {
        /// The registration that ends.
        registration_id: RegistrationId,
    },
}

/// A registration as an install describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// The registration's id, named by the source or derived from the device.
    pub registration_id: RegistrationId,
    /// The wallet.
    pub wallet: Wallet,
    /// The operating system of the device.
    pub device_os: DeviceOs,
    /// The wallet's name for the device.
    pub device_library_identifier: Option<DeviceLibraryIdentifier>,
    /// The address for push notifications about the pass.
    pub push_token: Option<PushToken>,
}

/// The reason why an event, or a request to register or unregister, is refused. Sending the same again does not help.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Fields are missing or invalid.
    #[error("{0}")]
    Invalid(FieldErrors),
    /// The campaign belongs to another account. To the caller it is an unknown campaign.
    #[error("the campaign is not known")]
    OtherAccount,
    /// The campaign has this type, not the type that was named.
    #[error("the campaign is one of {0}")]
    OtherType(CampaignType),
    /// The registration was removed at this instant, which is at or after the requested instant.
    #[error("the registration was removed at {0}")]
    RemovedSince(Timestamp),
    /// No such registration is stored: it never existed, or its tombstone has expired.
    #[error("the registration is not known")]
    UnknownRegistration,
}

impl fmt::Display for Event {
    /// Writes a text for logs: the pass, its campaign, the change and the instant, but nothing about the device.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account_id: _, campaign_id, campaign_type: _, pass_id, at, change } = self;
        let change = match change {
            Change::Created { .. } => "created",
            Change::Installed(_) => "installed",
            Change::Uninstalled { .. } => "uninstalled",
        };
        write!(formatter, "pass {pass_id} of campaign {campaign_id} {change} at {at}")
    }
}
