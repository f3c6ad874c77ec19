//! Reads of single items by their keys.
//!
//! Even a single item is read with `BatchGetItem`: it costs the same and needs only one code path. DynamoDB may leave
//! keys unprocessed, which the SDK does not report as an error, so this module requests them again.

use std::{collections::HashMap, time::Instant};

use aws_sdk_dynamodb::{operation::batch_get_item::BatchGetItemInput, types::KeysAndAttributes};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time;

use super::{
    codec::{Item, ItemKey, key_of, text},
    limits::{self, CALL_TIMEOUT},
};
use crate::{StoreError, Table, keys};

/// How many items one `BatchGetItem` may request (Amazon DynamoDB API reference, "`BatchGetItem`").
const MAX_KEYS: usize = 100;

/// The consistency of a read. A strong read sees every write that was answered before it, at twice the cost.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Consistency {
    Eventual,
    Strong,
}

impl Table {
    /// Returns the existing items among those with these keys. They may be some milliseconds behind a write. Makes no
    /// call if `keys` is empty. No key may occur twice.
    pub(crate) async fn items(&self, keys: Vec<ItemKey>) -> Result<HashMap<ItemKey, Item>, StoreError> {
        let found = self.batch_get(keys, Consistency::Eventual).await?;
        Ok(found.into_iter().filter_map(|item| Some((key_of(&item)?, item))).collect())
    }

    /// Returns `found`. If nothing was found, reads the item once more, strongly consistently: it may have been written
    /// just before the first read.
    pub(crate) async fn or_consistent_item(
        &self,
        found: Option<Item>,
        key: ItemKey,
    ) -> Result<Option<Item>, StoreError> {
        match found {
            Some(item) => Ok(Some(item)),
            None => self.consistent_item(key).await,
        }
    }

    /// Returns the item with this key, or `None` if it does not exist, with a strongly consistent read.
    pub(crate) async fn consistent_item(&self, key: ItemKey) -> Result<Option<Item>, StoreError> {
        Ok(self.batch_get(vec![key], Consistency::Strong).await?.pop())
    }

    /// Returns the existing items among those with these keys, in any order, with strongly consistent reads. No key may
    /// occur twice.
    pub(crate) async fn consistent_items(&self, keys: Vec<ItemKey>) -> Result<Vec<Item>, StoreError> {
        self.batch_get(keys, Consistency::Strong).await
    }

    /// Reads the items, up to 100 with each call and the calls concurrently.
    async fn batch_get(&self, keys: Vec<ItemKey>, consistency: Consistency) -> Result<Vec<Item>, StoreError> {
        let calls: Vec<_> = keys.chunks(MAX_KEYS).map(<[_]>::to_vec).collect();
        let calls = stream::iter(calls).map(|keys| self.batch_get_once(keys, consistency));
        calls.buffer_unordered(limits::CONCURRENCY).try_concat().await
    }

    /// Reads up to 100 items with one call, or with more if DynamoDB leaves keys unprocessed.
    async fn batch_get_once(&self, keys: Vec<ItemKey>, consistency: Consistency) -> Result<Vec<Item>, StoreError> {
        let mut found = Vec::with_capacity(keys.len());
        let keys =
            keys.into_iter().map(|(pk, sk)| Item::from([(keys::PK.into(), text(pk)), (keys::SK.into(), text(sk))]));
        let wanted = KeysAndAttributes::builder()
            .consistent_read(consistency == Consistency::Strong)
            .set_keys(Some(keys.collect()))
            .build()
            .map_err(StoreError::unwritable)?;
        let mut unprocessed = Some(wanted);
        // The last request begins within the time of a call.
        let mut pauses = limits::pauses(Instant::now() + 2 * CALL_TIMEOUT);
        while let Some(wanted) = unprocessed {
            let call = BatchGetItemInput::builder().request_items(&self.name, wanted);
            let response = self.client.send(call).await?;
            // The SDK reads an empty response as one without members. It must not mean that there are no items: a
            // wallet would get 401 for the right token.
            let Some(mut tables) = response.responses else {
                return Err(StoreError::Unavailable("a response has no items".to_owned()));
            };
            found.extend(tables.remove(&self.name).unwrap_or_default());
            unprocessed = response.unprocessed_keys.and_then(|mut tables| tables.remove(&self.name));
            if unprocessed.is_some() {
                let Some(pause) = pauses.next() else {
                    return Err(StoreError::Unavailable("keys are left unprocessed".to_owned()));
                };
                time::sleep(pause).await;
            }
        }
        Ok(found)
    }
}
