//! The tally: counts are exact even if records are delivered more than once.

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use domain::{
    account::ApiKey,
    counts::{ChangeKind, Counts, Part},
    event::{Change, Event, Subject},
    id::{CampaignId, PassId, RegistrationId},
    registration::Registration,
    time::Timestamp,
    wallet::{DeviceOs, Wallet},
};
use futures_util::future::join_all;
use local::{aws::stream::TableStream, testing::faults::Fault};
use serde_json::{Value, json};
use store::{CampaignCounts, Collection, StoreError, StreamRecord, Table, Tallied, WantedTotals, limits};

use super::{TestTable, at, deadline, event, expect_done, installation, new_campaign, now, pass, registration};

pub(crate) const SHARD: &str = "shardId-00000001";

pub(crate) fn install(campaign: CampaignId, pass: PassId, registration: RegistrationId, at: Timestamp) -> Event {
    event(campaign, pass, at, Change::Installed(installation(registration)))
}

pub(crate) fn uninstall(campaign: CampaignId, pass: PassId, registration_id: RegistrationId, at: Timestamp) -> Event {
    event(campaign, pass, at, Change::Uninstalled { registration_id })
}

/// Parses records of the stream as Lambda delivers them.
pub(crate) fn read(records: &[Value]) -> Vec<StreamRecord> {
    records.iter().map(|record| StreamRecord::from_json(&record.to_string()).unwrap()).collect()
}

/// Returns all records of the table's stream that reach the tally.
async fn records(table: &TestTable) -> Vec<Value> {
    new_records(table, &mut table.sandbox.stream()).await
}

/// Returns the new records of the stream, except those that the event source filters out.
pub(crate) async fn new_records(table: &TestTable, stream: &mut TableStream) -> Vec<Value> {
    let source = &table.sandbox.template.streams[0];
    let mut records = Vec::new();
    loop {
        let found = stream.read(1000).await.unwrap();
        if found.is_empty() {
            return records;
        }
        records.extend(found.into_iter().flat_map(|shard| shard.records).filter(|record| source.takes(record)));
    }
}

pub(crate) async fn apply(table: &TestTable, events: &[Event]) {
    for outcome in table.apply_all(events, now(), deadline()).await {
        expect_done(outcome);
    }
}

pub(crate) async fn counts(table: &TestTable, campaign: CampaignId) -> CampaignCounts {
    table.counts_since(campaign, "1970-01-01".parse().unwrap()).await.unwrap()
}

/// Checks the counts of a campaign against its listing.
pub(crate) fn expect_exact(counts: &CampaignCounts, listed: &[Registration]) {
    for part in Part::all() {
        let rows = listed.iter().filter(|registration| match part {
            Part::All => true,
            Part::Wallet(wallet) => registration.wallet == wallet,
            Part::DeviceOs(device_os) => registration.device_os == device_os,
        });
        let rows = i64::try_from(rows.count()).unwrap();
        assert_eq!(counts.totals.active(part), rows, "{part:?} of {counts:?}");
        for kind in ChangeKind::ALL {
            let sum: i64 = counts.days.values().map(|day| day.get(kind, part)).sum();
            assert_eq!(sum, counts.totals.get(kind, part), "{part:?} of {counts:?}");
        }
    }
}

/// Returns the number of active registrations of the totals that a request gets at `now`.
async fn active_in_totals(table: &Table, campaign: CampaignId, wanted: WantedTotals, now: Timestamp) -> Option<i64> {
    let key = table.admission(ApiKey::claimed("demo").id(), campaign, wanted, now).await.unwrap();
    key.totals.map(|totals| totals.active(Part::All))
}

