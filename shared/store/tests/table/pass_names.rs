//! Names of passes: serial numbers and Google objects, which `created` events give to passes.

use std::collections::BTreeMap;

use domain::{
    event::{Change, CreatedSerialNumber, Creation, Event, Refusal},
    id::{CampaignId, PassId},
};
use local::testing::faults::Fault;
use rstest::rstest;
use store::{CampaignMove, NamedPass, Outcome, StoreError};

use super::{
    TestTable, at, deadline, demo, event, expect_done, interrupted_after, new_campaign, now, pass, typed_serial,
    untyped,
};

use Outcome::{Applied, Refused, Unchanged};

const TYPE: &str = "pass.com.example";

/// Returns a `created` event with these names.
fn created(
    campaign: CampaignId,
    pass: PassId,
    instant: u32,
    serial: Option<(&str, Option<&str>)>,
    object: Option<&str>,
) -> Event {
    let creation = Creation {
        serial_number: serial.map(|(number, token)| CreatedSerialNumber::Typed {
            serial_number: typed_serial(TYPE, number),
            token: token.map(|token| token.parse().unwrap()),
        }),
        google_object_id: object.map(|object| object.parse().unwrap()),
    };
    event(campaign, pass, at(instant), Change::Created(creation))
}

async fn apply(table: &store::Table, event: &Event) -> Outcome {
    table.apply_all(std::slice::from_ref(event), now(), deadline()).await.remove(0)
}

/// Returns the item of a serial number of the account `demo`.
async fn serial_item(table: &TestTable, number: &str) -> Option<BTreeMap<String, String>> {
    table.item(&format!("SERIAL#demo#{TYPE}#{number}"), "SERIAL").await
}

/// Returns the item of a Google object of the account `demo`.
async fn object_item(table: &TestTable, object: &str) -> Option<BTreeMap<String, String>> {
    table.item(&format!("OBJECT#demo#{object}"), "OBJECT").await
}

#[tokio::test]
async fn a_name_belongs_to_the_first_pass_that_an_event_gives_it_to() {
    let table = TestTable::start().await;
    let (campaign, other) = (new_campaign(), new_campaign());
    let first = created(campaign, pass(1), 5, Some(("a/b#c", None)), Some("1.x"));
    assert_eq!(apply(&table, &first).await, Applied);
    let [serial, object] = [serial_item(&table, "a/b#c").await, object_item(&table, "1.x").await];
    for item in [&serial, &object] {
        let item = item.as_ref().unwrap();
        assert_eq!((&item["campaign_id"], &item["pass_id"]), (&campaign.to_string(), &pass(1).to_string()));
        assert_eq!(item.len(), 4, "a name without a token");
    }
    assert_eq!(apply(&table, &first).await, Unchanged);

    for campaign in [campaign, other] {
        let takes_serial = created(campaign, pass(2), 3, Some(("a/b#c", None)), Some("1.y"));
        assert_eq!(apply(&table.fresh(), &takes_serial).await, Refused(Refusal::SerialNumberTaken));
        let takes_object = created(campaign, pass(2), 3, None, Some("1.x"));
        assert_eq!(apply(&table.fresh(), &takes_object).await, Refused(Refusal::GoogleObjectTaken));
        assert_eq!(object_item(&table, "1.y").await, None, "nothing further is written");
        assert!(!table.pass_is_known(campaign, pass(2)).await.unwrap());
    }
    assert_eq!([serial_item(&table, "a/b#c").await, object_item(&table, "1.x").await], [serial, object]);

    let of_another_account = Event {
        account_id: "acme".parse().unwrap(),
        ..created(new_campaign(), pass(2), 3, Some(("a/b#c", None)), Some("1.x"))
    };
    assert_eq!(apply(&table, &of_another_account).await, Applied, "each account has its own names");
    let more = created(campaign, pass(1), 5, Some(("second", None)), Some("1.z"));
    assert_eq!(apply(&table, &more).await, Applied, "a pass may have several names");
}

