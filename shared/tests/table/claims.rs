use shared::{campaign::CampaignType, id::AccountId, store::ClaimError};

use super::{Table, new_campaign, now};

fn account(name: &str) -> AccountId {
    name.parse().unwrap()
}

#[tokio::test]
async fn the_first_account_to_claim_a_campaign_keeps_it() {
    let table = Table::start().await;
    let campaign = new_campaign();
    table.store.claim(campaign, &account("demo"), None, now()).await.unwrap();

    for store in [&table.store, &table.fresh_store()] {
        let refused = store.claim(campaign, &account("other"), None, now()).await;
        assert!(matches!(refused, Err(ClaimError::OtherAccount)));
        store.claim(campaign, &account("demo"), None, now()).await.unwrap();
    }
    let item = &table.items(campaign).await["CAMPAIGN"];
    assert_eq!(item["account_id"], "demo");
    assert_eq!(item["known_since"], now().to_string());
    assert!(!item.contains_key("campaign_type"));
    assert!(!item.contains_key("created_at"), "it would appear in the listing");
}

#[tokio::test]
async fn a_type_once_told_stays() {
    let table = Table::start().await;
    let campaign = new_campaign();
    let demo = account("demo");
    table.store.claim(campaign, &demo, None, now()).await.unwrap();
    table.store.claim(campaign, &demo, Some(CampaignType::Coupons), now()).await.unwrap();

    for store in [&table.store, &table.fresh_store()] {
        let refused = store.claim(campaign, &demo, Some(CampaignType::Generics), now()).await;
        assert!(matches!(refused, Err(ClaimError::OtherType(CampaignType::Coupons))));
        store.claim(campaign, &demo, Some(CampaignType::Coupons), now()).await.unwrap();
        store.claim(campaign, &demo, None, now()).await.unwrap();
    }
    let known = table.store.campaign(campaign).await.unwrap().unwrap();
    assert_eq!(known.campaign_type, Some(CampaignType::Coupons));
}

#[tokio::test]
async fn of_two_accounts_that_race_for_a_campaign_one_wins() {
    let table = Table::start().await;
    for _ in 0..10 {
        let campaign = new_campaign();
        let (left, right) = (table.fresh_store(), table.fresh_store());
        let (demo, other) = (account("demo"), account("other"));
        let (left, right) =
            tokio::join!(left.claim(campaign, &demo, None, now()), right.claim(campaign, &other, None, now()));
        let winner = table.store.campaign(campaign).await.unwrap().unwrap().account_id;
        assert_eq!((left.is_ok(), right.is_ok()), (winner == demo, winner == other));
    }
}

#[tokio::test]
async fn a_campaign_that_nobody_claimed_is_not_known() {
    let table = Table::start().await;
    assert_eq!(table.store.campaign(new_campaign()).await.unwrap(), None);
    assert_eq!(table.store.consistent_campaign(new_campaign()).await.unwrap(), None);
}
