//! Push targets: which registrations are listed, in which order and in which parts.

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use domain::{
    event::{Change, Installation},
    id::{CampaignId, PassId},
    push_target::PushTarget,
    wallet::Wallet,
};
use store::{Collection, PushTargets, Table, TargetPosition, keys};

use super::{
    TestTable, at, demo, event, expect_done, installation, new_campaign, now, pass, registration,
    tally::{install, uninstall},
    typed_serial, untyped,
};

/// Stores four registrations for each of three passes: one with a push token, one without, one that was removed, and one
/// with everything that a push target may have. The first pass also has an item of its own.
async fn twelve_registrations(table: &Table, campaign: CampaignId) {
    let created = event(campaign, pass(1), at(0), Change::Created(untyped(Some("1"))));
    expect_done(table.apply(&created, now()).await);
    for number in 1..=3 {
        let id = |place: u128| registration(10 * number + place);
        let installed = |installation| event(campaign, pass(number), at(1), Change::Installed(installation));
        let plain = Installation { push_token: Some("plain".parse().unwrap()), ..installation(id(0)) };
        let full = Installation {
            wallet: Wallet::WalletPasses,
            push_token: Some("full".parse().unwrap()),
            push_service_url: Some("https://push.example".parse().unwrap()),
            serial_number: Some(typed_serial("pass.com.example", "1")),
            ..installation(id(3))
        };
        let removed = Installation { push_token: Some("removed".parse().unwrap()), ..installation(id(2)) };
        for event in [
            installed(plain),
            install(campaign, pass(number), id(1), at(1)),
            installed(removed),
            uninstall(campaign, pass(number), id(2), at(2)),
            installed(full),
        ] {
            expect_done(table.apply(&event, now()).await);
        }
    }
}

fn expected_of(number: u128) -> [PushTarget; 2] {
    let plain = PushTarget {
        registration_id: registration(10 * number),
        pass_id: pass(number),
        wallet: Wallet::Passbook,
        pass_type_identifier: None,
        push_token: "plain".parse().unwrap(),
        push_service_url: None,
    };
    let full = PushTarget {
        registration_id: registration(10 * number + 3),
        pass_id: pass(number),
        wallet: Wallet::WalletPasses,
        pass_type_identifier: Some("pass.com.example".parse().unwrap()),
        push_token: "full".parse().unwrap(),
        push_service_url: Some("https://push.example".parse().unwrap()),
    };
    [plain, full]
}

/// Reads all parts of a collection, each of `count` targets. Returns the targets and the number of parts.
async fn walked(table: &Table, collection: Collection, count: usize) -> (Vec<PushTarget>, usize) {
    let (mut all, mut parts, mut position) = (Vec::new(), 0, None);
    loop {
        let PushTargets { targets, next } = table.push_targets(collection, position, count).await.unwrap();
        assert!(targets.len() <= count);
        all.extend(targets);
        parts += 1;
        match next {
            Some(next) => position = Some(next),
            None => return (all, parts),
        }
    }
}

#[tokio::test]
async fn each_active_registration_with_a_push_token_is_listed_once_in_the_order_of_passes_and_ids() {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    twelve_registrations(&table, campaign).await;
    let of_campaign: Vec<_> = (1..=3).flat_map(expected_of).collect();
    for (collection, expected) in [
        (Collection::Campaign(campaign), of_campaign),
        (Collection::Pass(campaign, pass(1)), expected_of(1).to_vec()),
        (Collection::Pass(campaign, pass(2)), expected_of(2).to_vec()),
        (Collection::Pass(campaign, pass(4)), Vec::new()),
        (Collection::Campaign(new_campaign()), Vec::new()),
    ] {
        for count in 1..=7 {
            let (targets, parts) = walked(&table, collection, count).await;
            assert_eq!(targets, expected);
            assert_eq!(parts, expected.len().div_ceil(count).max(1), "the last part is not empty");
        }
    }
}

#[tokio::test]
async fn a_part_begins_after_a_registration_that_has_ended() {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    twelve_registrations(&table, campaign).await;
    let collection = Collection::Campaign(campaign);
    let first = table.push_targets(collection, None, 3).await.unwrap();
    let last = first.targets.last().unwrap();
    assert_eq!(first.next, Some(after(last.pass_id, last)));
    expect_done(table.apply(&uninstall(campaign, last.pass_id, last.registration_id, at(3)), now()).await);
    let second = table.push_targets(collection, first.next, 3).await.unwrap();
    assert_eq!([first.targets, second.targets].concat(), (1..=3).flat_map(expected_of).collect::<Vec<_>>());
}

fn after(pass_id: PassId, target: &PushTarget) -> TargetPosition {
    TargetPosition { pass_id, registration_id: Some(target.registration_id) }
}

#[test]
fn a_position_is_in_its_own_pass_and_in_the_campaign() {
    let campaign = new_campaign();
    for registration_id in [None, Some(registration(1))] {
        let position = TargetPosition { pass_id: pass(1), registration_id };
        assert!(position.is_in(Collection::Campaign(campaign)));
        assert!(position.is_in(Collection::Pass(campaign, pass(1))));
        assert!(!position.is_in(Collection::Pass(campaign, pass(2))));
    }
}

/// Writes items of removed registrations of pass 1, with the ids from 1 on.
async fn write_tombstones(table: &TestTable, campaign: CampaignId, count: u128) {
    let client = table.sandbox.client().unwrap();
    let name = &table.sandbox.template.table.name;
    let numbers: Vec<_> = (1..=count).collect();
    // DynamoDB accepts up to 25 items at once.
    for numbers in numbers.chunks(25) {
        let puts = numbers.iter().map(|number| {
            let attributes = [
                ("pk", keys::campaign_pk(campaign)),
                ("sk", keys::registration_sk(pass(1), registration(*number))),
                ("last_event_at", at(1).to_string()),
            ];
            let put = attributes
                .into_iter()
                .fold(PutRequest::builder(), |put, (name, value)| put.item(name, AttributeValue::S(value)));
            WriteRequest::builder().put_request(put.build().unwrap()).build()
        });
        client.batch_write_item().request_items(name, puts.collect()).send().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_has_examined_enough_ends_early_and_the_next_one_continues() {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    write_tombstones(&table, campaign, 10_100).await;
    let installation = Installation { push_token: Some("token".parse().unwrap()), ..installation(registration(1)) };
    table.register(&demo(), campaign, pass(2), &installation, at(1), now()).await.unwrap();

    let first = table.push_targets(Collection::Campaign(campaign), None, 10).await.unwrap();
    assert_eq!(first.targets, []);
    assert_eq!(first.next, Some(TargetPosition { pass_id: pass(1), registration_id: Some(registration(10_011)) }));
    let second = table.push_targets(Collection::Campaign(campaign), first.next, 10).await.unwrap();
    assert_eq!((second.targets.len(), second.next), (1, None));
}
