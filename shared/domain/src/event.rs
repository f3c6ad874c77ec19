//! Events: reports about passes, independent of their source and wire form.
//!
//! The event with the latest instant determines a registration's state, so events may arrive in any order and more than
//! once. The store enforces that rule with the conditions of its writes (`store::registrations::apply`). Each wire form
//! has its own module, which parses it into an [`Event`]; [`passworks`] is the first.

pub mod passworks;

use std::{fmt, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::{
    campaign::CampaignType,
    device::{DeviceLibraryIdentifier, PushServiceUrl, PushToken},
    fields::FieldErrors,
    google::GoogleObjectId,
    id::{AccountId, CampaignId, PassId, RegistrationId},
    pass::{PassTypeIdentifier, SerialNumber, TokenHash, TypedSerialNumber},
    time::Timestamp,
    wallet::{DeviceOs, Wallet},
};

/// How far an event may be ahead of our clock. An event further ahead would block its registration until its instant.
pub const MAX_LEAD: Duration = Duration::from_mins(5);

/// How many bytes of a SHA-256 a [`Tie`] keeps.
const TIE_LENGTH: usize = 8;

/// Something that happened to a pass and that changes the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The account that the campaign belongs to.
    pub account_id: AccountId,
    /// The campaign of the pass.
    pub campaign_id: CampaignId,
    /// The campaign's type, if the event names it.
    pub campaign_type: Option<CampaignType>,
    /// When it happened.
    pub at: Timestamp,
    /// What happened, and to which pass.
    pub subject: Subject,
}

/// What happened, and to which pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// Something happened to one pass.
    Pass {
        /// The pass.
        pass_id: PassId,
        /// What happened to it.
        change: Change,
    },
    /// Every pass of the campaign has new contents.
    EveryPass(InstantFrom),
}

/// What happened to a pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The pass was created.
    Created(Creation),
    /// A wallet registered the pass.
    Installed(Installation),
    /// A wallet removed the pass.
    Uninstalled {
        /// The registration that ends.
        registration_id: RegistrationId,
    },
    /// The pass has new contents.
    Updated(InstantFrom),
    /// A push failed because its address is no longer valid, so a registration has ended.
    PushFailed(FailedAddress),
}

/// Where the instant of an update comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstantFrom {
    /// The sender names it, so of several updates the latest counts.
    Sender,
    /// The sender does not name it. The update happened when it was received, and counts as later than every stored one,
    /// whatever the clocks of the processes show: a wallet must be able to see each update.
    Receipt,
}

/// The address at which a push failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FailedAddress {
    /// The push token of a registration.
    OfRegistration {
        /// The registration.
        registration_id: RegistrationId,
        /// The token, if the event names it. A registration that has another one by now does not end.
        push_token: Option<PushToken>,
    },
    /// This push token, which several registrations of the pass may have.
    PushToken(PushToken),
}

/// A pass as its `created` event describes it: under which names it is known elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Creation {
    /// Its serial number.
    pub serial_number: Option<CreatedSerialNumber>,
    /// Its object in Google Wallet.
    pub google_object_id: Option<GoogleObjectId>,
}

/// The serial number of a created pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreatedSerialNumber {
    /// The event names no pass type, so wallets cannot find the pass by the serial number.
    Untyped(SerialNumber),
    /// Wallets find the pass by its type and serial number.
    Typed {
        /// The type and the serial number.
        serial_number: TypedSerialNumber,
        /// The hash of the token that a wallet must send, if the event names the token.
        token: Option<TokenHash>,
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
    /// The server that passes the push notifications on to the wallet.
    pub push_service_url: Option<PushServiceUrl>,
    /// The wallet's name for the pass.
    pub serial_number: Option<TypedSerialNumber>,
}

