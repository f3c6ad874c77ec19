//! Registrations: one pass in one wallet on one device, now.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    clock::Timestamp,
    id::{PassId, RegistrationId},
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

/// The wallets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "contract", derive(utoipa::ToSchema))]
pub enum Wallet {
    /// `passbook`: Apple Wallet.
    Passbook,
    /// `google_wallet`
    GoogleWallet,
    /// `wallet_passes`
    WalletPasses,
    /// `passworks_wallet`: deprecated, still stored and listed.
    PassworksWallet,
    /// `pass2u`
    Pass2u,
    /// `passwallet`
    Passwallet,
}

/// The operating systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "contract", derive(utoipa::ToSchema))]
pub enum DeviceOs {
    /// `ios`
    Ios,
    /// `android`
    Android,
    /// `wp`: Windows Phone.
    Wp,
}

/// Why a text is not a wallet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected one of passbook, google_wallet, wallet_passes, passworks_wallet, pass2u, passwallet")]
pub struct UnknownWallet;

/// Why a text is not an operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected one of ios, android, wp")]
pub struct UnknownDeviceOs;

impl Wallet {
    /// Every wallet, in the order of the documentation.
    pub const ALL: [Self; 6] =
        [Self::Passbook, Self::GoogleWallet, Self::WalletPasses, Self::PassworksWallet, Self::Pass2u, Self::Passwallet];

    /// The wallet as the API, events and the table write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passbook => "passbook",
            Self::GoogleWallet => "google_wallet",
            Self::WalletPasses => "wallet_passes",
            Self::PassworksWallet => "passworks_wallet",
            Self::Pass2u => "pass2u",
            Self::Passwallet => "passwallet",
        }
    }
}

impl FromStr for Wallet {
    type Err = UnknownWallet;

    fn from_str(text: &str) -> Result<Self, UnknownWallet> {
        Self::ALL.into_iter().find(|wallet| wallet.as_str() == text).ok_or(UnknownWallet)
    }
}

impl fmt::Display for Wallet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl DeviceOs {
    /// Every operating system, in the order of the documentation.
    pub const ALL: [Self; 3] = [Self::Ios, Self::Android, Self::Wp];

    /// The operating system as the API, events and the table write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ios => "ios",
            Self::Android => "android",
            Self::Wp => "wp",
        }
    }
}

impl FromStr for DeviceOs {
    type Err = UnknownDeviceOs;

    fn from_str(text: &str) -> Result<Self, UnknownDeviceOs> {
        Self::ALL.into_iter().find(|device_os| device_os.as_str() == text).ok_or(UnknownDeviceOs)
    }
}

impl fmt::Display for DeviceOs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wallets_and_systems_have_one_spelling_everywhere() {
        for wallet in Wallet::ALL {
            assert_eq!(wallet.as_str().parse(), Ok(wallet));
            assert_eq!(serde_json::to_value(wallet).unwrap(), wallet.as_str());
        }
        for device_os in DeviceOs::ALL {
            assert_eq!(device_os.as_str().parse(), Ok(device_os));
            assert_eq!(serde_json::to_value(device_os).unwrap(), device_os.as_str());
        }
        assert_eq!("apple".parse::<Wallet>(), Err(UnknownWallet));
        assert_eq!("IOS".parse::<DeviceOs>(), Err(UnknownDeviceOs));
    }
}
