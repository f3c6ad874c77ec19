//! Counting a campaign anew is safe at any time.

use std::time::Duration;

use rstest::rstest;
use shared::{
    clock::Timestamp,
    counts::{ChangeKind, Part},
    event::{Change, Event},
    id::CampaignId,
    registration::{DeviceOs, Wallet},
    store::{CampaignCounts, Collection, Recount, RecountOutcome},
};

use super::{
    Table, at, event, installation, new_campaign, now, pass, registration,
    tally::{SHARD, apply, counts, expect_exact, install, new_records, read, uninstall},
};

/// So much later that nothing of what was received at [`now`] is on its way.
fn a_day_later() -> Timestamp {
    now().plus(Duration::from_hours(25))
}

fn in_google_wallet(mut install: Event) -> Event {
    if let Change::Installed(installation) = &mut install.change {
        (installation.wallet, installation.device_os) = (Wallet::GoogleWallet, DeviceOs::Android);
    }
    install
}

/// Two installs, one removed and one in another wallet, on three days.
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

async fn expect_mended(table: &Table, campaign: CampaignId) -> Recount {
    let recount = table.store.recount(campaign, a_day_later()).await.unwrap();
    assert_eq!(recount.outcome, RecountOutcome::Mended);
    let counts = counts(table, campaign).await;
    assert!(counts.counted_since.is_some(), "{counts:?}");
    expect_exact(&counts, &table.active(Collection::Campaign(campaign)).await);
    let again = table.store.recount(campaign, a_day_later()).await.unwrap();
    assert_eq!((again.outcome, &again.counted), (RecountOutcome::Agrees, &counts.totals));
    recount
}

#[tokio::test]
async fn what_is_counted_already_agrees_and_stays_as_it_is() {
    let table = Table::start().await;
    let campaign = new_campaign();
    let mut stream = table.stream();
    for events in story(campaign) {
        apply(&table, &events).await;
    }
    table.store.tally(SHARD, &read(&new_records(&table, &mut stream).await), now()).await.unwrap();
    let before = counts(&table, campaign).await;
    for when in [now(), a_day_later()] {
        let recount = table.store.recount(campaign, when).await.unwrap();
        assert_eq!(recount.outcome, RecountOutcome::Agrees);
        assert_eq!(recount.active.active(Part::All), 2);
    }
    assert_eq!(counts(&table, campaign).await, before);
}

/// Which of the three batches of the story reach the counts.
#[rstest]
#[case::older_than_the_tally([false, false, false])]
#[case::counted_since_a_while([false, true, true])]
#[case::counted_since_a_little_while([false, false, true])]
#[case::uninstalls_lost([true, false, true])]
#[case::changes_of_wallet_lost([true, true, false])]
#[case::the_end_lost([true, false, false])]
#[tokio::test]
async fn what_was_never_counted_is_made_up_for(#[case] reaches: [bool; 3]) {
    let table = Table::start().await;
    let campaign = new_campaign();
    let mut stream = table.stream();
    for (events, reaches) in story(campaign).into_iter().zip(reaches) {
        apply(&table, &events).await;
        let records = read(&new_records(&table, &mut stream).await);
        if reaches {
            table.store.tally(SHARD, &records, now()).await.unwrap();
        }
    }
    let recount = expect_mended(&table, campaign).await;
    assert_eq!(recount.active.active(Part::Wallet(Wallet::GoogleWallet)), 2);
    let totals = counts(&table, campaign).await.totals;
    for kind in ChangeKind::ALL {
        let wallets: i64 = Wallet::ALL.into_iter().map(|wallet| totals.get(kind, Part::Wallet(wallet))).sum();
        let systems: i64 = DeviceOs::ALL.into_iter().map(|system| totals.get(kind, Part::DeviceOs(system))).sum();
        assert_eq!((wallets, systems), (totals.get(kind, Part::All), totals.get(kind, Part::All)), "{totals:?}");
    }
}

#[tokio::test]
async fn what_an_older_campaign_still_has_is_of_the_days_on_which_it_began() {
    let table = Table::start().await;
    let campaign = new_campaign();
    for events in story(campaign) {
        apply(&table, &events).await;
    }
    expect_mended(&table, campaign).await;
    let CampaignCounts { days, .. } = counts(&table, campaign).await;
    let installs = days.iter().map(|(day, counts)| (day.to_string(), counts.get(ChangeKind::Install, Part::All)));
    let installs: Vec<_> = installs.collect();
    assert_eq!(installs, [("2016-11-10".to_owned(), 1), ("2016-11-11".to_owned(), 1)]);
}

