//! Versions: two releases share the table while calls move from one to the other, so each must read the other's items.

use domain::{
    account::{Access, ApiKey},
    campaign::CampaignType,
    event::{Change, CreatedSerialNumber, Creation, Event, Installation, InstantFrom, Subject},
    google::{Callback, CallbackKind},
    id::{AccountId, CampaignId},
    time::Timestamp,
};
use rstest::rstest;
use store::{Collection, Outcome, RecountOutcome, Registered};

use super::{
    TestTable, at, deadline, demo, expect_done, installation, new_campaign, now, pass,
    recount::recount_at,
    recount_parts::recount_part,
    registration,
    tally::{SHARD, apply, counts, expect_exact, install, new_records, read, uninstall},
    typed_serial,
};

const SERIAL_NUMBER_PK: &str = "SERIAL#demo#pass.com.example#serial";

/// Returns the event that gives a pass its names.
fn created(campaign: CampaignId, at: Timestamp) -> Event {
    let creation = Creation {
        serial_number: Some(CreatedSerialNumber::Typed {
            serial_number: typed_serial("pass.com.example", "serial"),
            token: Some("0123456789abcdef".parse().unwrap()),
        }),
        google_object_id: Some("1.x".parse().unwrap()),
    };
    super::event(campaign, pass(1), at, Change::Created(creation))
}

/// Creates a campaign with a pass, an active registration and a removed one and an unfinished recount, and an account
/// with a key.
async fn everything(table: &TestTable) -> (CampaignId, AccountId, ApiKey) {
    let campaign = new_campaign();
    let whole = Installation {
        device_library_identifier: Some("device".parse().unwrap()),
        push_token: Some("token".parse().unwrap()),
        push_service_url: Some("https://push.example".parse().unwrap()),
        serial_number: Some(typed_serial("pass.com.example", "serial")),
        ..installation(registration(1))
    };
    let events = [
        created(campaign, at(0)),
        super::event(campaign, pass(1), at(1), Change::Installed(whole)),
        install(campaign, pass(1), registration(2), at(1)),
        uninstall(campaign, pass(1), registration(2), at(2)),
        super::event(campaign, pass(1), at(2), Change::Updated(InstantFrom::Sender)),
        Event {
            subject: Subject::EveryPass(InstantFrom::Sender),
            ..install(campaign, pass(1), registration(1), at(2))
        },
    ];
    apply(table, &events.map(|event| Event { campaign_type: Some(CampaignType::Coupons), ..event })).await;
    tally(table).await;
    assert_eq!(recount_part(table, campaign, now()).await.outcome, RecountOutcome::Unfinished);
    let (account, key) = (new_campaign().to_string().parse().unwrap(), ApiKey::random().unwrap());
    table.create_account(&account, &"user".parse().unwrap(), now()).await.unwrap();
    table.add_key(&account, &key, Access::ReadWrite, now()).await.unwrap().unwrap();
    (campaign, account, key)
}

async fn tally(table: &TestTable) {
    table.tally(SHARD, &read(&new_records(table, &mut table.stream()).await), now(), deadline()).await.unwrap();
}

/// Checks that the campaign can be read and changed as usual.
async fn expect_usable(table: &TestTable, campaign: CampaignId) {
    let store = table.fresh();
    let listed = table.active(Collection::Campaign(campaign)).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(table.active(Collection::Pass(campaign, pass(1))).await, listed);
    assert_eq!(recount_at(&store, campaign, now()).await.unwrap().outcome, RecountOutcome::Agrees);
    store.claim(campaign, &demo(), None, now()).await.unwrap();
    let again = Installation { push_token: Some("token".parse().unwrap()), ..installation(registration(1)) };
    let registered = store.register(&demo(), campaign, pass(1), &again, at(2), now()).await.unwrap();
    assert!(matches!(registered, Registered::Active(_)), "{registered:?}");
    for event in [
        uninstall(campaign, pass(1), registration(1), at(3)),
        install(campaign, pass(1), registration(2), at(4)),
        install(campaign, pass(1), registration(1), at(5)),
        super::event(campaign, pass(1), at(6), Change::Updated(InstantFrom::Sender)),
    ] {
        assert_eq!(expect_done(store.apply(&event, now()).await), Outcome::Applied);
    }
    for outcome in store.apply_all(&[created(campaign, at(7))], now(), deadline()).await {
        assert_eq!(expect_done(outcome), Outcome::Applied, "the token is that of the latest event");
    }
    tally(table).await;
    expect_exact(&counts(table, campaign).await, &table.active(Collection::Campaign(campaign)).await);
}

