//! Names of passes: the serial numbers and Google objects by which wallets find a pass.
//!
//! A name belongs to the first pass that a `created` event gives it to. An event of another pass is refused. Each name
//! is one item, written with one conditional update, so of two events at the same time one wins.
//!
//! A name is in the account of its campaign, so the campaign is claimed and pinned to the account before (see
//! `campaigns`). A name therefore never points into the campaign of another account.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::{
    operation::update_item::{UpdateItemError, UpdateItemInput, builders::UpdateItemInputBuilder},
    types::ReturnValuesOnConditionCheckFailure,
};
use domain::{
    google::GoogleObjectId,
    id::{AccountId, CampaignId, PassId},
    pass::{TokenHash, TypedSerialNumber},
    time::Timestamp,
};
use serde::Deserialize;

use crate::{
    StoreError, Table,
    dynamodb::codec::{self, Item, ItemKey, key_of, text},
    keys,
};

/// A name without a token is given to a pass if it is new.
const NAME_IS_FREE: &str = "attribute_not_exists(campaign_id)";
/// A serial number with a token is given to a pass if it is new. If it is the pass's own, the token replaces the stored
/// one if its event is later, or at the same instant if its hash is greater.
const TOKEN_DECIDES: &str = "(attribute_not_exists(campaign_id) OR (campaign_id = :campaign AND pass_id = :pass)) \
     AND (attribute_not_exists(token_at) OR token_at < :at OR (token_at = :at AND token_hash < :token))";

/// The result of giving a name to a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    /// The item was written: the name is new, or its token is.
    Stored,
    /// The pass already has the name, and the token is not newer.
    Unchanged,
    /// The name belongs to another pass.
    Taken,
}

/// A pass that was found by its serial number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPass {
    /// The serial number by which it was found.
    pub serial_number: TypedSerialNumber,
    /// The campaign.
    pub campaign_id: CampaignId,
    /// The pass.
    pub pass_id: PassId,
    /// The hash of the token that a wallet must send, or `None` if no event has named the token yet.
    pub token: Option<TokenHash>,
}

/// A name with all its attributes, to be stored in another table.
pub(crate) struct StoredName {
    account_id: AccountId,
    name: Name,
    pub(crate) campaign_id: CampaignId,
    pub(crate) pass_id: PassId,
}

enum Name {
    SerialNumber { serial_number: TypedSerialNumber, token: Option<(TokenHash, Timestamp)> },
    GoogleObject(GoogleObjectId),
}

/// The attributes read from the item of a name.
#[derive(Deserialize)]
struct NameItem {
    campaign_id: CampaignId,
    pass_id: PassId,
    token_hash: Option<TokenHash>,
    token_at: Option<Timestamp>,
}

impl StoredName {
    /// Reads an item of a serial number or of a Google object.
    pub(crate) fn read(item: Item) -> Result<Self, StoreError> {
        let (pk, _) = key_of(&item).unwrap_or_default();
        let NameItem { campaign_id, pass_id, token_hash, token_at } = codec::decode(item)?;
        let (account_id, name) = if let Some((account, serial_number)) = keys::parse_serial_number_pk(&pk) {
            (account, Name::SerialNumber { serial_number, token: token_hash.zip(token_at) })
        } else if let Some((account, object)) = keys::parse_google_object_pk(&pk) {
            (account, Name::GoogleObject(object))
        } else {
            // The key itself may be personal data.
            return Err(StoreError::malformed(keys::SERIAL_NUMBER_SK, "expected the partition key of a name"));
        };
        Ok(Self { account_id, name, campaign_id, pass_id })
    }
}

impl Table {
    /// Gives a serial number to a pass unless it belongs to another one, and stores the hash of its token unless the
    /// token of a later event is stored. The account must have claimed and pinned the campaign.
    ///
    /// Costs one conditional write.
    pub(crate) async fn name_by_serial_number(
        &self,
        account: &AccountId,
        campaign: CampaignId,
        pass: PassId,
        serial_number: &TypedSerialNumber,
        token: Option<(&TokenHash, Timestamp)>,
    ) -> Result<Naming, StoreError> {
        let update = self.name_update(serial_number_key(account, serial_number), campaign, pass);
        let update = match token {
            None => update
                .update_expression("SET campaign_id = :campaign, pass_id = :pass")
                .condition_expression(NAME_IS_FREE),
            Some((token, at)) => update
                .update_expression("SET campaign_id = :campaign, pass_id = :pass, token_hash = :token, token_at = :at")
                .condition_expression(TOKEN_DECIDES)
                .expression_attribute_values(":token", text(token.encoded()))
                .expression_attribute_values(":at", text(at)),
        };
        self.send_naming(update, campaign, pass).await
    }

