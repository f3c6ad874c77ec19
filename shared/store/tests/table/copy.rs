//! Copies between tables: the copy has the same registrations and the right counts.

use std::collections::{BTreeMap, HashSet};

use domain::{
    account::{Access, ApiKey},
    campaign::CampaignType,
    counts::Part,
    event::{Change, CreatedSerialNumber, Creation, Event, Installation, InstantFrom, Refusal, Subject},
    google::GoogleIssuerId,
    id::{AccountId, CampaignId},
};
use store::{CampaignCounts, CampaignMove, ClaimError, Collection, Contents, Copied, CopiedNames, RecountOutcome};

use super::{
    TestTable, at, deadline, demo, event, installation, interrupted_after, new_campaign, now, pass,
    recount::{recount_at, story},
    recount_parts::recount_part,
    registration,
    tally::{SHARD, apply, counts, expect_exact, install, new_records, read, uninstall},
    typed_serial,
};

/// Returns a table with a campaign that has a story and counts.
async fn old_table() -> (TestTable, CampaignId) {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    for events in story(campaign) {
        apply(&table, &events).await;
    }
    tally(&table).await;
    (table, campaign)
}

/// Counts everything in the table's stream.
async fn tally(table: &TestTable) {
    table.tally(SHARD, &read(&new_records(table, &mut table.stream()).await), now(), deadline()).await.unwrap();
}

/// Returns the counts of a campaign without those that are 0.
async fn counted(table: &TestTable, campaign: CampaignId) -> CampaignCounts {
    let CampaignCounts { days, totals, counted_since } = counts(table, campaign).await;
    let known = |counts: domain::counts::Counts| counts.iter().map(|(kind, part, n)| ((kind, part), n)).collect();
    let days = days.into_iter().filter(|(_, counts)| !counts.is_empty());
    CampaignCounts {
        days: days.map(|(day, counts)| (day, known(counts))).collect(),
        totals: known(totals),
        counted_since,
    }
}

/// Returns the items of the campaign's partition, except its counts.
async fn items(table: &TestTable, campaign: CampaignId) -> Vec<(String, Vec<(String, String)>)> {
    let items = table.items(campaign).await.into_iter().filter(|(sk, _)| !sk.starts_with("COUNTS#"));
    items.map(|(sk, item)| (sk, item.into_iter().collect())).collect()
}

#[tokio::test]
async fn a_copied_campaign_has_the_same_items_and_counts() {
    let (old, campaign) = old_table().await;
    let new = TestTable::start().await;
    let contents = Contents { accounts: vec!["demo".parse().unwrap()], campaigns: vec![campaign], has_names: false };
    assert_eq!(old.contents().await.unwrap(), contents);

    let copied = old.copy_campaign(campaign, &new, now()).await.unwrap();
    assert_eq!(copied, Copied { is_new: true, written: 3, unchanged: 0 });
    tally(&new).await;
    assert_eq!(items(&new, campaign).await, items(&old, campaign).await);
    assert_eq!(counted(&new, campaign).await, counted(&old, campaign).await);

    let again = old.copy_campaign(campaign, &new.fresh(), now()).await.unwrap();
    assert_eq!(again, Copied { is_new: false, written: 0, unchanged: 3 });
    tally(&new).await;
    assert_eq!(counted(&new, campaign).await, counted(&old, campaign).await);
}

#[tokio::test]
async fn a_repeated_copy_brings_what_a_wallet_has_sent_since() {
    let (old, new) = (TestTable::start().await, TestTable::start().await);
    let (campaign, pass, id) = (new_campaign(), pass(1), registration(1));
    apply(&old, &[install(campaign, pass, registration(9), at(1))]).await;
    let with_token = |token: &str| Installation { push_token: Some(token.parse().unwrap()), ..installation(id) };
    old.register(&demo(), campaign, pass, &with_token("old"), at(5), now()).await.unwrap();
    old.copy_campaign(campaign, &new, now()).await.unwrap();
    let whole = Installation {
        device_library_identifier: Some("device".parse().unwrap()),
        serial_number: Some(typed_serial("pass.com.example", "serial")),
        ..with_token("new")
    };
    // A day later, so that the counts show if the copy were counted on another day.
    let later = at(5).plus(std::time::Duration::from_hours(24));
    old.register(&demo(), campaign, pass, &whole, later, now()).await.unwrap();
    let again = old.copy_campaign(campaign, &new.fresh(), now()).await.unwrap();
    assert_eq!((again.written, again.unchanged), (1, 1));
    assert_eq!(items(&new, campaign).await, items(&old, campaign).await);

    let third = TestTable::start().await;
    old.copy_campaign(campaign, &third, now()).await.unwrap();
    for table in [&old, &new, &third] {
        tally(table).await;
    }
    let expected = counted(&old, campaign).await;
    assert_eq!(counted(&new, campaign).await, expected);
    assert_eq!(counted(&third, campaign).await, expected);
}

