//! Wallets, and the operating systems that they run on.
//!
//! Each has one spelling in answers and in the table. Parsing ignores upper and lower case. `CONTRIBUTING.md` lists
//! what else to change for a new wallet.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantArray, VariantNames};

use crate::names::UnknownName;

/// The wallets, in the order of the documentation (Passworks API v2, "Registrations"). `other` is an addition.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
    VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(
    serialize_all = "snake_case",
    ascii_case_insensitive,
    parse_err_ty = UnknownName,
    parse_err_fn = UnknownName::of::<Wallet>
)]
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
    /// `other`: a wallet that speaks Apple's protocol and is none of the others.
    Other,
}

/// The operating systems, in the order of the documentation.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
    VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(
    serialize_all = "snake_case",
    ascii_case_insensitive,
    parse_err_ty = UnknownName,
    parse_err_fn = UnknownName::of::<DeviceOs>
)]
#[cfg_attr(feature = "contract", derive(utoipa::ToSchema))]
pub enum DeviceOs {
    /// `ios`
    Ios,
    /// `android`
    Android,
    /// `wp`: Windows Phone.
    Wp,
}

impl Wallet {
    /// Every wallet, in the order of the documentation.
    pub const ALL: &'static [Self] = <Self as VariantArray>::VARIANTS;

    /// Returns the name in the API, in events and in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl DeviceOs {
    /// Every operating system, in the order of the documentation.
    pub const ALL: &'static [Self] = <Self as VariantArray>::VARIANTS;

    /// Returns the name in the API, in events and in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wallets_and_systems_have_one_spelling_and_are_parsed_in_any_case() {
        for wallet in Wallet::ALL {
            assert_eq!(wallet.as_str().parse(), Ok(*wallet));
            assert_eq!(wallet.as_str().to_uppercase().parse(), Ok(*wallet));
            assert_eq!(serde_json::to_value(wallet).unwrap(), wallet.to_string());
        }
        for device_os in DeviceOs::ALL {
            assert_eq!(device_os.as_str().parse(), Ok(*device_os));
            assert_eq!(device_os.as_str().to_uppercase().parse(), Ok(*device_os));
            assert_eq!(serde_json::to_value(device_os).unwrap(), device_os.to_string());
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        let wallets: Vec<_> = Wallet::ALL.iter().map(|wallet| wallet.as_str()).collect();
        let unknown = "apple".parse::<Wallet>().unwrap_err();
        assert_eq!(unknown.to_string(), format!("expected one of {}", wallets.join(", ")));

        let systems: Vec<_> = DeviceOs::ALL.iter().map(|device_os| device_os.as_str()).collect();
        let unknown = "beos".parse::<DeviceOs>().unwrap_err();
        assert_eq!(unknown.to_string(), format!("expected one of {}", systems.join(", ")));
    }
}
