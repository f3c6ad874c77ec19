//! Updates: when passes got new contents.
//!
//! A wallet asks which of the passes on its device have changed, so the table keeps the instant of the latest update of
//! each pass, and of the latest update of all passes of a campaign. They are items of their own: an update needs no
//! read and may come before the pass is known, and the stream's filter leaves it out.

use domain::{
    id::{CampaignId, PassId},
    time::Timestamp,
};
use serde::Serialize;

use crate::{
    StoreError, Table,
    dynamodb::codec::{self, text},
    keys,
    registrations::apply::has_written,
};

/// An update is stored if it is the first one or later than the stored one.
const UPDATE_DECIDES: &str = "attribute_not_exists(updated_at) OR updated_at < :at";

/// The latest update of a pass, or of all passes of a campaign.
#[derive(Serialize)]
struct UpdateItem {
    pk: String,
    sk: String,
    updated_at: Timestamp,
}

impl Table {
    /// Stores that a pass, or every pass of the campaign if that is `None`, has new contents since `at`, unless a later
    /// update is stored. Returns whether it was stored.
    ///
    /// Costs one conditional write.
    pub(crate) async fn store_update(
        &self,
        campaign: CampaignId,
        pass: Option<PassId>,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let item = UpdateItem { pk: keys::campaign_pk(campaign), sk: keys::updated_sk(pass), updated_at: at };
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(codec::encode(&item)?))
            .condition_expression(UPDATE_DECIDES)
            .expression_attribute_values(":at", text(at));
        has_written(put.send().await)
    }
}
