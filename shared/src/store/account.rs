use std::time::Duration;

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::{transact_write_items::TransactWriteItemsError, update_item::UpdateItemError},
    types::{AttributeValue, Put, ReturnValue, TransactWriteItem, Update},
};
use serde::{Deserialize, Serialize};

use super::{
    RegistrationStore, StoreError,
    apply::has_written,
    gather::ItemKey,
    item::{self, Item, text},
    key,
};
use crate::{
    account::{Access, ApiKey, KeyId, KeyRecord, UserName},
    clock::Timestamp,
    id::AccountId,
};

/// How long a warm process takes a good key for good: a revoked one dies within that time.
const KEY_LIFETIME: Duration = Duration::from_mins(1);
/// How many keys a warm process remembers (about 300 bytes each) before it begins anew.
const REMEMBERED_KEYS: usize = 1_000;

/// An account. Its keys' ids stand in `key_ids`, which is added to as a set.
#[derive(Serialize, Deserialize)]
pub(super) struct AccountItem {
    pk: String,
    sk: String,
    user_name: UserName,
    known_since: Timestamp,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) key_ids: Vec<String>,
}

/// The attribute of an account that is added to as a set.
pub(super) const KEY_IDS: &str = "key_ids";

/// A key.
#[derive(Serialize, Deserialize)]
pub(super) struct KeyItem {
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

/// A good key and how long it is taken for good.
#[derive(Debug, Clone)]
pub(super) struct RememberedKey {
    record: KeyRecord,
    until: Timestamp,
}

impl RegistrationStore {
    /// Makes an account. Returns whether there was none of this id.
    pub async fn create_account(
        &self,
        account: &AccountId,
        user_name: &UserName,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let account_item = AccountItem {
            pk: key::account_pk(account),
            sk: key::ACCOUNT_SK.to_owned(),
            user_name: user_name.clone(),
            known_since: now,
            key_ids: Vec::new(),
        };
        let put = self
            .client
            .put_item()
            .table_name(&self.table_name)
            .set_item(Some(item::write(&account_item)?))
            .condition_expression("attribute_not_exists(pk)");
        has_written(put.send().await)
    }

