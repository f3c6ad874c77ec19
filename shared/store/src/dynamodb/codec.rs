//! Items as the SDK represents them, and their conversion from and to serde types.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Serialize, de::DeserializeOwned};

use crate::{StoreError, keys};

/// An item as the SDK represents it.
pub(crate) type Item = std::collections::HashMap<String, AttributeValue>;

/// The key of an item: `pk` and `sk`.
pub(crate) type ItemKey = (String, String);

/// Converts `item` into the SDK's representation.
pub(crate) fn encode<T: Serialize>(item: &T) -> Result<Item, StoreError> {
    serde_dynamo::to_item(item).map_err(StoreError::unwritable)
}

/// Converts an item into a `T`. The error names the item by its sort key.
pub(crate) fn decode<T: DeserializeOwned>(item: Item) -> Result<T, StoreError> {
    let sk = item.get(keys::SK).and_then(|sk| sk.as_s().ok()).cloned();
    serde_dynamo::from_item(item).map_err(|error| StoreError::malformed(sk.as_deref().unwrap_or("without key"), error))
}

/// Returns the key of an item, or `None` if a part is missing or is not a string.
pub(crate) fn key_of(item: &Item) -> Option<ItemKey> {
    let [pk, sk] = [keys::PK, keys::SK].map(|name| item.get(name).and_then(|value| value.as_s().ok()).cloned());
    pk.zip(sk)
}

/// Returns a string attribute.
pub(crate) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}