/// Decides between different installs of one registration at the same instant: the install with the greater tie stays,
/// whichever arrives first.
///
/// The first 8 bytes of the SHA-256 of the install's contents, in base64url. Ties are compared as texts, like
/// `DynamoDB` compares them. Equal contents have equal ties, so a repeated install never beats itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Tie(String);

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
    /// The serial number was first named by another pass, to which it belongs.
    #[error("the serial number belongs to another pass")]
    SerialNumberTaken,
    /// The Google object was first named by another pass, to which it belongs.
    #[error("the Google object belongs to another pass")]
    GoogleObjectTaken,
}

impl Creation {
    /// Returns whether wallets can find the pass by one of these names.
    #[must_use]
    pub fn has_names(&self) -> bool {
        self.typed_serial_number().is_some() || self.google_object_id.is_some()
    }

    /// Returns the serial number with its type, and the hash of its token, if the event names them.
    #[must_use]
    pub fn typed_serial_number(&self) -> Option<(&TypedSerialNumber, Option<&TokenHash>)> {
        match self.serial_number.as_ref()? {
            CreatedSerialNumber::Untyped(_) => None,
            CreatedSerialNumber::Typed { serial_number, token } => Some((serial_number, token.as_ref())),
        }
    }

    /// Returns the serial number without its type.
    #[must_use]
    pub fn serial_number(&self) -> Option<&SerialNumber> {
        match self.serial_number.as_ref()? {
            CreatedSerialNumber::Untyped(serial_number) => Some(serial_number),
            CreatedSerialNumber::Typed { serial_number, .. } => Some(&serial_number.serial_number),
        }
    }
}

impl Installation {
    /// Returns the tie of an install with these contents.
    #[must_use]
    pub fn tie(&self) -> Tie {
        let Self {
            registration_id,
            wallet,
            device_os,
            device_library_identifier,
            push_token,
            push_service_url,
            serial_number,
        } = self;
        let (pass_type, serial_number) = match serial_number {
            Some(TypedSerialNumber { pass_type, serial_number }) => (Some(pass_type), Some(serial_number)),
            None => (None, None),
        };
        let registration_id = registration_id.to_string();
        let contents = [
            ("registration_id", Some(registration_id.as_str())),
            ("wallet", Some(wallet.into())),
            ("device_os", Some(device_os.into())),
            ("device_library_identifier", device_library_identifier.as_ref().map(DeviceLibraryIdentifier::as_str)),
            ("push_token", push_token.as_ref().map(PushToken::as_str)),
            ("push_service_url", push_service_url.as_ref().map(PushServiceUrl::as_str)),
            ("pass_type_identifier", pass_type.map(PassTypeIdentifier::as_str)),
            ("serial_number", serial_number.map(SerialNumber::as_str)),
        ];
        // No value contains a line break, so different contents are different texts. An absent value adds nothing, so a
        // field that a later release adds leaves the ties of installs without it as they are.
        let mut hash = Sha256::new();
        for (name, value) in contents {
            if let Some(value) = value {
                for part in [name, "=", value, "\n"] {
                    hash.update(part);
                }
            }
        }
        Tie(BASE64_URL_SAFE_NO_PAD.encode(&hash.finalize()[..TIE_LENGTH]))
    }
}

