//! Campaigns: the account that owns a campaign, and the campaign's type.
//!
//! The first account that writes to a campaign owns it: it *claims* the campaign. A write takes up to three steps, each
//! one conditional write, so that a refused request writes nothing and an interrupted one is completed by its
//! repetition:
//!
//! 1. [`Table::claim`] makes an unknown campaign known with its account and type. A known campaign stays as it is, and
//!    the request is refused if it names another account or type.
//! 2. The registration or the pass is written.
//! 3. [`Table::complete_claim`] stores the type of a campaign that was known without one. It comes last, because the
//!    second step may refuse the request, and a refused request must not decide the type.
//!
//! Between the first two steps, [`Table::pin_campaign`] pins the campaign to its account if the request gives its passes
//! names (see `pass_names`).
//!
//! Only an operator changes a stored account or type, and the account only of a campaign that is not pinned. A process
//! remembers a campaign for up to a minute, so it may act on the old ones for that long.

use aws_sdk_dynamodb::{
    operation::update_item::{UpdateItemError, UpdateItemInput, builders::UpdateItemInputBuilder},
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

/// The result of moving a campaign to another account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CampaignMove {
    /// The campaign belongs to the other account now, also if it was moved already.
    Moved(Campaign),
    /// The campaign stays with its account, because a serial number or a Google object points to one of its passes.
    Pinned,
    /// The account has no such campaign.
    Unknown,
}

/// The attributes read from a campaign's item.
#[derive(Deserialize)]
struct CampaignItem {
    account_id: AccountId,
    campaign_type: Option<CampaignType>,
    pinned_since: Option<Timestamp>,
}

