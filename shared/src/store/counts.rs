use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;

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
    /// Since when the campaign is counted, where that is its beginning: only then are the totals those of its listing.
    pub counted_since: Option<Timestamp>,
}

impl RegistrationStore {
    /// The counts of a campaign from `start` on: one range of one query.
    pub async fn counts(&self, campaign: CampaignId, start: Day) -> Result<CampaignCounts, StoreError> {
        let mut counts = CampaignCounts::default();
        let mut from = None;
        loop {
            let response = self
                .client
                .query()
                .table_name(&self.table_name)
                .key_condition_expression("pk = :pk AND sk BETWEEN :start AND :totals")
                .expression_attribute_values(":pk", text(key::campaign_pk(campaign)))
                .expression_attribute_values(":start", text(key::day_sk(start)))
                .expression_attribute_values(":totals", text(key::TOTALS_SK))
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

    /// The counts of a campaign in total, where it has been counted from its beginning: one item.
    pub async fn totals(&self, campaign: CampaignId) -> Result<Option<Counts>, StoreError> {
        let response = self
            .client
            .get_item()
            .table_name(&self.table_name)
            .key(key::PK, text(key::campaign_pk(campaign)))
            .key(key::SK, text(key::TOTALS_SK))
            .send()
            .await?;
        let Some(item) = response.item else { return Ok(None) };
        let mut counts = CampaignCounts::default();
        counts.take(&item)?;
        Ok(counts.counted_since.map(|_| counts.totals))
    }
}

impl CampaignCounts {
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

/// The attribute of the totals that tells since when a campaign is counted.
pub(super) const COUNTED_SINCE: &str = "counted_since";

/// The attribute that holds a count.
pub(super) fn attribute(kind: ChangeKind, part: Part) -> String {
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
