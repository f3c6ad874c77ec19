//! Property tests: every order and every repetition of the same events leaves the same items and counts.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::{Mutex, OnceLock},
};

use domain::{
    event::{Change, CreatedSerialNumber, Creation, Event, FailedAddress, Installation, InstantFrom, Subject},
    id::CampaignId,
    registration::Registration,
    time::Timestamp,
    wallet::{DeviceOs, Wallet},
};
use local::aws::stream::TableStream;
use proptest::prelude::*;
use store::Collection;

use super::{
    TestTable, at, deadline, demo, event, expect_done, new_campaign, now, pass, registration, tally, typed_serial,
};

const PASSES: u128 = 2;
const REGISTRATIONS: u128 = 3;
const INSTANTS: u32 = 5;

/// Something that happens to a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Happening {
    pass: u128,
    kind: Kind,
    /// One of few instants, so that many events share one.
    instant: u32,
    /// Which contents an install or a serial number has, so that different ones share an instant.
    contents: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Created,
    Installed(u128),
    Uninstalled(u128),
    PushFailed(u128),
    Updated,
    EveryPassUpdated,
}

impl Happening {
    /// Returns the same happening at an instant after those of all [`happenings`].
    pub(crate) fn after_a_story(self) -> Self {
        Self { instant: self.instant + INSTANTS, ..self }
    }

    pub(crate) fn event(self, campaign: CampaignId) -> Event {
        let Self { pass: number, kind, instant, contents } = self;
        let change = match kind {
            Kind::Updated | Kind::EveryPassUpdated => Change::Updated(InstantFrom::Sender),
            Kind::Created => Change::Created(creation(campaign, number, contents)),
            Kind::Uninstalled(id) => Change::Uninstalled { registration_id: registration(id) },
            Kind::PushFailed(id) => Change::PushFailed(FailedAddress::OfRegistration {
                registration_id: registration(id),
                push_token: None,
            }),
            Kind::Installed(id) => Change::Installed(installation(id, contents)),
        };
        let event = event(campaign, pass(number), moment(instant), change);
        if kind == Kind::EveryPassUpdated {
            Event { subject: Subject::EveryPass(InstantFrom::Sender), ..event }
        } else {
            event
        }
    }
}

/// Returns an instant. Consecutive instants are half a day apart, so that the counts cover several days.
fn moment(instant: u32) -> Timestamp {
    at(instant * 12 * 60 * 60 * 1000)
}

/// Returns the names of a pass. Each name belongs to one pass, so no event is refused.
fn creation(campaign: CampaignId, pass: u128, contents: u32) -> Creation {
    let name = format!("{campaign}-{pass}-{}", contents % 2);
    let token = (contents > 0).then(|| format!("token-of-the-contents-{contents}").parse().unwrap());
    Creation {
        serial_number: Some(CreatedSerialNumber::Typed {
            serial_number: typed_serial("pass.com.example", &name),
            token,
        }),
        google_object_id: (contents > 1).then(|| format!("1.{name}").parse().unwrap()),
    }
}

/// Returns the keys of all names that [`creation`] gives to passes.
fn keys_of_names(campaign: CampaignId) -> Vec<(String, &'static str)> {
    let names = (1..=PASSES).flat_map(|pass| [0, 1].map(|number| format!("{campaign}-{pass}-{number}")));
    let keys = names.flat_map(|name| {
        [(format!("SERIAL#demo#pass.com.example#{name}"), "SERIAL"), (format!("OBJECT#demo#1.{name}"), "OBJECT")]
    });
    keys.collect()
}

fn installation(id: u128, contents: u32) -> Installation {
    let place = usize::try_from(contents).unwrap() + usize::try_from(id).unwrap();
    Installation {
        registration_id: registration(id),
        wallet: Wallet::ALL[place % Wallet::ALL.len()],
        device_os: DeviceOs::ALL[place % DeviceOs::ALL.len()],
        device_library_identifier: (place % 2 == 0).then(|| format!("device-{place}").parse().unwrap()),
        push_token: (place % 3 == 0).then(|| format!("token-{place}").parse().unwrap()),
        push_service_url: (place % 4 == 0).then(|| format!("https://push.example/{place}").parse().unwrap()),
        serial_number: (place % 5 == 0).then(|| typed_serial("pass.com.example", &format!("serial-{place}"))),
    }
}

