//! A table's data in another one: the same registrations, and counts that are right.

use std::{
    future::{Future as _, poll_fn},
    task::Poll,
};

use shared::{
    account::{Access, ApiKey},
    counts::Part,
    event::Event,
    id::{AccountId, CampaignId},
    store::{CampaignCounts, ClaimError, Collection, Contents, Copied},
};

use super::{
    Table, at, new_campaign, now, pass,
    recount::story,
    registration,
    tally::{SHARD, apply, counts, expect_exact, install, new_records, read},
};

/// A table with a campaign that has a story, and its counts.
async fn old_table() -> (Table, CampaignId) {
    let table = Table::start().await;
    let campaign = new_campaign();
    for events in story(campaign) {
        apply(&table, &events).await;
    }
    tally(&table).await;
    (table, campaign)
}

/// Counts what the stream of the table has.
async fn tally(table: &Table) {
    table.store.tally(SHARD, &read(&new_records(table, &mut table.stream()).await), now()).await.unwrap();
}

/// Counts, without those of nothing.
async fn counted(table: &Table, campaign: CampaignId) -> CampaignCounts {
    let CampaignCounts { days, totals, counted_since } = counts(table, campaign).await;
    let known = |counts: shared::counts::Counts| counts.iter().map(|(kind, part, n)| ((kind, part), n)).collect();
    let days = days.into_iter().filter(|(_, counts)| !counts.is_empty());
    CampaignCounts {
        days: days.map(|(day, counts)| (day, known(counts))).collect(),
        totals: known(totals),
        counted_since,
    }
}

/// What the campaign's partition has but for its counts.
async fn items(table: &Table, campaign: CampaignId) -> Vec<(String, Vec<(String, String)>)> {
    let items = table.items(campaign).await.into_iter().filter(|(sk, _)| !sk.starts_with("COUNTS#"));
    items.map(|(sk, item)| (sk, item.into_iter().collect())).collect()
}

#[tokio::test]
async fn a_copied_campaign_is_what_it_was_and_so_are_its_counts() {
    let (old, campaign) = old_table().await;
    let new = Table::start().await;
    let contents = Contents { accounts: vec!["demo".parse().unwrap()], campaigns: vec![campaign] };
    assert_eq!(old.store.contents().await.unwrap(), contents);

    let copied = old.store.copy_campaign(campaign, &new.store, now()).await.unwrap();
    assert_eq!(copied, Copied { is_new: true, written: 3, unchanged: 0 });
    tally(&new).await;
    assert_eq!(items(&new, campaign).await, items(&old, campaign).await);
    assert_eq!(counted(&new, campaign).await, counted(&old, campaign).await);

    let again = old.store.copy_campaign(campaign, &new.fresh_store(), now()).await.unwrap();
    assert_eq!(again, Copied { is_new: false, written: 0, unchanged: 3 });
    tally(&new).await;
    assert_eq!(counted(&new, campaign).await, counted(&old, campaign).await);
}

#[tokio::test]
async fn a_copy_that_is_broken_off_anywhere_goes_on() {
    let (old, campaign) = old_table().await;
    let new = Table::start().await;
    for patience in 1.. {
        let store = new.fresh_store();
        let mut copy = Box::pin(old.store.copy_campaign(campaign, &store, now()));
        let mut polls = 0;
        let ended = poll_fn(|context| {
            polls += 1;
            if polls > patience { Poll::Ready(None) } else { copy.as_mut().poll(context).map(Some) }
        });
        if ended.await.is_some() {
            break;
        }
    }
    tally(&new).await;
    assert_eq!(items(&new, campaign).await, items(&old, campaign).await);
    assert_eq!(counted(&new, campaign).await, counted(&old, campaign).await);
}

#[tokio::test]
async fn what_the_old_table_had_not_counted_yet_the_new_one_has() {
    let (old, campaign) = old_table().await;
    apply(&old, &[install(campaign, pass(7), registration(7), at(7))]).await;
    let new = Table::start().await;
    old.store.copy_campaign(campaign, &new.store, now()).await.unwrap();
    tally(&new).await;
    tally(&old).await;
    let counts = counted(&new, campaign).await;
    assert_eq!(counts, counted(&old, campaign).await, "had it counted in time");
    assert_eq!(counts.totals.active(Part::All), 3);
    expect_exact(&counts, &new.active(Collection::Campaign(campaign)).await);
}

#[tokio::test]
async fn a_campaign_of_another_account_is_not_touched() {
    let (old, campaign) = old_table().await;
    let new = Table::start().await;
    let foreign = Event { account_id: "other".parse().unwrap(), ..install(campaign, pass(1), registration(8), at(0)) };
    apply(&new, &[foreign]).await;
    let before = items(&new, campaign).await;
    let refused = old.store.copy_campaign(campaign, &new.fresh_store(), now()).await;
    assert!(matches!(refused, Err(ClaimError::OtherAccount)), "{refused:?}");
    assert_eq!(items(&new, campaign).await, before);
}

#[tokio::test]
async fn an_account_comes_with_its_keys_but_for_those_that_stay() {
    let (old, new) = (Table::start().await, Table::start().await);
    let acme: AccountId = "acme".parse().unwrap();
    old.store.create_account(&acme, &"acme".parse().unwrap(), now()).await.unwrap();
    let keys = [ApiKey::random().unwrap(), ApiKey::random().unwrap(), ApiKey::random().unwrap()];
    for key in &keys {
        old.store.add_key(&acme, key, Access::ReadOnly, now()).await.unwrap().unwrap();
    }
    let [stays, revoked, _] = keys.map(|key| key.id());
    old.store.revoke_key(&acme, revoked, now()).await.unwrap().unwrap();
    assert!(old.store.contents().await.unwrap().accounts.contains(&acme));

    for expected in [2, 0] {
        assert_eq!(old.store.copy_account(&acme, &[stays], &new.store).await.unwrap(), expected);
        let known = old.store.keys(&acme).await.unwrap().unwrap().into_iter().filter(|key| key.id != stays);
        assert_eq!(new.store.keys(&acme).await.unwrap().unwrap(), known.collect::<Vec<_>>());
    }
    assert_eq!(new.store.key(stays, now()).await.unwrap(), None);
    assert_eq!(new.store.key(revoked, now()).await.unwrap(), None);
}
