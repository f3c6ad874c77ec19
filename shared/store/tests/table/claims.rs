//! Claims: the first account to write to a campaign owns it, and the first type named by a request that is not refused
//! stays.

use std::time::Duration;

use domain::{
    account::ApiKey,
    campaign::{Campaign, CampaignType},
    event::{Event, Refusal},
    id::{AccountId, CampaignId},
};
use rstest::rstest;
use store::{CampaignMove, ClaimError, Outcome, Table, WantedTotals};

use super::{
    TestTable, at, deadline, interrupted_after, new_campaign, now, pass, registration,
    tally::{install, uninstall},
};

use CampaignType::{Coupons, Generics};
use Outcome::{Applied, Refused, Unchanged};

fn account(name: &str) -> AccountId {
    name.parse().unwrap()
}

/// Returns the campaign as a request that reads sees it.
async fn campaign_read(table: &Table, campaign: CampaignId) -> Option<Campaign> {
    let key = ApiKey::claimed("demo").id();
    table.admission(key, campaign, WantedTotals::None, now()).await.unwrap().campaign
}

#[tokio::test]
async fn the_first_account_to_claim_a_campaign_keeps_it() {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    table.claim(campaign, &account("demo"), None, now()).await.unwrap();

    for store in [&*table, &table.fresh()] {
        let refused = store.claim(campaign, &account("other"), None, now()).await;
        assert!(matches!(refused, Err(ClaimError::Refused(Refusal::OtherAccount))));
        store.claim(campaign, &account("demo"), None, now()).await.unwrap();
    }
    let item = &table.items(campaign).await["CAMPAIGN"];
    assert_eq!(item["account_id"], "demo");
    assert_eq!(item["known_since"], now().to_string());
    assert!(!item.contains_key("campaign_type"));
    assert!(!item.contains_key("created_at"), "it would appear in the listing");
}

