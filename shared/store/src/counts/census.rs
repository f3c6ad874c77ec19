//! The census of a campaign: what its registrations say about its counts, read part by part.
//!
//! A census keeps no single registration, only how many there are of each day, wallet and operating system. So it stays
//! small however large the campaign is, and a recount can store it and continue it later.

use aws_sdk_dynamodb::operation::query::{QueryInput, builders::QueryInputBuilder};
use domain::{
    id::CampaignId,
    time::Timestamp,
    wallet::{DeviceOs, Wallet},
};
use serde::Deserialize;

use super::repair::{ActiveRegistration, ActiveRegistrations};
use crate::{
    StoreError, Table,
    dynamodb::codec::{self, Item, text},
    keys,
    registrations::items::TOMBSTONE_LIFE,
};

/// How many items one part of a census has at most. DynamoDB also ends a part at 1 MB (Amazon DynamoDB API reference,
/// "`Query`").
pub(crate) const PART_SIZE: i32 = 5000;

/// The registrations of a campaign up to some position, as far as a recount needs them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Census {
    /// The active registrations read so far.
    pub(crate) active: ActiveRegistrations,
    /// When the latest change of these registrations was received, or `None` if no item has that instant.
    pub(crate) last_received_at: Option<Timestamp>,
    /// How many items were read: passes, and active and removed registrations.
    pub(crate) items_read: u64,
    /// The sort key of the last item that was read, or `None` if none was.
    pub(crate) position: Option<String>,
}

/// The attributes read from the item of a registration, active or removed, or of a pass.
#[derive(Deserialize)]
struct CountedItem {
    sk: String,
    wallet: Option<Wallet>,
    device_os: Option<DeviceOs>,
    created_at: Option<Timestamp>,
    /// Absent if an older release wrote the item.
    received_at: Option<Timestamp>,
    expires_at: Option<i64>,
}

impl Table {
    /// Reads every registration of a campaign, with strong consistency.
    pub(crate) async fn census(&self, campaign: CampaignId) -> Result<Census, StoreError> {
        let mut census = Census::default();
        while self.extend_census(campaign, &mut census, PART_SIZE).await? {}
        Ok(census)
    }

    /// Reads the next part of a campaign, of at most `size` items, with strong consistency. Returns whether there may
    /// be more. If it fails, the census stays as it was.
    pub(crate) async fn extend_census(
        &self,
        campaign: CampaignId,
        census: &mut Census,
        size: i32,
    ) -> Result<bool, StoreError> {
        let start = census.position.as_deref().map(|sk| {
            let pk = text(keys::campaign_pk(campaign));
            Item::from([(keys::PK.to_owned(), pk), (keys::SK.to_owned(), text(sk))])
        });
        let query = self
            .items_of(campaign, keys::PASSES_PREFIX)
            .projection_expression("sk, wallet, device_os, created_at, received_at, expires_at")
            .set_exclusive_start_key(start)
            .limit(size);
        let response = self.client.send(query).await?;
        let items = response.items.unwrap_or_default().into_iter();
        let items = items.map(|item| CountedItem::read(codec::decode(item)?)).collect::<Result<Vec<_>, _>>()?;
        for item in items {
            census.add(item);
        }
        Ok(response.last_evaluated_key.is_some())
    }

    /// Returns a strongly consistent query of the items of a campaign whose sort keys begin with `prefix`.
    pub(crate) fn items_of(&self, campaign: CampaignId, prefix: &str) -> QueryInputBuilder {
        QueryInput::builder()
            .table_name(&self.name)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
            .expression_attribute_values(":pk", text(keys::campaign_pk(campaign)))
            .expression_attribute_values(":prefix", text(prefix))
    }
}

/// What a census takes from one item.
struct Counted {
    sk: String,
    active: Option<ActiveRegistration>,
    received_at: Option<Timestamp>,
}

impl CountedItem {
    fn read(self) -> Result<Counted, StoreError> {
        let Self { sk, wallet, device_os, created_at, received_at, expires_at } = self;
        if keys::parse_registration_sk(&sk).is_none() {
            return Ok(Counted { sk, active: None, received_at: None });
        }
        let removal_received_at = expires_at.and_then(|at| Timestamp::of_unix_seconds(at)?.minus(TOMBSTONE_LIFE));
        let active = match (created_at, wallet, device_os) {
            (None, _, _) => None,
            (Some(created_at), Some(wallet), Some(device_os)) => {
                Some(ActiveRegistration { began: created_at.day(), wallet, device_os })
            }
            _ => return Err(StoreError::malformed(&sk, "an active registration has a wallet and a device_os")),
        };
        Ok(Counted { sk, active, received_at: received_at.max(removal_received_at) })
    }
}

impl Census {
    fn add(&mut self, counted: Counted) {
        let Counted { sk, active, received_at } = counted;
        if let Some(registration) = active {
            *self.active.entry(registration).or_default() += 1;
        }
        self.last_received_at = self.last_received_at.max(received_at);
        self.items_read += 1;
        self.position = Some(sk);
    }
}