impl Tie {
    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Event {
    /// Writes a text for logs: the pass, its campaign, the change and the instant, but nothing about the device.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account_id: _, campaign_id, campaign_type: _, at, subject } = self;
        match subject {
            Subject::Pass { pass_id, change } => {
                let change = match change {
                    Change::Created(_) => "created",
                    Change::Installed(_) => "installed",
                    Change::Uninstalled { .. } => "uninstalled",
                    Change::Updated(_) => "updated",
                    Change::PushFailed(_) => "push failed",
                };
                write!(formatter, "pass {pass_id} of campaign {campaign_id} {change} at {at}")
            }
            Subject::EveryPass(_) => write!(formatter, "every pass of campaign {campaign_id} updated at {at}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installation() -> Installation {
        Installation {
            registration_id: "00f537be-f153-46ad-a980-bbddcb9002c3".parse().unwrap(),
            wallet: Wallet::Passbook,
            device_os: DeviceOs::Ios,
            device_library_identifier: None,
            push_token: None,
            push_service_url: None,
            serial_number: None,
        }
    }

    fn typed(pass_type: &str, serial_number: &str) -> TypedSerialNumber {
        TypedSerialNumber { pass_type: pass_type.parse().unwrap(), serial_number: serial_number.parse().unwrap() }
    }

    #[test]
    fn the_text_for_logs_names_campaign_and_pass_but_no_device() {
        let pass_id = "d91aef7c-a166-4694-bb91-569714f9c33e".parse().unwrap();
        let whole = Installation {
            device_library_identifier: Some("device-1".parse().unwrap()),
            push_token: Some("token-1".parse().unwrap()),
            push_service_url: Some("https://push.example".parse().unwrap()),
            serial_number: Some(typed("pass.x", "serial-1")),
            ..installation()
        };
        let event = |subject| Event {
            account_id: "demo".parse().unwrap(),
            campaign_id: "cbc3016c-4c55-4564-81e9-a21664817be2".parse().unwrap(),
            campaign_type: None,
            at: "2016-08-10T11:30:06Z".parse().unwrap(),
            subject,
        };
        assert_eq!(
            event(Subject::Pass { pass_id, change: Change::Installed(whole) }).to_string(),
            "pass d91aef7c-a166-4694-bb91-569714f9c33e of campaign cbc3016c-4c55-4564-81e9-a21664817be2 installed at \
             2016-08-10T11:30:06.000Z"
        );
        assert_eq!(
            event(Subject::EveryPass(InstantFrom::Sender)).to_string(),
            "every pass of campaign cbc3016c-4c55-4564-81e9-a21664817be2 updated at 2016-08-10T11:30:06.000Z"
        );
    }

    #[test]
    fn a_tie_is_eight_bytes_of_the_contents_sha_256() {
        // printf 'registration_id=00f537be-f153-46ad-a980-bbddcb9002c3\nwallet=passbook\ndevice_os=ios\n' | sha256sum
        assert_eq!(installation().tie().as_str(), "jLpkdR2FAQw");
        // The same with 'device_library_identifier=device-1\npush_token=token-1\n' at its end.
        let everything = Installation {
            device_library_identifier: Some("device-1".parse().unwrap()),
            push_token: Some("token-1".parse().unwrap()),
            ..installation()
        };
        assert_eq!(everything.tie().as_str(), "Q1XwMgOW4M8");
        // The same with 'push_service_url=https://push.example\npass_type_identifier=pass.x\nserial_number=serial-1\n'.
        let everything = Installation {
            push_service_url: Some("https://push.example".parse().unwrap()),
            serial_number: Some(typed("pass.x", "serial-1")),
            ..everything
        };
        assert_eq!(everything.tie().as_str(), "-UG-XLKnnc0");
    }

    #[test]
    fn each_value_of_an_install_changes_its_tie() {
        let text = "token=1";
        let mut ties = vec![
            installation().tie(),
            Installation { registration_id: "00f537be-f153-46ad-a980-bbddcb9002c4".parse().unwrap(), ..installation() }
                .tie(),
            Installation { wallet: Wallet::Pass2u, ..installation() }.tie(),
            Installation { device_os: DeviceOs::Android, ..installation() }.tie(),
            Installation { device_library_identifier: Some(text.parse().unwrap()), ..installation() }.tie(),
            Installation { push_token: Some(text.parse().unwrap()), ..installation() }.tie(),
            Installation { push_service_url: Some("https://push.example".parse().unwrap()), ..installation() }.tie(),
            Installation { serial_number: Some(typed("pass.x", text)), ..installation() }.tie(),
            Installation { serial_number: Some(typed("pass.y", text)), ..installation() }.tie(),
            Installation { serial_number: Some(typed("pass.x", "2")), ..installation() }.tie(),
        ];
        ties.sort();
        ties.dedup();
        assert_eq!(ties.len(), 10);
    }
}
