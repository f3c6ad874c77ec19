//! Copies accounts and campaigns into another table: from a local machine to AWS, or from a restored table into the
//! table in use.
//!
//! The registrations that a copy writes are counted by the target's stream, so a copy writes only the counts that those
//! registrations do not explain. These counts and the counts from the stream add up to the counts of the source.
//!
//! The names of passes are copied after their campaigns: a name must not point into a campaign that the other table
//! refused, because it belongs to another account there.

use std::{collections::HashSet, pin::pin};

use aws_sdk_dynamodb::{
    operation::{
        put_item::{PutItemInput, builders::PutItemInputBuilder},
        scan::ScanInput,
    },
    types::AttributeValue,
};
use domain::{
    account::KeyId,
    campaign::Campaign,
    id::{AccountId, CampaignId, PassId},
    time::Timestamp,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::{
    ClaimError, StoreError, Table,
    accounts::{AccountItem, KEY_IDS, KeyItem, account_key, api_key_key},
    campaigns::{campaign_key, read_campaign_item},
    counts::{Census, repairs},
    dynamodb::{
        codec::{self, Item, key_of, text},
        conditional_put::has_written,
        limits::CONCURRENCY,
    },
    google::google_issuers_key,
    keys,
    pass_names::{Naming, StoredName},
    registrations::{
        apply::{CREATED_DECIDES, INSTALL_DECIDES, UNINSTALL_DECIDES},
        items::{KNOWN_SINCE, LAST_EVENT_AT, RECEIVED_AT, TIE, TOMBSTONE_LIFE},
    },
    updates::{UPDATE_DECIDES, UPDATED_AT},
};

/// How many items one query reads at most.
const READ_SIZE: i32 = 1000;

/// The accounts and campaigns of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// The accounts.
    pub accounts: Vec<AccountId>,
    /// The campaigns.
    pub campaigns: Vec<CampaignId>,
    /// Whether wallets can find any pass by a serial number or a Google object.
    pub has_names: bool,
}

/// The result of copying a campaign.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// Whether the campaign was new to the other table, so that its past counts were copied too.
    pub is_new: bool,
    /// How many passes, registrations, including removed ones, and updates were written to the other table.
    pub written: usize,
    /// How many stayed as they are because the other table already had the same state or one that takes precedence.
    pub unchanged: usize,
}

/// The result of copying the names of passes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopiedNames {
    /// How many were written to the other table.
    pub written: usize,
    /// How many the other table already had, with the same token or a later one.
    pub unchanged: usize,
    /// The campaign and the pass of each name that belongs to another pass in the other table.
    pub taken: Vec<(CampaignId, PassId)>,
}

impl Table {
    /// Returns the accounts and campaigns of the table. Scans the whole table.
    pub async fn contents(&self) -> Result<Contents, StoreError> {
        let scan = ScanInput::builder().table_name(&self.name).projection_expression("pk, sk");
        let scan = scan
            .filter_expression("sk IN (:account, :campaign, :serial_number, :google_object)")
            .expression_attribute_values(":account", text(keys::ACCOUNT_SK))
            .expression_attribute_values(":campaign", text(keys::CAMPAIGN_SK))
            .expression_attribute_values(":serial_number", text(keys::SERIAL_NUMBER_SK))
            .expression_attribute_values(":google_object", text(keys::GOOGLE_OBJECT_SK));
        let mut keys = pin!(self.client.items(scan));
        let mut contents = Contents::default();
        while let Some((pk, sk)) = keys.try_next().await?.as_ref().and_then(key_of) {
            contents.accounts.extend(keys::parse_account_pk(&pk));
            contents.campaigns.extend(keys::parse_campaign_pk(&pk));
            contents.has_names |= [keys::SERIAL_NUMBER_SK, keys::GOOGLE_OBJECT_SK].contains(&sk.as_str());
        }
        Ok(contents)
    }