#[tokio::test]
async fn recent_totals_are_at_most_three_seconds_old_and_current_ones_are_read() {
    let table = TestTable::start().await;
    let (campaign, other) = (new_campaign(), new_campaign());
    let mut stream = table.stream();
    let mut tally = async |number| {
        apply(&table, &[install(campaign, pass(1), registration(number), at(0))]).await;
        table.tally(SHARD, &read(&new_records(&table, &mut stream).await), now(), deadline()).await.unwrap();
    };
    tally(1).await;
    let later = |milliseconds| now().plus(Duration::from_millis(milliseconds));
    let process = table.fresh();
    for (wanted, now, counted, expected) in [
        (WantedTotals::None, later(0), None, None),
        (WantedTotals::Recent, later(0), Some(2), Some(1)),
        (WantedTotals::Recent, later(2_999), None, Some(1)),
        (WantedTotals::Current, later(2_999), None, Some(2)),
        (WantedTotals::Recent, later(2_999), Some(3), Some(2)),
        (WantedTotals::Recent, later(5_998), None, Some(2)),
        (WantedTotals::Recent, later(5_999), None, Some(3)),
    ] {
        assert_eq!(active_in_totals(&process, campaign, wanted, now).await, expected, "{wanted:?} at {now}");
        if let Some(number) = counted {
            tally(number).await;
        }
    }

    // A campaign without counts that cover its whole life is not remembered, so they are found as soon as they exist.
    assert_eq!(active_in_totals(&process, other, WantedTotals::Recent, now()).await, None);
    apply(&table, &[install(other, pass(1), registration(1), at(0))]).await;
    table.tally(SHARD, &read(&records(&table).await), now(), deadline()).await.unwrap();
    assert_eq!(active_in_totals(&process, other, WantedTotals::Recent, now()).await, Some(1));
}

/// Returns a campaign with three installs, one repeated later and one removed, and an uninstall without an install.
async fn a_campaign_with_a_story(table: &TestTable) -> CampaignId {
    let campaign = new_campaign();
    let mut events = vec![
        install(campaign, pass(1), registration(1), at(0)),
        install(campaign, pass(1), registration(2), at(1)),
        install(campaign, pass(2), registration(3), at(2)),
        install(campaign, pass(1), registration(1), at(3)),
    ];
    apply(table, &events).await;
    events = vec![
        uninstall(campaign, pass(1), registration(2), at(4)),
        uninstall(campaign, pass(9), registration(9), at(4)),
    ];
    apply(table, &events).await;
    campaign
}

#[tokio::test]
async fn only_changes_of_state_are_counted() {
    let table = TestTable::start().await;
    let campaign = a_campaign_with_a_story(&table).await;
    let tallied = table.tally(SHARD, &read(&records(&table).await), now(), deadline()).await.unwrap();
    assert_eq!(tallied, Tallied { changes: 4, repeated: 0, unreadable: 0 });

    let counts = counts(&table, campaign).await;
    assert_eq!(counts.totals.get(ChangeKind::Install, Part::All), 3);
    assert_eq!(counts.totals.get(ChangeKind::Uninstall, Part::All), 1);
    assert!(counts.counted_since.is_some(), "its claim is in the stream");
    expect_exact(&counts, &table.active(Collection::Campaign(campaign)).await);
}

#[tokio::test]
async fn wherever_a_batch_is_cut_and_sent_again_the_counts_are_the_same() {
    let table = TestTable::start().await;
    let campaign = a_campaign_with_a_story(&table).await;
    let records = read(&records(&table).await);
    let mut expected = None;
    for (number, (cut, again)) in
        (0..=records.len()).flat_map(|cut| (0..=cut).map(move |again| (cut, again))).enumerate()
    {
        // Each round has its own shard, which has no checkpoint yet.
        let shard = format!("{SHARD}-{number}");
        let before = counts(&table, campaign).await.totals;
        table.tally(&shard, &records[..cut], now(), deadline()).await.unwrap();
        let second = table.tally(&shard, &records[again..], now(), deadline()).await.unwrap();
        table.tally(&shard, &records, now(), deadline()).await.unwrap();
        assert!(second.repeated <= cut - again);
        let mut counted = counts(&table, campaign).await.totals;
        counted -= &before;
        let counted: Vec<_> = counted.iter().collect();
        assert_eq!(*expected.get_or_insert_with(|| counted.clone()), counted, "cut at {cut}, from {again} again");
    }
}

