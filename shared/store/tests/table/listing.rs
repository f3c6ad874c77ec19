//! Listings: consecutive reads, ranges, passes and bookmarks.

use std::collections::BTreeSet;

use domain::{
    event::{Change, Event},
    id::CampaignId,
    registration::Registration,
};
use store::{Collection, CreatedAtRange, Direction, Stretch};

use super::{TestTable, at, deadline, event, expect_done, installation, new_campaign, now, pass, registration};

/// More registrations than the 1 MB that DynamoDB reads for one query, at about 190 bytes each.
const MORE_THAN_A_PAGE: u32 = 6_000;

async fn install(table: &TestTable, campaign: CampaignId, count: u32) {
    let events: Vec<Event> = (0..count)
        .map(|number| {
            let id = registration(u128::from(number));
            event(campaign, pass(u128::from(number % 7)), at(number), Change::Installed(installation(id)))
        })
        .collect();
    for outcome in table.apply_all(&events, now(), deadline()).await {
        expect_done(outcome);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_reads_neither_skip_nor_repeat_registrations() {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    install(&table, campaign, MORE_THAN_A_PAGE).await;
    let collection = Collection::Campaign(campaign);
    let all = usize::try_from(MORE_THAN_A_PAGE).unwrap();

    for direction in [Direction::Ascending, Direction::Descending] {
        let everything = CreatedAtRange::default();
        let mut walked: Vec<Registration> = Vec::new();
        let mut reads = 0;
        loop {
            let stretch = Stretch { created_at: &everything, direction, after: walked.last(), limit: all };
            let segment = table.list(collection, stretch).await.unwrap();
            walked.extend(segment.registrations);
            reads += 1;
            if !segment.has_more {
                break;
            }
        }
        assert!(reads > 1, "one read returns at most 1 MB");
        assert_eq!(walked.len(), all);
        assert_eq!(walked.iter().map(|found| found.id).collect::<BTreeSet<_>>().len(), all);
        let in_order = match direction {
            Direction::Ascending => walked.is_sorted_by_key(|found| found.created_at),
            Direction::Descending => walked.iter().rev().is_sorted_by_key(|found| found.created_at),
        };
        assert!(in_order);
    }

    assert_eq!(table.count_active(collection, all).await.unwrap(), Some(all));
    assert_eq!(table.count_active(collection, all - 1).await.unwrap(), None);
}

#[tokio::test]
async fn a_range_of_created_at_includes_both_ends() {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    install(&table, campaign, 10).await;
    let at_end = |instant| Some(at(instant));
    for (from, to, expected) in [
        (None, None, 0..10),
        (at_end(3), None, 3..10),
        (None, at_end(6), 0..7),
        (at_end(3), at_end(6), 3..7),
        (at_end(6), at_end(3), 0..0),
        (at_end(10), None, 0..0),
    ] {
        let range = CreatedAtRange { from, to };
        let stretch = Stretch { created_at: &range, direction: Direction::Ascending, after: None, limit: 100 };
        let segment = table.list(Collection::Campaign(campaign), stretch).await.unwrap();
        let found: Vec<_> = segment.registrations.iter().map(|found| found.created_at).collect();
        assert_eq!(found, expected.map(at).collect::<Vec<_>>(), "{range:?}");
    }
}

#[tokio::test]
async fn a_pass_lists_only_its_own_registrations() {
    let table = TestTable::start().await;
    let (campaign, other) = (new_campaign(), new_campaign());
    install(&table, campaign, 14).await;
    install(&table, other, 7).await;
    let found = table.active(Collection::Pass(campaign, pass(3))).await;
    assert_eq!(found.iter().map(|found| found.id).collect::<Vec<_>>(), [registration(3), registration(10)]);
    assert_eq!(table.count_active(Collection::Pass(campaign, pass(3)), 10).await.unwrap(), Some(2));
}

#[tokio::test]
async fn a_bookmark_is_found_until_it_expires() {
    let table = TestTable::start().await;
    let late = now().plus(std::time::Duration::from_mins(2));
    table.write_bookmark("listing", 2, "cursor".to_owned(), now()).await.unwrap();

    let other_process = table.fresh();
    assert_eq!(other_process.bookmark("listing", 2, now()).await.unwrap().as_deref(), Some("cursor"));
    assert_eq!(other_process.bookmark("listing", 2, late).await.unwrap(), None);
    assert_eq!(other_process.bookmark("listing", 3, now()).await.unwrap(), None);
    assert_eq!(other_process.bookmark("elsewhere", 2, now()).await.unwrap(), None);
}
