use std::{
    collections::BTreeMap,
    sync::{Mutex, OnceLock},
};

use local::stream::TableStream;
use proptest::prelude::*;
use shared::{
    clock::Timestamp,
    event::{Change, Event, Installation},
    id::CampaignId,
    registration::{DeviceOs, Registration, Wallet},
    store::{ApplyError, Collection, Outcome},
};

use super::{Table, at, event, new_campaign, now, pass, registration, tally};

const PASSES: u128 = 2;
const REGISTRATIONS: u128 = 3;

/// Something that happens to a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Happening {
    pass: u128,
    kind: Kind,
    /// Few instants, so that many events share one.
    instant: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Created,
    Installed(u128),
    Uninstalled(u128),
}

impl Happening {
    fn event(self, campaign: CampaignId) -> Event {
        let Self { pass: number, kind, instant } = self;
        let change = match kind {
            Kind::Created => Change::Created { serial_number: Some(format!("serial-{instant}").parse().unwrap()) },
            Kind::Uninstalled(id) => Change::Uninstalled { registration_id: registration(id) },
            Kind::Installed(id) => Change::Installed(installation(id, instant)),
        };
        event(campaign, pass(number), moment(instant), change)
    }
}

/// The instants are half a day apart, so that counts are of several days.
fn moment(instant: u32) -> Timestamp {
    at(instant * 12 * 60 * 60 * 1000)
}

/// What an install tells depends on what and when it is, since of two that differ at the same instant the first to arrive
/// stays.
fn installation(id: u128, instant: u32) -> Installation {
    let place = usize::try_from(instant).unwrap() + usize::try_from(id).unwrap();
    Installation {
        registration_id: registration(id),
        wallet: Wallet::ALL[place % Wallet::ALL.len()],
        device_os: DeviceOs::ALL[place % DeviceOs::ALL.len()],
        device_library_identifier: (place % 2 == 0).then(|| format!("device-{place}").parse().unwrap()),
        push_token: (place % 3 == 0).then(|| format!("token-{place}").parse().unwrap()),
    }
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let kind = prop_oneof![
        1 => Just(Kind::Created),
        4 => (1..=REGISTRATIONS).prop_map(Kind::Installed),
        4 => (1..=REGISTRATIONS).prop_map(Kind::Uninstalled),
    ];
    let happening = (1..=PASSES, kind, 0_u32..5).prop_map(|(pass, kind, instant)| Happening { pass, kind, instant });
    prop::collection::vec(happening, 1..16)
}

/// A story, and the same story in another order with some of it told again, both cut into batches.
fn stories() -> impl Strategy<Value = [Vec<Vec<Happening>>; 2]> {
    let orders = happenings().prop_flat_map(|told| {
        let again = prop::sample::subsequence(told.clone(), 0..=told.len());
        let retold = again.prop_flat_map({
            let told = told.clone();
            move |again| Just([told.clone(), again].concat()).prop_shuffle()
        });
        (Just(told), retold)
    });
    (orders, 1..8_usize, 1..8_usize).prop_map(|((told, retold), size, other_size)| {
        let batches = |story: &[Happening], size| story.chunks(size).map(<[_]>::to_vec).collect();
        [batches(&told, size), batches(&retold, other_size)]
    })
}

/// How a stream is cut into batches: how far each goes back, to what was counted before, and how many records it has.
fn cuts() -> impl Strategy<Value = Vec<(usize, usize)>> {
    prop::collection::vec((0..6_usize, 1..9_usize), 0..8)
}

/// Counts what is new in the stream, in batches that are cut so.
async fn tally(table: &Table, stream: &mut TableStream, cuts: &[(usize, usize)]) {
    let records = tally::read(&tally::new_records(table, stream).await);
    let mut handed_over = 0_usize;
    for (back, length) in cuts {
        let start = handed_over.saturating_sub(*back);
        let end = records.len().min(start + length);
        table.fresh_store().tally("shard", &records[start..end], now()).await.unwrap();
        handed_over = handed_over.max(end);
    }
    table.store.tally("shard", &records[handed_over..], now()).await.unwrap();
}

/// What must be active, told in the simplest way: per registration, the latest event, a removal after an install.
fn expected(story: &[Vec<Happening>]) -> Vec<Registration> {
    let mut last = BTreeMap::new();
    for happening in story.iter().flatten() {
        let (id, is_removal) = match happening.kind {
            Kind::Created => continue,
            Kind::Installed(id) => (id, false),
            Kind::Uninstalled(id) => (id, true),
        };
        let decision = (happening.instant, is_removal);
        let known = last.entry((happening.pass, id)).or_insert(decision);
        *known = decision.max(*known);
    }
    let active = last.into_iter().filter(|(_, (_, is_removal))| !is_removal);
    let mut active: Vec<_> = active
        .map(|((number, id), (instant, _))| {
            let Installation { wallet, device_os, .. } = installation(id, instant);
            Registration { id: registration(id), pass_id: pass(number), wallet, device_os, created_at: moment(instant) }
        })
        .collect();
    active.sort_by_key(|registration| (registration.created_at, registration.pass_id, registration.id));
    active
}

