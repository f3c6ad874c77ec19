//! Failed pushes.

use domain::{
    event::{Change, Event, FailedAddress, Installation},
    id::{CampaignId, PassId, RegistrationId},
};
use rstest::rstest;
use store::{Collection, Outcome, Table};

use super::{
    TestTable, at, deadline, demo, event, expect_done, installation, new_campaign, now, pass, registration,
    tally::{install, uninstall},
};

use Outcome::{Applied, Unchanged};

fn with_token(id: RegistrationId, token: &str) -> Installation {
    Installation { push_token: Some(token.parse().unwrap()), ..installation(id) }
}

fn installed(campaign: CampaignId, pass: PassId, id: RegistrationId, token: &str, instant: u32) -> Event {
    event(campaign, pass, at(instant), Change::Installed(with_token(id, token)))
}

fn failed_at(campaign: CampaignId, pass: PassId, id: RegistrationId, instant: u32) -> Event {
    let address = FailedAddress::OfRegistration { registration_id: id, push_token: None };
    event(campaign, pass, at(instant), Change::PushFailed(address))
}

fn failed_at_token(campaign: CampaignId, pass: PassId, token: &str, instant: u32) -> Event {
    event(campaign, pass, at(instant), Change::PushFailed(FailedAddress::PushToken(token.parse().unwrap())))
}

async fn apply(table: &Table, event: Event) -> Outcome {
    expect_done(table.apply(&event, now()).await)
}

async fn active(table: &TestTable, campaign: CampaignId) -> Vec<RegistrationId> {
    table.active(Collection::Campaign(campaign)).await.into_iter().map(|found| found.id).collect()
}

#[rstest]
#[case::later(7, true)]
#[case::at_the_same_instant(5, true)]
#[case::earlier(3, false)]
#[tokio::test]
async fn a_failed_push_ends_a_registration_that_was_not_made_later(#[case] instant: u32, #[case] ends: bool) {
    let table = TestTable::start().await;
    let (pass, id) = (pass(1), registration(1));
    for by_token in [true, false] {
        for has_token in [true, false] {
            let campaign = new_campaign();
            if has_token {
                apply(&table, installed(campaign, pass, id, "token", 5)).await;
            } else {
                apply(&table, install(campaign, pass, id, at(5))).await;
            }
            let failed = if by_token {
                failed_at_token(campaign, pass, "token", instant)
            } else {
                failed_at(campaign, pass, id, instant)
            };
            let ends = ends && (has_token || !by_token);
            let expected = if ends { Applied } else { Unchanged };
            assert_eq!(apply(&table, failed.clone()).await, expected);
            assert_eq!(active(&table, campaign).await.is_empty(), ends);
            assert_eq!(apply(&table, failed).await, Unchanged);
        }
    }
}

#[tokio::test]
async fn a_failed_push_with_registration_and_token_ends_no_registration_with_another_token() {
    let table = TestTable::start().await;
    let (pass, id) = (pass(1), registration(1));
    for (stored, expected) in [(Some("token"), Applied), (None, Applied), (Some("another"), Unchanged)] {
        let campaign = new_campaign();
        match stored {
            Some(token) => apply(&table, installed(campaign, pass, id, token, 5)).await,
            None => apply(&table, install(campaign, pass, id, at(5))).await,
        };
        let push_token = Some("token".parse().unwrap());
        let address = FailedAddress::OfRegistration { registration_id: id, push_token };
        let failed = event(campaign, pass, at(7), Change::PushFailed(address));
        assert_eq!(apply(&table, failed).await, expected, "{stored:?}");
        assert_eq!(active(&table, campaign).await.is_empty(), expected == Applied, "{stored:?}");
    }
}

#[tokio::test]
async fn a_failed_push_from_before_the_latest_post_changes_nothing() {
    let table = TestTable::start().await;
    let (campaign, pass, id) = (new_campaign(), pass(1), registration(1));
    apply(&table, installed(campaign, pass, id, "token", 5)).await;
    table.register(&demo(), campaign, pass, &with_token(id, "token"), at(9), now()).await.unwrap();
    for failed in [failed_at(campaign, pass, id, 8), failed_at_token(campaign, pass, "token", 8)] {
        assert_eq!(apply(&table, failed).await, Unchanged);
        assert_eq!(active(&table, campaign).await, [id]);
    }
    assert_eq!(apply(&table, failed_at(campaign, pass, id, 9)).await, Applied);
    assert!(active(&table, campaign).await.is_empty());
}

#[tokio::test]
async fn a_failed_push_leaves_what_an_uninstall_leaves() {
    let table = TestTable::start().await;
    let (pass, id) = (pass(1), registration(1));
    for (has_install, by_token) in [(true, false), (true, true), (false, false)] {
        let [failed, uninstalled] = [new_campaign(), new_campaign()];
        if has_install {
            for campaign in [failed, uninstalled] {
                apply(&table, installed(campaign, pass, id, "token", 5)).await;
            }
        }
        let event = if by_token { failed_at_token(failed, pass, "token", 7) } else { failed_at(failed, pass, id, 7) };
        assert_eq!(apply(&table, event).await, Applied);
        apply(&table, uninstall(uninstalled, pass, id, at(7))).await;
        let mut items = Vec::new();
        for campaign in [failed, uninstalled] {
            let mut item = table.items(campaign).await.remove(&format!("PASS#{pass}#{id}")).unwrap();
            item.remove("pk");
            items.push(item);
            // An install from before it comes too late.
            assert_eq!(apply(&table, installed(campaign, pass, id, "token", 6)).await, Unchanged);
        }
        assert_eq!(items[0], items[1]);
    }
}

#[tokio::test]
async fn a_push_token_ends_each_registration_of_its_pass_that_has_it() {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    for number in 1..=3 {
        apply(&table, installed(campaign, pass(1), registration(number), "token", 5)).await;
    }
    apply(&table, installed(campaign, pass(1), registration(4), "another", 5)).await;
    apply(&table, install(campaign, pass(1), registration(5), at(5))).await;
    apply(&table, installed(campaign, pass(2), registration(6), "token", 5)).await;
    assert_eq!(apply(&table, failed_at_token(campaign, pass(1), "unknown", 7)).await, Unchanged);
    assert_eq!(active(&table, campaign).await.len(), 6);
    assert_eq!(apply(&table, failed_at_token(campaign, pass(1), "token", 7)).await, Applied);
    assert_eq!(active(&table, campaign).await, [4, 5, 6].map(registration));
}

#[tokio::test]
async fn in_a_batch_a_push_token_concerns_the_registrations_that_the_events_before_it_left() {
    let table = TestTable::start().await;
    for _ in 0..5 {
        let campaign = new_campaign();
        let installs = (1..=20).map(|number| installed(campaign, pass(1), registration(number), "token", 5));
        let mut events: Vec<_> = installs.collect();
        events.push(failed_at_token(campaign, pass(1), "token", 7));
        events.push(installed(campaign, pass(1), registration(21), "token", 6));
        assert_eq!(table.apply_all(&events, now(), deadline()).await, vec![Applied; 22]);
        assert_eq!(active(&table, campaign).await, [registration(21)]);
    }
}