#[tokio::test]
async fn records_that_are_delivered_again_out_of_order_are_counted_once() {
    let table = TestTable::start().await;
    let campaign = a_campaign_with_a_story(&table).await;
    let records = records(&table).await;
    let batch = |order: &[usize]| read(&order.iter().map(|number| records[*number].clone()).collect::<Vec<_>>());
    let all: Vec<_> = (0..records.len()).collect();
    let reversed: Vec<_> = all.iter().rev().copied().collect();
    let half = records.len() / 2;
    // New records first, then some that were counted before, then all of them twice.
    let mixed: Vec<_> = (half..records.len()).chain(0..half).chain(0..records.len()).collect();
    let mut counted = Vec::new();
    for (number, batches) in
        [[&all[..], &all[..]], [&all[..half], &mixed[..]], [&reversed[..], &mixed[..]]].iter().enumerate()
    {
        let before = counts(&table, campaign).await.totals;
        for order in batches {
            table.tally(&format!("{SHARD}-{number}"), &batch(order), now(), deadline()).await.unwrap();
        }
        let mut added = counts(&table, campaign).await.totals;
        added -= &before;
        counted.push(added.iter().collect::<Vec<_>>());
    }
    assert!(counted.iter().all(|added| *added == counted[0]), "{counted:?}");
}

#[tokio::test]
async fn instances_that_count_the_same_batch_at_once_count_it_once() {
    let table = TestTable::start().await;
    let mut counted_before = 0;
    // The first round finds no checkpoint, the second finds one.
    for round in 1..=2 {
        let campaign = a_campaign_with_a_story(&table).await;
        let records = read(&records(&table).await);
        let stores: Vec<_> = (0..5).map(|_| table.fresh()).collect();
        // All have read the checkpoint before any advances it.
        let attempts = stores.iter().map(|store| store.tally(SHARD, &records[counted_before..], now(), deadline()));
        let results = join_all(attempts).await;
        let counted: usize = results.iter().flatten().map(|tallied| tallied.changes).sum();
        assert_eq!(counted, 4, "round {round}: {results:?}");
        expect_exact(&counts(&table, campaign).await, &table.active(Collection::Campaign(campaign)).await);
        // A late instance continues with records that it received long ago.
        let late = table.fresh().tally(SHARD, &records[..2], now(), deadline()).await.unwrap();
        assert_eq!((late.changes, late.repeated), (0, 2));
        counted_before = records.len();
    }
}

#[tokio::test]
async fn a_transaction_that_meets_others_pauses_and_is_made_once() {
    let table = TestTable::start().await;
    let campaign = a_campaign_with_a_story(&table).await;
    let records = read(&records(&table).await);
    let faults = table.sandbox.faults().await.unwrap();
    // The first call reads the checkpoint.
    faults.next([Fault::None, Fault::Conflict, Fault::Conflict, Fault::Conflict]);
    let begin = Instant::now();
    let tallied = table.faulty(&faults).tally(SHARD, &records, now(), deadline()).await.unwrap();
    assert_eq!((tallied.changes, faults.calls()), (4, 5));
    assert!(begin.elapsed() >= limits::INITIAL_BACKOFF * (1 + 2 + 4) / 2, "{:?}", begin.elapsed());
    expect_exact(&counts(&table, campaign).await, &table.active(Collection::Campaign(campaign)).await);
}

#[tokio::test]
async fn a_transaction_that_meets_others_is_repeated_while_there_is_time_for_a_call() {
    let table = TestTable::start().await;
    let campaign = a_campaign_with_a_story(&table).await;
    let records = read(&records(&table).await);
    let faults = table.sandbox.faults().await.unwrap();
    faults.always(Fault::Conflict);
    let begin = Instant::now();
    let deadline = begin + limits::CALL_TIMEOUT + Duration::from_secs(1);
    let tallied = table.faulty(&faults).tally(SHARD, &records, now(), deadline).await;
    assert!(matches!(&tallied, Err(StoreError::Unavailable(why)) if why.contains("Conflict")), "{tallied:?}");
    // The checkpoint is read once. The first two pauses take at most 150 ms.
    assert!(faults.calls() >= 4);
    assert!(begin.elapsed() < limits::CALL_TIMEOUT / 2, "{:?}", begin.elapsed());
    assert!(counts(&table, campaign).await.days.is_empty());
}

