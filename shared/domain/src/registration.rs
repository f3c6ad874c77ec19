//! Registrations: each is one pass in one wallet on one device.

use serde::{Deserialize, Serialize};

use crate::{
    id::{PassId, RegistrationId},
    time::Timestamp,
    wallet::{DeviceOs, Wallet},
};

/// An active registration, with the keys of the API in the order of the API (Passworks API v2, "Registrations").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(utoipa::ToSchema))]
pub struct Registration {
    /// The registration.
    pub id: RegistrationId,
    /// The pass that was added.
    pub pass_id: PassId,
    /// The wallet it was added to.
    pub wallet: Wallet,
    /// The operating system of the device.
    pub device_os: DeviceOs,
    /// When it was added.
    pub created_at: Timestamp,
}
