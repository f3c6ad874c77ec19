//! Callbacks of Google Wallet.

use std::{
    collections::BTreeMap,
    sync::{
        OnceLock,
        atomic::{AtomicI64, Ordering},
    },
};

use domain::{
    event::{Change, Installation},
    google::{Callback, CallbackKind, GoogleIssuerId},
    id::CampaignId,
    registration::Registration,
    time::Timestamp,
    wallet::{DeviceOs, Wallet},
};
use futures_util::{StreamExt as _, stream};
use local::testing::recorder::Recorder;
use proptest::prelude::*;
use store::{CallbackContext, Collection, GoogleRootKeys, Outcome, Table};

use super::{
    TestTable, at, deadline, demo, event, every_order, expect_done, installation, new_campaign, now, pass, untyped,
};

use CallbackKind::{Deleted, Saved};
use Outcome::{Applied, Unchanged};

const OBJECT: &str = "3388.object";

fn callback(kind: CallbackKind, order: i64, nonce: &str) -> Callback {
    Callback { object_id: OBJECT.parse().unwrap(), kind, order, nonce: nonce.parse().unwrap() }
}

async fn receive(table: &Table, campaign: CampaignId, callback: &Callback, at: Timestamp) -> Outcome {
    expect_done(table.apply_callback(&demo(), campaign, pass(1), callback, at).await.unwrap())
}

async fn active(table: &TestTable, campaign: CampaignId) -> Vec<Registration> {
    table.active(Collection::Campaign(campaign)).await
}

#[tokio::test]
async fn the_callback_with_the_greater_order_decides() {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    let (saved, deleted) = (callback(Saved, 10, "a"), callback(Deleted, 20, "b"));
    assert_eq!(receive(&table, campaign, &saved, at(1)).await, Applied);
    let id = saved.registration_id(pass(1));
    let expected = Registration {
        id,
        pass_id: pass(1),
        wallet: Wallet::GoogleWallet,
        device_os: DeviceOs::Android,
        created_at: at(1),
    };
    assert_eq!(active(&table, campaign).await, [expected]);
    assert_eq!(receive(&table, campaign, &saved, at(2)).await, Unchanged);
    assert_eq!(receive(&table, campaign, &callback(Deleted, 9, "c"), at(3)).await, Unchanged, "older");
    assert_eq!(receive(&table, campaign, &callback(Deleted, 11, "a"), at(3)).await, Unchanged, "a repetition");
    assert_eq!(active(&table, campaign).await[0].created_at, at(1));
    assert_eq!(receive(&table, campaign, &deleted, at(4)).await, Applied);
    assert_eq!(receive(&table, campaign, &saved, at(5)).await, Unchanged, "a tombstone keeps the order");
    assert_eq!(active(&table, campaign).await, []);
    assert_eq!(receive(&table, campaign, &callback(Saved, 30, "d"), at(6)).await, Applied);
    assert_eq!(active(&table, campaign).await[0].created_at, at(6));
}

#[tokio::test]
async fn a_callback_costs_one_write_and_one_more_after_an_event_in_the_future() {
    let table = TestTable::start().await;
    let recorder = table.sandbox.recorder().await.unwrap();
    let watched = table.recorded(&recorder);
    let writes = |recorder: &Recorder| recorder.take().len();
    let campaign = new_campaign();
    receive(&watched, campaign, &callback(Saved, 10, "a"), at(1)).await;
    assert_eq!(writes(&recorder), 1);
    let id = callback(Saved, 1, "a").registration_id(pass(1));
    expect_done(
        table.apply(&event(campaign, pass(1), at(9), Change::Uninstalled { registration_id: id }), now()).await,
    );
    receive(&watched, campaign, &callback(Saved, 20, "b"), at(2)).await;
    assert_eq!(writes(&recorder), 2);
    assert_eq!(active(&table, campaign).await[0].created_at, at(10));
}

