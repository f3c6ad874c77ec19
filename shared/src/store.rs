//! The table: one method per access pattern, no word of HTTP.

mod account;
mod apply;
mod batch;
mod bookmark;
mod claim;
mod connect;
mod counts;
mod error;
mod item;
pub mod key;
mod list;
mod page;
mod recount;
mod stream;
mod tally;
mod transaction;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use aws_sdk_dynamodb::Client;

use self::account::RememberedKey;
pub use self::{
    apply::{Outcome, Registered, Unregistered},
    batch::ApplyError,
    claim::ClaimError,
    connect::TableConfig,
    counts::CampaignCounts,
    error::StoreError,
    list::{Collection, CreatedAtRange, Direction, Segment, Stretch},
    recount::{Recount, RecountOutcome},
    stream::{InvalidRecord, StreamRecord},
    tally::Tallied,
};
use crate::{account::KeyId, campaign::Campaign, id::CampaignId};

/// The registrations in their table. A clone shares the connection and what is remembered.
#[derive(Debug, Clone)]
pub struct RegistrationStore {
    client: Client,
    table_name: String,
    /// Campaigns whose account this process has seen, and it never changes.
    claimed: Arc<Mutex<HashMap<CampaignId, Campaign>>>,
    /// Keys that this process has found good lately.
    keys: Arc<Mutex<HashMap<KeyId, RememberedKey>>>,
}

impl RegistrationStore {
    /// The store over the table that `config` names. Nothing is sent before the first call.
    #[must_use]
    pub fn connect(config: &TableConfig) -> Self {
        Self {
            client: config.client(),
            table_name: config.table_name.clone(),
            claimed: Arc::default(),
            keys: Arc::default(),
        }
    }
}
