//! The keys and indexes of a table in the engine.

use dynoxide::Database;
use serde::Deserialize;

use super::{MAX_HASH_BYTES, MAX_RANGE_BYTES};

/// The keys and global secondary indexes of a table.
pub(super) struct Schema {
    keys: Keys,
    indexes: Vec<Index>,
}

/// The attributes of a key.
pub(super) struct Keys {
    pub(super) hash: String,
    pub(super) range: Option<String>,
}

struct Index {
    name: String,
    keys: Keys,
    projection: Projection,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KeyElement {
    attribute_name: String,
    key_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct IndexDefinition {
    index_name: String,
    key_schema: Vec<KeyElement>,
    projection: Projection,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Projection {
    projection_type: Option<String>,
    non_key_attributes: Option<Vec<String>>,
}

impl Schema {
    /// Reads the schema of a table. Returns `None` if there is no such table.
    pub(super) fn of(database: &Database, table: &str) -> Option<Self> {
        let found = database.get_table_metadata(table).ok()??;
        let keys = Keys::of(serde_json::from_str(&found.key_schema).ok()?)?;
        let definitions = found.gsi_definitions.as_deref().unwrap_or("[]");
        let definitions: Vec<IndexDefinition> = serde_json::from_str(definitions).ok()?;
        let index = |IndexDefinition { index_name, key_schema, projection }| {
            Some(Index { name: index_name, keys: Keys::of(key_schema)?, projection })
        };
        Some(Self { keys, indexes: definitions.into_iter().map(index).collect::<Option<_>>()? })
    }

    pub(super) fn is_table_key(&self, attribute: &str) -> bool {
        self.keys.contain(attribute)
    }

    /// Returns the key of the table, or of one of its global secondary indexes.
    pub(super) fn keys(&self, index: Option<&str>) -> Option<&Keys> {
        index.map_or(Some(&self.keys), |name| self.index(name).map(|index| &index.keys))
    }

    /// Returns whether an index has an attribute. An index that is not global has all of them.
    pub(super) fn projects(&self, index: &str, attribute: &str) -> bool {
        self.index(index).is_none_or(|index| {
            let Projection { projection_type, non_key_attributes } = &index.projection;
            projection_type.as_deref() == Some("ALL")
                || self.keys.contain(attribute)
                || index.keys.contain(attribute)
                || non_key_attributes.iter().flatten().any(|name| name == attribute)
        })
    }

    /// Returns the name of an index whose key has an attribute, and the largest size of its value. Returns `None` for
    /// a key of the table, whose size the engine checks itself.
    pub(super) fn index_limit(&self, attribute: &str) -> Option<(&str, usize)> {
        let index = self.indexes.iter().find(|index| index.keys.contain(attribute))?;
        let limit = if index.keys.hash == attribute { MAX_HASH_BYTES } else { MAX_RANGE_BYTES };
        (!self.is_table_key(attribute)).then_some((&index.name, limit))
    }

    fn index(&self, name: &str) -> Option<&Index> {
        self.indexes.iter().find(|index| index.name == name)
    }
}

impl Keys {
    fn of(schema: Vec<KeyElement>) -> Option<Self> {
        let (hash, range): (Vec<_>, Vec<_>) = schema.into_iter().partition(|element| element.key_type == "HASH");
        let name = |elements: Vec<KeyElement>| elements.into_iter().next().map(|element| element.attribute_name);
        Some(Self { hash: name(hash)?, range: name(range) })
    }

    fn contain(&self, attribute: &str) -> bool {
        self.hash == attribute || self.range.as_deref() == Some(attribute)
    }
}
