//! Recounts: safe at any time, and exact once no change is still to be counted.

use std::time::Duration;

use domain::{
    counts::{ChangeKind, Part},
    event::{Change, Event, Subject},
    id::CampaignId,
    time::Timestamp,
    wallet::{DeviceOs, Wallet},
};
use rstest::rstest;
use store::{CampaignCounts, Collection, Comparison, Recount, RecountOutcome, RecountRun, StoreError, Table};

use super::{
    TestTable, at, deadline, event, expect_done, installation, new_campaign, now, pass, registration,
    tally::{SHARD, apply, counts, expect_exact, install, new_records, read, uninstall},
};

/// Returns an instant so late that the tally has counted every change received at [`now`], or can no longer read it.
pub(crate) fn a_day_later() -> Timestamp {
    now().plus(Duration::from_hours(25))
}

/// Recounts a campaign at an instant, with enough time to finish.
pub(crate) async fn recount_at(table: &Table, campaign: CampaignId, now: Timestamp) -> Result<Recount, StoreError> {
    let (clock, invocation) = (move || now, uuid::Uuid::new_v4().to_string());
    table.recount(campaign, RecountRun::new(&invocation, &clock, now.plus(Duration::from_mins(15)))).await
}

/// Returns what a recount that read the whole campaign compared.
pub(crate) fn compared(recount: &Recount) -> &Comparison {
    recount.comparison.as_ref().unwrap()
}

pub(crate) fn in_google_wallet(mut install: Event) -> Event {
    if let Subject::Pass { change: Change::Installed(installation), .. } = &mut install.subject {
        (installation.wallet, installation.device_os) = (Wallet::GoogleWallet, DeviceOs::Android);
    }
    install
}

/// Returns three installs on two days, the removal of one on the third day, and the move of another to another wallet.
pub(crate) fn story(campaign: CampaignId) -> [Vec<Event>; 3] {
    let day = |days: u64| at(0).plus(Duration::from_hours(24 * days));
    [
        vec![
            install(campaign, pass(1), registration(1), day(0)),
            install(campaign, pass(1), registration(2), day(0)),
            in_google_wallet(install(campaign, pass(2), registration(3), day(1))),
        ],
        vec![uninstall(campaign, pass(1), registration(2), day(2))],
        vec![in_google_wallet(install(campaign, pass(1), registration(1), day(2)))],
    ]
}

async fn expect_repaired(table: &TestTable, campaign: CampaignId) -> Recount {
    let recount = recount_at(table, campaign, a_day_later()).await.unwrap();
    assert_eq!(recount.outcome, RecountOutcome::Repaired);
    let counts = counts(table, campaign).await;
    assert!(counts.counted_since.is_some(), "{counts:?}");
    expect_exact(&counts, &table.active(Collection::Campaign(campaign)).await);
    let again = recount_at(table, campaign, a_day_later()).await.unwrap();
    assert_eq!((again.outcome, &compared(&again).counted), (RecountOutcome::Agrees, &counts.totals));
    recount
}

#[tokio::test]
async fn counts_that_agree_stay_as_they_are() {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    let mut stream = table.stream();
    for events in story(campaign) {
        apply(&table, &events).await;
    }
    table.tally(SHARD, &read(&new_records(&table, &mut stream).await), now(), deadline()).await.unwrap();
    let before = counts(&table, campaign).await;
    for when in [now(), a_day_later()] {
        let recount = recount_at(&table, campaign, when).await.unwrap();
        assert_eq!(recount.outcome, RecountOutcome::Agrees);
        assert_eq!(compared(&recount).active.active(Part::All), 2);
    }
    assert_eq!(counts(&table, campaign).await, before);
}

/// Each case says which of the three batches of the story reach the counts.
#[rstest]
#[case::older_than_the_tally([false, false, false])]
#[case::counted_from_the_second_batch_on([false, true, true])]
#[case::only_the_last_batch_counted([false, false, true])]
#[case::uninstalls_lost([true, false, true])]
#[case::changes_of_wallet_lost([true, true, false])]
#[case::the_end_lost([true, false, false])]
#[tokio::test]
async fn changes_that_were_never_counted_are_added(#[case] reaches: [bool; 3]) {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    let mut stream = table.stream();
    for (events, reaches) in story(campaign).into_iter().zip(reaches) {
        apply(&table, &events).await;
        let records = read(&new_records(&table, &mut stream).await);
        if reaches {
            table.tally(SHARD, &records, now(), deadline()).await.unwrap();
        }
    }
    let recount = expect_repaired(&table, campaign).await;
    assert_eq!(compared(&recount).active.active(Part::Wallet(Wallet::GoogleWallet)), 2);
    let totals = counts(&table, campaign).await.totals;
    for kind in ChangeKind::ALL {
        let wallets: i64 = Wallet::ALL.iter().map(|wallet| totals.get(kind, Part::Wallet(*wallet))).sum();
        let systems: i64 = DeviceOs::ALL.iter().map(|system| totals.get(kind, Part::DeviceOs(*system))).sum();
        assert_eq!((wallets, systems), (totals.get(kind, Part::All), totals.get(kind, Part::All)), "{totals:?}");
    }
}

#[tokio::test]
async fn missing_installs_are_added_to_the_days_on_which_they_began() {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    for events in story(campaign) {
        apply(&table, &events).await;
    }
    expect_repaired(&table, campaign).await;
    let CampaignCounts { days, .. } = counts(&table, campaign).await;
    let installs = days.iter().map(|(day, counts)| (day.to_string(), counts.get(ChangeKind::Install, Part::All)));
    let installs: Vec<_> = installs.collect();
    assert_eq!(installs, [("2016-11-10".to_owned(), 1), ("2016-11-11".to_owned(), 1)]);
}