#[tokio::test]
async fn more_days_than_a_transaction_takes_are_mended_all_the_same() {
    let table = Table::start().await;
    let campaign = new_campaign();
    let day = |number: u32| at(0).plus(Duration::from_hours(24 * u64::from(number)));
    let install = |number: u32| install(campaign, pass(number.into()), registration(number.into()), day(number));
    apply(&table, &(0..250).map(install).collect::<Vec<_>>()).await;
    expect_mended(&table, campaign).await;
    assert_eq!(counts(&table, campaign).await.days.len(), 250);
}

#[rstest]
#[case::install(vec![])]
#[case::uninstall(vec![0])]
#[tokio::test]
async fn a_campaign_that_something_was_received_of_lately_is_reported_and_not_changed(#[case] removed: Vec<u128>) {
    let table = Table::start().await;
    let campaign = new_campaign();
    apply(&table, &[install(campaign, pass(0), registration(0), at(0))]).await;
    let lately = a_day_later();
    let late_events: Vec<_> = match removed.as_slice() {
        [] => vec![install(campaign, pass(1), registration(1), at(1))],
        removed => removed.iter().map(|id| uninstall(campaign, pass(*id), registration(*id), at(1))).collect(),
    };
    for event in &late_events {
        table.store.apply(event, lately).await.unwrap();
    }
    let before = table.items(campaign).await;
    let almost = lately.plus(Duration::from_hours(25)).minus(Duration::from_secs(1)).unwrap();
    let Recount { outcome, counted, .. } = table.store.recount(campaign, almost).await.unwrap();
    let RecountOutcome::Busy { again_at } = outcome else { panic!("{outcome:?}") };
    assert_eq!((table.items(campaign).await, counted.is_empty()), (before, true));
    assert_eq!(table.store.recount(campaign, again_at).await.unwrap().outcome, RecountOutcome::Mended);
}

/// What happens between the calls of a recount: what had been on its way is counted, or a new event arrives.
#[rstest]
#[case::counted_before_the_registrations_are_read(0, true, false)]
#[case::counted_before_the_counts_are_mended(1, true, false)]
#[case::arrived_before_the_registrations_are_read(0, false, false)]
#[case::arrived_before_the_counts_are_mended(1, false, true)]
#[tokio::test]
async fn what_comes_in_between_is_neither_lost_nor_counted_twice(
    #[case] after: usize,
    #[case] counted: bool,
    #[case] mended: bool,
) {
    let table = Table::start().await;
    let campaign = new_campaign();
    let mut stream = table.stream();
    apply(&table, &[install(campaign, pass(1), registration(1), at(0))]).await;
    let lost = read(&new_records(&table, &mut stream).await);
    let recorder = table.sandbox.recorder().await.unwrap();
    let store = table.recorded_store(&recorder);
    // Each call of the recount waits for one of ours.
    recorder.hold_until(2);
    let in_between = async {
        for call in 0..3 {
            store.totals(new_campaign()).await.unwrap();
            if call == after && counted {
                table.store.tally(SHARD, &lost, now()).await.unwrap();
            } else if call == after {
                let new = install(campaign, pass(2), registration(2), at(9));
                table.store.apply(&new, a_day_later()).await.unwrap();
            }
        }
    };
    // The registrations are read, and the counts mended, only where that is still to be done.
    let recount = async {
        let recount = store.recount(campaign, a_day_later()).await.unwrap();
        let calls = recorder.take().iter().filter(|call| call.operation != "BatchGetItem").count();
        for _ in calls..3 {
            store.totals(new_campaign()).await.unwrap();
        }
        recount
    };
    let both = async { futures_util::join!(recount, in_between) };
    let (recount, ()) = tokio::time::timeout(Duration::from_mins(1), Box::pin(both)).await.unwrap();
    assert_eq!(recount.outcome == RecountOutcome::Mended, mended, "{recount:?}");

    if !counted {
        table.store.tally(SHARD, &read(&new_records(&table, &mut stream).await), now()).await.unwrap();
    }
    let rows = table.active(Collection::Campaign(campaign)).await;
    let counts = counts(&table, campaign).await;
    if mended || counted {
        expect_exact(&counts, &rows);
    } else {
        assert_eq!(counts.totals.active(Part::All), 1, "the lost one is for the next recount");
    }
}

#[tokio::test]
async fn a_registration_that_is_not_what_its_key_promises_is_named() {
    let table = Table::start().await;
    let campaign = new_campaign();
    apply(&table, &[event(campaign, pass(1), at(0), Change::Installed(installation(registration(1))))]).await;
    table.set(campaign, &shared::store::key::registration_sk(pass(1), registration(1)), "wallet", "abacus").await;
    let error = table.store.recount(campaign, a_day_later()).await.unwrap_err().to_string();
    assert!(error.contains("PASS#") && error.contains("abacus"), "{error}");
}
