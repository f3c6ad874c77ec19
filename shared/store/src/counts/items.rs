//! The items with the counts of a campaign: one for each day and one for the totals.
//!
//! Their sort keys are adjacent, so a report reads a single range. Writers add to the counts instead of reading and
//! replacing them, so concurrent writers do not lose each other's changes.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::{
    operation::query::QueryInput,
    types::{AttributeValue, TransactWriteItem, Update},
};

use domain::{
    counts::{ChangeKind, Counts, Part},
    id::CampaignId,
    time::{Day, Timestamp},
};

use crate::{
    StoreError, Table,
    dynamodb::codec::{Item, ItemKey, text},
    keys,
};

/// The counts of a campaign, by day from some day on, and its totals.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CampaignCounts {
    /// The counts of each day on which something changed.
    pub days: BTreeMap<Day, Counts>,
    /// The counts of all days, including days before the first one in `days`.
    pub totals: Counts,
    /// The instant since which the totals cover the whole campaign: its claim, if the claim was in the stream, or else
    /// a recount or a copy. `None` if they may not cover all of it.
    pub counted_since: Option<Timestamp>,
}

impl Table {
    /// Returns the counts of a campaign from `start` on, by reading a single range. That is one query unless the range
    /// has more than 1,000 items.
    pub async fn counts_since(&self, campaign: CampaignId, start: Day) -> Result<CampaignCounts, StoreError> {
        self.read_counts(campaign, &keys::day_sk(start), false).await
    }

    /// Returns all counts of a campaign, with strongly consistent reads.
    pub(crate) async fn consistent_counts(&self, campaign: CampaignId) -> Result<CampaignCounts, StoreError> {
        self.read_counts(campaign, keys::COUNTS_PREFIX, true).await
    }

    async fn read_counts(
        &self,
        campaign: CampaignId,
        start: &str,
        consistent: bool,
    ) -> Result<CampaignCounts, StoreError> {
        let mut counts = CampaignCounts::default();
        let mut from = None;
        loop {
            let query = QueryInput::builder()
                .table_name(&self.name)
                .key_condition_expression("pk = :pk AND sk BETWEEN :start AND :totals")
                .expression_attribute_values(":pk", text(keys::campaign_pk(campaign)))
                .expression_attribute_values(":start", text(start))
                .expression_attribute_values(":totals", text(keys::TOTALS_SK))
                .consistent_read(consistent)
                .set_exclusive_start_key(from)
                .limit(1000);
            let response = self.client.send(query).await?;
            for item in response.items.unwrap_or_default() {
                counts.read_item(&item)?;
            }
            from = response.last_evaluated_key;
            if from.is_none() {
                return Ok(counts);
            }
        }
    }

    /// Returns the totals in their item, or `None` if they do not cover the whole campaign.
    pub(crate) fn read_totals(
        &self,
        campaign: CampaignId,
        item: &Item,
        now: Timestamp,
    ) -> Result<Option<Counts>, StoreError> {
        let mut counts = CampaignCounts::default();
        counts.read_item(item)?;
        let totals = counts.counted_since.map(|_| counts.totals);
        if let Some(totals) = &totals {
            self.totals.insert(campaign, totals.clone(), now);
        }
        Ok(totals)
    }

    /// Converts `update` into a write of a transaction.
    pub(crate) fn count_write(
        &self,
        campaign: CampaignId,
        update: CountUpdate<'_>,
    ) -> Result<TransactWriteItem, StoreError> {
        let CountUpdate { sk, counts, counted_since, if_still } = update;
        let mut update = Update::builder()
            .table_name(&self.name)
            .key(keys::PK, text(keys::campaign_pk(campaign)))
            .key(keys::SK, text(sk));
        let mut additions = Vec::new();
        for (kind, part, count) in counts.iter() {
            let name = attribute(kind, part);
            additions.push(format!("{name} :{name}"));
            update = update.expression_attribute_values(format!(":{name}"), number(count));
        }
        let mut expression = Vec::new();
        if !additions.is_empty() {
            expression.push(format!("ADD {}", additions.join(", ")));
        }
        if let Some(since) = counted_since {
            expression.push(format!("SET {COUNTED_SINCE} = if_not_exists({COUNTED_SINCE}, :since)"));
            update = update.expression_attribute_values(":since", text(since));
        }
        if let Some(known) = if_still {
            let mut conditions = Vec::new();
            for kind in ChangeKind::ALL {
                let name = attribute(kind, Part::All);
                let count = known.get(kind, Part::All);
                // A count of 0 may have no attribute.
                let absent = if count == 0 { format!("attribute_not_exists({name}) OR ") } else { String::new() };
                conditions.push(format!("({absent}{name} = :known_{name})"));
                update = update.expression_attribute_values(format!(":known_{name}"), number(count));
            }
            update = update.condition_expression(conditions.join(" AND "));
        }
        let update = update.update_expression(expression.join(" ")).build().map_err(StoreError::unwritable)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }
}