    /// Copies an account, its keys, except the keys in `except`, and its Google issuers into another table. What exists
    /// there stays as it is. Returns how many keys are new there.
    pub async fn copy_account(&self, account: &AccountId, except: &[KeyId], to: &Self) -> Result<usize, StoreError> {
        let Some(mut item) = self.consistent_item(account_key(account)).await? else { return Ok(0) };
        let AccountItem { key_ids, .. } = codec::decode(item.clone())?;
        let ids = key_ids.iter().filter_map(|id| id.parse().ok()).filter(|id| !except.contains(id));
        let keys = self.consistent_items(ids.map(api_key_key).collect()).await?;
        item.remove(KEY_IDS);
        to.put_new(item).await?;
        if let Some(issuers) = self.consistent_item(google_issuers_key(account)).await? {
            to.put_new(issuers).await?;
        }
        let mut new = 0;
        for found in keys {
            let record = codec::decode::<KeyItem>(found.clone())?.record()?;
            new += usize::from(to.enter_key(account, record.id, found).await?);
        }
        Ok(new)
    }

    /// Copies a campaign, its passes, its registrations and its updates into another table. Later events that the other table has
    /// are kept, so a copy may be repeated, and may run while events reach the other table, but not while they reach
    /// this one.
    ///
    /// # Errors
    ///
    /// If the campaign belongs to another account or has another type in the other table. Then nothing is copied.
    pub async fn copy_campaign(&self, campaign: CampaignId, to: &Self, now: Timestamp) -> Result<Copied, ClaimError> {
        self.copy_campaign_with_progress(campaign, to, now, |_| {}).await
    }

    /// Copies a campaign like [`copy_campaign`](Self::copy_campaign). Calls `progress` after each pass, registration and
    /// update.
    pub async fn copy_campaign_with_progress(
        &self,
        campaign: CampaignId,
        to: &Self,
        now: Timestamp,
        mut progress: impl FnMut(Copied),
    ) -> Result<Copied, ClaimError> {
        let mut copied = Copied::default();
        let Some(known) = self.consistent_item(campaign_key(campaign)).await? else { return Ok(copied) };
        // If the other table knows the campaign, it may already count it. Until then nothing there counts it, so a copy
        // that is repeated after an interruption may overwrite the counts.
        if to.consistent_item(campaign_key(campaign)).await?.is_none() {
            for counts in self.counts_without_active(campaign, now).await? {
                to.client.send(to.put_item(counts)).await.map_err(StoreError::from)?;
            }
            copied.is_new = to.put_new(known.clone()).await?;
        }
        let Campaign { account_id, campaign_type, is_pinned } = read_campaign_item(known)?;
        to.claim(campaign, &account_id, campaign_type, now).await?;
        if is_pinned {
            to.pin_campaign(campaign, &account_id, now).await?;
        }
        for prefix in [keys::PASSES_PREFIX, keys::UPDATED_SK] {
            let mut start = None;
            loop {
                let part = self.items_of(campaign, prefix).set_exclusive_start_key(start).limit(READ_SIZE);
                let part = self.client.send(part).await.map_err(StoreError::from)?;
                let items = stream::iter(part.items.unwrap_or_default());
                let mut results = items.map(|item| to.put_like_event(item, now)).buffer_unordered(CONCURRENCY);
                while let Some(is_written) = results.try_next().await? {
                    *(if is_written { &mut copied.written } else { &mut copied.unchanged }) += 1;
                    progress(copied);
                }
                start = part.last_evaluated_key;
                if start.is_none() {
                    break;
                }
            }
        }
        if let Some(campaign_type) = campaign_type {
            to.complete_claim(campaign, &account_id, campaign_type, now).await?;
        }
        Ok(copied)
    }

    /// Returns the items of the campaign's counts, without the installs of its active registrations.
    ///
    /// Example: of 5 installs and 2 uninstalls, 2 installs and 2 uninstalls remain. The other 3 installs are those that
    /// the target counts when it receives the 3 active registrations.
    async fn counts_without_active(&self, campaign: CampaignId, now: Timestamp) -> Result<Vec<Item>, StoreError> {
        let mut counts = self.consistent_counts(campaign).await?;
        let Census { active, .. } = self.census(campaign).await?;
        for (day, changes) in repairs(&counts, &active, now.day()) {
            counts.add(day, &changes);
        }
        for (registration, count) in active {
            counts.subtract(registration.began, &registration.installs(count));
        }
        counts.counted_since.get_or_insert(now);
        Ok(counts.items(campaign))
    }

