//! The table: one method for each access pattern, independent of HTTP and of Lambda.
//!
//! [`Table`] is the only access to the items. Every event is one conditional write of one item, and the condition
//! decides whether the event still counts, so events may arrive in any order and more than once. [`keys`] builds every
//! key and lists all items.
//!
//! - `registrations`: applying events, listing active registrations
//! - `counts`: counting the changes in the table's stream, repairing counts
//! - `campaigns`, `pass_names`, `updates`, `accounts`, `bookmarks`: the other items
//! - `google`: what is needed to verify a callback of Google Wallet
//! - `admission`: reading everything that determines whether a request may read a campaign, in one call
//! - `changes`: parsing the table's stream into changes of registrations
//! - `copy`: copying from one table into another
//! - `dynamodb`: the client and its calls

mod accounts;
mod admission;
mod bookmarks;
mod campaigns;
mod changes;
mod copy;
mod counts;
mod dynamodb;
mod error;
mod google;
pub mod keys;
mod outcome;
mod pass_names;
mod registrations;
mod remembered;
mod updates;

use std::time::Duration;

use domain::{
    account::{KeyId, KeyRecord},
    campaign::Campaign,
    counts::Counts,
    id::{AccountId, CampaignId},
};
use futures_util::future::join_all;

pub use self::{
    admission::{Admission, WantedTotals},
    campaigns::{CampaignMove, ClaimError},
    changes::{NotAStreamRecord, RegistrationChange, RegistrationState, StreamRecord},
    copy::{Contents, Copied, CopiedNames},
    counts::{CampaignCounts, Comparison, Recount, RecountOutcome, RecountRun, Tallied},
    dynamodb::{Connection, Credentials, limits},
    error::{StoreError, with_causes},
    google::{CallbackContext, GoogleRootKeys},
    outcome::Outcome,
    pass_names::NamedPass,
    registrations::{
        Collection, CreatedAtRange, DeviceRegistration, Direction, NamedRegistration, PushTargets, Registered,
        RegisteredForWallet, Segment, Stretch, TargetPosition, Unregistered,
    },
    updates::Updates,
};
use self::{dynamodb::Client, remembered::Remembered};

/// How long a process remembers a key, a campaign or an account. A revoked key stops working within this time.
const MEMORY: Duration = Duration::from_mins(1);
/// How many keys a process remembers, at about 300 bytes each.
const MAX_REMEMBERED_KEYS: usize = 1_000;
/// How many campaigns a process remembers, at about 100 bytes each.
const MAX_REMEMBERED_CAMPAIGNS: usize = 10_000;
/// How many accounts a process remembers, at about 100 bytes each.
const MAX_REMEMBERED_ACCOUNTS: usize = 10_000;
/// How long a process remembers the totals of a campaign. They lag behind the table by seconds anyway.
const TOTALS_MEMORY: Duration = Duration::from_secs(3);
/// The number of campaigns whose totals a process remembers, at about a kilobyte each.
const MAX_REMEMBERED_TOTALS: usize = 1_000;
/// How long opening connections may take before the first request is accepted anyway.
const OPENING_TIMEOUT: Duration = Duration::from_secs(2);

/// The table. Clones share the connections and the caches.
#[derive(Debug, Clone)]
pub struct Table {
    client: Client,
    name: String,
    /// Campaigns that this process has read or claimed.
    campaigns: Remembered<CampaignId, Campaign>,
    /// Valid keys that this process has read.
    keys: Remembered<KeyId, KeyRecord>,
    /// Accounts that this process has found to exist.
    accounts: Remembered<AccountId, ()>,
    /// Totals that this process has read.
    totals: Remembered<CampaignId, Counts>,
}

impl Table {
    /// Returns the table at `connection`. Sends nothing until the first call.
    #[must_use]
    pub fn connect(connection: &Connection) -> Self {
        Self {
            client: Client::new(connection),
            name: connection.table_name.clone(),
            campaigns: Remembered::new(MAX_REMEMBERED_CAMPAIGNS, MEMORY),
            keys: Remembered::new(MAX_REMEMBERED_KEYS, MEMORY),
            accounts: Remembered::new(MAX_REMEMBERED_ACCOUNTS, MEMORY),
            totals: Remembered::new(MAX_REMEMBERED_TOTALS, TOTALS_MEMORY),
        }
    }

    /// Opens `count` connections: as many as a first request makes calls concurrently, so that it does not have to wait
    /// for one. Ignores errors, because the first request reports them.
    pub async fn open_connections(&self, count: usize) {
        let no_item = |_| self.items(vec![(keys::NO_CAMPAIGN.to_owned(), keys::CAMPAIGN_SK.to_owned())]);
        let _ = tokio::time::timeout(OPENING_TIMEOUT, join_all((0..count).map(no_item))).await;
    }
}