impl Table {
    /// Claims `campaign` for the account and, if given, the type, unless the campaign is known. The first claim wins.
    /// Call [`Table::complete_claim`] after the request has taken effect.
    ///
    /// Costs one conditional write without a read, or no call if the remembered campaign settles the claim.
    ///
    /// # Errors
    ///
    /// Refuses the claim, and writes nothing, if the campaign belongs to another account or has another type.
    pub async fn claim(
        &self,
        campaign: CampaignId,
        account: &AccountId,
        campaign_type: Option<CampaignType>,
        now: Timestamp,
    ) -> Result<(), ClaimError> {
        let known = match self.campaigns.get(&campaign, now) {
            // A campaign without a type may get one at any time, so the memory does not settle a claim with a type.
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

    /// Stores the type of a campaign that the account has claimed, unless the campaign has a type. If the campaign got
    /// another type, or another account, since the claim, it stays as it is.
    ///
    /// Costs one conditional write, or no call if this process remembers that the campaign has a type.
    pub async fn complete_claim(
        &self,
        campaign: CampaignId,
        account: &AccountId,
        campaign_type: CampaignType,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if self.remembers_type_of(campaign, now) {
            return Ok(());
        }
        let update = self
            .update_campaign(campaign)
            .update_expression("SET campaign_type = :type")
            .condition_expression("account_id = :account AND attribute_not_exists(campaign_type)")
            .expression_attribute_values(":account", text(account.as_str()))
            .expression_attribute_values(":type", text(campaign_type.as_str()));
        self.stored_after(campaign, update, now).await.map(drop)
    }

    /// Returns whether this process remembers that the campaign has a type.
    pub(crate) fn remembers_type_of(&self, campaign: CampaignId, now: Timestamp) -> bool {
        self.campaigns.get(&campaign, now).is_some_and(|known| known.campaign_type.is_some())
    }

    /// Pins a campaign that the account has claimed to the account, so that it is never moved to another one.
    ///
    /// Costs one conditional write, or no call if this process remembers that the campaign is pinned.
    ///
    /// # Errors
    ///
    /// Refuses, and writes nothing, if the campaign was moved to another account since the claim.
    pub async fn pin_campaign(
        &self,
        campaign: CampaignId,
        account: &AccountId,
        now: Timestamp,
    ) -> Result<(), ClaimError> {
        let remembered = self.campaigns.get(&campaign, now);
        if remembered.is_some_and(|known| known.is_pinned && known.account_id == *account) {
            return Ok(());
        }
        let update = self
            .update_campaign_of(account, campaign)
            .update_expression("SET pinned_since = if_not_exists(pinned_since, :now)")
            .expression_attribute_values(":now", text(now));
        match self.stored_after(campaign, update, now).await? {
            Some(stored) if stored.account_id == *account => Ok(()),
            _ => Err(ClaimError::Refused(Refusal::OtherAccount)),
        }
    }

    /// Gives a campaign of the account another type, for an operator. Returns the campaign as it is stored now, or
    /// `None` if the account has no such campaign.
    pub async fn set_campaign_type(
        &self,
        campaign: CampaignId,
        account: &AccountId,
        campaign_type: CampaignType,
        now: Timestamp,
    ) -> Result<Option<Campaign>, StoreError> {
        let update = self
            .update_campaign_of(account, campaign)
            .update_expression("SET campaign_type = :type")
            .expression_attribute_values(":type", text(campaign_type.as_str()));
        let stored = self.stored_after(campaign, update, now).await?;
        Ok(stored.filter(|stored| stored.account_id == *account))
    }

    /// Moves a campaign from an account to another, for an operator. The other account must exist.
    ///
    /// The condition of the write excludes pinned campaigns, so a campaign is either moved or pinned, whichever comes
    /// first.
    pub async fn move_campaign(
        &self,
        campaign: CampaignId,
        from: &AccountId,
        to: &AccountId,
        now: Timestamp,
    ) -> Result<CampaignMove, StoreError> {
        let update = self
            .update_campaign_of(from, campaign)
            .update_expression("SET account_id = :to")
            .condition_expression("account_id = :account AND attribute_not_exists(pinned_since)")
            .expression_attribute_values(":to", text(to.as_str()));
        Ok(match self.stored_after(campaign, update, now).await? {
            Some(stored) if stored.account_id == *to => CampaignMove::Moved(stored),
            Some(stored) if stored.account_id == *from && stored.is_pinned => CampaignMove::Pinned,
            _ => CampaignMove::Unknown,
        })
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

    /// Writes the claim unless the campaign is known, and returns the campaign as it is stored.
    async fn write_claim(
        &self,
        campaign: CampaignId,
        account: &AccountId,
        campaign_type: Option<CampaignType>,
        now: Timestamp,
    ) -> Result<Campaign, StoreError> {
        let mut update = self
            .update_campaign(campaign)
            .condition_expression("attribute_not_exists(account_id)")
            .expression_attribute_values(":account", text(account.as_str()))
            .expression_attribute_values(":now", text(now));
        let mut set = "SET account_id = :account, known_since = :now".to_owned();
        if let Some(campaign_type) = campaign_type {
            set.push_str(", campaign_type = :type");
            update = update.expression_attribute_values(":type", text(campaign_type.as_str()));
        }
        let stored = self.stored_after(campaign, update.update_expression(set), now).await?;
        stored.ok_or_else(|| StoreError::malformed(keys::CAMPAIGN_SK, "expected a claim to return the campaign"))
    }

    fn update_campaign(&self, campaign: CampaignId) -> UpdateItemInputBuilder {
        let (pk, sk) = campaign_key(campaign);
        UpdateItemInput::builder().table_name(&self.name).key(keys::PK, text(pk)).key(keys::SK, text(sk))
    }

    /// Returns an update of a campaign on the condition that the account owns it.
    fn update_campaign_of(&self, account: &AccountId, campaign: CampaignId) -> UpdateItemInputBuilder {
        self.update_campaign(campaign)
            .condition_expression("account_id = :account")
            .expression_attribute_values(":account", text(account.as_str()))
    }

    /// Sends a conditional update of a campaign. Returns and remembers the campaign as it is stored, whether the
    /// condition held or not, or returns `None` if the campaign is not known.
    async fn stored_after(
        &self,
        campaign: CampaignId,
        update: UpdateItemInputBuilder,
        now: Timestamp,
    ) -> Result<Option<Campaign>, StoreError> {
        let update = update
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let item = match self.client.send(update).await {
            Ok(written) => written.attributes,
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failure)) => failure.item.clone(),
                _ => return Err(error.into()),
            },
        };
        self.read_campaign(campaign, item, now)
    }
}

pub(crate) fn campaign_key(campaign: CampaignId) -> ItemKey {
    (keys::campaign_pk(campaign), keys::CAMPAIGN_SK.to_owned())
}

pub(crate) fn read_campaign_item(item: Item) -> Result<Campaign, StoreError> {
    let CampaignItem { account_id, campaign_type, pinned_since } = codec::decode(item)?;
    Ok(Campaign { account_id, campaign_type, is_pinned: pinned_since.is_some() })
}
