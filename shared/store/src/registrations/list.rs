//! Listings: the active registrations of a campaign or of a pass, in the order of `created_at`.
//!
//! Two indexes contain only active registrations, in this order. A stretch of an index begins after a given
//! registration, not at an offset, so it costs the same at any depth. One read returns at most 1 MB and reports whether
//! more may follow.

use aws_sdk_dynamodb::{
    operation::query::{QueryInput, builders::QueryInputBuilder},
    types::{AttributeValue, Select},
};

use domain::{
    id::{CampaignId, PassId},
    registration::Registration,
    time::Timestamp,
};

use super::page_reader::{PageReader, Segment};
use crate::{
    StoreError, Table,
    dynamodb::codec::{Item, text},
    keys,
};

/// The registrations of a campaign or of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collection {
    /// The registrations of a campaign.
    Campaign(CampaignId),
    /// The registrations of one pass.
    Pass(CampaignId, PassId),
}

/// A stretch of a collection in the order of `created_at`.
#[derive(Debug, Clone)]
pub struct Stretch<'a> {
    /// The range of `created_at` to read.
    pub created_at: &'a CreatedAtRange,
    /// The order of the registrations.
    pub direction: Direction,
    /// The registration after which the stretch begins, in its direction, or `None` to begin at the first one of the
    /// range. It does not have to exist any longer.
    pub after: Option<&'a Registration>,
    /// How many registrations to read at most.
    pub limit: usize,
}

/// A range of `created_at`, both ends included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CreatedAtRange {
    /// The earliest `created_at`, or `None` if there is no lower bound.
    pub from: Option<Timestamp>,
    /// The latest `created_at`, or `None` if there is no upper bound.
    pub to: Option<Timestamp>,
}

/// The order in which registrations are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Oldest first.
    Ascending,
    /// Newest first.
    Descending,
}

impl CreatedAtRange {
    /// Returns whether `instant` lies within the range.
    #[must_use]
    pub fn contains(&self, instant: Timestamp) -> bool {
        self.from.is_none_or(|from| instant >= from) && self.to.is_none_or(|to| instant <= to)
    }

    /// Returns texts just outside the range: stored instants lie between them if and only if they are in the range.
    ///
    /// DynamoDB refuses a start key that equals the bound towards which the query goes, even if the bound is included
    /// (<https://github.com/aws/aws-sdk-ruby/issues/2456>). No instant equals these texts.
    fn open_bounds(&self) -> (Option<String>, Option<String>) {
        // An instant ends in `Z`: without it, it is the beginning of its text and so less; with more, it is greater.
        let before = |from: Timestamp| from.to_string().trim_end_matches('Z').to_owned();
        let after = |to: Timestamp| format!("{to}~");
        (self.from.map(before), self.to.map(after))
    }

    /// Returns whether the range ends before it begins. DynamoDB would refuse a query with such a range.
    fn is_empty(&self) -> bool {
        self.from.zip(self.to).is_some_and(|(from, to)| from > to)
    }
}

impl Direction {
    /// Returns the other direction.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::Ascending => Self::Descending,
            Self::Descending => Self::Ascending,
        }
    }
}

impl Collection {
    /// Returns the campaign.
    #[must_use]
    pub fn campaign(self) -> CampaignId {
        match self {
            Self::Campaign(campaign) | Self::Pass(campaign, _) => campaign,
        }
    }

    fn index(self) -> Index {
        match self {
            Self::Campaign(campaign) => {
                Index { name: keys::BY_CAMPAIGN, hash: keys::PK, value: text(keys::campaign_pk(campaign)) }
            }
            Self::Pass(campaign, pass) => {
                Index { name: keys::BY_PASS, hash: keys::PASS, value: text(keys::by_pass_hash(campaign, pass)) }
            }
        }
    }

    fn key_of(self, registration: &Registration) -> Item {
        let Index { name: _, hash, value } = self.index();
        Item::from([
            (hash.to_owned(), value),
            (keys::CREATED_AT.to_owned(), text(registration.created_at)),
            (keys::PK.to_owned(), text(keys::campaign_pk(self.campaign()))),
            (keys::SK.to_owned(), text(keys::registration_sk(registration.pass_id, registration.id))),
        ])
    }
}