#[tokio::test]
async fn a_copy_interrupted_anywhere_can_be_repeated() {
    let (old, campaign) = old_table().await;
    let new = TestTable::start().await;
    for patience in 1.. {
        let store = new.fresh();
        if interrupted_after(patience, old.copy_campaign(campaign, &store, now())).await.is_some() {
            break;
        }
    }
    tally(&new).await;
    assert_eq!(items(&new, campaign).await, items(&old, campaign).await);
    assert_eq!(counted(&new, campaign).await, counted(&old, campaign).await);
}

#[tokio::test]
async fn changes_that_the_old_table_had_not_counted_are_counted_in_the_new_one() {
    let (old, campaign) = old_table().await;
    apply(&old, &[install(campaign, pass(7), registration(7), at(7))]).await;
    let new = TestTable::start().await;
    old.copy_campaign(campaign, &new, now()).await.unwrap();
    tally(&new).await;
    tally(&old).await;
    let counts = counted(&new, campaign).await;
    assert_eq!(counts, counted(&old, campaign).await, "as if the old table had counted them before the copy");
    assert_eq!(counts.totals.active(Part::All), 3);
    expect_exact(&counts, &new.active(Collection::Campaign(campaign)).await);
}

#[tokio::test]
async fn a_recount_waits_until_a_copied_removal_is_counted() {
    let (old, new) = (TestTable::start().await, TestTable::start().await);
    let campaign = new_campaign();
    let (pass, id) = (pass(1), registration(1));
    apply(&old, &[uninstall(campaign, pass, id, at(6))]).await;
    apply(&new, &[install(campaign, pass, id, at(5))]).await;
    tally(&new).await;
    // Two days after the removal was received by the old table, when its own stream has long been counted.
    let later = now().plus(std::time::Duration::from_hours(48));
    assert_eq!(old.copy_campaign(campaign, &new, later).await.unwrap().written, 1);
    let recount = recount_at(&new, campaign, later).await.unwrap();
    assert!(matches!(recount.outcome, RecountOutcome::Busy { .. }), "{recount:?}");
}

#[tokio::test]
async fn an_unfinished_recount_is_not_copied() {
    let (old, campaign) = old_table().await;
    let new = TestTable::start().await;
    assert_eq!(recount_part(&old, campaign, now()).await.outcome, RecountOutcome::Unfinished);
    old.copy_campaign(campaign, &new, now()).await.unwrap();
    let recounts = [&old, &new].map(|table| async {
        table.everything().await.iter().filter(|item| item["sk"].as_s().is_ok_and(|sk| sk == "RECOUNT")).count()
    });
    assert_eq!(futures_util::future::join_all(recounts).await, [1, 0]);
}

#[tokio::test]
async fn a_campaign_of_another_account_is_not_touched() {
    let (old, campaign) = old_table().await;
    let new = TestTable::start().await;
    let foreign = Event { account_id: "other".parse().unwrap(), ..install(campaign, pass(1), registration(8), at(0)) };
    apply(&new, &[foreign]).await;
    let before = items(&new, campaign).await;
    let refused = old.copy_campaign(campaign, &new.fresh(), now()).await;
    assert!(matches!(refused, Err(ClaimError::Refused(Refusal::OtherAccount))), "{refused:?}");
    assert_eq!(items(&new, campaign).await, before);
}

