//! Registering and unregistering: calls that, unlike events, report the stored registration.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use domain::event::{Change, FailedAddress, Installation};
use local::testing::faults::Fault;
use store::{Collection, Outcome, Registered, RegisteredForWallet, Unregistered, keys};

use super::{
    TestTable, at, demo, event, expect_done, installation, new_campaign, now, pass, registration, typed_serial,
};

#[tokio::test]
async fn registering_twice_finds_the_registration_as_it_is() {
    let table = TestTable::start().await;
    let (campaign, pass, id) = (new_campaign(), pass(1), registration(1));
    let sk = format!("PASS#{pass}#{id}");
    let with_token = |token: &str| Installation { push_token: Some(token.parse().unwrap()), ..installation(id) };

    let created = table.register(&demo(), campaign, pass, &with_token("old"), at(5), now()).await.unwrap();
    let Registered::Created(created) = created else { panic!("expected a new registration, found {created:?}") };
    assert_eq!((created.id, created.pass_id, created.created_at), (id, pass, at(5)));

    for (again, expected) in [(installation(id), "old"), (with_token("old"), "old"), (with_token("new"), "new")] {
        let found = table.register(&demo(), campaign, pass, &again, at(9), now()).await.unwrap();
        assert_eq!(found, Registered::Active(created.clone()));
        let item = &table.items(campaign).await[&sk];
        assert_eq!((item["push_token"].as_str(), item["created_at"].as_str()), (expected, at(5).to_string().as_str()));
    }
}

#[tokio::test]
async fn registering_again_adds_what_the_wallet_sends_about_its_device() {
    let table = TestTable::start().await;
    let (campaign, pass, id) = (new_campaign(), pass(1), registration(1));
    let sk = format!("PASS#{pass}#{id}");
    table.register(&demo(), campaign, pass, &installation(id), at(5), now()).await.unwrap();
    let mut before = table.items(campaign).await.remove(&sk).unwrap();
    before.remove("last_event_at");
    let whole = Installation {
        device_library_identifier: Some("device".parse().unwrap()),
        push_token: Some("token".parse().unwrap()),
        push_service_url: Some("https://push.example".parse().unwrap()),
        serial_number: Some(typed_serial("pass.com.example", "serial")),
        ..installation(id)
    };
    let recorder = table.sandbox.recorder().await.unwrap();
    let store = table.recorded(&recorder);
    // Each repetition and its cost: the failed write, and the update of an item that is in an index by its device only
    // from the first repetition on. The instants are in no index.
    for (again, instant, units, confirmed_at) in [
        (&whole, 9, 3.0, 9),
        (&whole, 11, 2.0, 11),
        (&installation(id), 13, 2.0, 13),
        // The instant of an event from a clock that is ahead stays.
        (&whole, 10, 1.0, 13),
    ] {
        let found = store.register(&demo(), campaign, pass, again, at(instant), now()).await.unwrap();
        assert!(matches!(found, Registered::Active(_)), "{found:?}");
        let spent: f64 = recorder.take().iter().map(|call| call.units).sum();
        assert!((spent - units).abs() < f64::EPSILON, "{spent} instead of {units} at {instant}");
        let mut item = table.items(campaign).await.remove(&sk).unwrap();
        for name in ["push_token_at", "last_event_at"] {
            assert_eq!(item.remove(name), Some(at(confirmed_at).to_string()), "{name}");
        }
        assert_eq!(item.remove("device"), Some(keys::by_device_hash(&demo(), &"device".parse().unwrap())));
        for (name, value) in [
            ("push_token", "token"),
            ("push_service_url", "https://push.example"),
            ("pass_type", "pass.com.example"),
            ("serial_number", "serial"),
        ] {
            assert_eq!(item.remove(name).as_deref(), Some(value));
        }
        assert_eq!(item, before, "everything else stays");
    }
}