#[rstest]
#[case::the_first(&[(5, Some("first"))], Some((5, "first")))]
#[case::none(&[(5, None)], None)]
#[case::later(&[(5, Some("first")), (7, Some("second"))], Some((7, "second")))]
#[case::earlier(&[(7, Some("second")), (5, Some("first"))], Some((7, "second")))]
#[case::a_later_event_without_one(&[(5, Some("first")), (7, None)], Some((5, "first")))]
#[case::after_an_event_without_one(&[(7, None), (5, Some("first"))], Some((5, "first")))]
#[tokio::test]
async fn the_token_is_that_of_the_latest_event_with_one(
    #[case] story: &[(u32, Option<&str>)],
    #[case] expected: Option<(u32, &str)>,
) {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    let token = |name: &str| format!("{name}-token-of-the-pass");
    for (instant, name) in story {
        let token = name.map(token);
        let event = created(campaign, pass(1), *instant, Some(("serial", token.as_deref())), None);
        expect_done(apply(&table, &event).await);
    }
    let item = serial_item(&table, "serial").await.unwrap();
    let stored = item.get("token_at").cloned().zip(item.get("token_hash").cloned());
    let expected = expected.map(|(instant, name)| {
        let hash: domain::pass::TokenHash = token(name).parse().unwrap();
        (at(instant).to_string(), hash.encoded())
    });
    assert_eq!(stored, expected);
}

#[tokio::test]
async fn of_two_tokens_at_the_same_instant_the_one_with_the_greater_hash_stays() {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    let mut ends = Vec::new();
    for (serial, order) in
        [("x", ["0123456789abcdef", "fedcba9876543210"]), ("y", ["fedcba9876543210", "0123456789abcdef"])]
    {
        for token in order {
            expect_done(apply(&table, &created(campaign, pass(1), 5, Some((serial, Some(token))), None)).await);
        }
        ends.push(serial_item(&table, serial).await.unwrap()["token_hash"].clone());
    }
    assert_eq!(ends[0], ends[1]);
}

#[tokio::test]
async fn an_event_that_brings_only_a_new_token_is_applied() {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    let with_token = |instant, token| created(campaign, pass(1), instant, Some(("serial", Some(token))), None);
    assert_eq!(apply(&table, &with_token(5, "0123456789abcdef")).await, Applied);
    assert_eq!(apply(&table, &with_token(7, "fedcba9876543210")).await, Applied);
    assert_eq!(apply(&table, &with_token(7, "fedcba9876543210")).await, Unchanged);
    assert_eq!(table.items(campaign).await[&format!("PASS#{}", pass(1))]["known_since"], at(5).to_string());
}

#[tokio::test]
async fn in_a_batch_the_first_pass_gets_the_name() {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    let events: Vec<_> =
        (1..=40).map(|number| created(campaign, pass(number), 5, Some(("serial", None)), Some("1.x"))).collect();
    let outcomes = table.apply_all(&events, now(), deadline()).await;
    assert_eq!(outcomes[0], Applied);
    assert_eq!(outcomes[1..], vec![Refused(Refusal::SerialNumberTaken); 39]);
}

#[tokio::test]
async fn a_process_pins_a_campaign_once() {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    let recorder = table.sandbox.recorder().await.unwrap();
    let store = table.recorded(&recorder);
    let mut writes = Vec::new();
    for number in 1..=3 {
        let serial = format!("serial-{number}");
        let event =
            created(campaign, pass(number), 5, Some((&serial, Some("0123456789abcdef"))), Some(&format!("1.{number}")));
        expect_done(apply(&store, &event).await);
        writes.push(recorder.take().len());
    }
    expect_done(apply(&store, &event(campaign, pass(4), at(5), Change::Created(untyped(Some("4"))))).await);
    writes.push(recorder.take().len());
    assert_eq!(writes, [5, 3, 3, 1], "campaign, pin, serial number, object and pass; the last has no name");
}

