//! Two releases share the table while calls move from one to the other: each reads what the other writes.

use rstest::rstest;
use shared::{
    account::{Access, ApiKey},
    campaign::CampaignType,
    event::{Change, Event},
    id::{AccountId, CampaignId},
    store::{Collection, Outcome, RecountOutcome},
};

use super::{
    Table, at, new_campaign, now, pass, registration,
    tally::{SHARD, apply, counts, expect_exact, install, new_records, read, uninstall},
};

/// A campaign with a pass, an active and a removed registration, and an account with a key.
async fn everything(table: &Table) -> (CampaignId, AccountId, ApiKey) {
    let campaign = new_campaign();
    let created = Change::Created { serial_number: Some("serial".parse().unwrap()) };
    let events = [
        super::event(campaign, pass(1), at(0), created),
        install(campaign, pass(1), registration(1), at(1)),
        install(campaign, pass(1), registration(2), at(1)),
        uninstall(campaign, pass(1), registration(2), at(2)),
    ];
    apply(table, &events.map(|event| Event { campaign_type: Some(CampaignType::Coupons), ..event })).await;
    tally(table).await;
    let (account, key) = (new_campaign().to_string().parse().unwrap(), ApiKey::random().unwrap());
    table.store.create_account(&account, &"user".parse().unwrap(), now()).await.unwrap();
    table.store.add_key(&account, &key, Access::ReadWrite, now()).await.unwrap().unwrap();
    (campaign, account, key)
}

async fn tally(table: &Table) {
    table.store.tally(SHARD, &read(&new_records(table, &mut table.stream()).await), now()).await.unwrap();
}

/// Everything is read, and changed as if nothing were odd.
async fn expect_usable(table: &Table, campaign: CampaignId) {
    let store = table.fresh_store();
    let listed = table.active(Collection::Campaign(campaign)).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(table.active(Collection::Pass(campaign, pass(1))).await, listed);
    assert_eq!(store.recount(campaign, now()).await.unwrap().outcome, RecountOutcome::Agrees);
    store.claim(campaign, &"demo".parse().unwrap(), None, now()).await.unwrap();
    for event in [
        uninstall(campaign, pass(1), registration(1), at(3)),
        install(campaign, pass(1), registration(2), at(4)),
        install(campaign, pass(1), registration(1), at(5)),
    ] {
        assert_eq!(store.apply(&event, now()).await.unwrap(), Outcome::Applied);
    }
    tally(table).await;
    expect_exact(&counts(table, campaign).await, &table.active(Collection::Campaign(campaign)).await);
}

#[tokio::test]
async fn an_attribute_that_this_release_does_not_know_is_passed_over() {
    let table = Table::start().await;
    let (campaign, account, key) = everything(&table).await;
    let items = table.items(campaign).await;
    assert_eq!(items.len(), 6, "campaign, pass, two registrations, a day and the total: {items:?}");
    for sk in items.keys() {
        table.set(campaign, sk, "of_a_later_release", "x").await;
    }
    for (pk, sk) in [(format!("ACCOUNT#{account}"), "ACCOUNT"), (format!("API_KEY#{}", key.id()), "API_KEY")] {
        table.set_in(&pk, sk, "of_a_later_release", "x").await;
    }
    expect_usable(&table, campaign).await;
    assert_eq!(table.fresh_store().keys(&account).await.unwrap().unwrap().len(), 1);
    assert!(table.fresh_store().key(key.id(), now()).await.unwrap().is_some());
}

#[rstest]
#[case::received_at(&format!("PASS#{}#{}", pass(1), registration(1)), "received_at")]
#[case::serial_number(&format!("PASS#{}", pass(1)), "serial_number")]
#[case::campaign_type("CAMPAIGN", "campaign_type")]
#[tokio::test]
async fn an_attribute_that_came_later_may_be_absent(#[case] sk: &str, #[case] attribute: &str) {
    let table = Table::start().await;
    let (campaign, ..) = everything(&table).await;
    table.remove(campaign, sk, attribute).await;
    expect_usable(&table, campaign).await;
}