#[tokio::test]
async fn a_repeated_install_does_not_bring_back_an_old_push_token() {
    let table = TestTable::start().await;
    let (pass, id) = (pass(1), registration(1));
    let with_token = |token: &str| Installation { push_token: Some(token.parse().unwrap()), ..installation(id) };
    for is_registered_by_event in [true, false] {
        let campaign = new_campaign();
        let install = event(campaign, pass, at(5), Change::Installed(with_token("old")));
        if is_registered_by_event {
            assert_eq!(table.apply(&install, now()).await, Outcome::Applied);
        } else {
            table.register(&demo(), campaign, pass, &with_token("old"), at(5), now()).await.unwrap();
        }
        table.register(&demo(), campaign, pass, &with_token("new"), at(9), now()).await.unwrap();
        assert_eq!(table.apply(&install, now()).await, Outcome::Unchanged);
        let item = &table.items(campaign).await[&format!("PASS#{pass}#{id}")];
        assert_eq!((item["push_token"].as_str(), item["created_at"].as_str()), ("new", at(5).to_string().as_str()));
        assert_eq!(item["tie"], with_token("old").tie().as_str());
    }
}

#[tokio::test]
async fn an_event_from_before_the_latest_post_changes_nothing() {
    let table = TestTable::start().await;
    let (pass, id) = (pass(1), registration(1));
    let with_token = |token: &str| Installation { push_token: Some(token.parse().unwrap()), ..installation(id) };
    let events = [
        Change::Uninstalled { registration_id: id },
        Change::Installed(with_token("old")),
        Change::PushFailed(FailedAddress::OfRegistration { registration_id: id, push_token: None }),
        Change::PushFailed(FailedAddress::PushToken("first".parse().unwrap())),
        Change::PushFailed(FailedAddress::PushToken("new".parse().unwrap())),
    ];
    for latest in [with_token("new"), installation(id)] {
        for change in events.clone() {
            let campaign = new_campaign();
            for (installation, instant) in [(&with_token("first"), 5), (&latest, 9)] {
                table.register(&demo(), campaign, pass, installation, at(instant), now()).await.unwrap();
            }
            let before = table.items(campaign).await;
            let late = event(campaign, pass, at(7), change);
            assert_eq!(table.apply(&late, now()).await, Outcome::Unchanged, "{late:?}");
            assert_eq!(table.items(campaign).await, before);
            let uninstall = event(campaign, pass, at(9), Change::Uninstalled { registration_id: id });
            assert_eq!(table.apply(&uninstall, now()).await, Outcome::Applied, "from then on events decide");
        }
    }
}

#[tokio::test]
async fn an_older_post_adds_what_is_missing_and_replaces_nothing() {
    let table = TestTable::start().await;
    let (campaign, pass, id) = (new_campaign(), pass(1), registration(1));
    let with_token = |token: &str| Installation { push_token: Some(token.parse().unwrap()), ..installation(id) };
    let older = Installation { serial_number: Some(typed_serial("pass.com.example", "serial")), ..with_token("old") };
    let register = async |installation: &Installation, instant| {
        let registered = table.register(&demo(), campaign, pass, installation, at(instant), now()).await.unwrap();
        assert!(matches!(registered, Registered::Active(_)), "{registered:?}");
        table.items(campaign).await.remove(&format!("PASS#{pass}#{id}")).unwrap()
    };
    table.register(&demo(), campaign, pass, &installation(id), at(5), now()).await.unwrap();
    let before = register(&with_token("new"), 9).await;
    let mut after = register(&older, 7).await;
    for (name, value) in [("pass_type", "pass.com.example"), ("serial_number", "serial")] {
        assert_eq!(after.remove(name).as_deref(), Some(value));
    }
    assert_eq!(after, before);
}

