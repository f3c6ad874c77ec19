use std::time::Duration;

use shared::{
    account::{Access, ApiKey},
    id::AccountId,
};

use super::{Table, now};

fn account(name: &str) -> AccountId {
    name.parse().unwrap()
}

#[tokio::test]
async fn a_revoked_key_dies_within_a_minute() {
    let table = Table::start().await;
    let acme = account("acme");
    let later = |seconds| now().plus(Duration::from_secs(seconds));
    assert!(table.store.create_account(&acme, &"acme".parse().unwrap(), now()).await.unwrap());
    let key = ApiKey::random().unwrap();
    let record = table.store.add_key(&acme, &key, Access::ReadOnly, now()).await.unwrap().unwrap();
    assert_eq!((record.id, &record.account_id, record.access), (key.id(), &acme, Access::ReadOnly));

    assert_eq!(table.store.key(key.id(), now()).await.unwrap(), Some(record.clone()));
    let other_process = table.fresh_store();
    let revoked = other_process.revoke_key(&acme, key.id(), later(1)).await.unwrap().unwrap();
    assert_eq!(revoked.revoked_at, Some(later(1)));
    assert_eq!(
        other_process.key(key.id(), later(2)).await.unwrap(),
        None,
        "a process that does not know it finds it dead"
    );
    assert_eq!(table.store.key(key.id(), later(59)).await.unwrap(), Some(record), "one that knows it remembers it");
    assert_eq!(table.store.key(key.id(), later(60)).await.unwrap(), None, "for less than a minute");
}

#[tokio::test]
async fn a_key_is_found_by_its_own_account_only() {
    let table = Table::start().await;
    let (acme, other) = (account("acme"), account("other"));
    for account in [&acme, &other] {
        table.store.create_account(account, &"name".parse().unwrap(), now()).await.unwrap();
    }
    let key = ApiKey::random().unwrap();
    table.store.add_key(&acme, &key, Access::ReadWrite, now()).await.unwrap().unwrap();
    assert_eq!(table.store.revoke_key(&other, key.id(), now()).await.unwrap(), None);
    assert_eq!(table.store.keys(&other).await.unwrap(), Some(vec![]));
    assert_eq!(table.store.keys(&acme).await.unwrap().unwrap().len(), 1);
    assert_eq!(table.store.keys(&account("nobody")).await.unwrap(), None);
    assert_eq!(
        table.store.add_key(&account("nobody"), &ApiKey::random().unwrap(), Access::ReadWrite, now()).await.unwrap(),
        None
    );
}