pub(crate) fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let kind = prop_oneof![
        1 => Just(Kind::Created),
        4 => (1..=REGISTRATIONS).prop_map(Kind::Installed),
        4 => (1..=REGISTRATIONS).prop_map(Kind::Uninstalled),
        1 => (1..=REGISTRATIONS).prop_map(Kind::PushFailed),
        1 => Just(Kind::Updated),
        1 => Just(Kind::EveryPassUpdated),
    ];
    let happening = (1..=PASSES, kind, 0..INSTANTS, 0_u32..4).prop_map(|(pass, kind, instant, contents)| Happening {
        pass,
        kind,
        instant,
        contents,
    });
    prop::collection::vec(happening, 1..16)
}

/// Generates a story, and the same story in another order with some events repeated, both cut into batches.
fn stories() -> impl Strategy<Value = [Vec<Vec<Happening>>; 2]> {
    let orders = happenings().prop_flat_map(|story| {
        let again = prop::sample::subsequence(story.clone(), 0..=story.len());
        let reordered = again.prop_flat_map({
            let story = story.clone();
            move |again| Just([story.clone(), again].concat()).prop_shuffle()
        });
        (Just(story), reordered)
    });
    (orders, 1..8_usize, 1..8_usize).prop_map(|((story, reordered), size, other_size)| {
        let batches = |story: &[Happening], size| story.chunks(size).map(<[_]>::to_vec).collect();
        [batches(&story, size), batches(&reordered, other_size)]
    })
}

/// Generates the batches into which a stream is cut: how many records that were counted before each batch repeats, and
/// how many new records it has.
fn cuts() -> impl Strategy<Value = Vec<(usize, usize)>> {
    prop::collection::vec((0..6_usize, 1..9_usize), 0..8)
}

/// Counts the new records of the stream, in the batches that `cuts` defines and the rest in one last batch.
async fn tally(table: &TestTable, stream: &mut TableStream, cuts: &[(usize, usize)]) {
    let records = tally::read(&tally::new_records(table, stream).await);
    let mut handed_over = 0_usize;
    for (back, length) in cuts {
        let start = handed_over.saturating_sub(*back);
        let end = records.len().min(start + length);
        table.fresh().tally("shard", &records[start..end], now(), deadline()).await.unwrap();
        handed_over = handed_over.max(end);
    }
    table.tally("shard", &records[handed_over..], now(), deadline()).await.unwrap();
}

/// Returns the registrations that must be active, by the simplest rule: the latest event of each determines its state.
/// At the same instant a removal beats an install, and the greater tie beats the smaller.
fn expected(story: &[Vec<Happening>]) -> Vec<Registration> {
    let mut last = BTreeMap::new();
    for happening in story.iter().flatten() {
        let (id, install) = match happening.kind {
            Kind::Created | Kind::Updated | Kind::EveryPassUpdated => continue,
            Kind::Installed(id) => (id, Some(installation(id, happening.contents))),
            Kind::Uninstalled(id) | Kind::PushFailed(id) => (id, None),
        };
        let decision = (happening.instant, install.is_none(), install.as_ref().map(Installation::tie));
        match last.entry((happening.pass, id)) {
            Entry::Vacant(entry) => {
                entry.insert((decision, install));
            }
            Entry::Occupied(mut entry) if entry.get().0 < decision => {
                entry.insert((decision, install));
            }
            Entry::Occupied(_) => {}
        }
    }
    let active = last.into_iter().filter_map(|((number, _), ((instant, ..), install))| {
        let Installation { registration_id: id, wallet, device_os, .. } = install?;
        Some(Registration { id, pass_id: pass(number), wallet, device_os, created_at: moment(instant) })
    });
    let mut active: Vec<_> = active.collect();
    active.sort_by_key(|registration| (registration.created_at, registration.pass_id, registration.id));
    active
}

/// The state of a campaign at the end: its items without its id, and its listings.
type End = (Vec<BTreeMap<String, String>>, Vec<Registration>, Vec<Vec<Registration>>);

/// Applies a story to a new campaign, checks the counts against the listing and returns the state at the end.
async fn play(table: &TestTable, stream: &mut TableStream, story: &[Vec<Happening>], cuts: &[(usize, usize)]) -> End {
    let campaign = new_campaign();
    for batch in story {
        let events: Vec<_> = batch.iter().map(|happening| happening.event(campaign)).collect();
        for outcome in table.apply_all(&events, now(), deadline()).await {
            expect_done(outcome);
        }
    }
    let mut items: Vec<_> = table.items(campaign).await.into_values().collect();
    for (pk, sk) in keys_of_names(campaign) {
        items.extend(table.item(&pk, sk).await);
    }
    for item in &mut items {
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
    let counts = table.counts_since(campaign, "1970-01-01".parse().unwrap()).await.unwrap();
    tally::expect_exact(&counts, &active);
    (items, active, by_pass)
}

pub(crate) fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Runtime::new().unwrap())
}

