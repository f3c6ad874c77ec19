//! The table: one method for each access pattern, free of HTTP and of Lambda.
//!
//! [`Table`] is the one way to the items. Every event is one conditional write of one item, and the condition decides whether the event
//! is the latest, so events may arrive in any order and more than once. [`keys`] spells every key and has the table of all items.
//!
//! - `registrations`: applying events, listing what is active
//! - `counts`: what the table's stream counts, and the repair of counts
//! - `campaigns`, `accounts`, `bookmarks`: the other items
//! - `admission`: who may read a campaign, in one call
//! - `changes`: the table's stream, as changes of registrations
//! - `copy`: from one table into another
//! - `dynamodb`: the client and the mechanics of its calls

mod accounts;
mod admission;
mod bookmarks;
mod campaigns;
mod changes;
mod copy;
mod counts;
mod dynamodb;
mod error;
pub mod keys;
mod outcome;
mod registrations;
mod remembered;

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use domain::{
    account::{KeyId, KeyRecord},
    campaign::Campaign,
    id::CampaignId,
};

use self::remembered::Remembered;
pub use self::{
    admission::Admission,
    campaigns::ClaimError,
    changes::{NotAStreamRecord, RegistrationChange, RegistrationState, StreamRecord},
    copy::{Contents, Copied},
    counts::{CampaignCounts, Recount, RecountOutcome, Tallied},
    dynamodb::{Connection, Credentials, limits},
    error::StoreError,
    outcome::Outcome,
    registrations::{Collection, CreatedAtRange, Direction, Registered, Segment, Stretch, Unregistered},
};

/// How long a process may go on using what it has read of a key or a campaign. A revoked key stops working within this time.
const MEMORY: Duration = Duration::from_mins(1);
/// How many keys a process remembers, at about 300 bytes each.
const MAX_REMEMBERED_KEYS: usize = 1_000;
/// How many campaigns a process remembers, at about 100 bytes each.
const MAX_REMEMBERED_CAMPAIGNS: usize = 10_000;
/// How long opening the connection may take before the first request is accepted anyway.
const OPENING_TIMEOUT: Duration = Duration::from_secs(2);

/// The table. Clones share the connection and the memory.
#[derive(Debug, Clone)]
pub struct Table {
    client: Client,
    name: String,
    /// Campaigns that this process has read or claimed.
    campaigns: Remembered<CampaignId, Campaign>,
    /// Valid keys that this process has read.
    keys: Remembered<KeyId, KeyRecord>,
}

impl Table {
    /// The table at `connection`. Sends nothing before the first call.
    #[must_use]
    pub fn connect(connection: &Connection) -> Self {
        Self {
            client: connection.client(),
            name: connection.table_name.clone(),
            campaigns: Remembered::new(MAX_REMEMBERED_CAMPAIGNS, MEMORY),
            keys: Remembered::new(MAX_REMEMBERED_KEYS, MEMORY),
        }
    }

    /// Opens the connection, so that the first request need not wait for it. If the table does not answer, the first request reports it.
    pub async fn open_connection(&self) {
        let no_item = self.items(vec![(keys::NO_CAMPAIGN.to_owned(), keys::CAMPAIGN_SK.to_owned())]);
        let _ = tokio::time::timeout(OPENING_TIMEOUT, no_item).await;
    }
}
