//! Single items that are asked for side by side, read in one call: the key, the campaign and its total of a request are one
//! question to DynamoDB, on one connection, and whoever wants one of them need not know of the others.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_sdk_dynamodb::{Client, types::KeysAndAttributes};
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use tokio::{task, time};

use super::{
    RegistrationStore, StoreError,
    item::{Item, text},
    key,
    limits::{ATTEMPTS, MAX_BACKOFF},
};

/// How many items `BatchGetItem` takes (its API reference).
const MAX_KEYS: usize = 100;
/// The first wait before keys that were left out are asked for again; each further one is twice as long.
const INITIAL_BACKOFF: Duration = Duration::from_millis(50);

/// `pk` and `sk`.
pub(super) type ItemKey = (String, String);

/// A call that others may join until it begins.
#[derive(Debug, Clone)]
pub(super) struct Gathering {
    /// What is asked for; nothing once the call has begun.
    wanted: Arc<Mutex<Option<BTreeSet<ItemKey>>>>,
    found: Shared<BoxFuture<'static, Result<HashMap<ItemKey, Item>, StoreError>>>,
}

impl RegistrationStore {
    /// The item of this key, where there is one. It may be some milliseconds behind a write.
    pub(super) async fn item(&self, key: ItemKey) -> Result<Option<Item>, StoreError> {
        let gathered = self.gather(&key);
        // Lets those that are polled beside this one ask too.
        task::yield_now().await;
        Ok(gathered.await?.get(&key).cloned())
    }

    /// The item of this key, where there is one, with every write that was answered before.
    pub(super) async fn consistent_item(&self, key: ItemKey) -> Result<Option<Item>, StoreError> {
        Ok(self.items(vec![key]).await?.pop())
    }

    /// The items of these keys, those that there are, in any order, with every write that was answered before. A key must
    /// not be there twice.
    pub(super) async fn items(&self, keys: Vec<ItemKey>) -> Result<Vec<Item>, StoreError> {
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(MAX_KEYS) {
            found.extend(batch_get(&self.client, &self.table_name, keys.iter().cloned(), true).await?);
        }
        Ok(found)
    }

    /// Joins the call that has not begun yet, or prepares one.
    fn gather(&self, key: &ItemKey) -> Shared<BoxFuture<'static, Result<HashMap<ItemKey, Item>, StoreError>>> {
        let mut latest = self.gathering.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = latest.as_ref().filter(|gathering| gathering.takes(key)) {
            return open.found.clone();
        }
        latest.insert(Gathering::new(self.client.clone(), self.table_name.clone(), key.clone())).found.clone()
    }
}

impl Gathering {
    fn new(client: Client, table_name: String, key: ItemKey) -> Self {
        let wanted = Arc::new(Mutex::new(Some(BTreeSet::from([key]))));
        let gathered = Arc::clone(&wanted);
        let found = async move {
            let keys = gathered.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
            let items = batch_get(&client, &table_name, keys, false).await?;
            Ok(items.into_iter().filter_map(|item| Some((key_of(&item)?, item))).collect())
        };
        Self { wanted, found: found.boxed().shared() }
    }

    /// Adds `key`, where the call has not begun and has room.
    fn takes(&self, key: &ItemKey) -> bool {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(wanted) = wanted.as_mut().filter(|wanted| wanted.len() < MAX_KEYS) else { return false };
        wanted.insert(key.clone());
        true
    }
}

/// Asks until every key is answered. What DynamoDB leaves out, because it has no time for it now, is no error to the SDK.
async fn batch_get(
    client: &Client,
    table_name: &str,
    keys: impl IntoIterator<Item = ItemKey>,
    consistent: bool,
) -> Result<Vec<Item>, StoreError> {
    let mut found = Vec::new();
    let keys = keys.into_iter().map(|(pk, sk)| Item::from([(key::PK.into(), text(pk)), (key::SK.into(), text(sk))]));
    let keys = KeysAndAttributes::builder().consistent_read(consistent).set_keys(Some(keys.collect()));
    let mut wanted = Some(keys.build().map_err(StoreError::unwritable)?);
    let mut backoff = INITIAL_BACKOFF;
    for _ in 0..ATTEMPTS {
        let Some(keys) = wanted else { break };
        if backoff > INITIAL_BACKOFF {
            time::sleep(backoff.min(MAX_BACKOFF)).await;
        }
        backoff *= 2;
        let response = client.batch_get_item().request_items(table_name, keys).send().await?;
        found.extend(response.responses.and_then(|mut tables| tables.remove(table_name)).unwrap_or_default());
        wanted = response.unprocessed_keys.and_then(|mut tables| tables.remove(table_name));
    }
    match wanted {
        None => Ok(found),
        Some(_) => Err(StoreError::Unavailable("keys are left unprocessed".to_owned())),
    }
}

fn key_of(item: &Item) -> Option<ItemKey> {
    let [pk, sk] = [key::PK, key::SK].map(|name| item.get(name).and_then(|value| value.as_s().ok()).cloned());
    pk.zip(sk)
}