    /// Copies the serial numbers and Google objects that point into these campaigns, which must have been copied. The
    /// same rules hold as for events: a name stays with the pass that has it in the other table, and the token of the
    /// latest event stays. Calls `progress` after each name.
    ///
    /// Scans the whole table, because each name has a partition of its own.
    pub async fn copy_names(
        &self,
        campaigns: &HashSet<CampaignId>,
        to: &Self,
        mut progress: impl FnMut(&CopiedNames),
    ) -> Result<CopiedNames, StoreError> {
        let scan = ScanInput::builder().table_name(&self.name).consistent_read(true);
        let scan = scan
            .filter_expression("sk IN (:serial_number, :google_object)")
            .expression_attribute_values(":serial_number", text(keys::SERIAL_NUMBER_SK))
            .expression_attribute_values(":google_object", text(keys::GOOGLE_OBJECT_SK));
        let results = self.client.items(scan).map(|name| async {
            let name = StoredName::read(name?)?;
            if !campaigns.contains(&name.campaign_id) {
                return Ok(None);
            }
            Ok::<_, StoreError>(Some((to.store_name(&name).await?, name)))
        });
        let mut results = pin!(results.buffer_unordered(CONCURRENCY));
        let mut copied = CopiedNames::default();
        while let Some(result) = results.try_next().await? {
            match result {
                None => continue,
                Some((Naming::Stored, _)) => copied.written += 1,
                Some((Naming::Unchanged, _)) => copied.unchanged += 1,
                Some((Naming::Taken, name)) => copied.taken.push((name.campaign_id, name.pass_id)),
            }
            progress(&copied);
        }
        Ok(copied)
    }

    /// Writes a pass, a registration or an update on the same condition as its event; returns whether it was written.
    async fn put_like_event(&self, mut item: Item, now: Timestamp) -> Result<bool, StoreError> {
        let sk = item.get(keys::SK).and_then(|sk| sk.as_s().ok()).cloned().unwrap_or_default();
        let instant = |name: &str| {
            item.get(name).cloned().ok_or_else(|| StoreError::malformed(&sk, format_args!("{name}: is required")))
        };
        let put = if sk.starts_with(keys::UPDATED_SK) {
            let at = instant(UPDATED_AT)?;
            self.put_item(item).condition_expression(UPDATE_DECIDES).expression_attribute_values(":at", at)
        } else if keys::parse_registration_sk(&sk).is_none() {
            let at = instant(KNOWN_SINCE)?;
            let serial_number = item.get(keys::SERIAL_NUMBER).cloned().unwrap_or_else(|| text(""));
            self.put_item(item)
                .condition_expression(CREATED_DECIDES)
                .expression_attribute_values(":at", at)
                .expression_attribute_values(":serial_number", serial_number)
        } else {
            let at = instant(LAST_EVENT_AT)?;
            let put = if item.contains_key(keys::CREATED_AT) {
                // This write enters the stream of the target table now, however old the install is. With `received_at`,
                // a recount knows that it must wait until the tally has counted the write.
                item.insert(RECEIVED_AT.to_owned(), text(now));
                // An install without a tie, of a table made before there were ties, replaces none at the same instant.
                let tie = item.get(TIE).cloned().unwrap_or_else(|| text(""));
                self.put_item(item).condition_expression(INSTALL_DECIDES).expression_attribute_values(":tie", tie)
            } else {
                // The same for a removal: a recount derives from `expires_at` when the removal was received.
                let expires_at = now.plus(TOMBSTONE_LIFE).unix_seconds();
                item.insert(keys::EXPIRES_AT.to_owned(), AttributeValue::N(expires_at.to_string()));
                self.put_item(item).condition_expression(UNINSTALL_DECIDES)
            };
            put.expression_attribute_values(":at", at)
        };
        has_written(self.client.send(put).await)
    }

    /// Writes an item unless one with the same key exists; returns whether it was written.
    async fn put_new(&self, item: Item) -> Result<bool, StoreError> {
        let put = self.put_item(item).condition_expression("attribute_not_exists(pk)");
        has_written(self.client.send(put).await)
    }

    fn put_item(&self, item: Item) -> PutItemInputBuilder {
        PutItemInput::builder().table_name(&self.name).set_item(Some(item))
    }
}
