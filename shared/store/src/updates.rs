//! Updates: when passes got new contents.
//!
//! A wallet asks which of the passes on its device have changed, so the table keeps the instant of the latest update of
//! each pass, and of the latest update of all passes of a campaign. They are items of their own: an update needs no
//! read and may come before the pass is known, and the stream's filter leaves it out.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use domain::{
    event::InstantFrom,
    id::{CampaignId, PassId},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::{
    StoreError, Table,
    dynamodb::{
        codec::{self, ItemKey},
        conditional_put::{MAX_ATTEMPTS, Put, contended, has_written},
    },
    keys,
};

/// An update is stored if it is the first one or later than the stored one.
pub(crate) const UPDATE_DECIDES: &str = "attribute_not_exists(updated_at) OR updated_at < :at";

/// The attribute with the instant of an update.
pub(crate) const UPDATED_AT: &str = "updated_at";

/// The latest update of a pass, or of all passes of a campaign.
#[derive(Serialize, Deserialize)]
struct UpdateItem {
    pk: String,
    sk: String,
    updated_at: Timestamp,
}

/// The latest updates of some passes.
#[derive(Debug, Clone, Default)]
pub struct Updates(HashMap<ItemKey, Timestamp>);

impl Updates {
    /// Returns the latest update of a pass itself.
    #[must_use]
    pub fn of_pass(&self, campaign: CampaignId, pass: PassId) -> Option<Timestamp> {
        self.0.get(&key(campaign, Some(pass))).copied()
    }

    /// Returns the latest update of all passes of a campaign.
    #[must_use]
    pub fn of_campaign(&self, campaign: CampaignId) -> Option<Timestamp> {
        self.0.get(&key(campaign, None)).copied()
    }
}

fn key(campaign: CampaignId, pass: Option<PassId>) -> ItemKey {
    (keys::campaign_pk(campaign), keys::updated_sk(pass))
}

impl Table {
    /// Returns the latest updates of these passes, and of all passes of their campaigns.
    ///
    /// Costs one call for each 100 items, concurrently, and one read unit for each pass and each campaign. The reads are
    /// strongly consistent: a sender pushes right after its event was answered, and the wallet that asks then must see
    /// it.
    pub async fn updates_of(&self, passes: &[(CampaignId, PassId)]) -> Result<Updates, StoreError> {
        let of_passes = passes.iter().map(|(campaign, pass)| (*campaign, Some(*pass)));
        let of_campaigns = passes.iter().map(|(campaign, _)| (*campaign, None));
        // A call may not name a key twice.
        let wanted: BTreeSet<_> = of_passes.chain(of_campaigns).map(|(campaign, pass)| key(campaign, pass)).collect();
        let mut updates = HashMap::new();
        for item in self.consistent_items(wanted.into_iter().collect()).await? {
            let UpdateItem { pk, sk, updated_at } = codec::decode(item)?;
            updates.insert((pk, sk), updated_at);
        }
        Ok(Updates(updates))
    }

    /// Stores that a pass, or every pass of the campaign if that is `None`, has new contents since `at`. If an update of
    /// that instant or a later one is stored, an update of a given instant changes nothing, and one that was just
    /// received is stored one millisecond after it. Returns whether it was stored.
    ///
    /// Costs one conditional write, and one more if a received update meets a later one.
    pub(crate) async fn store_update(
        &self,
        campaign: CampaignId,
        pass: Option<PassId>,
        mut at: Timestamp,
        instant: InstantFrom,
    ) -> Result<bool, StoreError> {
        let (pk, sk) = key(campaign, pass);
        for _ in 0..MAX_ATTEMPTS {
            let item = UpdateItem { pk: pk.clone(), sk: sk.clone(), updated_at: at };
            let put = self.put(&item, UPDATE_DECIDES, at)?;
            match instant {
                InstantFrom::Sender => return has_written(self.client.send(put).await),
                InstantFrom::Receipt => match self.written_or_stored(put).await? {
                    Put::Written => return Ok(true),
                    Put::Rejected { stored: Some(UpdateItem { updated_at, .. }) } => {
                        at = updated_at.plus(Duration::from_millis(1));
                    }
                    Put::Rejected { stored: None } => {}
                },
            }
        }
        Err(contended(&sk))
    }
}
