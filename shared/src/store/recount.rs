use std::{collections::BTreeMap, time::Duration};

use aws_sdk_dynamodb::{operation::query::builders::QueryFluentBuilder, types::TransactWriteItem};
use serde::Deserialize;

use super::{
    RegistrationStore, StoreError,
    counts::{CampaignCounts, CountUpdate},
    item::{self, TOMBSTONE_LIFE, text},
    key,
    transaction::{self, Transacted},
};
use crate::{
    clock::{Day, Timestamp},
    counts::{ChangeKind, Counts, StateChange},
    id::CampaignId,
    registration::{DeviceOs, Wallet},
};

/// After this time a change is counted, or gone from the table's stream, which keeps it for 24 hours (Amazon DynamoDB, "Change data
/// capture for DynamoDB Streams"); one hour more for a batch that was read at the last moment.
const COUNTED_AFTER: Duration = Duration::from_hours(25);
/// Every transaction writes the totals too.
const MAX_DAYS_PER_TRANSACTION: usize = transaction::MAX_ITEMS - 1;

/// What counting a campaign's registrations anew found, and did about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recount {
    /// What is active: installs that nothing ended.
    pub active: Counts,
    /// What was counted before.
    pub counted: Counts,
    /// What was done.
    pub outcome: RecountOutcome,
}

/// What a recount did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecountOutcome {
    /// Nothing was to be done.
    Agrees,
    /// The counts are now those of the registrations.
    Mended,
    /// The counts stay as they are, because a change may be on its way to them.
    Busy {
        /// When it is worth to try again.
        again_at: Timestamp,
    },
}

/// What is read of a registration, removed ones and passes included.
#[derive(Deserialize)]
struct CountedItem {
    sk: String,
    wallet: Option<Wallet>,
    device_os: Option<DeviceOs>,
    created_at: Option<Timestamp>,
    /// Absent where a version wrote the item that did not keep it.
    received_at: Option<Timestamp>,
    expires_at: Option<i64>,
}

/// The registrations of a campaign.
#[derive(Default)]
pub(super) struct Census {
    /// What is active, as installs by the day they are of.
    pub(super) began: BTreeMap<Day, Counts>,
    /// What is active, as installs.
    pub(super) active: Counts,
    /// When the last change of a registration was received.
    last_received_at: Option<Timestamp>,
}

impl RegistrationStore {
    /// Counts the registrations of a campaign and mends its counts where they say something else.
    ///
    /// That is safe at any time. A change of a registration is either in its counts, or on its way to them, or lost. Where the
    /// last change was received longer ago than 25 hours, none of those seen here is on its way any more; and the
    /// counts are mended only if they are still what they were before the first registration was read, so a change received
    /// since is not counted yet and will be. Where one of both fails, nothing is written.
    pub async fn recount(&self, campaign: CampaignId, now: Timestamp) -> Result<Recount, StoreError> {
        let counted = self.consistent_counts(campaign).await?;
        let Census { began, active, last_received_at } = self.census(campaign).await?;
        let missing = counted.totals.missing(&active);
        let recount = |outcome| Recount { active: active.clone(), counted: counted.totals.clone(), outcome };
        if missing.is_empty() && counted.counted_since.is_some() {
            return Ok(recount(RecountOutcome::Agrees));
        }
        let again_at = last_received_at.map(|received_at| received_at.plus(COUNTED_AFTER));
        if let Some(again_at) = again_at.filter(|again_at| *again_at > now) {
            return Ok(recount(RecountOutcome::Busy { again_at }));
        }
        let days = spread(&missing, &began, &counted.days, now.day());
        Ok(recount(match self.mend(campaign, &counted, days, now).await? {
            Transacted::Done => RecountOutcome::Mended,
            Transacted::ConditionFailed => RecountOutcome::Busy { again_at: now.plus(COUNTED_AFTER) },
        }))
    }

