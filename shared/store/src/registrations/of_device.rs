//! The registrations of one device, as wallets ask for them.

use std::{collections::HashMap, pin::pin};

use aws_sdk_dynamodb::{operation::query::QueryInput, types::AttributeValue};
use domain::{
    device::DeviceLibraryIdentifier,
    id::{AccountId, CampaignId, PassId, RegistrationId},
    pass::{PassTypeIdentifier, SerialNumber, TypedSerialNumber},
    time::Timestamp,
    wallet::Wallet,
};
use futures_util::{TryStreamExt as _, future::try_join};
use serde::Deserialize;

use super::items::{StoredRegistration, registration_ids};
use crate::{
    NamedPass, StoreError, Table,
    dynamodb::codec::{self, text},
    keys,
};

/// An active registration of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRegistration {
    /// The campaign.
    pub campaign_id: CampaignId,
    /// The pass.
    pub pass_id: PassId,
    /// The registration.
    pub registration_id: RegistrationId,
    /// The serial number under which the pass was registered, if it is known.
    pub serial_number: Option<TypedSerialNumber>,
    /// When it was added.
    pub created_at: Timestamp,
}

/// An active registration that a wallet means by a serial number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedRegistration {
    /// The campaign.
    pub campaign_id: CampaignId,
    /// The pass.
    pub pass_id: PassId,
    /// The registration.
    pub registration_id: RegistrationId,
    /// The wallet, or `None` if the registration was found in the index, which does not have it.
    pub wallet: Option<Wallet>,
}

/// An entry of the index.
#[derive(Deserialize)]
struct DeviceEntry {
    pk: String,
    sk: String,
    pass_type: Option<PassTypeIdentifier>,
    serial_number: Option<SerialNumber>,
    created_at: Timestamp,
}

impl Table {
    /// Returns the active registrations of a device in campaigns of the account, or those of one pass type. The index
    /// follows the table by milliseconds.
    ///
    /// Costs one query for each MB. All registrations of the device are read, also if only one pass type is wanted: a
    /// device has another identifier for each pass type (Apple Wallet), so it rarely has others.
    pub async fn registrations_of_device(
        &self,
        account: &AccountId,
        device: &DeviceLibraryIdentifier,
        pass_type: Option<&PassTypeIdentifier>,
    ) -> Result<Vec<DeviceRegistration>, StoreError> {
        let mut query = QueryInput::builder()
            .table_name(&self.name)
            .index_name(keys::BY_DEVICE)
            .key_condition_expression("device = :device")
            .expression_attribute_values(":device", text(keys::by_device_hash(account, device)));
        if let Some(pass_type) = pass_type {
            query = query
                .filter_expression("pass_type = :pass_type")
                .expression_attribute_values(":pass_type", text(pass_type.as_str()));
        }
        let mut entries = pin!(self.client.items(query));
        let mut registrations = Vec::new();
        while let Some(entry) = entries.try_next().await? {
            registrations.push(read_entry(entry)?);
        }
        Ok(registrations)
    }

    /// Returns the active registrations on a device that a wallet means if it names this pass by this serial number:
    /// those of the pass that have this serial number or none, in whichever wallet, and those that an event made of
    /// another pass under the same serial number.
    ///
    /// A registration whose id is derived from the device is read from the table, because the index may lack one that
    /// was made a moment ago, or have its earlier serial number. The others, whose ids a sender chose, are in the
    /// index.
    ///
    /// Costs one read unit for each wallet, and one query for each MB of the device's registrations, concurrently.
    pub async fn registrations_of_pass_on_device(
        &self,
        account: &AccountId,
        device: &DeviceLibraryIdentifier,
        pass: &NamedPass,
    ) -> Result<Vec<NamedRegistration>, StoreError> {
        let NamedPass { serial_number, campaign_id, pass_id, token: _ } = pass;
        let derived = Wallet::ALL.iter().map(|wallet| RegistrationId::derived(*pass_id, *wallet, device.as_str()));
        let derived: Vec<_> = derived.collect();
        let keys = derived.iter().map(|id| (keys::campaign_pk(*campaign_id), keys::registration_sk(*pass_id, *id)));
        let (items, indexed) =
            try_join(self.consistent_items(keys.collect()), self.registrations_of_device(account, device, None))
                .await?;
        let mut found = Vec::new();
        for item in items {
            let stored: StoredRegistration = codec::decode(item)?;
            let Some(active) = stored.active()? else { continue };
            if stored.device.serial_number().is_none_or(|stored| stored == *serial_number) {
                found.push(NamedRegistration {
                    campaign_id: *campaign_id,
                    pass_id: *pass_id,
                    registration_id: active.id,
                    wallet: Some(active.wallet),
                });
            }
        }
        for registration in indexed {
            let is_of_pass = (registration.campaign_id, registration.pass_id) == (*campaign_id, *pass_id);
            let was_read = is_of_pass && derived.contains(&registration.registration_id);
            let is_named = registration.serial_number.as_ref().map_or(is_of_pass, |stored| stored == serial_number);
            if is_named && !was_read {
                let DeviceRegistration { campaign_id, pass_id, registration_id, .. } = registration;
                found.push(NamedRegistration { campaign_id, pass_id, registration_id, wallet: None });
            }
        }
        Ok(found)
    }
}

fn read_entry(entry: HashMap<String, AttributeValue>) -> Result<DeviceRegistration, StoreError> {
    let DeviceEntry { pk, sk, pass_type, serial_number, created_at } = codec::decode(entry)?;
    let campaign_id =
        keys::parse_campaign_pk(&pk).ok_or_else(|| StoreError::malformed(&sk, "expected the key of a campaign"))?;
    let (pass_id, registration_id) = registration_ids(&sk)?;
    let serial_number =
        pass_type.zip(serial_number).map(|(pass_type, serial_number)| TypedSerialNumber { pass_type, serial_number });
    Ok(DeviceRegistration { campaign_id, pass_id, registration_id, serial_number, created_at })
}