/// An update that adds to one item of counts.
pub(crate) struct CountUpdate<'a> {
    sk: String,
    counts: &'a Counts,
    counted_since: Option<Timestamp>,
    if_still: Option<&'a Counts>,
}

impl<'a> CountUpdate<'a> {
    /// Returns an update that adds to the counts of a day.
    pub(crate) fn of_day(day: Day, counts: &'a Counts) -> Self {
        Self { sk: keys::day_sk(day), counts, counted_since: None, if_still: None }
    }

    /// Returns an update that adds to the totals.
    pub(crate) fn of_totals(counts: &'a Counts) -> Self {
        Self { sk: keys::TOTALS_SK.to_owned(), counts, counted_since: None, if_still: None }
    }

    /// Makes the update also store since when the totals cover the whole campaign, unless an instant is stored already.
    pub(crate) fn counted_since(self, since: Option<Timestamp>) -> Self {
        Self { counted_since: since, ..self }
    }

    /// Makes the update fail unless the numbers of all installs and of all uninstalls are still those in `known`. Every
    /// counted change adds to one of these numbers, so then nothing was counted in between.
    pub(crate) fn if_still(self, known: &'a Counts) -> Self {
        Self { if_still: Some(known), ..self }
    }
}

impl CampaignCounts {
    /// Adds changes of a day.
    pub(crate) fn add(&mut self, day: Day, changes: &Counts) {
        *self.days.entry(day).or_default() += changes;
        self.totals += changes;
    }

    /// Subtracts changes of a day.
    pub(crate) fn subtract(&mut self, day: Day, changes: &Counts) {
        *self.days.entry(day).or_default() -= changes;
        self.totals -= changes;
    }

    /// Returns the items that hold these counts.
    pub(crate) fn items(&self, campaign: CampaignId) -> Vec<Item> {
        let of = |sk: String, counts: &Counts| {
            let key = [(keys::PK, text(keys::campaign_pk(campaign))), (keys::SK, text(sk))];
            let counts = counts.iter().map(|(kind, part, count)| (attribute(kind, part), number(count)));
            key.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(counts).collect::<Item>()
        };
        let mut items: Vec<_> = self.days.iter().map(|(day, counts)| of(keys::day_sk(*day), counts)).collect();
        let mut totals = of(keys::TOTALS_SK.to_owned(), &self.totals);
        totals.extend(self.counted_since.map(|since| (COUNTED_SINCE.to_owned(), text(since))));
        items.push(totals);
        items
    }

    fn read_item(&mut self, item: &Item) -> Result<(), StoreError> {
        let string = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).map(String::as_str);
        let sk = string(keys::SK).unwrap_or_default();
        let counts = decode_counts(sk, item)?;
        if sk == keys::TOTALS_SK {
            self.totals = counts;
            let since = string(COUNTED_SINCE).map(str::parse).transpose();
            self.counted_since = since.map_err(|error| StoreError::malformed(sk, error))?;
        } else {
            let day = keys::parse_day_sk(sk).ok_or_else(|| StoreError::malformed(sk, "expected COUNTS#<day>"))?;
            self.days.insert(day, counts);
        }
        Ok(())
    }
}

pub(crate) fn totals_key(campaign: CampaignId) -> ItemKey {
    (keys::campaign_pk(campaign), keys::TOTALS_SK.to_owned())
}

/// The attribute of the totals with the instant since which they cover the whole campaign.
const COUNTED_SINCE: &str = "counted_since";

/// Returns the name of the attribute that holds a count.
fn attribute(kind: ChangeKind, part: Part) -> String {
    let kind = match kind {
        ChangeKind::Install => "installs",
        ChangeKind::Uninstall => "uninstalls",
    };
    match part {
        Part::All => kind.to_owned(),
        Part::Wallet(wallet) => format!("{kind}_{wallet}"),
        Part::DeviceOs(device_os) => format!("{kind}_{device_os}"),
    }
}

/// Returns the counts in an item of counts.
pub(crate) fn decode_counts(sk: &str, item: &HashMap<String, AttributeValue>) -> Result<Counts, StoreError> {
    let each = ChangeKind::ALL.into_iter().flat_map(|kind| Part::all().map(move |part| (kind, part)));
    let counts = each.filter_map(|(kind, part)| {
        let name = attribute(kind, part);
        let value = item.get(&name)?;
        let count = value.as_n().ok().and_then(|number| number.parse().ok());
        let count = count.ok_or_else(|| StoreError::malformed(sk, format!("{name}: expected a whole number")));
        Some(count.map(|count| ((kind, part), count)))
    });
    counts.collect()
}

fn number(count: i64) -> AttributeValue {
    AttributeValue::N(count.to_string())
}