    pub(super) async fn census(&self, campaign: CampaignId) -> Result<Census, StoreError> {
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
                census.take(campaign, item::read(item)?)?;
            }
            start = response.last_evaluated_key;
            if start.is_none() {
                return Ok(census);
            }
        }
    }

    /// Asks for the passes and registrations of a campaign, removed ones included, with every write that was answered before.
    pub(super) fn everything_of(&self, campaign: CampaignId) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.table_name)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND begins_with(sk, :passes)")
            .expression_attribute_values(":pk", text(key::campaign_pk(campaign)))
            .expression_attribute_values(":passes", text(key::PASSES_PREFIX))
    }

    /// Adds `days` to the counts, as long as nobody else adds to them.
    async fn mend(
        &self,
        campaign: CampaignId,
        counted: &CampaignCounts,
        days: BTreeMap<Day, Counts>,
        now: Timestamp,
    ) -> Result<Transacted, StoreError> {
        let mut totals = counted.totals.clone();
        let days: Vec<_> = days.into_iter().collect();
        // Also where no day is to be mended: the totals become those of the listing.
        let mut rest = days.as_slice();
        loop {
            let (days, later) = rest.split_at(rest.len().min(MAX_DAYS_PER_TRANSACTION));
            let mut sum = Counts::default();
            let mut writes: Vec<TransactWriteItem> = Vec::new();
            for (day, counts) in days {
                sum += counts;
                writes.push(self.count_write(campaign, CountUpdate::of_day(*day, counts))?);
            }
            let since = later.is_empty().then_some(now);
            let update = CountUpdate::of_totals(&sum).if_still(&totals).counted_since(since);
            writes.push(self.count_write(campaign, update)?);
            if self.transact(writes).await? == Transacted::ConditionFailed {
                return Ok(Transacted::ConditionFailed);
            }
            if later.is_empty() {
                return Ok(Transacted::Done);
            }
            totals += &sum;
            rest = later;
        }
    }
}

impl Census {
    fn take(&mut self, campaign: CampaignId, item: CountedItem) -> Result<(), StoreError> {
        let CountedItem { sk, wallet, device_os, created_at, received_at, expires_at } = item;
        if key::parse_registration_sk(&sk).is_none() {
            return Ok(());
        }
        let removal_received_at = expires_at.and_then(|at| Timestamp::of_unix_seconds(at)?.minus(TOMBSTONE_LIFE));
        self.last_received_at = self.last_received_at.max(received_at).max(removal_received_at);
        match (created_at, wallet, device_os) {
            (None, _, _) => Ok(()),
            (Some(created_at), Some(wallet), Some(device_os)) => {
                let day = created_at.day();
                let install = Counts::of(&StateChange { campaign, day, kind: ChangeKind::Install, wallet, device_os });
                *self.began.entry(day).or_default() += &install;
                self.active += &install;
                Ok(())
            }
            _ => Err(StoreError::malformed(&sk, "an active registration has a wallet and a device_os")),
        }
    }
}

/// The days to which what is missing belongs. An install belongs to a day on which more registrations began than installs are
/// counted, the oldest first; where there is none, its registration is gone since, and it came before everything that is known. When
/// a missing uninstall happened is not known either; it is of today.
pub(super) fn spread(
    missing: &Counts,
    began: &BTreeMap<Day, Counts>,
    counted: &BTreeMap<Day, Counts>,
    today: Day,
) -> BTreeMap<Day, Counts> {
    let first = began.keys().chain(counted.keys()).min().copied().unwrap_or(today);
    let mut days: BTreeMap<Day, Counts> = BTreeMap::new();
    for (kind, part, count) in missing.iter() {
        if kind == ChangeKind::Uninstall {
            days.entry(today).or_default().add(kind, part, count);
            continue;
        }
        let mut rest = count;
        for (day, began) in began {
            let known = counted.get(day).map_or(0, |counted| counted.get(kind, part));
            let of_this_day = (began.get(kind, part) - known).clamp(0, rest);
            if of_this_day > 0 {
                days.entry(*day).or_default().add(kind, part, of_this_day);
                rest -= of_this_day;
            }
        }
        if rest > 0 {
            days.entry(first).or_default().add(kind, part, rest);
        }
    }
    days
}