#[tokio::test]
async fn a_callback_counts_at_its_receipt_among_events() {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    let saved = callback(Saved, 10, "a");
    let id = saved.registration_id(pass(1));
    let uninstalled = |instant| event(campaign, pass(1), at(instant), Change::Uninstalled { registration_id: id });
    assert_eq!(receive(&table, campaign, &saved, at(5)).await, Applied);
    assert_eq!(table.apply(&uninstalled(4), now()).await, Unchanged, "an earlier event");
    assert_eq!(table.apply(&uninstalled(6), now()).await, Applied);
    assert_eq!(receive(&table, campaign, &callback(Saved, 11, "b"), at(3)).await, Applied, "after the stored event");
    assert_eq!(table.apply(&uninstalled(6), now()).await, Unchanged, "a repeated event");
    let installed = event(campaign, pass(1), at(9), Change::Installed(installation(id)));
    assert_eq!(table.apply(&installed, now()).await, Applied);
    assert_eq!(receive(&table, campaign, &callback(Deleted, 12, "c"), at(8)).await, Applied);
    assert_eq!(table.apply(&installed, now()).await, Unchanged);
    assert_eq!(active(&table, campaign).await, []);
}

#[tokio::test]
async fn of_a_save_and_a_del_at_the_same_time_the_greater_order_wins() {
    const PAIRS: i64 = 1_000;
    let table = TestTable::start().await;
    let campaign = new_campaign();
    let clock = AtomicI64::new(0);
    let pairs = stream::iter(0..PAIRS).map(|number| {
        let (table, clock) = (&table, &clock);
        async move {
            let is_saved_last = number % 2 == 0;
            let (saved_order, deleted_order) = if is_saved_last { (2, 1) } else { (1, 2) };
            let pass = pass(u128::try_from(number).unwrap() + 1);
            let receive = async |callback: &Callback| {
                let received = at(u32::try_from(clock.fetch_add(1, Ordering::Relaxed)).unwrap());
                table.apply_callback(&demo(), campaign, pass, callback, received).await.unwrap()
            };
            let (saved, deleted) = (callback(Saved, saved_order, "a"), callback(Deleted, deleted_order, "b"));
            tokio::join!(receive(&saved), receive(&deleted));
            (saved.registration_id(pass), is_saved_last)
        }
    });
    let mut expected: BTreeMap<_, _> = pairs.buffer_unordered(8).collect().await;
    assert_eq!(expected.len(), 1_000);
    expected.retain(|_, is_saved_last| *is_saved_last);
    let found = active(&table, campaign).await.into_iter().map(|found| (found.id, true)).collect();
    assert_eq!(expected, found);
}

