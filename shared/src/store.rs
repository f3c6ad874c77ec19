//! The table: one method per access pattern, no word of HTTP.

mod account;
mod apply;
mod batch;
mod bookmark;
mod claim;
mod connect;
mod copy;
mod counts;
mod error;
mod gather;
mod item;
pub mod key;
pub mod limits;
mod list;
mod page;
mod recount;
mod stream;
mod tally;
mod transaction;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_sdk_dynamodb::Client;

use self::{account::RememberedKey, gather::Gathering};
pub use self::{
    apply::{Outcome, Registered, Unregistered},
    batch::{ApplyError, fate},
    claim::ClaimError,
    connect::TableConfig,
    copy::{Contents, Copied},
    counts::CampaignCounts,
    error::StoreError,
    list::{Collection, CreatedAtRange, Direction, Segment, Stretch},
    recount::{Recount, RecountOutcome},
    stream::{InvalidRecord, StreamRecord},
    tally::Tallied,
};
use crate::{account::KeyId, campaign::Campaign, id::CampaignId};

/// How long opening the connection may take before the first request is let in all the same.
const OPENING_TIMEOUT: Duration = Duration::from_secs(2);

/// The registrations in their table. A clone shares the connection and what is remembered.
#[derive(Debug, Clone)]
pub struct RegistrationStore {
    client: Client,
    table_name: String,
    /// Campaigns whose account this process has seen, and it never changes.
    claimed: Arc<Mutex<HashMap<CampaignId, Campaign>>>,
    /// Keys that this process has found good lately.
    keys: Arc<Mutex<HashMap<KeyId, RememberedKey>>>,
    /// The latest call for single items.
    gathering: Arc<Mutex<Option<Gathering>>>,
}

impl RegistrationStore {
    /// Opens the connection to the table, so that the first request need not wait for it. Reads nothing; and where the table does not
    /// answer, the first request will tell.
    pub async fn open_connection(&self) {
        let nothing = self.item((key::NO_CAMPAIGN.to_owned(), key::CAMPAIGN_SK.to_owned()));
        let _ = tokio::time::timeout(OPENING_TIMEOUT, nothing).await;
    }

    /// The store over the table that `config` names. Nothing is sent before the first call.
    #[must_use]
    pub fn connect(config: &TableConfig) -> Self {
        Self {
            client: config.client(),
            table_name: config.table_name.clone(),
            claimed: Arc::default(),
            keys: Arc::default(),
            gathering: Arc::default(),
        }
    }
}
