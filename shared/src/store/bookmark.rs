use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{RegistrationStore, StoreError, item, key};
use crate::clock::Timestamp;

/// How long a page number is remembered. A walk asks for the next page within seconds; a bookmark much older than that would
/// show page boundaries of long ago.
const BOOKMARK_LIFE: Duration = Duration::from_mins(15);

/// Where a page of a listing begins.
#[derive(Serialize, Deserialize)]
struct BookmarkItem {
    pk: String,
    sk: String,
    cursor: String,
    expires_at: i64,
}

impl RegistrationStore {
    /// Remembers that `page` of `listing` begins at `cursor`, where every instance of a function sees it.
    pub async fn remember_page(
        &self,
        listing: &str,
        page: u32,
        cursor: String,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let item = BookmarkItem {
            pk: key::bookmark_pk(listing),
            sk: key::bookmark_sk(page),
            cursor,
            expires_at: now.plus(BOOKMARK_LIFE).unix_seconds(),
        };
        let item = item::write(&item)?;
        self.client.put_item().table_name(&self.table_name).set_item(Some(item)).send().await?;
        Ok(())
    }

    /// Where `page` of `listing` begins, where that was remembered lately.
    pub async fn remembered_page(
        &self,
        listing: &str,
        page: u32,
        now: Timestamp,
    ) -> Result<Option<String>, StoreError> {
        // The next page is asked for at once: a read that lags behind would send the walk back to the beginning.
        let found = self.consistent_item((key::bookmark_pk(listing), key::bookmark_sk(page))).await?;
        let Some(item) = found else { return Ok(None) };
        let BookmarkItem { pk: _, sk: _, cursor, expires_at } = item::read(item)?;
        // DynamoDB deletes an expired item within days, not at once.
        Ok((expires_at > now.unix_seconds()).then_some(cursor))
    }
}
