use aws_sdk_dynamodb::{
    operation::update_item::UpdateItemError,
    types::{ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use thiserror::Error;

use super::{
    RegistrationStore, StoreError,
    gather::ItemKey,
    item::{self, CampaignItem, Item, text},
    key,
};
use crate::{
    campaign::{Campaign, CampaignType},
    clock::Timestamp,
    id::{AccountId, CampaignId},
};

/// How many claims a warm process remembers (about 100 bytes each) before it begins anew.
const REMEMBERED_CLAIMS: usize = 10_000;

/// Why a campaign may not be written to.
#[derive(Debug, Clone, Error)]
pub enum ClaimError {
    /// It belongs to another account. To the caller it is as good as unknown.
    #[error("the campaign is not known")]
    OtherAccount,
    /// It is of another type than the caller says.
    #[error("the campaign is one of {0}")]
    OtherType(CampaignType),
    /// The table did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RegistrationStore {
    /// Makes `campaign` known as the account's, and of `campaign_type` where that is told. The first to claim it wins.
    ///
    /// One conditional write without a read, and nothing where this process has claimed the same before: an account never
    /// changes, nor a type once told.
    pub async fn claim(
        &self,
        campaign: CampaignId,
        account: &AccountId,
        campaign_type: Option<CampaignType>,
        now: Timestamp,
    ) -> Result<(), ClaimError> {
        let remembered = self.remembered_claim(campaign);
        let known = match remembered {
            Some(known) if known.account_id != *account || known.campaign_type.is_some() || campaign_type.is_none() => {
                known
            }
            _ => self.write_claim(campaign, account, campaign_type, now).await?,
        };
        if known.account_id != *account {
            return Err(ClaimError::OtherAccount);
        }
        match (known.campaign_type, campaign_type) {
            (Some(known), Some(claimed)) if known != claimed => Err(ClaimError::OtherType(known)),
            _ => Ok(()),
        }
    }

    /// The campaign, where it is known: from memory where this process has claimed it, else one strongly consistent read.
    pub async fn consistent_campaign(&self, campaign: CampaignId) -> Result<Option<Campaign>, StoreError> {
        match self.remembered_claim(campaign) {
            Some(known) if known.campaign_type.is_some() => Ok(Some(known)),
            _ => {
                let item = self.consistent_item(campaign_key(campaign)).await?;
                self.known_campaign(campaign, item)
            }
        }
    }

    /// The campaign, where it is known: from memory where this process has seen it and its type, else one read that may be some
    /// milliseconds behind a write.
    pub async fn campaign(&self, campaign: CampaignId) -> Result<Option<Campaign>, StoreError> {
        match self.remembered_claim(campaign) {
            Some(known) if known.campaign_type.is_some() => Ok(Some(known)),
            _ => {
                let item = self.item(campaign_key(campaign)).await?;
                self.known_campaign(campaign, item)
            }
        }
    }

    /// The campaign as its item has it, remembered.
    fn known_campaign(&self, campaign: CampaignId, item: Option<Item>) -> Result<Option<Campaign>, StoreError> {
        let known = item.map(read_campaign_item).transpose()?;
        if let Some(known) = &known {
            self.remember_claim(campaign, known);
        }
        Ok(known)
    }

    /// Writes the claim and returns what the campaign is now, whether the claim won or not.
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
            .table_name(&self.table_name)
            .key(key::PK, text(key::campaign_pk(campaign)))
            .key(key::SK, text(key::CAMPAIGN_SK))
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
        let item = item.ok_or_else(|| StoreError::malformed(key::CAMPAIGN_SK, "a claim returns the campaign"))?;
        let known = read_campaign_item(item)?;
        self.remember_claim(campaign, &known);
        Ok(known)
    }

    fn remembered_claim(&self, campaign: CampaignId) -> Option<Campaign> {
        self.claimed.lock().ok()?.get(&campaign).cloned()
    }

    fn remember_claim(&self, campaign: CampaignId, known: &Campaign) {
        if let Ok(mut claimed) = self.claimed.lock() {
            if claimed.len() >= REMEMBERED_CLAIMS {
                claimed.clear();
            }
            claimed.insert(campaign, known.clone());
        }
    }
}

pub(super) fn campaign_key(campaign: CampaignId) -> ItemKey {
    (key::campaign_pk(campaign), key::CAMPAIGN_SK.to_owned())
}

pub(super) fn read_campaign_item(item: Item) -> Result<Campaign, StoreError> {
    item::read::<CampaignItem>(item).map(Campaign::from)
}
