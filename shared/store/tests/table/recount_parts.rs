//! Recounts that take several invocations, or are killed, or are started twice: they end like one that takes a single
//! invocation, or report the campaign as busy.

use std::{
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use domain::{id::CampaignId, time::Timestamp};
use local::{aws::stream::TableStream, testing::faults::Fault};
use proptest::prelude::*;
use rstest::rstest;
use store::{CampaignCounts, Collection, Recount, RecountOutcome, RecountRun, StoreError, Table};
use tokio::sync::Notify;

use super::{
    TestTable, at, deadline, every_order, expect_done, interrupted_after, new_campaign, now, pass,
    recount::{a_day_later, recount_at},
    registration,
    tally::{SHARD, apply, counts, expect_exact, install, new_records, read, uninstall},
};

/// How long a killed invocation keeps others away after its last write.
const LEASE: Duration = Duration::from_mins(3);

/// Recounts a campaign in an invocation that has time for one part, of two items, and not for comparing the counts.
pub(crate) async fn recount_part(table: &Table, campaign: CampaignId, now: Timestamp) -> Recount {
    try_recount_part(table, campaign, now).await.unwrap()
}

async fn try_recount_part(table: &Table, campaign: CampaignId, now: Timestamp) -> Result<Recount, StoreError> {
    let clock = move || now;
    table.recount(campaign, RecountRun::new("part", &clock, now).part_size(2)).await
}

/// Recounts a campaign in parts of two items, and is killed after it has read the second part and stored the first.
async fn killed_recount(table: &Table, campaign: CampaignId, start: Timestamp) {
    let (calls, is_second_part_read) = (Mutex::new(0), Notify::new());
    let clock = || {
        let mut calls = calls.lock().unwrap();
        *calls += 1;
        match *calls {
            1 | 2 => start,
            // The first part is read, and the last write is a minute old.
            3 => start.plus(Duration::from_mins(1)),
            _ => {
                is_second_part_read.notify_one();
                start.plus(Duration::from_secs(61))
            }
        }
    };
    let run = RecountRun::new("killed", &clock, start.plus(Duration::from_mins(15))).part_size(2);
    tokio::select! {
        biased;
        () = is_second_part_read.notified() => {}
        recount = table.recount(campaign, run) => panic!("{recount:?}"),
    }
}

/// Returns a campaign with seven registrations, none of which is counted.
async fn uncounted_campaign(table: &TestTable) -> CampaignId {
    let campaign = new_campaign();
    apply(table, &(0..7).map(|id| install(campaign, pass(id), registration(id), at(0))).collect::<Vec<_>>()).await;
    campaign
}

/// Recounts again at the instants that busy recounts name. The first of them has a result already.
async fn repeated(table: &Table, campaign: CampaignId, mut recount: Recount) -> Recount {
    for _ in 0..2 {
        let RecountOutcome::Busy { again_at } = recount.outcome else { break };
        recount = recount_at(table, campaign, again_at).await.unwrap();
    }
    recount
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_mins(minutes)
}

#[tokio::test]
async fn each_invocation_continues_where_the_time_of_the_one_before_was_over() {
    let table = TestTable::start().await;
    let campaign = uncounted_campaign(&table).await;
    let start = a_day_later();
    for number in 1..=3 {
        let recount = recount_part(&table.fresh(), campaign, start.plus(minutes(number))).await;
        let expected = Recount {
            outcome: RecountOutcome::Unfinished,
            comparison: None,
            items_read: 2 * number,
            started_at: start.plus(minutes(1)),
            duration: minutes(number - 1),
        };
        assert_eq!(recount, expected);
    }
    assert!(counts(&table, campaign).await.totals.is_empty());

    let recount = recount_at(&table.fresh(), campaign, start.plus(minutes(4))).await.unwrap();
    assert_eq!((recount.outcome, recount.items_read), (RecountOutcome::Repaired, 7));
    assert_eq!((recount.started_at, recount.duration), (start.plus(minutes(1)), minutes(3)));
    expect_exact(&counts(&table, campaign).await, &table.active(Collection::Campaign(campaign)).await);

    let next = recount_part(&table, campaign, start.plus(minutes(5))).await;
    assert_eq!((next.started_at, next.items_read), (start.plus(minutes(5)), 2), "the next recount begins again");
}

#[tokio::test]
async fn after_a_kill_the_next_invocation_waits_and_continues_at_the_last_write() {
    let table = TestTable::start().await;
    let campaign = uncounted_campaign(&table).await;
    let start = a_day_later();
    killed_recount(&table, campaign, start).await;

    let recorder = table.sandbox.recorder().await.unwrap();
    let until = start.plus(minutes(1)).plus(LEASE);
    let early = recount_at(&table.recorded(&recorder), campaign, until.minus(minutes(1)).unwrap()).await.unwrap();
    assert_eq!((early.outcome, early.items_read), (RecountOutcome::Running { until }, 2));
    assert_eq!((early.started_at, early.duration), (start, minutes(3)));
    let operations: Vec<_> = recorder.take().into_iter().map(|call| call.operation).collect();
    assert_eq!(operations, ["BatchGetItem"], "it reads no registration and writes nothing");

    let recount = recount_at(&table, campaign, until).await.unwrap();
    assert_eq!((recount.outcome, recount.items_read), (RecountOutcome::Repaired, 7));
    expect_exact(&counts(&table, campaign).await, &table.active(Collection::Campaign(campaign)).await);
}

#[tokio::test]
async fn of_two_invocations_at_the_same_moment_one_reads() {
    let table = TestTable::start().await;
    let campaign = uncounted_campaign(&table).await;
    let recorder = table.sandbox.recorder().await.unwrap();
    let stores = [table.recorded(&recorder), table.recorded(&recorder)];
    // Both find no recount in progress.
    recorder.hold_next(2);
    let [first, second] = stores.each_ref().map(|store| recount_at(store, campaign, a_day_later()));
    let (first, second) = futures_util::join!(first, second);
    let mut recounts = [first.unwrap(), second.unwrap()];
    recounts.sort_by_key(|recount| recount.items_read);
    let until = a_day_later().plus(LEASE);
    assert_eq!(recounts.each_ref().map(|recount| recount.items_read), [0, 7]);
    let outcomes = recounts.each_ref().map(|recount| recount.outcome);
    assert_eq!(outcomes, [RecountOutcome::Running { until }, RecountOutcome::Repaired]);
}

#[tokio::test]
async fn an_invocation_that_was_overtaken_stops() {
    let table = TestTable::start().await;
    let campaign = uncounted_campaign(&table).await;
    let start = a_day_later();
    let recorder = table.sandbox.recorder().await.unwrap();
    let store = table.recorded(&recorder);
    let (calls, is_late) = (Mutex::new(0), Notify::new());
    let clock = || {
        let mut calls = calls.lock().unwrap();
        *calls += 1;
        if *calls < 3 {
            return start;
        }
        // The first part took ten minutes. The write of the progress waits for another call through the recorder.
        recorder.hold_until(2);
        is_late.notify_one();
        start.plus(minutes(10))
    };
    let slow = store.recount(campaign, RecountRun::new("slow", &clock, start.plus(minutes(15))).part_size(2));
    let others = async {
        is_late.notified().await;
        let fast = recount_at(&table, campaign, start.plus(minutes(9))).await.unwrap();
        store.consistent_campaign(new_campaign(), now()).await.unwrap();
        fast
    };
    let (slow, fast) = futures_util::join!(slow, others);
    let until = start.plus(minutes(10)).plus(LEASE);
    assert_eq!(slow.unwrap().outcome, RecountOutcome::Running { until });
    assert_eq!((fast.outcome, fast.items_read), (RecountOutcome::Repaired, 7));
    expect_exact(&counts(&table, campaign).await, &table.active(Collection::Campaign(campaign)).await);
}

/// The SDK repeats a call whose answer was lost. The repeated call finds what the first one wrote.
#[rstest]
#[case::unanswered(Fault::Unanswered)]
#[case::cut_off(Fault::CutOff)]
#[case::throttled(Fault::Throttled)]
#[tokio::test]
async fn an_answer_that_is_lost_does_not_stop_a_recount(#[case] fault: Fault) {
    let table = TestTable::start().await;
    let faults = table.sandbox.faults().await.unwrap();
    let store = table.faulty(&faults);
    let mut call = 0;
    loop {
        let campaign = uncounted_campaign(&table).await;
        let _ = faults.calls();
        faults.next(std::iter::repeat_n(Fault::None, call).chain([fault]));
        assert_eq!(recount_part(&store, campaign, a_day_later()).await.outcome, RecountOutcome::Unfinished);
        // Each part takes a minute, so that the progress is written after each.
        let parts = AtomicU32::new(0);
        let clock = || a_day_later().plus(minutes(parts.fetch_add(1, Ordering::Relaxed).into()));
        let run = RecountRun::new("lost", &clock, a_day_later().plus(Duration::from_hours(1))).part_size(2);
        let recount = store.recount(campaign, run).await.unwrap();
        assert_eq!((recount.outcome, recount.items_read), (RecountOutcome::Repaired, 7), "call {call}");
        expect_exact(&counts(&table, campaign).await, &table.active(Collection::Campaign(campaign)).await);
        let next = recount_part(&table, campaign, a_day_later()).await;
        assert_eq!((next.outcome, next.items_read), (RecountOutcome::Unfinished, 2), "the recount has ended");
        call += 1;
        if faults.calls() < call {
            // The call with the fault was not made.
            break;
        }
    }
}

#[tokio::test]
async fn a_census_of_the_day_before_is_begun_again() {
    let table = TestTable::start().await;
    let campaign = uncounted_campaign(&table).await;
    let start = a_day_later();
    recount_part(&table, campaign, start).await;
    let day = Duration::from_hours(24);
    let continued = recount_part(&table, campaign, start.plus(day).minus(minutes(1)).unwrap()).await;
    assert_eq!((continued.started_at, continued.items_read), (start, 4));
    let begun_again = recount_part(&table, campaign, start.plus(day)).await;
    assert_eq!((begun_again.started_at, begun_again.items_read), (start.plus(day), 2));
}

/// DynamoDB deletes an expired item, and without it revisions begin again.
#[tokio::test]
async fn the_progress_does_not_expire_while_an_invocation_can_know_its_revision() {
    let table = TestTable::start().await;
    let campaign = uncounted_campaign(&table).await;
    let day = Duration::from_hours(24);
    let expires_at = async || {
        let item = table.everything().await.into_iter().find(|item| item["sk"].as_s().is_ok_and(|sk| sk == "RECOUNT"));
        item.unwrap()["expires_at"].as_n().unwrap().parse::<i64>().unwrap()
    };
    let start = a_day_later();
    recount_part(&table, campaign, start).await;
    // An invocation may begin to continue the recount until a day after its start, and lives for up to 15 minutes.
    assert!(expires_at().await > start.plus(day).plus(minutes(15)).unix_seconds());
    let end = start.plus(minutes(5));
    assert_eq!(recount_at(&table, campaign, end).await.unwrap().outcome, RecountOutcome::Repaired);
    assert_eq!(expires_at().await, end.plus(day).unix_seconds());
}

#[tokio::test]
async fn after_an_error_the_next_invocation_continues_at_once() {
    let table = TestTable::start().await;
    let campaign = uncounted_campaign(&table).await;
    let sk = store::keys::registration_sk(pass(3), registration(3));
    table.set(campaign, &sk, "wallet", "abacus").await;
    let clock = a_day_later;
    let run = RecountRun::new("failing", &clock, a_day_later().plus(minutes(15))).part_size(2);
    let error = table.recount(campaign, run).await.unwrap_err().to_string();
    assert!(error.contains("PASS#") && error.contains("abacus"), "{error}");

    table.set(campaign, &sk, "wallet", "passbook").await;
    let recount = recount_at(&table, campaign, a_day_later()).await.unwrap();
    assert_eq!((recount.outcome, recount.items_read), (RecountOutcome::Repaired, 7));
    expect_exact(&counts(&table, campaign).await, &table.active(Collection::Campaign(campaign)).await);
}

/// Each case says how much time is left when every registration is read, and whether the counts are repaired.
#[rstest]
#[case::too_little(Duration::from_mins(1), false)]
#[case::enough(Duration::from_secs(61), true)]
#[tokio::test]
async fn a_repair_begins_only_if_there_is_time_for_it(#[case] left: Duration, #[case] is_repaired: bool) {
    let table = TestTable::start().await;
    let campaign = uncounted_campaign(&table).await;
    let clock = a_day_later;
    let run = RecountRun::new("short", &clock, a_day_later().plus(left));
    let recount = table.recount(campaign, run).await.unwrap();
    let expected = if is_repaired { RecountOutcome::Repaired } else { RecountOutcome::Unfinished };
    assert_eq!((recount.outcome, recount.items_read), (expected, 7));
    assert_eq!(counts(&table, campaign).await.totals.is_empty(), !is_repaired);

    let next = recount_at(&table, campaign, a_day_later()).await.unwrap();
    let expected = if is_repaired { RecountOutcome::Agrees } else { RecountOutcome::Repaired };
    assert_eq!((next.outcome, next.items_read), (expected, 7));
    expect_exact(&counts(&table, campaign).await, &table.active(Collection::Campaign(campaign)).await);
}

#[tokio::test]
async fn a_repair_has_a_whole_lease() {
    let table = TestTable::start().await;
    let campaign = uncounted_campaign(&table).await;
    let start = a_day_later();
    let calls = AtomicU32::new(0);
    // Reading the registrations takes two minutes.
    let clock = || start.plus(if calls.fetch_add(1, Ordering::Relaxed) < 2 { minutes(0) } else { minutes(2) });
    let recorder = table.sandbox.recorder().await.unwrap();
    let store = table.recorded(&recorder);
    let run = RecountRun::new("repairs", &clock, start.plus(minutes(15)));
    let is_under_way = async {
        while !recorder.take().iter().any(|call| call.operation == "TransactWriteItems") {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        () = is_under_way => {}
        recount = store.recount(campaign, run) => panic!("{recount:?}"),
    }
    let other = recount_at(&table, campaign, start.plus(minutes(4))).await.unwrap();
    assert_eq!(other.outcome, RecountOutcome::Running { until: start.plus(minutes(2)).plus(LEASE) });
}

#[tokio::test]
async fn a_repair_that_was_cut_off_is_completed_without_a_wait() {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    let day = |number: u32| at(0).plus(Duration::from_hours(24 * u64::from(number)));
    let install = |number: u32| install(campaign, pass(number.into()), registration(number.into()), day(number));
    apply(&table, &(0..150).map(install).collect::<Vec<_>>()).await;
    let faults = table.sandbox.faults().await.unwrap();
    // The first of two transactions is made, and then the process crashes.
    faults.next([Fault::None; 6]);
    faults.always(Fault::Denied);
    recount_at(&table.faulty(&faults), campaign, a_day_later()).await.unwrap_err();
    let partly = counts(&table, campaign).await;
    assert_eq!((partly.days.len(), partly.counted_since), (99, None));

    let next = a_day_later().plus(LEASE);
    let recount = recount_at(&table, campaign, next).await.unwrap();
    assert_eq!(recount.outcome, RecountOutcome::Busy { again_at: next });
    assert_eq!(repeated(&table, campaign, recount).await.outcome, RecountOutcome::Repaired);
    expect_exact(&counts(&table, campaign).await, &table.active(Collection::Campaign(campaign)).await);
}

/// Each case says which registration is removed between two invocations, after the first four were read, whether the
/// removal is counted before the recount ends, and whether the recount repairs the counts.
#[rstest]
#[case::already_read_and_counted_meanwhile(0, true, false)]
#[case::already_read_and_counted_later(0, false, true)]
#[case::not_read_yet_and_counted_meanwhile(6, true, false)]
#[case::not_read_yet_and_counted_later(6, false, false)]
#[tokio::test]
async fn a_change_between_two_invocations_is_neither_lost_nor_counted_twice(
    #[case] removed: u128,
    #[case] is_counted: bool,
    #[case] is_repaired: bool,
) {
    let table = TestTable::start().await;
    let campaign = uncounted_campaign(&table).await;
    let mut stream = table.stream();
    new_records(&table, &mut stream).await;
    for _ in 0..2 {
        recount_part(&table, campaign, a_day_later()).await;
    }
    let removal = uninstall(campaign, pass(removed), registration(removed), at(1));
    expect_done(table.apply(&removal, a_day_later()).await);
    let records = read(&new_records(&table, &mut stream).await);
    if is_counted {
        table.tally(SHARD, &records, now(), deadline()).await.unwrap();
    }
    let recount = recount_at(&table, campaign, a_day_later()).await.unwrap();
    assert_eq!(recount.outcome == RecountOutcome::Repaired, is_repaired, "{recount:?}");

    table.tally(SHARD, &records, now(), deadline()).await.unwrap();
    if !is_repaired {
        assert_eq!(repeated(&table, campaign, recount).await.outcome, RecountOutcome::Repaired);
    }
    expect_exact(&counts(&table, campaign).await, &table.active(Collection::Campaign(campaign)).await);
}

#[tokio::test]
async fn a_progress_that_cannot_be_stored_is_an_error() {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    let installs = (0..5).map(|id| install(campaign, pass(id), registration(id), at(0)));
    apply(&table, &installs.collect::<Vec<_>>()).await;
    let faults = table.sandbox.faults().await.unwrap();
    // DynamoDB refuses an item of more than 400 KB in the same way. Only a progress with a position is refused here.
    faults.always_if_containing("\"position\"", Fault::Denied);
    let before = counts(&table, campaign).await;
    let error = try_recount_part(&table.faulty(&faults), campaign, a_day_later()).await.unwrap_err();
    assert!(matches!(error, StoreError::Refused(_)), "{error}");
    assert_eq!(counts(&table, campaign).await, before);
}

#[tokio::test]
async fn the_tally_does_not_see_the_progress_of_a_recount() {
    let table = TestTable::start().await;
    let campaign = uncounted_campaign(&table).await;
    let mut stream = table.stream();
    new_records(&table, &mut stream).await;
    recount_part(&table, campaign, a_day_later()).await;
    assert_eq!(new_records(&table, &mut stream).await, Vec::<serde_json::Value>::new());
}

/// What happens before an invocation, or to it.
#[derive(Debug, Clone)]
enum Step {
    /// The invocation reads one part.
    Part,
    /// The invocation reads the rest part by part, and compares.
    Rest,
    /// The invocation has time for the whole campaign, and is killed after this many polls.
    Killed(usize),
    /// A registration changes, and the change is counted at once or only at the end.
    Change(every_order::Happening, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let change = (every_order::happenings(), any::<bool>());
    let change = change.prop_map(|(happenings, is_counted)| Step::Change(happenings[0].after_a_story(), is_counted));
    let step = prop_oneof![
        2 => Just(Step::Part),
        1 => (0..60_usize).prop_map(Step::Killed),
        1 => change,
    ];
    prop::collection::vec(step, 0..12)
}

/// Applies a story to a new campaign. Only the happenings in `counted` are counted, the others are lost.
async fn play(
    table: &TestTable,
    stream: &mut TableStream,
    story: &[every_order::Happening],
    counted: &[bool],
) -> CampaignId {
    let campaign = new_campaign();
    for (happening, is_counted) in story.iter().zip(counted) {
        expect_done(table.apply(&happening.event(campaign), now()).await);
        let records = read(&new_records(table, stream).await);
        if *is_counted {
            table.tally(SHARD, &records, now(), deadline()).await.unwrap();
        }
    }
    campaign
}

/// Recounts a campaign with these steps, until a recount compares the counts. Returns the result and its instant.
async fn recount_with(
    table: &TestTable,
    stream: &mut TableStream,
    campaign: CampaignId,
    steps: &[Step],
) -> (Recount, Timestamp) {
    let mut time = a_day_later();
    for step in steps.iter().chain(std::iter::repeat(&Step::Rest)) {
        time = time.plus(Duration::from_secs(1));
        match step {
            Step::Part | Step::Rest => {
                let left = if matches!(step, Step::Part) { Duration::ZERO } else { minutes(15) };
                let clock = || time;
                let run = RecountRun::new("part", &clock, time.plus(left)).part_size(2);
                match table.fresh().recount(campaign, run).await.unwrap() {
                    Recount { outcome: RecountOutcome::Unfinished, .. } => {}
                    Recount { outcome: RecountOutcome::Running { until }, .. } => time = until,
                    recount => return (recount, time),
                }
            }
            Step::Killed(polls) => {
                let calls = AtomicU32::new(0);
                let clock = || time.plus(Duration::from_secs(40) * calls.fetch_add(1, Ordering::Relaxed));
                let run = RecountRun::new("killed", &clock, time.plus(Duration::from_hours(1))).part_size(2);
                interrupted_after(*polls, table.fresh().recount(campaign, run)).await;
                time = clock().plus(LEASE);
            }
            Step::Change(happening, is_counted) => {
                expect_done(table.apply(&happening.event(campaign), time).await);
                if *is_counted {
                    table.tally(SHARD, &read(&new_records(table, stream).await), time, deadline()).await.unwrap();
                }
            }
        }
    }
    unreachable!("the steps do not end")
}

/// Half as many cases as of other properties, because each takes several recounts.
fn config() -> ProptestConfig {
    let ProptestConfig { cases, .. } = every_order::config();
    ProptestConfig { cases: cases / 2, ..every_order::config() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_recount_in_parts_ends_like_one_at_once_or_is_busy(
        story in every_order::happenings(),
        counted in prop::collection::vec(any::<bool>(), 16),
        steps in steps(),
    ) {
        static TABLE: OnceLock<TestTable> = OnceLock::new();
        static STREAM: OnceLock<Mutex<TableStream>> = OnceLock::new();
        let table = TABLE.get_or_init(|| every_order::runtime().block_on(TestTable::start()));
        let mut stream = STREAM.get_or_init(|| Mutex::new(table.stream())).lock().unwrap();
        every_order::runtime().block_on(async {
            let at_once = play(table, &mut stream, &story, &counted).await;
            let in_parts = play(table, &mut stream, &story, &counted).await;
            recount_at(table, at_once, a_day_later()).await.unwrap();
            let (recount, time) = recount_with(table, &mut stream, in_parts, &steps).await;

            let of = |CampaignCounts { days, totals, counted_since: _ }| (days, totals);
            if !steps.iter().any(|step| matches!(step, Step::Change(..))) {
                assert!(!matches!(recount.outcome, RecountOutcome::Busy { .. }), "{recount:?}");
                assert_eq!(of(counts(table, in_parts).await), of(counts(table, at_once).await));
            }
            // The changes during the recount are counted at last. Then the counts are exact if the recount repaired
            // them, and otherwise the next one makes them exact.
            table.tally(SHARD, &read(&new_records(table, &mut stream).await), now(), deadline()).await.unwrap();
            if recount.outcome != RecountOutcome::Repaired {
                let next = recount_at(table, in_parts, time.plus(Duration::from_hours(25))).await.unwrap();
                assert!(!matches!(next.outcome, RecountOutcome::Busy { .. }), "{next:?} after {recount:?}");
            }
            let active = table.active(Collection::Campaign(in_parts)).await;
            expect_exact(&counts(table, in_parts).await, &active);
        });
    }
}
