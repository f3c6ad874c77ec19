use std::time::Duration;

use shared::{
    event::{Change, Installation},
    store::{Collection, Registered, Unregistered},
};

use super::{Table, at, event, installation, new_campaign, now, pass, registration};

#[tokio::test]
async fn registering_twice_finds_the_registration_as_it_is() {
    let table = Table::start().await;
    let (campaign, pass, id) = (new_campaign(), pass(1), registration(1));
    let sk = format!("PASS#{pass}#{id}");
    let with_token = |token: &str| Installation { push_token: Some(token.parse().unwrap()), ..installation(id) };

    let created = table.store.register(campaign, pass, &with_token("old"), at(5), now()).await.unwrap();
    let Registered::Created(created) = created else { panic!("expected a new registration, found {created:?}") };
    assert_eq!((created.id, created.pass_id, created.created_at), (id, pass, at(5)));

    for (again, expected) in [(installation(id), "old"), (with_token("old"), "old"), (with_token("new"), "new")] {
        let found = table.store.register(campaign, pass, &again, at(9), now()).await.unwrap();
        assert_eq!(found, Registered::Active(created.clone()));
        let item = &table.items(campaign).await[&sk];
        assert_eq!((item["push_token"].as_str(), item["created_at"].as_str()), (expected, at(5).to_string().as_str()));
    }
}

#[tokio::test]
async fn what_was_removed_later_cannot_be_registered_at_that_instant() {
    let table = Table::start().await;
    let (campaign, pass, id) = (new_campaign(), pass(1), registration(1));
    let removal = event(campaign, pass, at(7), Change::Uninstalled { registration_id: id });
    table.store.apply(&removal, now()).await.unwrap();

    for instant in [5, 7] {
        let refused = table.store.register(campaign, pass, &installation(id), at(instant), now()).await.unwrap();
        assert_eq!(refused, Registered::RemovedSince(at(7)));
    }
    let accepted = table.store.register(campaign, pass, &installation(id), at(8), now()).await.unwrap();
    assert!(matches!(accepted, Registered::Created(_)));
}

#[tokio::test]
async fn unregistering_ends_a_registration_once() {
    let table = Table::start().await;
    let (campaign, pass, id) = (new_campaign(), pass(1), registration(1));
    let unregister = |store: shared::store::RegistrationStore| async move {
        store.unregister(campaign, pass, id, now()).await.unwrap()
    };

    assert_eq!(unregister(table.store.clone()).await, Unregistered::NeverSeen);
    assert!(table.items(campaign).await.is_empty(), "nothing is written for what was never seen");

    table.store.register(campaign, pass, &installation(id), at(5), now()).await.unwrap();
    assert_eq!(unregister(table.store.clone()).await, Unregistered::Removed);
    assert_eq!(unregister(table.store.clone()).await, Unregistered::AlreadyRemoved);
    assert!(table.active(Collection::Campaign(campaign)).await.is_empty());
}

#[tokio::test]
async fn unregistering_what_lies_ahead_ends_it_at_that_instant() {
    let table = Table::start().await;
    let (campaign, pass, id) = (new_campaign(), pass(1), registration(1));
    let ahead = now().plus(Duration::from_mins(4));
    let install = event(campaign, pass, ahead, Change::Installed(installation(id)));
    table.store.apply(&install, now()).await.unwrap();

    assert_eq!(table.store.unregister(campaign, pass, id, now()).await.unwrap(), Unregistered::Removed);
    let item = &table.items(campaign).await[&format!("PASS#{pass}#{id}")];
    assert_eq!(item["last_event_at"], ahead.to_string());
}