#[tokio::test]
async fn a_copy_gives_a_campaign_without_a_type_its_type_and_leaves_one_of_another_type_alone() {
    let (old, campaign) = old_table().await;
    let demo = "demo".parse().unwrap();
    old.set_campaign_type(campaign, &demo, CampaignType::Coupons, now()).await.unwrap().unwrap();
    let typed = |campaign_type| Event { campaign_type, ..install(campaign, pass(1), registration(8), at(0)) };

    let new = TestTable::start().await;
    apply(&new, &[typed(None)]).await;
    old.copy_campaign(campaign, &new.fresh(), now()).await.unwrap();
    assert_eq!(new.items(campaign).await["CAMPAIGN"]["campaign_type"], "coupons");

    let other = TestTable::start().await;
    apply(&other, &[typed(Some(CampaignType::Generics))]).await;
    let before = items(&other, campaign).await;
    let refused = old.copy_campaign(campaign, &other.fresh(), now()).await;
    assert!(matches!(refused, Err(ClaimError::Refused(Refusal::OtherType(CampaignType::Generics)))), "{refused:?}");
    assert_eq!(items(&other, campaign).await, before);
}

#[tokio::test]
async fn of_two_installs_at_the_same_instant_the_greater_tie_stays_in_a_copy_too() {
    let campaign = new_campaign();
    let plain = install(campaign, pass(1), registration(1), at(5));
    let token =
        Change::Installed(Installation { push_token: Some("token".parse().unwrap()), ..installation(registration(1)) });
    let with_token = event(campaign, pass(1), at(5), token);
    let mut ends = Vec::new();
    for (here, there) in [(&plain, &with_token), (&with_token, &plain)] {
        let (old, new) = (TestTable::start().await, TestTable::start().await);
        apply(&old, std::slice::from_ref(here)).await;
        apply(&new, std::slice::from_ref(there)).await;
        old.copy_campaign(campaign, &new.fresh(), now()).await.unwrap();
        ends.push(items(&new, campaign).await);
    }
    assert_eq!(ends[0], ends[1]);
}

#[tokio::test]
async fn an_account_is_copied_with_its_keys_except_those_excluded() {
    let (old, new) = (TestTable::start().await, TestTable::start().await);
    let acme: AccountId = "acme".parse().unwrap();
    old.create_account(&acme, &"acme".parse().unwrap(), now()).await.unwrap();
    let keys = [ApiKey::random().unwrap(), ApiKey::random().unwrap(), ApiKey::random().unwrap()];
    for key in &keys {
        old.add_key(&acme, key, Access::ReadOnly, now()).await.unwrap().unwrap();
    }
    let [stays, revoked, _] = keys.map(|key| key.id());
    old.revoke_key(&acme, revoked, now()).await.unwrap().unwrap();
    assert!(old.contents().await.unwrap().accounts.contains(&acme));
    let issuers: [GoogleIssuerId; 2] = ["1", "2"].map(|id| id.parse().unwrap());
    old.set_google_issuers(&acme, &issuers[..1]).await.unwrap();

    for expected in [2, 0] {
        assert_eq!(old.copy_account(&acme, &[stays], &new).await.unwrap(), expected);
        let known = old.keys(&acme).await.unwrap().unwrap().into_iter().filter(|key| key.id != stays);
        assert_eq!(new.keys(&acme).await.unwrap().unwrap(), known.collect::<Vec<_>>());
    }
    assert_eq!(new.key(stays, now()).await.unwrap(), None);
    assert_eq!(new.key(revoked, now()).await.unwrap(), None);

    assert_eq!(new.google_issuers(&acme).await.unwrap(), issuers[..1]);
    old.set_google_issuers(&acme, &issuers).await.unwrap();
    old.copy_account(&acme, &[], &new).await.unwrap();
    assert_eq!(new.google_issuers(&acme).await.unwrap(), issuers[..1], "what exists there stays");
}

/// The pass type of all serial numbers in these tests.
const TYPE: &str = "pass.com.example";

/// Returns an event that gives pass 1 these names.
fn named(campaign: CampaignId, serial: &str, instant: u32) -> Event {
    let creation = Creation {
        serial_number: Some(CreatedSerialNumber::Typed {
            serial_number: typed_serial(TYPE, serial),
            token: Some(format!("token-at-the-instant-{instant}").parse().unwrap()),
        }),
        google_object_id: Some(format!("1.{serial}").parse().unwrap()),
    };
    event(campaign, pass(1), at(instant), Change::Created(creation))
}

