//! Updates of passes.

use std::time::Duration;

use domain::{
    event::{Change, Event, InstantFrom, Subject},
    id::CampaignId,
    time::Timestamp,
};
use rstest::rstest;
use store::{Collection, Outcome};

use super::{TestTable, at, deadline, event, expect_done, new_campaign, now, pass};

use Outcome::{Applied, Unchanged};

fn one_pass_updated(campaign: CampaignId, at: Timestamp) -> Event {
    event(campaign, pass(1), at, Change::Updated(InstantFrom::Sender))
}

fn every_pass_updated(campaign: CampaignId, at: Timestamp) -> Event {
    Event { subject: Subject::EveryPass(InstantFrom::Sender), ..one_pass_updated(campaign, at) }
}

fn one_pass_received(campaign: CampaignId, at: Timestamp) -> Event {
    event(campaign, pass(1), at, Change::Updated(InstantFrom::Receipt))
}

fn every_pass_received(campaign: CampaignId, at: Timestamp) -> Event {
    Event { subject: Subject::EveryPass(InstantFrom::Receipt), ..one_pass_received(campaign, at) }
}

#[rstest]
#[case::one_pass(one_pass_updated, format!("UPDATED#{}", pass(1)))]
#[case::every_pass(every_pass_updated, "UPDATED".to_owned())]
#[tokio::test]
async fn the_latest_update_stays(#[case] updated: fn(CampaignId, Timestamp) -> Event, #[case] sk: String) {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    for (instant, expected, stored) in
        [(5, Applied, 5), (5, Unchanged, 5), (3, Unchanged, 5), (7, Applied, 7), (5, Unchanged, 7)]
    {
        assert_eq!(table.apply(&updated(campaign, at(instant)), now()).await, expected);
        let items = table.items(campaign).await;
        assert_eq!(items[&sk]["updated_at"], at(stored).to_string());
        assert_eq!(items.len(), 1);
    }
    assert!(!table.pass_is_known(campaign, pass(1)).await.unwrap(), "only `created` and registrations do that");
}

#[rstest]
#[case::one_pass(one_pass_received, format!("UPDATED#{}", pass(1)))]
#[case::every_pass(every_pass_received, "UPDATED".to_owned())]
#[tokio::test]
async fn a_received_update_is_later_than_every_stored_one(
    #[case] updated: fn(CampaignId, Timestamp) -> Event,
    #[case] sk: String,
) {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    let millisecond = Duration::from_millis(1);
    // The clocks of two processes differ.
    for (received_at, expected) in
        [(at(5), at(5)), (at(5), at(5).plus(millisecond)), (at(3), at(5).plus(2 * millisecond)), (at(9), at(9))]
    {
        assert_eq!(table.apply(&updated(campaign, received_at), now()).await, Applied);
        assert_eq!(table.items(campaign).await[&sk]["updated_at"], expected.to_string());
    }
}

#[tokio::test]
async fn an_update_claims_the_campaign_and_is_neither_listed_nor_counted() {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    let events = [one_pass_updated(campaign, at(5)), every_pass_updated(campaign, at(5))];
    for outcome in table.apply_all(&events, now(), deadline()).await {
        assert_eq!(expect_done(outcome), Applied);
    }
    assert_eq!(table.items(campaign).await["CAMPAIGN"]["account_id"], "demo");
    assert!(table.active(Collection::Campaign(campaign)).await.is_empty());
    let records = super::tally::new_records(&table, &mut table.stream()).await;
    let sort_keys: Vec<_> = records.iter().map(|record| record["dynamodb"]["Keys"]["sk"]["S"].clone()).collect();
    assert_eq!(sort_keys, ["CAMPAIGN"], "the stream's filter leaves updates out");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_latest_updates_of_many_passes_are_read_in_one_round_trip() {
    let table = TestTable::start().await;
    let campaigns = [new_campaign(), new_campaign(), new_campaign()];
    let [of_passes, of_both, of_none] = campaigns;
    let of_pass =
        |campaign, number, instant| event(campaign, pass(number), at(instant), Change::Updated(InstantFrom::Sender));
    let events = [
        of_pass(of_passes, 1, 5),
        of_pass(of_passes, 2, 7),
        of_pass(of_both, 1, 3),
        of_pass(of_both, 2, 9),
        every_pass_updated(of_both, at(6)),
    ];
    for outcome in table.apply_all(&events, now(), deadline()).await {
        expect_done(outcome);
    }
    // More than the 100 keys of one call.
    let passes: Vec<_> =
        campaigns.into_iter().flat_map(|campaign| (1..=100).map(move |number| (campaign, pass(number)))).collect();
    let recorder = table.sandbox.recorder().await.unwrap();
    // If one call waited for another, none would be answered.
    recorder.hold_until(4);
    let latest = table.recorded(&recorder).updates_of(&passes).await.unwrap();
    assert_eq!(recorder.take().len(), 4, "300 passes and 3 campaigns");
    for (campaign, number, expected) in [
        (of_passes, 1, Some(5)),
        (of_passes, 2, Some(7)),
        (of_passes, 3, None),
        (of_both, 1, Some(3)),
        (of_both, 2, Some(9)),
        (of_both, 3, None),
        (of_none, 1, None),
    ] {
        assert_eq!(latest.of_pass(campaign, pass(number)), expected.map(at), "{campaign} {number}");
    }
    assert_eq!(campaigns.map(|campaign| latest.of_campaign(campaign)), [None, Some(at(6)), None]);
    recorder.hold_until(1);
    table.recorded(&recorder).updates_of(&[]).await.unwrap();
    assert!(recorder.take().is_empty());
}
