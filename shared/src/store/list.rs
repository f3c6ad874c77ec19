use aws_sdk_dynamodb::{
    operation::query::builders::QueryFluentBuilder,
    types::{AttributeValue, Select},
};

use super::{
    RegistrationStore, StoreError,
    item::{Item, text},
    key,
    page::{Page, PageReader},
};
use crate::{
    id::{CampaignId, PassId},
    registration::Registration,
};

/// Whose registrations are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collection {
    /// A campaign's.
    Campaign(CampaignId),
    /// One pass's.
    Pass(CampaignId, PassId),
}

/// A stretch of a collection in the order of `created_at`.
#[derive(Debug, Clone)]
pub struct Stretch<'a> {
    /// Which instants.
    pub created_at: &'a CreatedAtRange,
    /// Oldest first, or newest first.
    pub direction: Direction,
    /// The registration after which it begins, in its direction; it need not exist any more.
    pub after: Option<&'a Registration>,
    /// How many registrations to read at the most.
    pub limit: usize,
}

/// A range of `created_at`, both ends included, compared as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreatedAtRange {
    /// The first.
    pub from: Option<String>,
    /// The last.
    pub to: Option<String>,
}

/// An order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Oldest first.
    Ascending,
    /// Newest first.
    Descending,
}

/// What one read of a stretch brought: at most 1 MB, about 5,000 registrations.
#[derive(Debug, Clone)]
pub struct Segment {
    /// The registrations.
    pub registrations: Vec<Registration>,
    /// Whether more may follow.
    pub has_more: bool,
}

impl CreatedAtRange {
    /// Whether `text` lies within.
    #[must_use]
    pub fn contains(&self, text: &str) -> bool {
        self.from.as_deref().is_none_or(|from| text >= from) && self.to.as_deref().is_none_or(|to| text <= to)
    }

    /// Whether no instant lies within. DynamoDB takes neither a range that ends before it begins nor an empty text.
    fn is_empty(&self) -> bool {
        let ends_before_it_begins = self.to.as_ref().is_some_and(|to| self.from.as_ref().is_some_and(|from| from > to));
        ends_before_it_begins || self.to.as_deref() == Some("")
    }
}

impl Direction {
    /// The other direction.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::Ascending => Self::Descending,
            Self::Descending => Self::Ascending,
        }
    }
}

impl Collection {
    /// The campaign.
    #[must_use]
    pub fn campaign(self) -> CampaignId {
        match self {
            Self::Campaign(campaign) | Self::Pass(campaign, _) => campaign,
        }
    }

    fn index(self) -> Index {
        match self {
            Self::Campaign(campaign) => {
                Index { name: key::BY_CAMPAIGN, hash: key::PK, value: text(key::campaign_pk(campaign)) }
            }
            Self::Pass(campaign, pass) => {
                Index { name: key::BY_PASS, hash: key::PASS, value: text(key::by_pass_hash(campaign, pass)) }
            }
        }
    }

    fn key_of(self, registration: &Registration) -> Item {
        let Index { name: _, hash, value } = self.index();
        Item::from([
            (hash.to_owned(), value),
            (key::CREATED_AT.to_owned(), text(registration.created_at)),
            (key::PK.to_owned(), text(key::campaign_pk(self.campaign()))),
            (key::SK.to_owned(), text(key::registration_sk(registration.pass_id, registration.id))),
        ])
    }
}

/// Where an index keeps a collection.
struct Index {
    name: &'static str,
    hash: &'static str,
    value: AttributeValue,
}

impl RegistrationStore {
    /// Reads a stretch of the collection: one query.
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
        query.customize().interceptor(reader.clone()).send().await?;
        let Page { registrations, has_more } = reader.take()?;
        // Nothing is filtered on the way, so a read that brings nothing has come to the end.
        let has_more = has_more && !registrations.is_empty();
        Ok(Segment { registrations, has_more })
    }

    /// How many registrations the collection has, where that is `bound` or less.
    pub async fn count(&self, collection: Collection, bound: usize) -> Result<Option<usize>, StoreError> {
        let mut count = 0;
        let mut start = None;
        while count <= bound {
            let response = self
                .query(collection, &CreatedAtRange::default())
                .select(Select::Count)
                .set_exclusive_start_key(start)
                .limit(limit_of(bound + 1 - count))
                .send()
                .await?;
            count += usize::try_from(response.count).unwrap_or_default();
            start = response.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        Ok((count <= bound).then_some(count))
    }

    /// Whether anything was ever heard of the pass: its own item, or any registration, removed ones included.
    pub async fn pass_is_known(&self, campaign: CampaignId, pass: PassId) -> Result<bool, StoreError> {
        let response = self
            .client
            .query()
            .table_name(&self.table_name)
            .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
            .expression_attribute_values(":pk", text(key::campaign_pk(campaign)))
            .expression_attribute_values(":sk", text(key::pass_sk(pass)))
            .select(Select::Count)
            .limit(1)
            .send()
            .await?;
        Ok(response.count > 0)
    }

    fn query(&self, collection: Collection, created_at: &CreatedAtRange) -> QueryFluentBuilder {
        let Index { name, hash, value } = collection.index();
        let query = self.client.query().table_name(&self.table_name).index_name(name);
        let query = query.expression_attribute_values(":hash", value);
        let from = created_at.from.as_ref().filter(|from| !from.is_empty());
        match (from, &created_at.to) {
            (None, None) => query.key_condition_expression(format!("{hash} = :hash")),
            (Some(from), None) => query
                .key_condition_expression(format!("{hash} = :hash AND created_at >= :from"))
                .expression_attribute_values(":from", text(from)),
            (None, Some(to)) => query
                .key_condition_expression(format!("{hash} = :hash AND created_at <= :to"))
                .expression_attribute_values(":to", text(to)),
            (Some(from), Some(to)) => query
                .key_condition_expression(format!("{hash} = :hash AND created_at BETWEEN :from AND :to"))
                .expression_attribute_values(":from", text(from))
                .expression_attribute_values(":to", text(to)),
        }
    }
}

fn limit_of(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
