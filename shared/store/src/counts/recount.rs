//! Recounts: compare a campaign's counts with its registrations, and repair the counts if they differ.
//!
//! The tally counts every change exactly once, except changes from before it existed and changes that it could not
//! read. A recount reads all registrations of a campaign and adds the changes that the counts lack, as [`repairs`]
//! finds them. The difficulty is a change that is in the stream but not counted yet, because adding it would count it
//! twice. [`Table::recount`] explains how that is avoided.

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use domain::{
    counts::Counts,
    id::CampaignId,
    time::{Day, Timestamp},
    wallet::{DeviceOs, Wallet},
};
use serde::Deserialize;

use super::{
    items::{CampaignCounts, CountUpdate},
    repair::{ActiveRegistration, repairs, sum_of_installs},
};
use crate::{
    StoreError, Table,
    dynamodb::{
        codec::{self, text},
        transaction::{self, Transacted},
    },
    keys,
    registrations::items::TOMBSTONE_LIFE,
};

/// The time after which a change is either counted or gone from the table's stream, which keeps it for 24 hours (Amazon
/// DynamoDB, "Change data capture for DynamoDB Streams"). The additional hour is for a batch that was read at the last
/// moment.
const COUNTED_AFTER: Duration = Duration::from_hours(25);
/// How many days, not including the totals, one transaction can write.
const MAX_DAYS_PER_TRANSACTION: usize = transaction::MAX_ITEMS - 1;

/// The result of a recount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recount {
    /// The active registrations, as installs without uninstalls.
    pub active: Counts,
    /// The totals before the recount.
    pub counted: Counts,
    /// The outcome.
    pub outcome: RecountOutcome,
}

/// The outcome of a recount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecountOutcome {
    /// The counts agreed with the registrations.
    Agrees,
    /// The counts were repaired and agree with the registrations now.
    Repaired,
    /// A change may be in the stream but not counted yet. Nothing was repaired, or nothing further if the repair needs
    /// several transactions.
    Busy {
        /// The earliest instant at which another attempt is worthwhile.
        again_at: Timestamp,
    },
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

/// The registrations of a campaign, as far as a recount needs them.
#[derive(Default)]
pub(crate) struct Census {
    pub(crate) active: Vec<ActiveRegistration>,
    /// When the latest change of a registration was received, or `None` if no item has that instant.
    last_received_at: Option<Timestamp>,
}

impl Table {
    /// Counts the registrations of a campaign and repairs its counts if they differ.
    ///
    /// This is safe at any time. A change of a registration is either counted, or still to be counted from the stream,
    /// or lost. If the latest change was received at least 25 hours ago, none of the changes seen here is still to be
    /// counted. The counts are repaired only if they are the same as before the first registration was read, so a
    /// change received since then is not counted yet but will be. If either condition does not hold, nothing is
    /// written, or nothing further if the repair needs several transactions.
    pub async fn recount(&self, campaign: CampaignId, now: Timestamp) -> Result<Recount, StoreError> {
        let counted = self.consistent_counts(campaign).await?;
        let Census { active, last_received_at } = self.census(campaign).await?;
        let days = repairs(&counted, &active, now.day());
        let recount = |outcome| Recount { active: sum_of_installs(&active), counted: counted.totals.clone(), outcome };
        if days.is_empty() && counted.counted_since.is_some() {
            return Ok(recount(RecountOutcome::Agrees));
        }
        let again_at = last_received_at.map(|received_at| received_at.plus(COUNTED_AFTER));
        if let Some(again_at) = again_at.filter(|again_at| *again_at > now) {
            return Ok(recount(RecountOutcome::Busy { again_at }));
        }
        Ok(recount(match self.repair(campaign, &counted, days, now).await? {
            Transacted::Done => RecountOutcome::Repaired,
            Transacted::ConditionFailed => RecountOutcome::Busy { again_at: now.plus(COUNTED_AFTER) },
        }))
    }

    /// Reads every registration of a campaign, with strong consistency.
    pub(crate) async fn census(&self, campaign: CampaignId) -> Result<Census, StoreError> {
        let mut census = Census::default();
        let mut start = None;
        loop {
            let response = self
                .everything_of(campaign)
                .projection_expression("sk, wallet, device_os, created_at, received_at, expires_at")
                .set_exclusive_start_key(start)
                .limit(5000)
                .send()
                .await?;
            for item in response.items.unwrap_or_default() {
                census.add(codec::decode(item)?)?;
            }
            start = response.last_evaluated_key;
            if start.is_none() {
                return Ok(census);
            }
        }
    }

    /// Returns a strongly consistent query of the passes and registrations of a campaign, including removed ones.
    pub(crate) fn everything_of(&self, campaign: CampaignId) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND begins_with(sk, :passes)")
            .expression_attribute_values(":pk", text(keys::campaign_pk(campaign)))
            .expression_attribute_values(":passes", text(keys::PASSES_PREFIX))
    }

    /// Adds `days` to the counts. Stops at the first transaction that finds that another writer has added to them.
    ///
    /// The last transaction also stores since when the totals cover the whole campaign, even if no day needs a repair.
    async fn repair(
        &self,
        campaign: CampaignId,
        counted: &CampaignCounts,
        days: BTreeMap<Day, Counts>,
        now: Timestamp,
    ) -> Result<Transacted, StoreError> {
        let mut totals = counted.totals.clone();
        let days: Vec<_> = days.into_iter().collect();
        let mut earlier = days.chunks(MAX_DAYS_PER_TRANSACTION);
        let last = earlier.next_back().unwrap_or_default();
        for (days, since) in earlier.map(|days| (days, None)).chain([(last, Some(now))]) {
            let mut sum = Counts::default();
            let mut writes = Vec::new();
            for (day, counts) in days {
                sum += counts;
                writes.push(self.count_write(campaign, CountUpdate::of_day(*day, counts))?);
            }
            let update = CountUpdate::of_totals(&sum).if_still(&totals).counted_since(since);
            writes.push(self.count_write(campaign, update)?);
            if self.transact(writes).await? == Transacted::ConditionFailed {
                return Ok(Transacted::ConditionFailed);
            }
            totals += &sum;
        }
        Ok(Transacted::Done)
    }
}

impl Census {
    fn add(&mut self, item: CountedItem) -> Result<(), StoreError> {
        let CountedItem { sk, wallet, device_os, created_at, received_at, expires_at } = item;
        if keys::parse_registration_sk(&sk).is_none() {
            return Ok(());
        }
        let removal_received_at = expires_at.and_then(|at| Timestamp::of_unix_seconds(at)?.minus(TOMBSTONE_LIFE));
        self.last_received_at = self.last_received_at.max(received_at).max(removal_received_at);
        match (created_at, wallet, device_os) {
            (None, _, _) => Ok(()),
            (Some(created_at), Some(wallet), Some(device_os)) => {
                self.active.push(ActiveRegistration { began: created_at.day(), wallet, device_os });
                Ok(())
            }
            _ => Err(StoreError::malformed(&sk, "an active registration has a wallet and a device_os")),
        }
    }
}
