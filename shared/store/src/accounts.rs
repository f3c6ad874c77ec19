//! Accounts and their API keys in the table.
//!
//! The item of an account has the ids of its keys. Each key has its own item, found by its SHA-256. One transaction
//! writes the key's item and adds its id to the account. A process accepts a valid key for up to a minute after reading
//! it, so most requests do not have to read their key. Accounts are never deleted.

use std::collections::HashSet;

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::{
        put_item::PutItemInput,
        transact_write_items::{TransactWriteItemsError, TransactWriteItemsInput},
        update_item::{UpdateItemError, UpdateItemInput},
    },
    types::{AttributeValue, Put, ReturnValue, TransactWriteItem, Update},
};
use domain::{
    account::{Access, ApiKey, KeyId, KeyRecord, UserName},
    id::AccountId,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::{
    StoreError, Table,
    dynamodb::{
        codec::{self, Item, ItemKey, text},
        conditional_put::has_written,
    },
    keys,
};

#[derive(Serialize, Deserialize)]
pub(crate) struct AccountItem {
    pk: String,
    sk: String,
    user_name: UserName,
    known_since: Timestamp,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) key_ids: Vec<String>,
}

/// The attribute of an account with the ids of its keys, a string set.
pub(crate) const KEY_IDS: &str = "key_ids";

#[derive(Serialize, Deserialize)]
pub(crate) struct KeyItem {
    pk: String,
    sk: String,
    account_id: AccountId,
    user_name: UserName,
    access: Access,
    issued_at: Timestamp,
    last_four: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<Timestamp>,
}

impl Table {
    /// Creates an account. Returns `false` if the id is already in use.
    pub async fn create_account(
        &self,
        account: &AccountId,
        user_name: &UserName,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let account_item = AccountItem {
            pk: keys::account_pk(account),
            sk: keys::ACCOUNT_SK.to_owned(),
            user_name: user_name.clone(),
            known_since: now,
            key_ids: Vec::new(),
        };
        let put = PutItemInput::builder()
            .table_name(&self.name)
            .set_item(Some(codec::encode(&account_item)?))
            .condition_expression("attribute_not_exists(pk)");
        has_written(self.client.send(put).await)
    }

    /// Returns those of the accounts that do not exist. Reads the accounts that this process does not remember,
    /// strongly consistently, and remembers for a minute those that exist.
    pub async fn unknown_accounts(
        &self,
        mut accounts: HashSet<AccountId>,
        now: Timestamp,
    ) -> Result<HashSet<AccountId>, StoreError> {
        accounts.retain(|account| self.accounts.get(account, now).is_none());
        for found in self.consistent_items(accounts.iter().map(account_key).collect()).await? {
            // The other attributes do not matter, so a malformed one does not fail the events of all accounts.
            let pk = found.get(keys::PK).and_then(|pk| pk.as_s().ok());
            if let Some(account) = pk.and_then(|pk| keys::parse_account_pk(pk)) {
                accounts.remove(&account);
                self.accounts.insert(account, (), now);
            }
        }
        Ok(accounts)
    }

    /// Adds a key to an account. Returns the key's record, or `None` if the account does not exist or the key already
    /// does.
    pub async fn add_key(
        &self,
        account: &AccountId,
        api_key: &ApiKey,
        access: Access,
        now: Timestamp,
    ) -> Result<Option<KeyRecord>, StoreError> {
        let Some(AccountItem { user_name, .. }) = self.account_item(account).await? else { return Ok(None) };
        let id = api_key.id();
        let key_item = KeyItem {
            pk: keys::api_key_pk(id),
            sk: keys::API_KEY_SK.to_owned(),
            account_id: account.clone(),
            user_name,
            access,
            issued_at: now,
            last_four: api_key.last_four(),
            revoked_at: None,
        };
        let is_new = self.enter_key(account, id, codec::encode(&key_item)?).await?;
        is_new.then(|| key_item.record()).transpose()
    }

    /// Returns the keys of an account, including revoked ones, in the order of their creation, or `None` if there is no
    /// such account.
    pub async fn keys(&self, account: &AccountId) -> Result<Option<Vec<KeyRecord>>, StoreError> {
        let Some(AccountItem { key_ids, .. }) = self.account_item(account).await? else { return Ok(None) };
        let keys = key_ids.iter().filter_map(|id| id.parse().ok()).map(api_key_key).collect();
        let found =
            self.consistent_items(keys).await?.into_iter().map(|found| codec::decode::<KeyItem>(found)?.record());
        let mut records = found.collect::<Result<Vec<_>, _>>()?;
        records.sort_by_key(|record| (record.issued_at, record.id));
        Ok(Some(records))
    }