/// A process may end after each of its calls. The event then comes again.
#[tokio::test]
async fn a_created_event_that_is_cut_off_after_any_write_is_completed_by_its_repetition() {
    let table = TestTable::start().await;
    let faults = table.sandbox.faults().await.unwrap();
    let mut left = Vec::new();
    for writes in 0..=5 {
        let (campaign, name) = (new_campaign(), format!("cut-off-after-{writes}"));
        let event = created(campaign, pass(1), 5, Some((&name, Some("0123456789abcdef"))), Some(&format!("1.{name}")));
        faults.next(std::iter::repeat_n(Fault::None, writes));
        faults.always(Fault::Denied);
        let cut_off = apply(&table.faulty(&faults), &event).await;
        faults.always(Fault::None);
        assert_eq!(matches!(cut_off, Outcome::Failed(_)), writes < 5, "{cut_off:?}");
        let items = async || {
            let [serial, object] = [serial_item(&table, &name).await, object_item(&table, &format!("1.{name}")).await];
            let campaign = table.items(campaign).await;
            let pinned = campaign.get("CAMPAIGN").is_some_and(|item| item.contains_key("pinned_since"));
            [
                campaign.contains_key("CAMPAIGN"),
                pinned,
                serial.is_some(),
                object.is_some(),
                campaign.contains_key(&format!("PASS#{}", pass(1))),
            ]
        };
        left.push(items().await);
        assert_eq!(expect_done(apply(&table.fresh(), &event).await) == Applied, writes < 5);
        assert_eq!(items().await, [true; 5]);
    }
    let in_order: Vec<[bool; 5]> = (0..=5).map(|writes| std::array::from_fn(|at| at < writes)).collect();
    assert_eq!(left, in_order, "the claim comes first and the pass last");
}

#[tokio::test]
async fn a_batch_of_created_events_interrupted_anywhere_is_completed_by_its_repetition() {
    let table = TestTable::start().await;
    for patience in 1.. {
        let (campaign, name) = (new_campaign(), format!("patience-{patience}"));
        let events = [1, 2].map(|number| {
            created(
                campaign,
                pass(number),
                5,
                Some((&format!("{name}-{number}"), None)),
                Some(&format!("{number}.{name}")),
            )
        });
        let is_complete =
            interrupted_after(patience, table.fresh().apply_all(&events, now(), deadline())).await.is_some();
        for outcome in table.fresh().apply_all(&events, now(), deadline()).await {
            expect_done(outcome);
        }
        for number in [1, 2] {
            let serial = serial_item(&table, &format!("{name}-{number}")).await.unwrap();
            assert_eq!(serial["pass_id"], pass(number).to_string());
            assert!(object_item(&table, &format!("{number}.{name}")).await.is_some());
            assert!(table.pass_is_known(campaign, pass(number)).await.unwrap());
        }
        if is_complete {
            break;
        }
    }
}

#[tokio::test]
async fn a_campaign_with_a_name_stays_with_its_account() {
    let table = TestTable::start().await;
    let (campaign, acme) = (new_campaign(), "acme".parse().unwrap());
    let event = created(campaign, pass(1), 5, None, Some("1.x"));
    expect_done(apply(&table, &event).await);
    assert_eq!(table.move_campaign(campaign, &demo(), &acme, now()).await.unwrap(), CampaignMove::Pinned);
    assert_eq!(table.items(campaign).await["CAMPAIGN"]["account_id"], "demo");

    // A process that remembers the campaign gives it a name after it was moved.
    let (moved, process) = (new_campaign(), table.fresh());
    process.claim(moved, &demo(), None, now()).await.unwrap();
    let result = table.move_campaign(moved, &demo(), &acme, now()).await.unwrap();
    assert!(matches!(result, CampaignMove::Moved(_)), "{result:?}");
    let late = created(moved, pass(1), 5, Some(("late", None)), None);
    assert_eq!(apply(&process, &late).await, Refused(Refusal::OtherAccount));
    assert_eq!(serial_item(&table, "late").await, None, "it would point into the campaign of another account");
    assert!(!table.items(moved).await["CAMPAIGN"].contains_key("pinned_since"));
}

