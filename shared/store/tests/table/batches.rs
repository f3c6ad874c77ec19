//! A batch ends by its deadline, and an event whose campaign's type could not be stored is not lost.

use std::time::{Duration, Instant};

use domain::{campaign::CampaignType, event::Change, event::Event, id::CampaignId};
use local::testing::faults::{Fault, Faults};
use store::{
    Outcome::{self, Applied, Failed, TypeNotStored, Unchanged},
    StoreError, Table,
    limits::{CALL_TIMEOUT, CONCURRENCY},
};

use super::{TestTable, at, deadline, event, installation, new_campaign, now, pass, registration};

fn installs(campaign: CampaignId, count: usize) -> Vec<Event> {
    let install = |id| event(campaign, pass(id), at(1), Change::Installed(installation(registration(id))));
    (1..).take(count).map(install).collect()
}

/// Returns access to a table whose faults can be planned, with a claimed campaign that has no type.
async fn faulty() -> (TestTable, Faults, Table, CampaignId) {
    let table = TestTable::start().await;
    let faults = table.sandbox.faults().await.unwrap();
    let (store, campaign) = (table.faulty(&faults), new_campaign());
    store.claim(campaign, &"demo".parse().unwrap(), None, now()).await.unwrap();
    let _ = faults.calls();
    (table, faults, store, campaign)
}

#[tokio::test]
async fn no_call_begins_if_it_may_end_after_the_deadline() {
    let (_table, faults, store, campaign) = faulty().await;
    let outcomes = store.apply_all(&installs(campaign, 3), now(), Instant::now() + CALL_TIMEOUT).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Failed(StoreError::Unavailable(_)))), "{outcomes:?}");
    assert_eq!(faults.calls(), 0);
}

#[tokio::test]
async fn events_that_began_before_the_deadline_are_applied_and_the_others_fail() {
    let (_table, faults, store, campaign) = faulty().await;
    // The first calls begin within two seconds, also on a busy machine, and end after that.
    faults.always(Fault::Slow(Duration::from_millis(2_500)));
    let deadline = Instant::now() + CALL_TIMEOUT + Duration::from_secs(2);
    let outcomes = store.apply_all(&installs(campaign, CONCURRENCY + 5), now(), deadline).await;
    let count = |is: fn(&Outcome) -> bool| outcomes.iter().filter(|outcome| is(outcome)).count();
    let counts = (count(|outcome| *outcome == Applied), count(|outcome| matches!(outcome, Failed(_))));
    assert_eq!((counts, faults.calls()), ((CONCURRENCY, 5), CONCURRENCY));
}

#[tokio::test]
async fn events_whose_type_was_not_stored_store_it_when_they_come_again() {
    let (table, faults, store, campaign) = faulty().await;
    let mut events = installs(campaign, 2);
    assert_eq!(store.apply_all(&events[..1], now(), deadline()).await, [Applied]);
    for event in &mut events {
        event.campaign_type = Some(CampaignType::Coupons);
    }
    // The claim and the two installs succeed.
    faults.next([Fault::None; 3]);
    faults.always(Fault::Denied);
    let outcomes = store.apply_all(&events, now(), deadline()).await;
    let [TypeNotStored { is_applied: false, .. }, TypeNotStored { is_applied: true, error }] = &outcomes[..] else {
        panic!("{outcomes:?}")
    };
    assert!(matches!(error, StoreError::Refused(_)), "{error:?}");

    faults.always(Fault::None);
    assert_eq!(store.apply_all(&events, now(), deadline()).await, [Unchanged, Unchanged]);
    assert_eq!(table.items(campaign).await["CAMPAIGN"]["campaign_type"], "coupons");
}