/// 100 cases, or as many as `PROPTEST_CASES` says.
pub(crate) fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(100);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_order_and_every_repetition_of_the_same_events_leaves_the_same_state(stories in stories(), cuts in cuts()) {
        static TABLE: OnceLock<TestTable> = OnceLock::new();
        static STREAM: OnceLock<Mutex<TableStream>> = OnceLock::new();
        let table = TABLE.get_or_init(|| runtime().block_on(TestTable::start()));
        let mut stream = STREAM.get_or_init(|| Mutex::new(table.sandbox.stream())).lock().unwrap();
        let [story, reordered] = &stories;
        let (first, second) = runtime().block_on(async {
            (play(table, &mut stream, story, &cuts).await, play(table, &mut stream, reordered, &cuts).await)
        });
        prop_assert_eq!(&first, &second);

        let expected = expected(story);
        let (_, by_campaign, by_pass) = first;
        prop_assert_eq!(&by_campaign, &expected);
        for (number, found) in (1..=PASSES).zip(by_pass) {
            let expected: Vec<_> = expected.iter().filter(|known| known.pass_id == pass(number)).cloned().collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_registration_is_active_unless_its_latest_event_or_post_is_a_removal(
        story in happenings(),
        is_posted in prop::collection::vec(any::<bool>(), 16),
    ) {
        static TABLE: OnceLock<TestTable> = OnceLock::new();
        let table = TABLE.get_or_init(|| runtime().block_on(TestTable::start()));
        let campaign = new_campaign();
        let active = runtime().block_on(async {
            for (happening, is_posted) in story.iter().zip(is_posted) {
                let Happening { pass: number, kind, instant, contents } = *happening;
                match kind {
                    Kind::Installed(id) if is_posted => {
                        let (account, installation) = (demo(), installation(id, contents));
                        let instant = moment(instant);
                        table.register(&account, campaign, pass(number), &installation, instant, now()).await.unwrap();
                    }
                    _ => drop(expect_done(table.apply(&happening.event(campaign), now()).await)),
                }
            }
            table.active(Collection::Campaign(campaign)).await
        });
        let ids = |registrations: &[Registration]| {
            registrations.iter().map(|found| (found.pass_id, found.id)).collect::<BTreeSet<_>>()
        };
        // The wallet and the instant are those of the install that was there first.
        prop_assert_eq!(ids(&active), ids(&expected(&[story])));
    }

    #[test]
    fn after_copies_one_table_has_what_both_received(story in happenings(), cuts in cuts(), places in prop::collection::vec(0..5_usize, 16)) {
        static TABLES: OnceLock<[TestTable; 2]> = OnceLock::new();
        static STREAMS: OnceLock<Mutex<[TableStream; 2]>> = OnceLock::new();
        let [old, new] =
            TABLES.get_or_init(|| runtime().block_on(async { [TestTable::start().await, TestTable::start().await] }));
        let mut streams = STREAMS.get_or_init(|| Mutex::new([old.stream(), new.stream()])).lock().unwrap();
        let [old_stream, new_stream] = &mut *streams;
        let campaign = new_campaign();
        let at = |place: usize| {
            let here = story.iter().zip(&places).filter(move |(_, known)| **known == place);
            here.map(|(happening, _)| happening.event(campaign)).collect::<Vec<_>>()
        };
        runtime().block_on(async {
            tally::apply(new, &at(0)).await;
            tally::apply(old, &at(1)).await;
            tally(old, old_stream, &cuts).await;
            // These are not counted yet when the old table is copied.
            tally::apply(old, &at(2)).await;
            old.copy_campaign(campaign, &new.fresh(), now()).await.unwrap();
            tally::apply(old, &at(3)).await;
            tally::apply(new, &at(4)).await;
            old.copy_campaign(campaign, &new.fresh(), now()).await.unwrap();
            tally(new, new_stream, &cuts).await;
            let active = new.active(Collection::Campaign(campaign)).await;
            assert_eq!(active, expected(std::slice::from_ref(&story)));
            tally::expect_exact(&tally::counts(new, campaign).await, &active);
        });
    }
}