#[tokio::test]
async fn two_shards_count_the_same_campaign_at_once() {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    let events: Vec<_> = (0..60).map(|id| install(campaign, pass(id), registration(id), at(0))).collect();
    apply(&table, &events).await;
    let records = records(&table).await;
    let shards: Vec<_> =
        (0..2).map(|shard| records.iter().skip(shard).step_by(2).cloned().collect::<Vec<_>>()).collect();
    let batches = shards
        .iter()
        .enumerate()
        .flat_map(|(shard, records)| records.chunks(7).map(move |chunk| (format!("{SHARD}-{shard}"), read(chunk))));
    // The batches of a shard are counted one after the other, the shards concurrently.
    let (first, second): (Vec<_>, Vec<_>) = batches.partition(|(shard, _)| shard.ends_with('0'));
    let count = async |batches: Vec<(String, Vec<StreamRecord>)>| {
        let store = table.fresh();
        for (shard, batch) in batches {
            while store.tally(&shard, &batch, now(), deadline()).await.is_err() {}
        }
    };
    futures_util::join!(count(first), count(second));
    let counts = counts(&table, campaign).await;
    assert_eq!(counts.totals.active(Part::All), 60);
    expect_exact(&counts, &table.active(Collection::Campaign(campaign)).await);
}

#[tokio::test]
async fn a_batch_of_many_campaigns_needs_several_transactions() {
    let table = TestTable::start().await;
    let campaigns: Vec<_> = (0..120).map(|_| new_campaign()).collect();
    let events: Vec<_> = campaigns.iter().map(|campaign| install(*campaign, pass(1), registration(1), at(0))).collect();
    apply(&table, &events).await;
    let records = read(&records(&table).await);
    assert_eq!(table.tally(SHARD, &records, now(), deadline()).await.unwrap().changes, 120);
    assert_eq!(table.tally(SHARD, &records, now(), deadline()).await.unwrap().changes, 0);
    for campaign in campaigns {
        let CampaignCounts { totals, counted_since, .. } = counts(&table, campaign).await;
        assert_eq!((totals.active(Part::All), counted_since.is_some()), (1, true));
    }
}

#[tokio::test]
async fn no_transaction_of_a_batch_begins_if_it_may_end_after_the_deadline() {
    let table = TestTable::start().await;
    let campaigns: Vec<_> = (0..120).map(|_| new_campaign()).collect();
    let events: Vec<_> = campaigns.iter().map(|campaign| install(*campaign, pass(1), registration(1), at(0))).collect();
    apply(&table, &events).await;
    let records = read(&records(&table).await);
    let faults = table.sandbox.faults().await.unwrap();
    // The first call reads the checkpoint, and the second one is the first of three transactions.
    faults.next([Fault::None, Fault::Slow(Duration::from_secs(2))]);
    let deadline = Instant::now() + limits::CALL_TIMEOUT + Duration::from_millis(1500);
    let tallied = table.faulty(&faults).tally(SHARD, &records, now(), deadline).await;
    assert!(matches!(&tallied, Err(StoreError::Unavailable(why)) if why.contains("no time left")), "{tallied:?}");
    assert_eq!(faults.calls(), 2);

    let rest = table.tally(SHARD, &records, now(), super::deadline()).await.unwrap();
    assert_eq!((rest.changes, rest.repeated), (120, 99), "the first transaction counted the claims of 99 campaigns");
    for campaign in campaigns {
        assert_eq!(counts(&table, campaign).await.totals.active(Part::All), 1);
    }
}

