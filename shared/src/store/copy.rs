//! From one table into another: from one machine to AWS, or from a restored table into the one in use.
//!
//! The stream of the other table counts what it gets. So of the counts only those are copied that are not of the registrations that
//! come with them: what is copied and what is counted there make what was counted here.

use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    ClaimError, RegistrationStore, StoreError,
    account::{AccountItem, KEY_IDS, KeyItem, account_key, api_key_key},
    apply::{CREATED_DECIDES, INSTALL_DECIDES, UNINSTALL_DECIDES, has_written},
    claim::{campaign_key, read_campaign_item},
    item::{self, Item, KNOWN_SINCE, LAST_EVENT_AT, RECEIVED_AT, SERIAL_NUMBER, text},
    key,
    limits::CONCURRENCY,
    recount::{Census, spread},
};
use crate::{
    account::KeyId,
    campaign::Campaign,
    clock::Timestamp,
    id::{AccountId, CampaignId},
};

/// How many items are read at a time.
const READ_SIZE: i32 = 1000;

/// What a table has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Its accounts.
    pub accounts: Vec<AccountId>,
    /// Its campaigns.
    pub campaigns: Vec<CampaignId>,
}

/// What became of a campaign's items.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// The other table did not know the campaign, and has its past counts now.
    pub is_new: bool,
    /// Passes and registrations, removed ones included, that it has now.
    pub written: usize,
    /// Those of which it had the same or something later.
    pub unchanged: usize,
}

impl RegistrationStore {
    /// What the table has. Reads all of it.
    pub async fn contents(&self) -> Result<Contents, StoreError> {
        let scan = self.client.scan().table_name(&self.table_name).projection_expression("pk, sk");
        let mut keys = scan
            .filter_expression("sk IN (:account, :campaign)")
            .expression_attribute_values(":account", text(key::ACCOUNT_SK))
            .expression_attribute_values(":campaign", text(key::CAMPAIGN_SK))
            .into_paginator()
            .items()
            .send();
        let mut contents = Contents::default();
        while let Some(found) = keys.next().await.transpose()? {
            let pk = found.get(key::PK).and_then(|pk| pk.as_s().ok()).map_or("", String::as_str);
            contents.accounts.extend(key::parse_account_pk(pk));
            contents.campaigns.extend(key::parse_campaign_pk(pk));
        }
        Ok(contents)
    }

    /// Copies an account and its keys, but for those in `except`, into another table, which keeps what it has of them. Returns how many
    /// keys are new there.
    pub async fn copy_account(&self, account: &AccountId, except: &[KeyId], to: &Self) -> Result<usize, StoreError> {
        let Some(mut item) = self.consistent_item(account_key(account)).await? else { return Ok(0) };
        let AccountItem { key_ids, .. } = item::read(item.clone())?;
        let ids = key_ids.iter().filter_map(|id| id.parse().ok()).filter(|id| !except.contains(id));
        let keys = self.items(ids.map(api_key_key).collect()).await?;
        item.remove(KEY_IDS);
        to.put_new(item).await?;
        let mut new = 0;
        for found in keys {
            let record = item::read::<KeyItem>(found.clone())?.record()?;
            new += usize::from(to.enter_key(account, record.id, found).await?);
        }
        Ok(new)
    }

    /// Copies a campaign, its passes and its registrations into another table. Later events that it has already stay, so this may
    /// be done again, and while events reach the other table; not while they reach this one.
    ///
    /// # Errors
    ///
    /// The other table has the campaign as another account's, or as one of another type; nothing is copied then.
    pub async fn copy_campaign(&self, campaign: CampaignId, to: &Self, now: Timestamp) -> Result<Copied, ClaimError> {
        let mut copied = Copied::default();
        let Some(known) = self.consistent_item(campaign_key(campaign)).await? else { return Ok(copied) };
        // A campaign that is known there may have counts already. Until it is, nobody counts, and the same may be written twice.
        if to.consistent_item(campaign_key(campaign)).await?.is_none() {
            for counts in self.counts_without_active(campaign, now).await? {
                to.put_item(counts).send().await.map_err(StoreError::from)?;
            }
            copied.is_new = to.put_new(known.clone()).await?;
        }
        let Campaign { account_id, campaign_type } = read_campaign_item(known)?;
        to.claim(campaign, &account_id, campaign_type, now).await?;
        let mut start = None;
        loop {
            let part = self.everything_of(campaign).set_exclusive_start_key(start).limit(READ_SIZE);
            let part = part.send().await.map_err(StoreError::from)?;
            let items = stream::iter(part.items.unwrap_or_default());
            let mut results = items.map(|item| to.put_later(item, now)).buffer_unordered(CONCURRENCY);
            while let Some(is_written) = results.try_next().await? {
                *(if is_written { &mut copied.written } else { &mut copied.unchanged }) += 1;
            }
            start = part.last_evaluated_key;
            if start.is_none() {
                return Ok(copied);
            }
        }
    }

    /// The items of the campaign's counts, without the installs of what is active.
    async fn counts_without_active(&self, campaign: CampaignId, now: Timestamp) -> Result<Vec<Item>, StoreError> {
        let mut counts = self.consistent_counts(campaign).await?;
        let Census { began, active, .. } = self.census(campaign).await?;
        let missing = counts.totals.missing(&active);
        for (day, missing) in spread(&missing, &began, &counts.days, now.day()) {
            *counts.days.entry(day).or_default() += &missing;
        }
        for (day, installs) in &began {
            *counts.days.entry(*day).or_default() -= installs;
        }
        counts.totals += &missing;
        counts.totals -= &active;
        counts.counted_since.get_or_insert(now);
        Ok(counts.items(campaign))
    }

    /// Writes a pass or a registration where it is later than what is there, as events are applied, and returns whether it was.
    async fn put_later(&self, mut item: Item, now: Timestamp) -> Result<bool, StoreError> {
        let sk = item.get(key::SK).and_then(|sk| sk.as_s().ok()).cloned().unwrap_or_default();
        let instant = |name: &str| {
            item.get(name).cloned().ok_or_else(|| StoreError::malformed(&sk, format_args!("{name}: is required")))
        };
        let put = if key::parse_registration_sk(&sk).is_none() {
            let at = instant(KNOWN_SINCE)?;
            let serial_number = item.get(SERIAL_NUMBER).cloned().unwrap_or_else(|| text(""));
            self.put_item(item)
                .condition_expression(CREATED_DECIDES)
                .expression_attribute_values(":at", at)
                .expression_attribute_values(":serial_number", serial_number)
        } else {
            let at = instant(LAST_EVENT_AT)?;
            let is_active = item.contains_key(key::CREATED_AT);
            if is_active {
                // Its change is on its way to the counts from now on.
                item.insert(RECEIVED_AT.to_owned(), text(now));
            }
            self.put_item(item)
                .condition_expression(if is_active { INSTALL_DECIDES } else { UNINSTALL_DECIDES })
                .expression_attribute_values(":at", at)
        };
        has_written(put.send().await)
    }

    /// Writes an item where there is none of its key, and returns whether there was none.
    async fn put_new(&self, item: Item) -> Result<bool, StoreError> {
        has_written(self.put_item(item).condition_expression("attribute_not_exists(pk)").send().await)
    }

    fn put_item(&self, item: Item) -> PutItemFluentBuilder {
        self.client.put_item().table_name(&self.table_name).set_item(Some(item))
    }
}