#[tokio::test]
async fn a_callback_finds_its_issuers_its_pass_and_the_keys_in_one_call() {
    let table = TestTable::start().await;
    let recorder = table.sandbox.recorder().await.unwrap();
    let campaign = new_campaign();
    let object = OBJECT.parse().unwrap();
    let context = |with_keys| {
        let table = table.recorded(&recorder);
        let object = &object;
        async move { table.callback_context(&demo(), Some(object), with_keys).await.unwrap() }
    };
    assert_eq!(context(true).await, CallbackContext::default());
    let mut creation = untyped(None);
    creation.google_object_id = Some(OBJECT.parse().unwrap());
    for outcome in
        table.apply_all(&[event(campaign, pass(1), at(0), Change::Created(creation))], now(), deadline()).await
    {
        expect_done(outcome);
    }
    let issuer_ids: Vec<GoogleIssuerId> = ["3388", "3389"].map(|id| id.parse().unwrap()).into();
    table.set_google_issuers(&demo(), &issuer_ids).await.unwrap();
    let keys_of = |url: &str, key_set: &str, fresh_until| GoogleRootKeys {
        url: url.to_owned(),
        key_set: key_set.to_owned(),
        fresh_until,
    };
    let keys = |key_set: &str, fresh_until| keys_of("https://example.com", key_set, fresh_until);
    assert!(table.store_google_keys(&keys("new", at(2))).await.unwrap());
    assert!(!table.store_google_keys(&keys("old", at(1))).await.unwrap(), "keys that are fresh longer stay");
    let of_another_address = keys_of("https://example.org", "old", at(1));
    assert!(table.store_google_keys(&of_another_address).await.unwrap(), "keys of another address do not stay");
    assert!(table.store_google_keys(&keys("new", at(2))).await.unwrap());
    drop(recorder.take());
    let expected = CallbackContext {
        issuer_ids: issuer_ids.clone(),
        pass: Some((campaign, pass(1))),
        keys: Some(keys("new", at(2))),
    };
    assert_eq!(context(true).await, expected);
    assert_eq!(recorder.take().len(), 1);
    assert_eq!(context(false).await, CallbackContext { keys: None, ..expected });
    assert_eq!(table.google_issuers(&demo()).await.unwrap(), issuer_ids);
    table.set_google_issuers(&demo(), &[]).await.unwrap();
    assert_eq!(table.google_issuers(&demo()).await.unwrap(), []);
    let of_another = table.callback_context(&"acme".parse().unwrap(), Some(&object), false).await.unwrap();
    assert_eq!(of_another, CallbackContext::default());
}

/// Some callbacks about one object, in two sequences of which the second one has repetitions, and the instant of an
/// event from before them.
fn sequences() -> impl Strategy<Value = ([Vec<Callback>; 2], Option<u32>)> {
    let kind = prop_oneof![Just(Saved), Just(Deleted)];
    let callbacks = prop::collection::vec((kind, 0..4_i64), 1..7).prop_map(|callbacks| {
        let numbered = callbacks.into_iter().enumerate();
        numbered.map(|(number, (kind, order))| callback(kind, order, &number.to_string())).collect::<Vec<_>>()
    });
    let sequences = callbacks.prop_flat_map(|callbacks| {
        let again = prop::sample::subsequence(callbacks.clone(), 0..=callbacks.len());
        let second = again.prop_flat_map({
            let callbacks = callbacks.clone();
            move |again| Just([callbacks.clone(), again].concat()).prop_shuffle()
        });
        (Just(callbacks), second).prop_map(|(first, second)| [first, second])
    });
    // The callbacks are received from the tenth millisecond on.
    (sequences, prop::option::of(0..40_u32))
}

/// Receives the callbacks in this sequence. Returns whether the registration is active then.
async fn play(table: &TestTable, callbacks: &[Callback], event_at: Option<u32>) -> bool {
    let campaign = new_campaign();
    if let Some(instant) = event_at {
        let id = callbacks[0].registration_id(pass(1));
        let installed = Change::Installed(Installation { wallet: Wallet::Passbook, ..installation(id) });
        expect_done(table.apply(&event(campaign, pass(1), at(instant), installed), now()).await);
    }
    for (callback, instant) in callbacks.iter().zip(10..) {
        receive(table, campaign, callback, at(instant)).await;
    }
    !active(table, campaign).await.is_empty()
}

proptest! {
    #![proptest_config(every_order::config())]

    #[test]
    fn every_order_and_every_repetition_of_the_same_callbacks_leaves_the_same_state(
        (sequences, event_at) in sequences()
    ) {
        static TABLE: OnceLock<TestTable> = OnceLock::new();
        let table = TABLE.get_or_init(|| every_order::runtime().block_on(TestTable::start()));
        let [first, second] = &sequences;
        let last = first.iter().map(|callback| (callback.order, callback.kind == Deleted)).max();
        let expected = last.is_some_and(|(_, is_deleted)| !is_deleted);
        for sequence in [first, second] {
            prop_assert_eq!(every_order::runtime().block_on(play(table, sequence, event_at)), expected);
        }
    }
}