/// The index that lists a collection, and the hash key of the collection in it.
struct Index {
    name: &'static str,
    hash: &'static str,
    value: AttributeValue,
}

impl Table {
    /// Reads a stretch of the collection with one query, or without any if the range is empty.
    pub async fn list(&self, collection: Collection, stretch: Stretch<'_>) -> Result<Segment, StoreError> {
        let Stretch { created_at, direction, after, limit } = stretch;
        if created_at.is_empty() {
            return Ok(Segment { registrations: Vec::new(), has_more: false });
        }
        let reader = PageReader::default();
        let query = self
            .query(collection, created_at)
            .projection_expression("sk, wallet, device_os, created_at")
            .scan_index_forward(direction == Direction::Ascending)
            .set_exclusive_start_key(after.map(|registration| collection.key_of(registration)))
            .limit(limit_of(limit));
        self.client.send_with(reader.clone(), query).await?;
        let segment = reader.finish()?;
        // The query has no filter, so an empty answer is the end, even if DynamoDB says that more may follow.
        let has_more = segment.has_more && !segment.registrations.is_empty();
        Ok(Segment { has_more, ..segment })
    }

    /// Returns how many registrations the collection has, or `None` if there are more than `bound`.
    pub async fn count_active(&self, collection: Collection, bound: usize) -> Result<Option<usize>, StoreError> {
        let mut count = 0;
        let mut start = None;
        while count <= bound {
            let query = self
                .query(collection, &CreatedAtRange::default())
                .select(Select::Count)
                .set_exclusive_start_key(start)
                .limit(limit_of(bound + 1 - count));
            let response = self.client.send(query).await?;
            count += usize::try_from(response.count).unwrap_or_default();
            start = response.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        Ok((count <= bound).then_some(count))
    }

    /// Returns whether the pass is known: whether it has its own item or a registration, even a removed one.
    pub async fn pass_is_known(&self, campaign: CampaignId, pass: PassId) -> Result<bool, StoreError> {
        let query = QueryInput::builder()
            .table_name(&self.name)
            .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
            .expression_attribute_values(":pk", text(keys::campaign_pk(campaign)))
            .expression_attribute_values(":sk", text(keys::pass_sk(pass)))
            .select(Select::Count)
            .limit(1);
        let response = self.client.send(query).await?;
        Ok(response.count > 0)
    }

    fn query(&self, collection: Collection, created_at: &CreatedAtRange) -> QueryInputBuilder {
        let Index { name, hash, value } = collection.index();
        let query = QueryInput::builder().table_name(&self.name).index_name(name);
        let query = query.expression_attribute_values(":hash", value);
        match created_at.open_bounds() {
            (None, None) => query.key_condition_expression(format!("{hash} = :hash")),
            (Some(from), None) => query
                .key_condition_expression(format!("{hash} = :hash AND created_at > :from"))
                .expression_attribute_values(":from", text(from)),
            (None, Some(to)) => query
                .key_condition_expression(format!("{hash} = :hash AND created_at < :to"))
                .expression_attribute_values(":to", text(to)),
            (Some(from), Some(to)) => query
                .key_condition_expression(format!("{hash} = :hash AND created_at BETWEEN :from AND :to"))
                .expression_attribute_values(":from", text(from))
                .expression_attribute_values(":to", text(to)),
        }
    }
}

pub(super) fn limit_of(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn stored_instants_lie_between_the_bounds_and_never_on_them(
            [instant, from, to] in [997..1_003_i64, 997..1_003, 997..1_003],
        ) {
            // Around a full second, where most digits change.
            let [instant, from, to] = [instant, from, to].map(Timestamp::nearest);
            let range = CreatedAtRange { from: Some(from), to: Some(to) };
            let (Some(lower), Some(upper)) = range.open_bounds() else { panic!("both bounds are given") };
            let text = instant.to_string();
            prop_assert_eq!(lower < text && text < upper, range.contains(instant));
            prop_assert!(text != lower && text != upper);
        }
    }
}