#[tokio::test]
async fn more_days_than_fit_into_one_transaction_are_repaired() {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    let day = |number: u32| at(0).plus(Duration::from_hours(24 * u64::from(number)));
    let install = |number: u32| install(campaign, pass(number.into()), registration(number.into()), day(number));
    apply(&table, &(0..250).map(install).collect::<Vec<_>>()).await;
    expect_repaired(&table, campaign).await;
    assert_eq!(counts(&table, campaign).await.days.len(), 250);
}

#[rstest]
#[case::install(vec![])]
#[case::uninstall(vec![0])]
#[tokio::test]
async fn a_campaign_with_a_recent_change_is_busy_and_stays_as_it_is(#[case] removed: Vec<u128>) {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    apply(&table, &[install(campaign, pass(0), registration(0), at(0))]).await;
    let lately = a_day_later();
    let late_events: Vec<_> = match removed.as_slice() {
        [] => vec![install(campaign, pass(1), registration(1), at(1))],
        removed => removed.iter().map(|id| uninstall(campaign, pass(*id), registration(*id), at(1))).collect(),
    };
    for event in &late_events {
        expect_done(table.apply(event, lately).await);
    }
    let before = table.items(campaign).await;
    let almost = lately.plus(Duration::from_hours(25)).minus(Duration::from_secs(1)).unwrap();
    let recount = recount_at(&table, campaign, almost).await.unwrap();
    let RecountOutcome::Busy { again_at } = recount.outcome else { panic!("{recount:?}") };
    assert_eq!((table.items(campaign).await, compared(&recount).counted.is_empty()), (before, true));
    assert_eq!(recount_at(&table, campaign, again_at).await.unwrap().outcome, RecountOutcome::Repaired);
}

/// Each case says after which call of a recount something happens, whether an earlier change is counted then or a new
/// event arrives, and whether the recount repairs the counts. The calls are: read and write the progress, read the
/// registrations, write the progress, read the counts, repair them, write the progress.
#[rstest]
#[case::counted_before_the_progress_is_written(0, true, false)]
#[case::counted_before_the_registrations_are_read(1, true, false)]
#[case::counted_before_the_counts_are_read(3, true, false)]
#[case::counted_before_the_counts_are_repaired(4, true, false)]
#[case::arrived_before_the_registrations_are_read(1, false, false)]
#[case::arrived_before_the_counts_are_read(3, false, true)]
#[case::arrived_before_the_counts_are_repaired(4, false, true)]
#[tokio::test]
async fn a_change_during_a_recount_is_neither_lost_nor_counted_twice(
    #[case] after: usize,
    #[case] counted: bool,
    #[case] repaired: bool,
) {
    const CALLS: usize = 7;
    let table = TestTable::start().await;
    let campaign = new_campaign();
    let mut stream = table.stream();
    apply(&table, &[install(campaign, pass(1), registration(1), at(0))]).await;
    let lost = read(&new_records(&table, &mut stream).await);
    let recorder = table.sandbox.recorder().await.unwrap();
    let store = table.recorded(&recorder);
    // Each call of the recount waits for a call made here.
    recorder.hold_until(2);
    let in_between = async {
        for call in 0..CALLS {
            store.consistent_campaign(new_campaign(), now()).await.unwrap();
            if call == after && counted {
                table.tally(SHARD, &lost, now(), deadline()).await.unwrap();
            } else if call == after {
                let new = install(campaign, pass(2), registration(2), at(9));
                expect_done(table.apply(&new, a_day_later()).await);
            }
        }
    };
    // A recount that ends early makes fewer calls, so other calls replace the missing ones.
    let recount = async {
        let recount = recount_at(&store, campaign, a_day_later()).await.unwrap();
        // The first call is the only `BatchGetItem`. The others are of the calls made here.
        let calls = 1 + recorder.take().iter().filter(|call| call.operation != "BatchGetItem").count();
        for _ in calls..CALLS {
            store.consistent_campaign(new_campaign(), now()).await.unwrap();
        }
        recount
    };
    let both = async { futures_util::join!(recount, in_between) };
    let (recount, ()) = tokio::time::timeout(Duration::from_mins(1), Box::pin(both)).await.unwrap();
    assert_eq!(recount.outcome == RecountOutcome::Repaired, repaired, "{recount:?}");

    if !counted {
        table.tally(SHARD, &read(&new_records(&table, &mut stream).await), now(), deadline()).await.unwrap();
    }
    let rows = table.active(Collection::Campaign(campaign)).await;
    let counts = counts(&table, campaign).await;
    if repaired || counted {
        expect_exact(&counts, &rows);
    } else {
        assert_eq!(counts.totals.active(Part::All), 1, "the next recount adds the lost change");
    }
}

#[tokio::test]
async fn a_malformed_registration_is_named() {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    apply(&table, &[event(campaign, pass(1), at(0), Change::Installed(installation(registration(1))))]).await;
    table.set(campaign, &store::keys::registration_sk(pass(1), registration(1)), "wallet", "abacus").await;
    let error = recount_at(&table, campaign, a_day_later()).await.unwrap_err().to_string();
    assert!(error.contains("PASS#") && error.contains("abacus"), "{error}");
}