/// What a campaign has come to: its items without its name, and its answers.
type End = (BTreeMap<String, BTreeMap<String, String>>, Vec<Registration>, Vec<Vec<Registration>>);

/// Tells the story, and holds the counts against what it has come to.
async fn tell(table: &Table, stream: &mut TableStream, story: &[Vec<Happening>], cuts: &[(usize, usize)]) -> End {
    let campaign = new_campaign();
    for batch in story {
        let events: Vec<_> = batch.iter().map(|happening| happening.event(campaign)).collect();
        let results: Vec<Result<Outcome, ApplyError>> = table.store.apply_all(&events, now()).await;
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    }
    let mut items = table.items(campaign).await;
    for item in items.values_mut() {
        for value in item.values_mut() {
            *value = value.replace(&campaign.to_string(), "campaign");
        }
    }
    let mut by_pass = Vec::new();
    for number in 1..=PASSES {
        by_pass.push(table.active(Collection::Pass(campaign, pass(number))).await);
    }
    let active = table.active(Collection::Campaign(campaign)).await;
    tally(table, stream, cuts).await;
    let counts = table.store.counts(campaign, "1970-01-01".parse().unwrap()).await.unwrap();
    tally::expect_exact(&counts, &active);
    (items, active, by_pass)
}

fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Runtime::new().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_order_and_every_repetition_of_the_same_events_leaves_the_same(stories in stories(), cuts in cuts()) {
        static TABLE: OnceLock<Table> = OnceLock::new();
        static STREAM: OnceLock<Mutex<TableStream>> = OnceLock::new();
        let table = TABLE.get_or_init(|| runtime().block_on(Table::start()));
        let mut stream = STREAM.get_or_init(|| Mutex::new(table.sandbox.stream())).lock().unwrap();
        let [told, retold] = &stories;
        let (first, second) = runtime().block_on(async {
            (tell(table, &mut stream, told, &cuts).await, tell(table, &mut stream, retold, &cuts).await)
        });
        prop_assert_eq!(&first, &second);

        let expected = expected(told);
        let (_, by_campaign, by_pass) = first;
        prop_assert_eq!(&by_campaign, &expected);
        for (number, found) in (1..=PASSES).zip(by_pass) {
            let expected: Vec<_> = expected.iter().filter(|known| known.pass_id == pass(number)).cloned().collect();
            prop_assert_eq!(found, expected);
        }
    }
    #[test]
    fn what_two_tables_got_is_in_one_after_copies(told in happenings(), cuts in cuts(), places in prop::collection::vec(0..5_usize, 16)) {
        static TABLES: OnceLock<[Table; 2]> = OnceLock::new();
        static STREAMS: OnceLock<Mutex<[TableStream; 2]>> = OnceLock::new();
        let [old, new] =
            TABLES.get_or_init(|| runtime().block_on(async { [Table::start().await, Table::start().await] }));
        let mut streams = STREAMS.get_or_init(|| Mutex::new([old.stream(), new.stream()])).lock().unwrap();
        let [old_stream, new_stream] = &mut *streams;
        let campaign = new_campaign();
        let at = |place: usize| {
            let here = told.iter().zip(&places).filter(move |(_, known)| **known == place);
            here.map(|(happening, _)| happening.event(campaign)).collect::<Vec<_>>()
        };
        runtime().block_on(async {
            tally::apply(new, &at(0)).await;
            tally::apply(old, &at(1)).await;
            tally(old, old_stream, &cuts).await;
            // Not counted where it was, when it is copied.
            tally::apply(old, &at(2)).await;
            old.store.copy_campaign(campaign, &new.fresh_store(), now()).await.unwrap();
            tally::apply(old, &at(3)).await;
            tally::apply(new, &at(4)).await;
            old.store.copy_campaign(campaign, &new.fresh_store(), now()).await.unwrap();
            tally(new, new_stream, &cuts).await;
            let active = new.active(Collection::Campaign(campaign)).await;
            assert_eq!(active, expected(std::slice::from_ref(&told)));
            tally::expect_exact(&tally::counts(new, campaign).await, &active);
        });
    }
}