#[tokio::test]
async fn an_unknown_attribute_is_ignored() {
    let table = TestTable::start().await;
    let (campaign, account, key) = everything(&table).await;
    let items = table.items(campaign).await;
    assert_eq!(items.len(), 8, "campaign, pass, two registrations, two updates, a day and the total: {items:?}");
    for sk in items.keys().map(String::as_str).chain(["RECOUNT"]) {
        table.set(campaign, sk, "of_a_later_release", "x").await;
    }
    for (pk, sk) in [
        (format!("ACCOUNT#{account}"), "ACCOUNT"),
        (format!("API_KEY#{}", key.id()), "API_KEY"),
        (SERIAL_NUMBER_PK.to_owned(), "SERIAL"),
        ("OBJECT#demo#1.x".to_owned(), "OBJECT"),
    ] {
        table.set_in(&pk, sk, "of_a_later_release", "x").await;
    }
    expect_usable(&table, campaign).await;
    assert_eq!(table.fresh().keys(&account).await.unwrap().unwrap().len(), 1);
    assert!(table.fresh().key(key.id(), now()).await.unwrap().is_some());
}

#[rstest]
#[case::received_at(&format!("PASS#{}#{}", pass(1), registration(1)), "received_at")]
#[case::tie(&format!("PASS#{}#{}", pass(1), registration(1)), "tie")]
#[case::device(&format!("PASS#{}#{}", pass(1), registration(1)), "device")]
#[case::pass_type(&format!("PASS#{}#{}", pass(1), registration(1)), "pass_type")]
#[case::serial_number(&format!("PASS#{}#{}", pass(1), registration(1)), "serial_number")]
#[case::push_token(&format!("PASS#{}#{}", pass(1), registration(1)), "push_token")]
#[case::push_token_at(&format!("PASS#{}#{}", pass(1), registration(1)), "push_token_at")]
#[case::push_service_url(&format!("PASS#{}#{}", pass(1), registration(1)), "push_service_url")]
#[case::serial_number_of_a_pass(&format!("PASS#{}", pass(1)), "serial_number")]
#[case::campaign_type("CAMPAIGN", "campaign_type")]
#[case::pinned_since("CAMPAIGN", "pinned_since")]
#[case::written_by("RECOUNT", "written_by")]
#[tokio::test]
async fn an_attribute_that_was_added_later_may_be_absent(#[case] sk: &str, #[case] attribute: &str) {
    let table = TestTable::start().await;
    let (campaign, ..) = everything(&table).await;
    table.remove(campaign, sk, attribute).await;
    expect_usable(&table, campaign).await;
}

#[tokio::test]
async fn the_next_callback_decides_if_an_item_keeps_none() {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    let callback = |kind, order, nonce: &str| Callback {
        object_id: "1.x".parse().unwrap(),
        kind,
        order,
        nonce: nonce.parse().unwrap(),
    };
    let saved = callback(CallbackKind::Saved, 2, "a");
    let receive = async |callback: Callback, instant| {
        table.apply_callback(&demo(), campaign, pass(1), &callback, at(instant)).await.unwrap()
    };
    assert_eq!(receive(saved.clone(), 1).await, Outcome::Applied);
    let sk = format!("PASS#{}#{}", pass(1), saved.registration_id(pass(1)));
    table.set(campaign, &sk, "of_a_later_release", "x").await;
    for attribute in ["callback_order", "callback_nonce"] {
        table.remove(campaign, &sk, attribute).await;
    }
    assert_eq!(receive(callback(CallbackKind::Deleted, 3, "b"), 2).await, Outcome::Applied);
    assert_eq!(receive(saved, 3).await, Outcome::Unchanged);
}

#[rstest]
#[case("token_hash")]
#[case("token_at")]
#[tokio::test]
async fn a_serial_number_may_lack_its_token(#[case] attribute: &str) {
    let table = TestTable::start().await;
    let (campaign, ..) = everything(&table).await;
    table.remove_from(SERIAL_NUMBER_PK, "SERIAL", attribute).await;
    expect_usable(&table, campaign).await;
}
