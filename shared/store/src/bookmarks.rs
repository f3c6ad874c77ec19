//! Bookmarks: the cursors at which the numbered pages of a listing begin.
//!
//! DynamoDB cannot skip rows, so a page number alone would mean reading all pages before it. An answer therefore stores
//! the cursor at which the next page begins. Each page then costs the same, at any depth, if a caller reads them in
//! order.

use std::time::Duration;

use aws_sdk_dynamodb::operation::put_item::PutItemInput;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{StoreError, Table, dynamodb::codec, keys};

/// How long a bookmark is valid. A caller usually requests the next page within seconds. A much older bookmark would
/// show outdated page boundaries.
const BOOKMARK_LIFE: Duration = Duration::from_mins(2);

#[derive(Serialize, Deserialize)]
struct BookmarkItem {
    pk: String,
    sk: String,
    cursor: String,
    expires_at: i64,
}

impl Table {
    /// Stores that `page` of `listing` begins at `cursor`, so that every instance of a function can read it.
    pub async fn write_bookmark(
        &self,
        listing: &str,
        page: u32,
        cursor: String,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let item = BookmarkItem {
            pk: keys::bookmark_pk(listing),
            sk: keys::bookmark_sk(page),
            cursor,
            expires_at: now.plus(BOOKMARK_LIFE).unix_seconds(),
        };
        let item = codec::encode(&item)?;
        self.client.send(PutItemInput::builder().table_name(&self.name).set_item(Some(item))).await?;
        Ok(())
    }

    /// Returns the cursor at which `page` of `listing` begins, or `None` if it was not stored in the last two minutes.
    pub async fn bookmark(&self, listing: &str, page: u32, now: Timestamp) -> Result<Option<String>, StoreError> {
        // The next page may be requested at once. If the read missed the bookmark, all pages before it would have to be
        // read again.
        let found = self.consistent_item((keys::bookmark_pk(listing), keys::bookmark_sk(page))).await?;
        let Some(item) = found else { return Ok(None) };
        let BookmarkItem { pk: _, sk: _, cursor, expires_at } = codec::decode(item)?;
        // DynamoDB may take days to delete an expired item.
        Ok((expires_at > now.unix_seconds()).then_some(cursor))
    }
}