#[tokio::test]
async fn a_batch_writes_each_count_once_however_many_events_it_has() {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    let events: Vec<_> = (0..100).map(|id| install(campaign, pass(id), registration(id), at(0))).collect();
    apply(&table, &events).await;
    let records = read(&records(&table).await);
    let recorder = table.sandbox.recorder().await.unwrap();
    let store = table.recorded(&recorder);

    assert_eq!(store.tally(SHARD, &records, now(), deadline()).await.unwrap().changes, 100);
    let calls = recorder.take();
    assert_eq!(
        calls.iter().map(|call| call.operation.as_str()).collect::<Vec<_>>(),
        ["BatchGetItem", "TransactWriteItems"]
    );
    let units: f64 = calls.iter().map(|call| call.units).sum();
    // One unit to read the checkpoint, and two to write each of checkpoint, day and totals.
    assert!(units <= 7.0, "{units}");

    // A batch with nothing to count writes nothing.
    apply(&table, &[install(campaign, pass(1), registration(1), at(9))]).await;
    let all = read(&self::records(&table).await);
    store.tally(SHARD, &all[records.len()..], now(), deadline()).await.unwrap();
    assert_eq!(recorder.take().len(), 1, "the checkpoint was read");
}

#[tokio::test]
async fn an_unreadable_record_is_kept_and_does_not_stop_the_tally() {
    let table = TestTable::start().await;
    let campaign = a_campaign_with_a_story(&table).await;
    let mut records = records(&table).await;
    let place = records.iter().position(|record| record["dynamodb"]["NewImage"]["wallet"].is_object()).unwrap();
    records[place]["dynamodb"]["NewImage"]["wallet"] = json!({"S": "abacus"});
    let now = now();
    for _ in 0..2 {
        table.tally(SHARD, &read(&records), now, deadline()).await.unwrap();
    }
    assert_eq!(counts(&table, campaign).await.totals.get(ChangeKind::Install, Part::All), 2);

    let client = table.sandbox.client().unwrap();
    let kept = client
        .query()
        .table_name(&table.sandbox.template.table.name)
        .key_condition_expression("pk = :pk")
        .expression_attribute_values(":pk", AttributeValue::S("TALLY#UNREADABLE".to_owned()));
    let kept = kept.send().await.unwrap().items.unwrap();
    let [kept] = kept.as_slice() else { panic!("expected one, found {kept:?}") };
    assert_eq!(serde_json::from_str::<Value>(kept["record"].as_s().unwrap()).unwrap(), records[place]);
    assert!(kept["problem"].as_s().unwrap().contains("wallet"));
    let days = (kept["expires_at"].as_n().unwrap().parse::<i64>().unwrap() - now.unix_seconds()) / (24 * 60 * 60);
    assert_eq!(days, 14, "it may contain data about the device");
}

#[tokio::test]
async fn a_registration_that_changes_its_wallet_is_removed_from_one_and_added_to_the_other() {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    let mut moved = install(campaign, pass(1), registration(1), at(1));
    apply(&table, &[install(campaign, pass(1), registration(1), at(0))]).await;
    if let Subject::Pass { change: Change::Installed(installation), .. } = &mut moved.subject {
        (installation.wallet, installation.device_os) = (Wallet::Pass2u, DeviceOs::Android);
    }
    apply(&table, &[moved]).await;
    table.tally(SHARD, &read(&records(&table).await), now(), deadline()).await.unwrap();
    let counts = counts(&table, campaign).await;
    assert_eq!(counts.totals.active(Part::Wallet(Wallet::Pass2u)), 1);
    assert_eq!(counts.totals.iter().map(|(_, _, count)| count).max(), Some(2));
    expect_exact(&counts, &table.active(Collection::Campaign(campaign)).await);
}

#[tokio::test]
async fn a_campaign_without_counted_changes_has_no_counts() {
    let table = TestTable::start().await;
    let counts = counts(&table, new_campaign()).await;
    assert_eq!(counts, CampaignCounts { totals: Counts::default(), ..CampaignCounts::default() });
}
