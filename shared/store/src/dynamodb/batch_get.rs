//! Single items by their keys.
//!
//! Every read of single items is a `BatchGetItem`, also of one: it costs the same units, and one way of reading is enough. DynamoDB may
//! leave keys unprocessed, which is no error to the SDK, so they are asked for again here.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::KeysAndAttributes;
use tokio::time;

use super::{
    codec::{Item, ItemKey, key_of, text},
    limits,
};
use crate::{StoreError, Table, keys};

/// How many items one `BatchGetItem` reads (its API reference).
const MAX_KEYS: usize = 100;

/// Whether a read sees every write that was answered before it. A consistent read costs twice as much.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Consistency {
    Eventual,
    Strong,
}

impl Table {
    /// Reads the items of these keys that exist. They may be some milliseconds behind a write. Without keys it makes no call.
    pub(crate) async fn items(&self, keys: Vec<ItemKey>) -> Result<HashMap<ItemKey, Item>, StoreError> {
        let found = self.batch_get(keys, Consistency::Eventual).await?;
        Ok(found.into_iter().filter_map(|item| Some((key_of(&item)?, item))).collect())
    }

    /// Reads the item of this key, if it exists, strongly consistently.
    pub(crate) async fn consistent_item(&self, key: ItemKey) -> Result<Option<Item>, StoreError> {
        Ok(self.batch_get(vec![key], Consistency::Strong).await?.pop())
    }

    /// Reads the items of these keys that exist, strongly consistently and in any order. No key may occur twice.
    pub(crate) async fn consistent_items(&self, keys: Vec<ItemKey>) -> Result<Vec<Item>, StoreError> {
        self.batch_get(keys, Consistency::Strong).await
    }

    async fn batch_get(&self, keys: Vec<ItemKey>, consistency: Consistency) -> Result<Vec<Item>, StoreError> {
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(MAX_KEYS) {
            let keys = keys.iter().cloned();
            let keys = keys.map(|(pk, sk)| Item::from([(keys::PK.into(), text(pk)), (keys::SK.into(), text(sk))]));
            let wanted = KeysAndAttributes::builder()
                .consistent_read(consistency == Consistency::Strong)
                .set_keys(Some(keys.collect()))
                .build()
                .map_err(StoreError::unwritable)?;
            let mut unprocessed = Some(wanted);
            let mut pauses = limits::pauses();
            while let Some(wanted) = unprocessed {
                let response = self.client.batch_get_item().request_items(&self.name, wanted).send().await?;
                let items = response.responses.and_then(|mut tables| tables.remove(&self.name));
                found.extend(items.unwrap_or_default());
                unprocessed = response.unprocessed_keys.and_then(|mut tables| tables.remove(&self.name));
                if unprocessed.is_some() {
                    let Some(pause) = pauses.next() else {
                        return Err(StoreError::Unavailable("keys are left unprocessed".to_owned()));
                    };
                    time::sleep(pause).await;
                }
            }
        }
        Ok(found)
    }
}