    /// Adds a key to an account, or nothing where there is no such account.
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
            pk: key::api_key_pk(id),
            sk: key::API_KEY_SK.to_owned(),
            account_id: account.clone(),
            user_name,
            access,
            issued_at: now,
            last_four: api_key.last_four(),
            revoked_at: None,
        };
        let is_new = self.enter_key(account, id, item::write(&key_item)?).await?;
        is_new.then(|| key_item.record()).transpose()
    }

    /// The keys of an account, revoked ones included, in the order they were made; nothing where there is no such account.
    pub async fn keys(&self, account: &AccountId) -> Result<Option<Vec<KeyRecord>>, StoreError> {
        let Some(AccountItem { key_ids, .. }) = self.account_item(account).await? else { return Ok(None) };
        let keys = key_ids.iter().filter_map(|id| id.parse().ok()).map(api_key_key).collect();
        let found = self.items(keys).await?.into_iter().map(|found| item::read::<KeyItem>(found)?.record());
        let mut records = found.collect::<Result<Vec<_>, _>>()?;
        records.sort_by_key(|record| (record.issued_at, record.id));
        Ok(Some(records))
    }

    /// Revokes a key of an account, now or at the instant it was revoked before; nothing where the account has no such key.
    pub async fn revoke_key(
        &self,
        account: &AccountId,
        id: KeyId,
        now: Timestamp,
    ) -> Result<Option<KeyRecord>, StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table_name)
            .key(key::PK, text(key::api_key_pk(id)))
            .key(key::SK, text(key::API_KEY_SK))
            .update_expression("SET revoked_at = if_not_exists(revoked_at, :now)")
            .condition_expression("account_id = :account")
            .expression_attribute_values(":now", text(now))
            .expression_attribute_values(":account", text(account.as_str()))
            .return_values(ReturnValue::AllNew);
        match update.send().await {
            Ok(response) => response.attributes.map(|found| item::read::<KeyItem>(found)?.record()).transpose(),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(None),
                _ => Err(error.into()),
            },
        }
    }

    /// The key of this id, where there is one and it is not revoked: from memory for up to a minute.
    pub async fn key(&self, id: KeyId, now: Timestamp) -> Result<Option<KeyRecord>, StoreError> {
        if let Some(record) = self.remembered_key(id, now) {
            return Ok(Some(record));
        }
        let Some(found) = self.item(api_key_key(id)).await? else { return Ok(None) };
        let record = item::read::<KeyItem>(found)?.record()?;
        if record.revoked_at.is_some() {
            return Ok(None);
        }
        self.remember_key(&record, now);
        Ok(Some(record))
    }

    /// Writes the item of a key and makes it one of its account's, and returns whether it was new and there is such an account.
    pub(super) async fn enter_key(&self, account: &AccountId, id: KeyId, key_item: Item) -> Result<bool, StoreError> {
        let put = Put::builder()
            .table_name(&self.table_name)
            .set_item(Some(key_item))
            .condition_expression("attribute_not_exists(pk)")
            .build();
        let update = Update::builder()
            .table_name(&self.table_name)
            .key(key::PK, text(key::account_pk(account)))
            .key(key::SK, text(key::ACCOUNT_SK))
            .update_expression(format!("ADD {KEY_IDS} :key_ids"))
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":key_ids", AttributeValue::Ss(vec![id.to_string()]))
            .build();
        let (put, update) = (put.map_err(StoreError::unwritable)?, update.map_err(StoreError::unwritable)?);
        let transaction = self
            .client
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().put(put).build())
            .transact_items(TransactWriteItem::builder().update(update).build());
        match transaction.send().await {
            Ok(_) => Ok(true),
            Err(error) if is_canceled(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn account_item(&self, account: &AccountId) -> Result<Option<AccountItem>, StoreError> {
        self.consistent_item(account_key(account)).await?.map(item::read).transpose()
    }

    fn remembered_key(&self, id: KeyId, now: Timestamp) -> Option<KeyRecord> {
        let keys = self.keys.lock().ok()?;
        keys.get(&id).filter(|remembered| now < remembered.until).map(|remembered| remembered.record.clone())
    }

    fn remember_key(&self, record: &KeyRecord, now: Timestamp) {
        if let Ok(mut keys) = self.keys.lock() {
            if keys.len() >= REMEMBERED_KEYS {
                keys.clear();
            }
            keys.insert(record.id, RememberedKey { record: record.clone(), until: now.plus(KEY_LIFETIME) });
        }
    }
}

impl KeyItem {
    pub(super) fn record(self) -> Result<KeyRecord, StoreError> {
        let Self { pk, sk: _, account_id, user_name, access, issued_at, last_four, revoked_at } = self;
        let id = key::parse_api_key_pk(&pk).ok_or_else(|| StoreError::malformed(&pk, "expected API_KEY#<sha256>"))?;
        Ok(KeyRecord { id, account_id, user_name, access, issued_at, last_four, revoked_at })
    }
}

pub(super) fn account_key(account: &AccountId) -> ItemKey {
    (key::account_pk(account), key::ACCOUNT_SK.to_owned())
}

pub(super) fn api_key_key(id: KeyId) -> ItemKey {
    (key::api_key_pk(id), key::API_KEY_SK.to_owned())
}

/// Whether a condition of the transaction did not hold: the account is gone, or somebody has this very key.
fn is_canceled(error: &SdkError<TransactWriteItemsError>) -> bool {
    let Some(TransactWriteItemsError::TransactionCanceledException(canceled)) = error.as_service_error() else {
        return false;
    };
    canceled.cancellation_reasons().iter().any(|reason| reason.code() == Some("ConditionalCheckFailed"))
}
