//! Admission: reads everything that determines whether a request may read a campaign, in one call.
//!
//! Every request that reads needs its key and its campaign, and a listing of a campaign needs the totals too. All three
//! are single items, so one `BatchGetItem` reads those that this process does not remember. If it remembers all that are
//! needed, no call is made at all.
//!
//! A key or a campaign that is not found is looked for once more before the request is refused, with a strongly
//! consistent read: it may have been made just before.

use domain::{
    account::{KeyId, KeyRecord},
    campaign::Campaign,
    counts::Counts,
    id::CampaignId,
    time::Timestamp,
};

use crate::{StoreError, Table, accounts::api_key_key, campaigns::campaign_key, counts::totals_key};

/// The data that determines whether a request may read a campaign. A remembered key or campaign may be a minute old,
/// and an item that is found may be some milliseconds behind a write.
#[derive(Debug, Clone)]
pub struct Admission {
    /// The key, or `None` if it does not exist or is revoked.
    pub key: Option<KeyRecord>,
    /// The campaign, or `None` if it is not known.
    pub campaign: Option<Campaign>,
    /// The campaign's totals, or `None` if they were not requested or do not cover the whole campaign.
    pub totals: Option<Counts>,
}

/// Which totals of a campaign a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedTotals {
    /// No totals.
    None,
    /// Those in the table.
    Current,
    /// Those that this process read within the last three seconds, or else those in the table.
    Recent,
}

impl Table {
    /// Returns the key, the campaign and the wanted totals of the campaign, with at most one `BatchGetItem` if key and
    /// campaign are found. Without a key, nothing else is returned.
    pub async fn admission(
        &self,
        key: KeyId,
        campaign: CampaignId,
        wanted_totals: WantedTotals,
        now: Timestamp,
    ) -> Result<Admission, StoreError> {
        let known_key = self.keys.get(&key, now);
        // A campaign without a type may get one at any time, and is then visible under that type only.
        let known_campaign = self.campaigns.get(&campaign, now).filter(|campaign| campaign.campaign_type.is_some());

        let key_item = known_key.is_none().then(|| api_key_key(key));
        let campaign_item = known_campaign.is_none().then(|| campaign_key(campaign));
        let known_totals = (wanted_totals == WantedTotals::Recent).then(|| self.totals.get(&campaign, now)).flatten();
        let needs_totals = wanted_totals != WantedTotals::None && known_totals.is_none();
        let totals_item = needs_totals.then(|| totals_key(campaign));
        let wanted = [&key_item, &campaign_item, &totals_item].into_iter().flatten().cloned().collect();
        let mut found = self.items(wanted).await?;

        let key = match key_item {
            Some(item_key) => {
                let item = self.or_consistent_item(found.remove(&item_key), item_key).await?;
                self.valid_key(item, now)?
            }
            None => known_key,
        };
        if key.is_none() {
            return Ok(Admission { key, campaign: None, totals: None });
        }
        let totals = match totals_item.and_then(|item_key| found.remove(&item_key)) {
            Some(item) => self.read_totals(campaign, &item, now)?,
            None => known_totals,
        };
        let campaign = match campaign_item {
            Some(item_key) => {
                let item = self.or_consistent_item(found.remove(&item_key), item_key).await?;
                self.read_campaign(campaign, item, now)?
            }
            None => known_campaign,
        };
        Ok(Admission { key, campaign, totals })
    }
}
