use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};

use super::{
    RegistrationStore, StoreError,
    item::{Item, text},
    key,
};
use crate::{
    clock::{Day, Timestamp},
    counts::{ChangeKind, Counts, Part},
    id::CampaignId,
};

/// The counts of a campaign from a day on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CampaignCounts {
    /// Of each day on which something happened.
    pub days: BTreeMap<Day, Counts>,
    /// Of all days, those before included.
    pub totals: Counts,
    /// Since when the totals are those of its listing: since its beginning, where the stream told of it, or since a recount.
    pub counted_since: Option<Timestamp>,
}

impl RegistrationStore {
    /// The counts of a campaign from `start` on: one range of one query.
    pub async fn counts(&self, campaign: CampaignId, start: Day) -> Result<CampaignCounts, StoreError> {
        self.read_counts(campaign, &key::day_sk(start), false).await
    }

    /// All counts of a campaign, with every write that was answered before.
    pub(super) async fn consistent_counts(&self, campaign: CampaignId) -> Result<CampaignCounts, StoreError> {
        self.read_counts(campaign, key::COUNTS_PREFIX, true).await
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
            let response = self
                .client
                .query()
                .table_name(&self.table_name)
                .key_condition_expression("pk = :pk AND sk BETWEEN :start AND :totals")
                .expression_attribute_values(":pk", text(key::campaign_pk(campaign)))
                .expression_attribute_values(":start", text(start))
                .expression_attribute_values(":totals", text(key::TOTALS_SK))
                .consistent_read(consistent)
                .set_exclusive_start_key(from)
                .limit(1000)
                .send()
                .await?;
            for item in response.items.unwrap_or_default() {
                counts.take(&item)?;
            }
            from = response.last_evaluated_key;
            if from.is_none() {
                return Ok(counts);
            }
        }
    }

    /// The counts of a campaign in total, where they are those of its listing: one item.
    pub async fn totals(&self, campaign: CampaignId) -> Result<Option<Counts>, StoreError> {
        let totals = self.item((key::campaign_pk(campaign), key::TOTALS_SK.to_owned())).await?;
        let Some(item) = totals else { return Ok(None) };
        let mut counts = CampaignCounts::default();
        counts.take(&item)?;
        Ok(counts.counted_since.map(|_| counts.totals))
    }

    /// The write of `update`, as a part of a transaction.
    pub(super) fn count_write(
        &self,
        campaign: CampaignId,
        update: CountUpdate<'_>,
    ) -> Result<TransactWriteItem, StoreError> {
        let CountUpdate { sk, counts, counted_since, if_still } = update;
        let mut update = Update::builder()
            .table_name(&self.table_name)
            .key(key::PK, text(key::campaign_pk(campaign)))
            .key(key::SK, text(sk));
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
                // A count of nothing is not there.
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

/// What is added to one item of counts.
pub(super) struct CountUpdate<'a> {
    sk: String,
    counts: &'a Counts,
    counted_since: Option<Timestamp>,
    if_still: Option<&'a Counts>,
}

impl<'a> CountUpdate<'a> {
    /// To the counts of a day.
    pub(super) fn of_day(day: Day, counts: &'a Counts) -> Self {
        Self { sk: key::day_sk(day), counts, counted_since: None, if_still: None }
    }

    /// To the counts in total.
    pub(super) fn of_totals(counts: &'a Counts) -> Self {
        Self { sk: key::TOTALS_SK.to_owned(), counts, counted_since: None, if_still: None }
    }

    /// They are those of the listing since then, if they have not been before.
    pub(super) fn counted_since(self, since: Option<Timestamp>) -> Self {
        Self { counted_since: since, ..self }
    }

    /// Only where nothing was counted since they were `known`: every change adds to the installs or to the uninstalls.
    pub(super) fn if_still(self, known: &'a Counts) -> Self {
        Self { if_still: Some(known), ..self }
    }
}

impl CampaignCounts {
    /// The items that hold these counts.
    pub(super) fn items(&self, campaign: CampaignId) -> Vec<Item> {
        let of = |sk: String, counts: &Counts| {
            let key = [(key::PK, text(key::campaign_pk(campaign))), (key::SK, text(sk))];
            let counts = counts.iter().map(|(kind, part, count)| (attribute(kind, part), number(count)));
            key.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(counts).collect::<Item>()
        };
        let mut items: Vec<_> = self.days.iter().map(|(day, counts)| of(key::day_sk(*day), counts)).collect();
        let mut totals = of(key::TOTALS_SK.to_owned(), &self.totals);
        totals.extend(self.counted_since.map(|since| (COUNTED_SINCE.to_owned(), text(since))));
        items.push(totals);
        items
    }

    fn take(&mut self, item: &Item) -> Result<(), StoreError> {
        let string = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).map(String::as_str);
        let sk = string(key::SK).unwrap_or_default();
        let counts = read(sk, item)?;
        if sk == key::TOTALS_SK {
            self.totals = counts;
            let since = string(COUNTED_SINCE).map(str::parse).transpose();
            self.counted_since = since.map_err(|error| StoreError::malformed(sk, error))?;
        } else {
            let day = key::parse_day_sk(sk).ok_or_else(|| StoreError::malformed(sk, "expected COUNTS#<day>"))?;
            self.days.insert(day, counts);
        }
        Ok(())
    }
}

/// The attribute of the totals that tells since when they are those of the listing.
const COUNTED_SINCE: &str = "counted_since";

/// The attribute that holds a count.
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

fn read(sk: &str, item: &HashMap<String, AttributeValue>) -> Result<Counts, StoreError> {
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
