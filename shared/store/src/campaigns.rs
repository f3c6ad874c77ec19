//! Campaigns: the account that owns a campaign, and the campaign's type.
//!
//! The first account that writes to a campaign owns it: it *claims* the campaign with one conditional write. The
//! account and the type never change once they are stored, so a process may remember them.

use aws_sdk_dynamodb::{
    operation::update_item::UpdateItemError,
    types::{ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use domain::{
    campaign::{Campaign, CampaignType},
    event::Refusal,
    id::{AccountId, CampaignId},
    time::Timestamp,
};
use serde::Deserialize;
use thiserror::Error;

use crate::{
    StoreError, Table,
    dynamodb::codec::{self, Item, ItemKey, text},
    keys,
};

/// The error for a campaign that cannot be claimed.
#[derive(Debug, Clone, Error)]
pub enum ClaimError {
    /// The campaign belongs to another account or has another type.
    #[error("{0}")]
    Refused(Refusal),
    /// A call to the table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The attributes read from a campaign's item.
#[derive(Deserialize)]
struct CampaignItem {
    account_id: AccountId,
    campaign_type: Option<CampaignType>,
}

impl Table {
    /// Claims `campaign` for the account and, if given, for the type. The first claim wins.
    ///
    /// Costs one conditional write without a read, or no call if the remembered campaign settles the claim.
    pub async fn claim(
        &self,
        campaign: CampaignId,
        account: &AccountId,
        campaign_type: Option<CampaignType>,
        now: Timestamp,
    ) -> Result<(), ClaimError> {
        let known = match self.campaigns.get(&campaign, now) {
            Some(known) if known.account_id != *account || known.campaign_type.is_some() || campaign_type.is_none() => {
                known
            }
            _ => self.write_claim(campaign, account, campaign_type, now).await?,
        };
        if known.account_id != *account {
            return Err(ClaimError::Refused(Refusal::OtherAccount));
        }
        match (known.campaign_type, campaign_type) {
            (Some(known), Some(claimed)) if known != claimed => Err(ClaimError::Refused(Refusal::OtherType(known))),
            _ => Ok(()),
        }
    }

    /// Returns the campaign, or `None` if it is not known. Uses a strongly consistent read unless this process
    /// remembers the campaign and its type.
    pub async fn consistent_campaign(
        &self,
        campaign: CampaignId,
        now: Timestamp,
    ) -> Result<Option<Campaign>, StoreError> {
        match self.campaigns.get(&campaign, now) {
            // A campaign without a type may get one at any time.
            Some(known) if known.campaign_type.is_some() => Ok(Some(known)),
            _ => {
                let item = self.consistent_item(campaign_key(campaign)).await?;
                self.read_campaign(campaign, item, now)
            }
        }
    }

    /// Decodes the campaign's item, if there is one, and remembers the campaign.
    pub(crate) fn read_campaign(
        &self,
        campaign: CampaignId,
        item: Option<Item>,
        now: Timestamp,
    ) -> Result<Option<Campaign>, StoreError> {
        let Some(item) = item else { return Ok(None) };
        let known = read_campaign_item(item)?;
        self.campaigns.insert(campaign, known.clone(), now);
        Ok(Some(known))
    }

    /// Writes the claim and returns the campaign as stored, whether the claim won or not.
    async fn write_claim(
        &self,
        campaign: CampaignId,
        account: &AccountId,
        campaign_type: Option<CampaignType>,
        now: Timestamp,
    ) -> Result<Campaign, StoreError> {
        let mut update = String::from(
            "SET account_id = if_not_exists(account_id, :account), known_since = if_not_exists(known_since, :now)",
        );
        let mut condition = String::from("(attribute_not_exists(account_id) OR account_id = :account)");
        let mut values = Item::from([(":account".to_owned(), text(account.as_str())), (":now".to_owned(), text(now))]);
        if let Some(campaign_type) = campaign_type {
            update.push_str(", campaign_type = if_not_exists(campaign_type, :type)");
            condition.push_str(" AND (attribute_not_exists(campaign_type) OR campaign_type = :type)");
            values.insert(":type".to_owned(), text(campaign_type.as_str()));
        }
        let result = self
            .client
            .update_item()
            .table_name(&self.name)
            .key(keys::PK, text(keys::campaign_pk(campaign)))
            .key(keys::SK, text(keys::CAMPAIGN_SK))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_values(Some(values))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let item = match result {
            Ok(written) => written.attributes,
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failure)) => failure.item.clone(),
                _ => return Err(error.into()),
            },
        };
        let known = self.read_campaign(campaign, item, now)?;
        known.ok_or_else(|| StoreError::malformed(keys::CAMPAIGN_SK, "expected a claim to return the campaign"))
    }
}

pub(crate) fn campaign_key(campaign: CampaignId) -> ItemKey {
    (keys::campaign_pk(campaign), keys::CAMPAIGN_SK.to_owned())
}

pub(crate) fn read_campaign_item(item: Item) -> Result<Campaign, StoreError> {
    let CampaignItem { account_id, campaign_type } = codec::decode(item)?;
    Ok(Campaign { account_id, campaign_type })
}