#[tokio::test]
async fn a_campaign_is_either_pinned_or_moved() {
    let table = TestTable::start().await;
    let demo = demo();
    for number in 0..10 {
        let (campaign, acme, name) = (new_campaign(), "acme".parse().unwrap(), format!("race-{number}"));
        table.claim(campaign, &demo, None, now()).await.unwrap();
        let event = created(campaign, pass(1), 5, Some((&name, None)), None);
        let (names, operator) = (table.fresh(), table.fresh());
        let (_, moved) = tokio::join!(apply(&names, &event), operator.move_campaign(campaign, &demo, &acme, now()));
        let is_moved = matches!(moved.unwrap(), CampaignMove::Moved(_));
        assert_ne!(serial_item(&table, &name).await.is_some(), is_moved);
    }
}

#[tokio::test]
async fn a_pass_is_found_by_the_first_of_several_serial_numbers() {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    let token = "0123456789abcdef";
    for (number, serial, token) in [(1, "a%2Fb", Some(token)), (2, "a/b", None), (3, "c/d", None)] {
        expect_done(apply(&table, &created(campaign, pass(number), 5, Some((serial, token)), None)).await);
    }
    let recorder = table.sandbox.recorder().await.unwrap();
    let store = table.recorded(&recorder);
    for (candidates, expected) in [
        (["a%2Fb", "a/b"], vec![(1, "a%2Fb", Some(token)), (2, "a/b", None)]),
        (["a/b", "a%2Fb"], vec![(2, "a/b", None), (1, "a%2Fb", Some(token))]),
        (["c%2Fd", "c/d"], vec![(3, "c/d", None)]),
        (["a/b", "a/b"], vec![(2, "a/b", None)]),
        (["x%2Fy", "x/y"], vec![]),
    ] {
        let candidates = candidates.map(|serial| typed_serial(TYPE, serial));
        let found = store.passes_with_serial_numbers(&demo(), &candidates).await.unwrap();
        let expected = expected.into_iter().map(|(number, serial, token)| NamedPass {
            serial_number: typed_serial(TYPE, serial),
            campaign_id: campaign,
            pass_id: pass(number),
            token: token.map(|token| token.parse().unwrap()),
        });
        assert_eq!(found, expected.collect::<Vec<_>>());
        assert_eq!(recorder.take().len(), 1);
        let of_another_account = table.passes_with_serial_numbers(&"acme".parse().unwrap(), &candidates).await.unwrap();
        assert_eq!(of_another_account, []);
    }
    let other_type = typed_serial("pass.com.example.other", "a/b");
    assert_eq!(table.passes_with_serial_numbers(&demo(), &[other_type]).await.unwrap(), []);
}

#[tokio::test]
async fn a_pass_is_found_although_a_replica_is_behind() {
    let table = TestTable::start().await;
    let created = created(new_campaign(), pass(1), 5, Some(("serial", None)), None);
    expect_done(apply(&table, &created).await);
    let faults = table.sandbox.faults().await.unwrap();
    faults.always(Fault::Behind);
    let serial = typed_serial(TYPE, "serial");
    let found = table.faulty(&faults).passes_with_serial_numbers(&demo(), &[serial]).await.unwrap();
    assert_eq!(found.iter().map(|found| found.pass_id).collect::<Vec<_>>(), [pass(1)]);
}

#[tokio::test]
async fn an_empty_response_does_not_mean_that_a_pass_is_unknown() {
    let table = TestTable::start().await;
    let faults = table.sandbox.faults().await.unwrap();
    faults.always(Fault::Empty);
    let serial = typed_serial(TYPE, "serial");
    let found = table.faulty(&faults).passes_with_serial_numbers(&demo(), &[serial]).await;
    assert!(matches!(found, Err(StoreError::Unavailable(_))), "{found:?}");
}