/// Returns the items of the names of pass 1.
async fn items_of_names(table: &TestTable, serial: &str) -> [Option<BTreeMap<String, String>>; 2] {
    [
        table.item(&format!("SERIAL#demo#{TYPE}#{serial}"), "SERIAL").await,
        table.item(&format!("OBJECT#demo#1.{serial}"), "OBJECT").await,
    ]
}

#[tokio::test]
async fn names_and_updates_are_copied_with_their_campaigns() {
    let (old, new) = (TestTable::start().await, TestTable::start().await);
    let [copied, refused] = [new_campaign(), new_campaign()];
    for campaign in [copied, refused] {
        let updated =
            |subject| Event { subject, ..event(campaign, pass(1), at(6), Change::Updated(InstantFrom::Sender)) };
        let of_pass = Subject::Pass { pass_id: pass(1), change: Change::Updated(InstantFrom::Sender) };
        let events = [
            named(campaign, &campaign.to_string(), 5),
            updated(of_pass),
            updated(Subject::EveryPass(InstantFrom::Sender)),
        ];
        apply(&old, &events).await;
    }
    let foreign = Event { account_id: "other".parse().unwrap(), ..install(refused, pass(1), registration(8), at(0)) };
    apply(&new, &[foreign]).await;
    // The other table knows the campaign already, without names.
    apply(&new, &[install(copied, pass(2), registration(9), at(0))]).await;

    assert!(old.contents().await.unwrap().has_names);
    assert_eq!(old.copy_campaign(copied, &new.fresh(), now()).await.unwrap().written, 3);
    assert!(old.copy_campaign(refused, &new.fresh(), now()).await.is_err());
    for (written, unchanged) in [(2, 0), (0, 2)] {
        let names = old.copy_names(&HashSet::from([copied]), &new.fresh(), |_| {}).await.unwrap();
        assert_eq!(names, CopiedNames { written, unchanged, taken: Vec::new() });
    }
    let name = copied.to_string();
    assert_eq!(items_of_names(&new, &name).await, items_of_names(&old, &name).await);
    assert_eq!(items_of_names(&new, &refused.to_string()).await, [None, None], "they would point to another account");
    let (new_items, old_items) = (new.items(copied).await, old.items(copied).await);
    for sk in ["UPDATED", &format!("UPDATED#{}", pass(1))] {
        assert_eq!(new_items[sk], old_items[sk]);
    }
    let moved = new.move_campaign(copied, &demo(), &"other".parse().unwrap(), now()).await.unwrap();
    assert_eq!(moved, CampaignMove::Pinned);
}

#[tokio::test]
async fn a_later_update_or_token_in_the_other_table_stays() {
    let (old, new, campaign) = (TestTable::start().await, TestTable::start().await, new_campaign());
    let events = |instant| {
        [named(campaign, "1", instant), event(campaign, pass(1), at(instant), Change::Updated(InstantFrom::Sender))]
    };
    apply(&old, &events(5)).await;
    apply(&new, &events(7)).await;
    let before = (items_of_names(&new, "1").await, new.items(campaign).await[&format!("UPDATED#{}", pass(1))].clone());
    old.copy_campaign(campaign, &new.fresh(), now()).await.unwrap();
    let names = old.copy_names(&HashSet::from([campaign]), &new.fresh(), |_| {}).await.unwrap();
    assert_eq!((names.written, names.unchanged), (0, 2));
    let after = (items_of_names(&new, "1").await, new.items(campaign).await[&format!("UPDATED#{}", pass(1))].clone());
    assert_eq!(after, before);
}

#[tokio::test]
async fn a_name_that_belongs_to_another_pass_in_the_other_table_stays_there() {
    let (old, new) = (TestTable::start().await, TestTable::start().await);
    let [here, there] = [new_campaign(), new_campaign()];
    apply(&old, &[named(here, "1", 5)]).await;
    apply(&new, &[named(there, "1", 3)]).await;
    let before = items_of_names(&new, "1").await;
    old.copy_campaign(here, &new.fresh(), now()).await.unwrap();
    let names = old.copy_names(&HashSet::from([here]), &new.fresh(), |_| {}).await.unwrap();
    assert_eq!(names, CopiedNames { written: 0, unchanged: 0, taken: vec![(here, pass(1)); 2] });
    assert_eq!(items_of_names(&new, "1").await, before);
}
