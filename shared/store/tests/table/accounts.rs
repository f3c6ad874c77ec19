//! Accounts and their API keys.

use std::{collections::HashSet, time::Duration};

use domain::{
    account::{Access, ApiKey},
    id::AccountId,
};

use super::{TestTable, now};

fn account(name: &str) -> AccountId {
    name.parse().unwrap()
}

#[tokio::test]
async fn a_revoked_key_stops_working_within_a_minute() {
    let table = TestTable::start().await;
    let acme = account("acme");
    let later = |seconds| now().plus(Duration::from_secs(seconds));
    assert!(table.create_account(&acme, &"acme".parse().unwrap(), now()).await.unwrap());
    let key = ApiKey::random().unwrap();
    let record = table.add_key(&acme, &key, Access::ReadOnly, now()).await.unwrap().unwrap();
    assert_eq!((record.id, &record.account_id, record.access), (key.id(), &acme, Access::ReadOnly));

    assert_eq!(table.key(key.id(), now()).await.unwrap(), Some(record.clone()));
    let other_process = table.fresh();
    let revoked = other_process.revoke_key(&acme, key.id(), later(1)).await.unwrap().unwrap();
    assert_eq!(revoked.revoked_at, Some(later(1)));
    assert_eq!(
        other_process.key(key.id(), later(2)).await.unwrap(),
        None,
        "a process that has not seen the key refuses it"
    );
    assert_eq!(table.key(key.id(), later(59)).await.unwrap(), Some(record), "a process that remembers it accepts it");
    assert_eq!(table.key(key.id(), later(60)).await.unwrap(), None, "for less than a minute");
}

#[tokio::test]
async fn only_its_own_account_finds_a_key() {
    let table = TestTable::start().await;
    let (acme, other) = (account("acme"), account("other"));
    for account in [&acme, &other] {
        table.create_account(account, &"name".parse().unwrap(), now()).await.unwrap();
    }
    let key = ApiKey::random().unwrap();
    table.add_key(&acme, &key, Access::ReadWrite, now()).await.unwrap().unwrap();
    assert_eq!(table.revoke_key(&other, key.id(), now()).await.unwrap(), None);
    assert_eq!(table.keys(&other).await.unwrap(), Some(vec![]));
    assert_eq!(table.keys(&acme).await.unwrap().unwrap().len(), 1);
    assert_eq!(table.keys(&account("unknown")).await.unwrap(), None);
    assert_eq!(
        table.add_key(&account("unknown"), &ApiKey::random().unwrap(), Access::ReadWrite, now()).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn a_known_account_is_looked_up_once_a_minute_and_an_unknown_one_each_time() {
    let table = TestTable::start().await;
    let recorder = table.sandbox.recorder().await.unwrap();
    let store = table.recorded(&recorder);
    let (demo, stranger) = (account("demo"), account("stranger"));
    let unknown = async |seconds| {
        let both = HashSet::from([demo.clone(), stranger.clone()]);
        let unknown = store.unknown_accounts(both, now().plus(Duration::from_secs(seconds))).await.unwrap();
        let units: f64 = recorder.take().iter().map(|call| call.units).sum();
        (unknown.into_iter().collect::<Vec<_>>(), units)
    };
    // A strongly consistent read of an item, which may be missing, costs one unit.
    assert_eq!(unknown(0).await, (vec![stranger.clone()], 2.0));
    assert_eq!(unknown(59).await, (vec![stranger.clone()], 1.0));
    assert_eq!(unknown(60).await, (vec![stranger.clone()], 2.0));
    table.create_account(&stranger, &"user".parse().unwrap(), now()).await.unwrap();
    assert_eq!(unknown(61).await, (vec![], 1.0));
    assert_eq!(unknown(62).await, (vec![], 0.0));
}