    /// Revokes a key of an account and returns its record, or `None` if the account has no such key. A key that is
    /// already revoked keeps the instant of its revocation.
    pub async fn revoke_key(
        &self,
        account: &AccountId,
        id: KeyId,
        now: Timestamp,
    ) -> Result<Option<KeyRecord>, StoreError> {
        let update = UpdateItemInput::builder()
            .table_name(&self.name)
            .key(keys::PK, text(keys::api_key_pk(id)))
            .key(keys::SK, text(keys::API_KEY_SK))
            .update_expression("SET revoked_at = if_not_exists(revoked_at, :now)")
            .condition_expression("account_id = :account")
            .expression_attribute_values(":now", text(now))
            .expression_attribute_values(":account", text(account.as_str()))
            .return_values(ReturnValue::AllNew);
        match self.client.send(update).await {
            Ok(response) => response.attributes.map(|found| codec::decode::<KeyItem>(found)?.record()).transpose(),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(None),
                _ => Err(error.into()),
            },
        }
    }

    /// Returns the key with this id if this process remembers that it is valid. Makes no call.
    #[must_use]
    pub fn remembered_key(&self, id: KeyId, now: Timestamp) -> Option<KeyRecord> {
        self.keys.get(&id, now)
    }

    /// Returns the key with this id, or `None` if it does not exist or is revoked. Remembers a valid key for a minute.
    pub async fn key(&self, id: KeyId, now: Timestamp) -> Result<Option<KeyRecord>, StoreError> {
        if let Some(record) = self.keys.get(&id, now) {
            return Ok(Some(record));
        }
        let item_key = api_key_key(id);
        let found = self.items(vec![item_key.clone()]).await?.remove(&item_key);
        let item = self.or_consistent_item(found, item_key).await?;
        self.valid_key(item, now)
    }

    /// Returns the key in this item and remembers it, or returns `None` if there is no item or the key is revoked.
    pub(crate) fn valid_key(&self, item: Option<Item>, now: Timestamp) -> Result<Option<KeyRecord>, StoreError> {
        let Some(item) = item else { return Ok(None) };
        let record = codec::decode::<KeyItem>(item)?.record()?;
        if record.revoked_at.is_some() {
            return Ok(None);
        }
        self.keys.insert(record.id, record.clone(), now);
        Ok(Some(record))
    }

    /// Writes the item of a key and adds its id to the account. Returns `false`, and writes nothing, if the key already
    /// exists or the account does not.
    pub(crate) async fn enter_key(&self, account: &AccountId, id: KeyId, key_item: Item) -> Result<bool, StoreError> {
        let put = Put::builder()
            .table_name(&self.name)
            .set_item(Some(key_item))
            .condition_expression("attribute_not_exists(pk)")
            .build();
        let update = Update::builder()
            .table_name(&self.name)
            .key(keys::PK, text(keys::account_pk(account)))
            .key(keys::SK, text(keys::ACCOUNT_SK))
            .update_expression(format!("ADD {KEY_IDS} :key_ids"))
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":key_ids", AttributeValue::Ss(vec![id.to_string()]))
            .build();
        let (put, update) = (put.map_err(StoreError::unwritable)?, update.map_err(StoreError::unwritable)?);
        let transaction = TransactWriteItemsInput::builder()
            .transact_items(TransactWriteItem::builder().put(put).build())
            .transact_items(TransactWriteItem::builder().update(update).build());
        match self.client.send(transaction).await {
            Ok(_) => Ok(true),
            Err(error) if is_canceled(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn account_item(&self, account: &AccountId) -> Result<Option<AccountItem>, StoreError> {
        self.consistent_item(account_key(account)).await?.map(codec::decode).transpose()
    }
}

impl KeyItem {
    pub(crate) fn record(self) -> Result<KeyRecord, StoreError> {
        let Self { pk, sk: _, account_id, user_name, access, issued_at, last_four, revoked_at } = self;
        let id = keys::parse_api_key_pk(&pk).ok_or_else(|| StoreError::malformed(&pk, "expected API_KEY#<sha256>"))?;
        Ok(KeyRecord { id, account_id, user_name, access, issued_at, last_four, revoked_at })
    }
}

pub(crate) fn account_key(account: &AccountId) -> ItemKey {
    (keys::account_pk(account), keys::ACCOUNT_SK.to_owned())
}

pub(crate) fn api_key_key(id: KeyId) -> ItemKey {
    (keys::api_key_pk(id), keys::API_KEY_SK.to_owned())
}

/// Returns whether a condition of the transaction did not hold: the account does not exist, or the key does.
fn is_canceled(error: &SdkError<TransactWriteItemsError>) -> bool {
    let Some(TransactWriteItemsError::TransactionCanceledException(canceled)) = error.as_service_error() else {
        return false;
    };
    canceled.cancellation_reasons().iter().any(|reason| reason.code() == Some("ConditionalCheckFailed"))
}
