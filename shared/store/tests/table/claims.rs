//! Claims: the first account to write to a campaign owns it, and the first type named stays.

use domain::{
    account::ApiKey,
    campaign::{Campaign, CampaignType},
    event::Refusal,
    id::{AccountId, CampaignId},
};
use store::{ClaimError, Table};

use super::{TestTable, new_campaign, now};

fn account(name: &str) -> AccountId {
    name.parse().unwrap()
}

/// Returns the campaign as a request that reads sees it.
async fn campaign_read(table: &Table, campaign: CampaignId) -> Option<Campaign> {
    let key = ApiKey::claimed("demo").id();
    table.admission(key, campaign, false, now()).await.unwrap().campaign
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
async fn the_first_type_named_stays() {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    let demo = account("demo");
    table.claim(campaign, &demo, None, now()).await.unwrap();
    table.claim(campaign, &demo, Some(CampaignType::Coupons), now()).await.unwrap();

    for store in [&*table, &table.fresh()] {
        let refused = store.claim(campaign, &demo, Some(CampaignType::Generics), now()).await;
        assert!(matches!(refused, Err(ClaimError::Refused(Refusal::OtherType(CampaignType::Coupons)))));
        store.claim(campaign, &demo, Some(CampaignType::Coupons), now()).await.unwrap();
        store.claim(campaign, &demo, None, now()).await.unwrap();
    }
    let known = campaign_read(&table, campaign).await.unwrap();
    assert_eq!(known.campaign_type, Some(CampaignType::Coupons));
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