    /// Gives a Google object to a pass unless it belongs to another one. The account must have claimed and pinned the
    /// campaign.
    ///
    /// Costs one conditional write.
    pub(crate) async fn name_by_google_object(
        &self,
        account: &AccountId,
        campaign: CampaignId,
        pass: PassId,
        object: &GoogleObjectId,
    ) -> Result<Naming, StoreError> {
        let update = self.name_update(google_object_key(account, object), campaign, pass);
        let update =
            update.update_expression("SET campaign_id = :campaign, pass_id = :pass").condition_expression(NAME_IS_FREE);
        self.send_naming(update, campaign, pass).await
    }

    /// Gives a name from another table to its pass, on the same conditions as its event.
    pub(crate) async fn store_name(&self, stored: &StoredName) -> Result<Naming, StoreError> {
        let StoredName { account_id, name, campaign_id, pass_id } = stored;
        match name {
            Name::SerialNumber { serial_number, token } => {
                let token = token.as_ref().map(|(hash, at)| (hash, *at));
                self.name_by_serial_number(account_id, *campaign_id, *pass_id, serial_number, token).await
            }
            Name::GoogleObject(object) => self.name_by_google_object(account_id, *campaign_id, *pass_id, object).await,
        }
    }

    /// Returns the passes of the account that have these serial numbers, as far as they are known, in their order. A
    /// wallet may have encoded a serial number once more than expected, so a request may mean several.
    ///
    /// Costs one call, and one read unit for each serial number. The read is strongly consistent, because a wallet asks
    /// right after the pass was made, and after a wrong answer it may wait for hours.
    pub async fn passes_with_serial_numbers(
        &self,
        account: &AccountId,
        candidates: &[TypedSerialNumber],
    ) -> Result<Vec<NamedPass>, StoreError> {
        // A call may not name a key twice.
        let keys: BTreeSet<_> = candidates.iter().map(|candidate| serial_number_key(account, candidate)).collect();
        let found = self.consistent_items(keys.into_iter().collect()).await?;
        let mut found: HashMap<_, _> = found.into_iter().filter_map(|item| Some((key_of(&item)?, item))).collect();
        let mut passes = Vec::new();
        for candidate in candidates {
            if let Some(item) = found.remove(&serial_number_key(account, candidate)) {
                let NameItem { campaign_id, pass_id, token_hash: token, token_at: _ } = codec::decode(item)?;
                passes.push(NamedPass { serial_number: candidate.clone(), campaign_id, pass_id, token });
            }
        }
        Ok(passes)
    }

    fn name_update(&self, (pk, sk): ItemKey, campaign: CampaignId, pass: PassId) -> UpdateItemInputBuilder {
        UpdateItemInput::builder()
            .table_name(&self.name)
            .key(keys::PK, text(pk))
            .key(keys::SK, text(sk))
            .expression_attribute_values(":campaign", text(campaign))
            .expression_attribute_values(":pass", text(pass))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }

    /// Sends an update that gives a name to a pass. If its condition does not hold, the stored item shows why.
    async fn send_naming(
        &self,
        update: UpdateItemInputBuilder,
        campaign: CampaignId,
        pass: PassId,
    ) -> Result<Naming, StoreError> {
        let Err(error) = self.client.send(update).await else { return Ok(Naming::Stored) };
        let Some(UpdateItemError::ConditionalCheckFailedException(failure)) = error.as_service_error() else {
            return Err(error.into());
        };
        let owner = named_pass(failure.item.clone().unwrap_or_default())?;
        Ok(if owner == (campaign, pass) { Naming::Unchanged } else { Naming::Taken })
    }
}

fn serial_number_key(account: &AccountId, serial_number: &TypedSerialNumber) -> ItemKey {
    (keys::serial_number_pk(account, serial_number), keys::SERIAL_NUMBER_SK.to_owned())
}

pub(crate) fn google_object_key(account: &AccountId, object: &GoogleObjectId) -> ItemKey {
    (keys::google_object_pk(account, object), keys::GOOGLE_OBJECT_SK.to_owned())
}

/// Returns the campaign and the pass to which a name points.
pub(crate) fn named_pass(item: Item) -> Result<(CampaignId, PassId), StoreError> {
    let NameItem { campaign_id, pass_id, token_hash: _, token_at: _ } = codec::decode(item)?;
    Ok((campaign_id, pass_id))
}