#[tokio::test]
async fn a_claim_gives_an_unknown_campaign_its_type_and_a_known_one_gets_it_at_the_end() {
    let table = TestTable::start().await;
    let demo = account("demo");
    let unknown = new_campaign();
    table.claim(unknown, &demo, Some(Coupons), now()).await.unwrap();
    assert_eq!(table.items(unknown).await["CAMPAIGN"]["campaign_type"], "coupons");

    let known = new_campaign();
    table.claim(known, &demo, None, now()).await.unwrap();
    let before = table.items(known).await;
    table.claim(known, &demo, Some(Coupons), now()).await.unwrap();
    assert_eq!(table.items(known).await, before, "the request may still be refused");
    table.complete_claim(known, &demo, Coupons, now()).await.unwrap();
    assert_eq!(table.items(known).await["CAMPAIGN"]["campaign_type"], "coupons");

    for campaign in [unknown, known] {
        for store in [&*table, &table.fresh()] {
            let refused = store.claim(campaign, &demo, Some(Generics), now()).await;
            assert!(matches!(refused, Err(ClaimError::Refused(Refusal::OtherType(Coupons)))), "{refused:?}");
            store.claim(campaign, &demo, Some(Coupons), now()).await.unwrap();
            store.claim(campaign, &demo, None, now()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_type_or_an_account_that_came_first_meanwhile_stays() {
    let table = TestTable::start().await;
    let (demo, campaign) = (account("demo"), new_campaign());
    let store = table.fresh();
    store.claim(campaign, &demo, None, now()).await.unwrap();
    store.claim(campaign, &demo, Some(Generics), now()).await.unwrap();
    table.claim(campaign, &demo, Some(Coupons), now()).await.unwrap();
    table.complete_claim(campaign, &demo, Coupons, now()).await.unwrap();
    store.complete_claim(campaign, &demo, Generics, now()).await.unwrap();
    assert_eq!(table.items(campaign).await["CAMPAIGN"]["campaign_type"], "coupons");

    let moved = new_campaign();
    store.claim(moved, &demo, None, now()).await.unwrap();
    store.claim(moved, &demo, Some(Generics), now()).await.unwrap();
    table.move_campaign(moved, &demo, &account("other"), now()).await.unwrap();
    store.complete_claim(moved, &demo, Generics, now()).await.unwrap();
    assert!(!table.items(moved).await["CAMPAIGN"].contains_key("campaign_type"));
}

#[tokio::test]
async fn one_of_two_types_that_race_for_an_unknown_campaign_wins() {
    let table = TestTable::start().await;
    let demo = account("demo");
    for _ in 0..10 {
        let campaign = new_campaign();
        let (left, right) = (table.fresh(), table.fresh());
        let (left, right) = tokio::join!(
            left.claim(campaign, &demo, Some(Coupons), now()),
            right.claim(campaign, &demo, Some(Generics), now())
        );
        let winner = campaign_read(&table, campaign).await.unwrap().campaign_type;
        assert_eq!((left.is_ok(), right.is_ok()), (winner == Some(Coupons), winner == Some(Generics)));
    }
}

#[tokio::test]
async fn one_of_two_accounts_that_race_for_a_campaign_wins() {
    let table = TestTable::start().await;
    for _ in 0..10 {
        let campaign = new_campaign();
        let (left, right) = (table.fresh(), table.fresh());
        let (demo, other) = (account("demo"), account("other"));
        let (left, right) =
            tokio::join!(left.claim(campaign, &demo, None, now()), right.claim(campaign, &other, None, now()));
        let winner = campaign_read(&table, campaign).await.unwrap().account_id;
        assert_eq!((left.is_ok(), right.is_ok()), (winner == demo, winner == other));
    }
}

#[tokio::test]
async fn an_unclaimed_campaign_is_not_known() {
    let table = TestTable::start().await;
    assert_eq!(campaign_read(&table, new_campaign()).await, None);
    assert_eq!(table.consistent_campaign(new_campaign(), now()).await.unwrap(), None);
}

/// Returns an install of a registration that names a type.
fn typed(campaign: CampaignId, id: u128, campaign_type: Option<CampaignType>) -> Event {
    Event { campaign_type, ..install(campaign, pass(1), registration(id), at(1)) }
}

/// The stored type of a campaign.
async fn stored_type(table: &TestTable, campaign: CampaignId) -> Option<String> {
    table.items(campaign).await["CAMPAIGN"].get("campaign_type").cloned()
}

#[rstest]
#[case::unknown(false, &[Some(Coupons), Some(Generics), None], &[Applied, Refused(Refusal::OtherType(Coupons)), Applied], Some("coupons"))]
#[case::unknown_and_no_type_first(false, &[None, Some(Generics), Some(Coupons)], &[Applied, Applied, Applied], Some("generics"))]
#[case::known(true, &[None, Some(Generics), Some(Coupons)], &[Applied, Applied, Applied], Some("generics"))]
#[case::no_type(true, &[None, None], &[Applied, Applied], None)]
#[tokio::test]
async fn of_contradicting_types_in_a_batch_the_first_stays(
    #[case] is_known: bool,
    #[case] types: &[Option<CampaignType>],
    #[case] expected: &[Outcome],
    #[case] stored: Option<&str>,
) {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    if is_known {
        table.claim(campaign, &account("demo"), None, now()).await.unwrap();
    }
    let events: Vec<_> = (1..).zip(types).map(|(id, campaign_type)| typed(campaign, id, *campaign_type)).collect();
    assert_eq!(table.fresh().apply_all(&events, now(), deadline()).await, expected);
    assert_eq!(stored_type(&table, campaign).await.as_deref(), stored);
    let other = typed(campaign, 9, Some(CampaignType::StoreCards));
    let refused = table.fresh().apply_all(&[other], now(), deadline()).await;
    assert_eq!(matches!(refused[..], [Refused(Refusal::OtherType(_))]), stored.is_some());
}

#[tokio::test]
async fn an_event_that_changes_nothing_completes_the_claim() {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    assert_eq!(table.apply_all(&[typed(campaign, 1, None)], now(), deadline()).await, [Applied]);
    assert_eq!(table.apply_all(&[typed(campaign, 1, Some(Coupons))], now(), deadline()).await, [Unchanged]);
    assert_eq!(stored_type(&table, campaign).await.as_deref(), Some("coupons"));
}

#[tokio::test]
async fn events_of_one_campaign_share_their_claim() {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    table.claim(campaign, &account("demo"), None, now()).await.unwrap();
    let recorder = table.sandbox.recorder().await.unwrap();
    let store = table.recorded(&recorder);
    let mut calls = Vec::new();
    for first in [0, 20] {
        let events: Vec<_> = (first..first + 20).map(|id| typed(campaign, id, Some(Coupons))).collect();
        assert_eq!(store.apply_all(&events, now(), deadline()).await, vec![Applied; 20]);
        let made = recorder.take();
        let count = |operation: &str| made.iter().filter(|call| call.operation == operation).count();
        calls.push((count("UpdateItem"), count("PutItem"), made.len()));
    }
    // The claim, the installs, and the type. Then the process remembers the campaign.
    assert_eq!(calls, [(2, 20, 22), (0, 20, 20)]);
}

#[rstest]
#[case::unknown_campaign(false)]
#[case::known_campaign_without_a_type(true)]
#[tokio::test]
async fn a_batch_interrupted_anywhere_is_completed_by_its_repetition(#[case] is_known: bool) {
    let table = TestTable::start().await;
    let mut ends = Vec::new();
    for patience in 1.. {
        let campaign = new_campaign();
        if is_known {
            table.claim(campaign, &account("demo"), None, now()).await.unwrap();
        }
        let events = [
            typed(campaign, 1, Some(Coupons)),
            typed(campaign, 2, None),
            uninstall(campaign, pass(1), registration(1), at(2)),
        ];
        let store = table.fresh();
        let is_complete = interrupted_after(patience, store.apply_all(&events, now(), deadline())).await.is_some();
        for outcome in table.fresh().apply_all(&events, now(), deadline()).await {
            super::expect_done(outcome);
        }
        let items = table.items(campaign).await.into_iter().map(|(sk, mut item)| {
            item.retain(|name, _| !["pk", "pass"].contains(&name.as_str()));
            (sk, item)
        });
        ends.push(items.collect::<Vec<_>>());
        if is_complete {
            break;
        }
    }
    assert!(ends.len() > 3, "the batch was interrupted");
    assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
    assert_eq!(ends[0][0].1["campaign_type"], "coupons");
}

#[tokio::test]
async fn an_operator_changes_the_type_of_a_campaign_of_the_named_account() {
    let table = TestTable::start().await;
    let (demo, campaign) = (account("demo"), new_campaign());
    assert_eq!(table.set_campaign_type(campaign, &demo, Coupons, now()).await.unwrap(), None);
    assert!(table.items(campaign).await.is_empty(), "nothing is written for an unknown campaign");
    table.claim(campaign, &demo, None, now()).await.unwrap();
    assert_eq!(table.set_campaign_type(campaign, &account("other"), Coupons, now()).await.unwrap(), None);
    assert_eq!(stored_type(&table, campaign).await, None);
    for campaign_type in [Coupons, Generics, Generics] {
        let expected = Campaign { account_id: demo.clone(), campaign_type: Some(campaign_type), is_pinned: false };
        assert_eq!(table.set_campaign_type(campaign, &demo, campaign_type, now()).await.unwrap(), Some(expected));
        assert_eq!(stored_type(&table, campaign).await.as_deref(), Some(campaign_type.as_str()));
    }
}

#[tokio::test]
async fn an_operator_moves_a_campaign_of_the_named_account_once() {
    let table = TestTable::start().await;
    let (demo, other, campaign) = (account("demo"), account("other"), new_campaign());
    assert_eq!(table.move_campaign(campaign, &demo, &other, now()).await.unwrap(), CampaignMove::Unknown);
    assert!(table.items(campaign).await.is_empty(), "nothing is written for an unknown campaign");
    table.claim(campaign, &demo, Some(Coupons), now()).await.unwrap();
    let before = table.items(campaign).await;
    let of_third = table.move_campaign(campaign, &account("third"), &other, now()).await.unwrap();
    assert_eq!(of_third, CampaignMove::Unknown);
    assert_eq!(table.items(campaign).await, before);
    let moved = Campaign { account_id: other.clone(), campaign_type: Some(Coupons), is_pinned: false };
    let moved = CampaignMove::Moved(moved);
    for _ in 0..2 {
        assert_eq!(table.move_campaign(campaign, &demo, &other, now()).await.unwrap(), moved, "may be repeated");
    }
    assert_eq!(table.items(campaign).await["CAMPAIGN"]["known_since"], now().to_string());
}

#[tokio::test]
async fn a_process_acts_on_the_old_account_for_at_most_a_minute() {
    let table = TestTable::start().await;
    let (demo, other, campaign) = (account("demo"), account("other"), new_campaign());
    let process = table.fresh();
    process.claim(campaign, &demo, None, now()).await.unwrap();
    table.move_campaign(campaign, &demo, &other, now()).await.unwrap();
    let after = |seconds| now().plus(Duration::from_secs(seconds));
    process.claim(campaign, &demo, None, after(59)).await.unwrap();
    let refused = process.claim(campaign, &demo, None, after(60)).await;
    assert!(matches!(refused, Err(ClaimError::Refused(Refusal::OtherAccount))), "{refused:?}");
    process.claim(campaign, &other, None, after(60)).await.unwrap();
}
