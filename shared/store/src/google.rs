//! What is needed to verify a callback of Google Wallet: the issuers of the account, the pass of the object, and
//! Google's root keys.

use aws_sdk_dynamodb::operation::put_item::PutItemInput;
use domain::{
    google::{GoogleIssuerId, GoogleObjectId},
    id::{AccountId, CampaignId, PassId},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::{
    StoreError, Table,
    dynamodb::{
        codec::{self, ItemKey, key_of, text},
        conditional_put::has_written,
    },
    keys,
    pass_names::{google_object_key, named_pass},
};

/// What the table has about a callback.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallbackContext {
    /// The issuers of the account.
    pub issuer_ids: Vec<GoogleIssuerId>,
    /// The campaign and the pass that the object stands for, if it is known in this account.
    pub pass: Option<(CampaignId, PassId)>,
    /// Google's root keys, if they were requested and are stored.
    pub keys: Option<GoogleRootKeys>,
}

/// Google's root keys, as they were fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoogleRootKeys {
    /// The address from which they were fetched.
    pub url: String,
    /// The key set, as Google publishes it.
    pub key_set: String,
    /// Until when the keys are used without asking again.
    pub fresh_until: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct IssuersItem {
    pk: String,
    sk: String,
    issuer_ids: Vec<GoogleIssuerId>,
}

#[derive(Serialize, Deserialize)]
struct KeysItem {
    pk: String,
    sk: String,
    keys_url: String,
    key_set: String,
    fresh_until: Timestamp,
}

impl Table {
    /// Returns what the table has about a callback to this account, which claims to be about this object. Reads the
    /// root keys only if `with_keys` is set.
    ///
    /// Costs one call, and one read unit for the issuers, one for the object and one for each 4 KB of the keys. The
    /// read is strongly consistent, because a callback that finds nothing is refused.
    pub async fn callback_context(
        &self,
        account: &AccountId,
        object: Option<&GoogleObjectId>,
        with_keys: bool,
    ) -> Result<CallbackContext, StoreError> {
        let issuers_key = google_issuers_key(account);
        let object_key = object.map(|object| google_object_key(account, object));
        let wanted = [Some(issuers_key.clone()), object_key.clone(), with_keys.then(google_keys_key)];
        let mut context = CallbackContext::default();
        for item in self.consistent_items(wanted.into_iter().flatten().collect()).await? {
            let key = key_of(&item);
            if key.as_ref() == Some(&issuers_key) {
                let IssuersItem { pk: _, sk: _, issuer_ids } = codec::decode(item)?;
                context.issuer_ids = issuer_ids;
            } else if key.is_some() && key == object_key {
                context.pass = Some(named_pass(item)?);
            } else {
                let KeysItem { pk: _, sk: _, keys_url: url, key_set, fresh_until } = codec::decode(item)?;
                context.keys = Some(GoogleRootKeys { url, key_set, fresh_until });
            }
        }
        Ok(context)
    }

    /// Stores the root keys unless keys from the same address that stay fresh longer are stored. Returns whether they
    /// were stored.
    ///
    /// Costs one conditional write.
    pub async fn store_google_keys(&self, stored: &GoogleRootKeys) -> Result<bool, StoreError> {
        let GoogleRootKeys { url, key_set, fresh_until } = stored;
        let (pk, sk) = google_keys_key();
        let item = KeysItem { pk, sk, keys_url: url.clone(), key_set: key_set.clone(), fresh_until: *fresh_until };
        let put = PutItemInput::builder()
            .table_name(&self.name)
            .set_item(Some(codec::encode(&item)?))
            .condition_expression(
                "attribute_not_exists(fresh_until) OR fresh_until < :fresh_until OR keys_url <> :keys_url",
            )
            .expression_attribute_values(":keys_url", text(url))
            .expression_attribute_values(":fresh_until", text(*fresh_until));
        has_written(self.client.send(put).await)
    }

    /// Returns the Google issuers of an account, as they were set.
    pub async fn google_issuers(&self, account: &AccountId) -> Result<Vec<GoogleIssuerId>, StoreError> {
        let Some(item) = self.consistent_item(google_issuers_key(account)).await? else { return Ok(Vec::new()) };
        let IssuersItem { pk: _, sk: _, issuer_ids } = codec::decode(item)?;
        Ok(issuer_ids)
    }

    /// Replaces the Google issuers of an account, which must exist.
    ///
    /// Costs one write.
    pub async fn set_google_issuers(
        &self,
        account: &AccountId,
        issuer_ids: &[GoogleIssuerId],
    ) -> Result<(), StoreError> {
        let (pk, sk) = google_issuers_key(account);
        let item = IssuersItem { pk, sk, issuer_ids: issuer_ids.to_vec() };
        let put = PutItemInput::builder().table_name(&self.name).set_item(Some(codec::encode(&item)?));
        self.client.send(put).await?;
        Ok(())
    }
}

pub(crate) fn google_issuers_key(account: &AccountId) -> ItemKey {
    (keys::google_issuers_pk(account), keys::GOOGLE_ISSUERS_SK.to_owned())
}

fn google_keys_key() -> ItemKey {
    (keys::GOOGLE_KEYS.to_owned(), keys::GOOGLE_KEYS.to_owned())
}
