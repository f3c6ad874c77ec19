//! The registrations of one device, as wallets ask for them.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use domain::{
    device::DeviceLibraryIdentifier,
    id::{AccountId, CampaignId, PassId, RegistrationId},
    pass::{PassTypeIdentifier, SerialNumber, TypedSerialNumber},
    time::Timestamp,
};
use serde::Deserialize;

use super::items::StoredRegistration;
use crate::{
    StoreError, Table,
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
        let mut query = self
            .client
            .query()
            .table_name(&self.name)
            .index_name(keys::BY_DEVICE)
            .key_condition_expression("device = :device")
            .expression_attribute_values(":device", text(keys::by_device_hash(account, device)));
        if let Some(pass_type) = pass_type {
            query = query
                .filter_expression("pass_type = :pass_type")
                .expression_attribute_values(":pass_type", text(pass_type.as_str()));
        }
        let mut entries = query.into_paginator().items().send();
        let mut registrations = Vec::new();
        while let Some(entry) = entries.next().await.transpose()? {
            registrations.push(read_entry(entry)?);
        }
        Ok(registrations)
    }

    /// Returns which of these registrations of a pass are active, with strongly consistent reads. No id may occur
    /// twice.
    ///
    /// Costs one call, and one read unit for each id.
    pub async fn active_among(
        &self,
        campaign: CampaignId,
        pass: PassId,
        ids: &[RegistrationId],
    ) -> Result<Vec<RegistrationId>, StoreError> {
        let keys = ids.iter().map(|id| (keys::campaign_pk(campaign), keys::registration_sk(pass, *id)));
        let mut active = Vec::new();
        for item in self.consistent_items(keys.collect()).await? {
            let stored: StoredRegistration = codec::decode(item)?;
            active.extend(stored.active().transpose()?.map(|registration| registration.id));
        }
        Ok(active)
    }
}

fn read_entry(entry: HashMap<String, AttributeValue>) -> Result<DeviceRegistration, StoreError> {
    let DeviceEntry { pk, sk, pass_type, serial_number, created_at } = codec::decode(entry)?;
    let ids = keys::parse_campaign_pk(&pk).zip(keys::parse_registration_sk(&sk));
    let (campaign_id, (pass_id, registration_id)) =
        ids.ok_or_else(|| StoreError::malformed(&sk, "expected the key of a registration"))?;
    let serial_number =
        pass_type.zip(serial_number).map(|(pass_type, serial_number)| TypedSerialNumber { pass_type, serial_number });
    Ok(DeviceRegistration { campaign_id, pass_id, registration_id, serial_number, created_at })
}