#[tokio::test]
async fn a_post_that_the_sdk_repeats_does_not_undo_a_later_one() {
    let table = TestTable::start().await;
    let (campaign, pass, id) = (new_campaign(), pass(1), registration(1));
    let with_token = |token: &str| Installation { push_token: Some(token.parse().unwrap()), ..installation(id) };
    table.register(&demo(), campaign, pass, &with_token("first"), at(5), now()).await.unwrap();
    let faults = table.sandbox.faults().await.unwrap();
    // The first update of the older POST fails, so the SDK repeats it.
    faults.next([Fault::None, Fault::Internal]);
    let (slow, account, older) = (table.faulty(&faults), demo(), with_token("old"));
    let mut older = pin!(slow.register(&account, campaign, pass, &older, at(7), now()));
    let mut calls = Vec::new();
    poll_fn(|context| {
        assert!(older.as_mut().poll(context).is_pending());
        calls.extend(faults.operations());
        if calls.iter().any(|operation| operation == "UpdateItem") { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    table.register(&demo(), campaign, pass, &with_token("new"), at(9), now()).await.unwrap();
    assert!(matches!(older.await.unwrap(), Registered::Active(_)));
    assert!(faults.operations().contains(&"UpdateItem".to_owned()), "it was repeated");
    let item = &table.items(campaign).await[&format!("PASS#{pass}#{id}")];
    assert_eq!((item["push_token"].as_str(), item["last_event_at"].clone()), ("new", at(9).to_string()));
}

#[tokio::test]
async fn a_pass_cannot_be_registered_at_or_before_its_removal() {
    let table = TestTable::start().await;
    let (campaign, pass, id) = (new_campaign(), pass(1), registration(1));
    let removal = event(campaign, pass, at(7), Change::Uninstalled { registration_id: id });
    expect_done(table.apply(&removal, now()).await);

    for instant in [5, 7] {
        let refused = table.register(&demo(), campaign, pass, &installation(id), at(instant), now()).await.unwrap();
        assert_eq!(refused, Registered::RemovedSince(at(7)));
    }
    let accepted = table.register(&demo(), campaign, pass, &installation(id), at(8), now()).await.unwrap();
    assert!(matches!(accepted, Registered::Created(_)));
}

#[tokio::test]
async fn unregistering_ends_a_registration_once() {
    let table = TestTable::start().await;
    let (campaign, pass, id) = (new_campaign(), pass(1), registration(1));
    let unregister = |store: store::Table| async move { store.unregister(campaign, pass, id, now()).await.unwrap() };

    assert_eq!(unregister(table.clone()).await, Unregistered::NeverSeen);
    assert!(table.items(campaign).await.is_empty(), "nothing is written for an unknown registration");

    table.register(&demo(), campaign, pass, &installation(id), at(5), now()).await.unwrap();
    assert_eq!(unregister(table.clone()).await, Unregistered::Removed);
    assert_eq!(unregister(table.clone()).await, Unregistered::AlreadyRemoved);
    assert!(table.active(Collection::Campaign(campaign)).await.is_empty());
}

#[tokio::test]
async fn unregistering_a_future_registration_ends_it_when_it_begins() {
    let table = TestTable::start().await;
    let (campaign, pass, id) = (new_campaign(), pass(1), registration(1));
    let ahead = now().plus(Duration::from_mins(4));
    let install = event(campaign, pass, ahead, Change::Installed(installation(id)));
    expect_done(table.apply(&install, now()).await);

    assert_eq!(table.unregister(campaign, pass, id, now()).await.unwrap(), Unregistered::Removed);
    let item = &table.items(campaign).await[&format!("PASS#{pass}#{id}")];
    assert_eq!(item["last_event_at"], ahead.to_string());
}

#[tokio::test]
async fn a_wallet_is_registered_one_millisecond_after_a_removal_that_lies_ahead() {
    let table = TestTable::start().await;
    let (campaign, pass, id) = (new_campaign(), pass(1), registration(1));
    let (demo, installation) = (demo(), installation(id));
    let register = || table.register_for_wallet(&demo, campaign, pass, &installation, now());
    for (removed_at, expected) in [(now(), 1), (now().plus(Duration::from_mins(4)), 240_001)] {
        let removal = event(campaign, pass, removed_at, Change::Uninstalled { registration_id: id });
        expect_done(table.apply(&removal, now()).await);
        let registered = register().await.unwrap();
        let RegisteredForWallet::Created(created) = registered else {
            panic!("expected a new registration, found {registered:?}")
        };
        assert_eq!(created.created_at, now().plus(Duration::from_millis(expected)));
        assert_eq!(register().await.unwrap(), RegisteredForWallet::Active(created));
    }
}
