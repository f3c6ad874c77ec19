use std::{collections::BTreeMap, time::Duration};

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use serde::{Deserialize, Serialize};

use super::{
    RegistrationStore, StoreError,
    counts::CountUpdate,
    item::{self, text},
    key,
    stream::{Content, SequenceNumber, StreamRecord},
    transaction::{self, Transacted},
};
use crate::{
    clock::{Day, Timestamp},
    counts::Counts,
    id::CampaignId,
};

/// Every transaction writes the checkpoint too.
const MAX_COUNT_ITEMS: usize = transaction::MAX_ITEMS - 1;
/// How long a checkpoint outlives its last use: the records that it speaks of are gone from the stream after a day.
const CHECKPOINT_LIFE: Duration = Duration::from_hours(7 * 24);
/// How long an unreadable record is kept: as long as a dead letter, because it is personal data, too.
const UNREADABLE_LIFE: Duration = Duration::from_hours(14 * 24);
/// An unreadable record is kept whole up to this many bytes: an item takes 400 KB.
const MAX_RECORD_LENGTH: usize = 390_000;

/// What counting a batch did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tallied {
    /// Changes of state that are counted now.
    pub changes: usize,
    /// Records that had been counted before.
    pub repeated: usize,
    /// Records that were kept because they could not be read.
    pub unreadable: usize,
}

/// What is written for the records from one place of a shard to another.
#[derive(Default)]
struct Fold<'a> {
    days: BTreeMap<(CampaignId, Day), Counts>,
    totals: BTreeMap<CampaignId, Totals>,
    unreadable: Option<Unreadable<'a>>,
    last: Option<&'a SequenceNumber>,
    records: usize,
    changes: usize,
}

#[derive(Default)]
struct Totals {
    counts: Counts,
    since: Option<Timestamp>,
}

struct Unreadable<'a> {
    sequence_number: &'a SequenceNumber,
    record: &'a str,
    problem: &'a str,
}

/// How far a shard is counted.
#[derive(Serialize, Deserialize)]
struct CheckpointItem {
    pk: String,
    sk: String,
    last_sequence_number: String,
    expires_at: i64,
}

/// A record that could not be read, for somebody to look at.
#[derive(Serialize)]
struct UnreadableItem<'a> {
    pk: &'static str,
    sk: String,
    problem: &'a str,
    record: &'a str,
    received_at: Timestamp,
    expires_at: i64,
}

/// Whether a checkpoint was advanced.
enum Advance {
    Done,
    /// Somebody else advanced it in between.
    Overtaken,
}

impl RegistrationStore {
    /// Counts what is new in `records`, which are of one shard and in its order: each record once, whatever was handed over
    /// before, however the batches were cut, and wherever an attempt ended.
    ///
    /// One transaction advances the shard's checkpoint from where it was read and adds to every count that changes. It does
    /// both or nothing, so a record is counted if and only if it is at or before the checkpoint.
    pub async fn tally(&self, shard: &str, records: &[StreamRecord], now: Timestamp) -> Result<Tallied, StoreError> {
        let mut tallied = Tallied::default();
        let mut rest = records;
        let mut checkpoint = self.checkpoint(shard).await?;
        loop {
            let counted = rest.iter().take_while(|record| checkpoint.as_ref() >= Some(&record.sequence_number)).count();
            tallied.repeated += counted;
            rest = &rest[counted..];
            let fold = Fold::of(rest);
            let Some(last) = fold.last else { return Ok(tallied) };
            if fold.is_empty() {
                rest = &rest[fold.records..];
                continue;
            }
            match self.advance(shard, checkpoint.as_ref(), last, &fold, now).await? {
                Advance::Done => {
                    tallied.changes += fold.changes;
                    tallied.unreadable += usize::from(fold.unreadable.is_some());
                    checkpoint = Some(last.clone());
                    rest = &rest[fold.records..];
                }
                Advance::Overtaken => checkpoint = self.checkpoint(shard).await?,
            }
        }
    }

    async fn checkpoint(&self, shard: &str) -> Result<Option<SequenceNumber>, StoreError> {
        let found = self.consistent_item((key::tally_pk(shard), key::TALLY_SK.to_owned())).await?;
        let Some(found) = found else { return Ok(None) };
        let CheckpointItem { pk, last_sequence_number, .. } = item::read(found)?;
        let read = SequenceNumber::read(&last_sequence_number);
        read.map(Some).map_err(|problem| StoreError::malformed(&pk, problem))
    }

    async fn advance(
        &self,
        shard: &str,
        from: Option<&SequenceNumber>,
        to: &SequenceNumber,
        fold: &Fold<'_>,
        now: Timestamp,
    ) -> Result<Advance, StoreError> {
        let mut writes = vec![self.checkpoint_write(shard, from, to, now)?];
        for ((campaign, day), counts) in &fold.days {
            writes.push(self.count_write(*campaign, CountUpdate::of_day(*day, counts))?);
        }
        for (campaign, Totals { counts, since }) in &fold.totals {
            writes.push(self.count_write(*campaign, CountUpdate::of_totals(counts).counted_since(*since))?);
        }
        if let Some(Unreadable { sequence_number, record, problem }) = fold.unreadable {
            let kept = record.get(..record.floor_char_boundary(MAX_RECORD_LENGTH)).unwrap_or(record);
            let sk = key::unreadable_sk(shard, sequence_number.as_str());
            let expires_at = now.plus(UNREADABLE_LIFE).unix_seconds();
            let item =
                UnreadableItem { pk: key::UNREADABLE_PK, sk, problem, record: kept, received_at: now, expires_at };
            let put = Put::builder().table_name(&self.table_name).set_item(Some(item::write(&item)?)).build();
            writes.push(TransactWriteItem::builder().put(put.map_err(StoreError::unwritable)?).build());
        }
        match self.transact(writes).await? {
            Transacted::Done => Ok(Advance::Done),
            Transacted::ConditionFailed => Ok(Advance::Overtaken),
        }
    }

    fn checkpoint_write(
        &self,
        shard: &str,
        from: Option<&SequenceNumber>,
        to: &SequenceNumber,
        now: Timestamp,
    ) -> Result<TransactWriteItem, StoreError> {
        let item = CheckpointItem {
            pk: key::tally_pk(shard),
            sk: key::TALLY_SK.to_owned(),
            last_sequence_number: to.as_str().to_owned(),
            expires_at: now.plus(CHECKPOINT_LIFE).unix_seconds(),
        };
        let put = Put::builder().table_name(&self.table_name).set_item(Some(item::write(&item)?));
        let put = match from {
            None => put.condition_expression("attribute_not_exists(last_sequence_number)"),
            Some(from) => put
                .condition_expression("last_sequence_number = :from")
                .expression_attribute_values(":from", text(from.as_str())),
        };
        Ok(TransactWriteItem::builder().put(put.build().map_err(StoreError::unwritable)?).build())
    }
}

impl<'a> Fold<'a> {
    /// Folds as many records from the first on as one transaction can write, but for the last that does not fit.
    fn of(records: &'a [StreamRecord]) -> Self {
        let mut fold = Self::default();
        for StreamRecord { sequence_number, content } in records {
            if fold.items_with(content) > MAX_COUNT_ITEMS || (fold.unreadable.is_some() && content.is_unreadable()) {
                break;
            }
            match content {
                Content::Changes(changes) => {
                    for change in changes {
                        let counts = Counts::of(change);
                        *fold.days.entry((change.campaign, change.day)).or_default() += &counts;
                        fold.totals.entry(change.campaign).or_default().counts += &counts;
                    }
                    fold.changes += changes.len();
                }
                Content::Campaign { campaign, since } => {
                    fold.totals.entry(*campaign).or_default().since.get_or_insert(*since);
                }
                Content::Unreadable { record, problem } => {
                    fold.unreadable = Some(Unreadable { sequence_number, record, problem });
                }
            }
            fold.last = Some(sequence_number);
            fold.records += 1;
        }
        fold
    }

    /// Whether nothing is to be written: to look at such records again does no harm, so not even the checkpoint moves.
    fn is_empty(&self) -> bool {
        self.totals.is_empty() && self.unreadable.is_none()
    }

    /// How many items would be written, were `content` folded in too.
    fn items_with(&self, content: &Content) -> usize {
        let (days, totals): (Vec<_>, Vec<_>) = match content {
            // The changes of one record are of one campaign and one day.
            Content::Changes(changes) => {
                let days = changes.first().map(|change| (change.campaign, change.day));
                (Vec::from_iter(days), days.map(|(campaign, _)| campaign).into_iter().collect())
            }
            Content::Campaign { campaign, .. } => (Vec::new(), vec![*campaign]),
            Content::Unreadable { .. } => (Vec::new(), Vec::new()),
        };
        let new_days = days.iter().filter(|day| !self.days.contains_key(day)).count();
        let new_totals = totals.iter().filter(|campaign| !self.totals.contains_key(campaign)).count();
        let unreadable = usize::from(self.unreadable.is_some() || content.is_unreadable());
        self.days.len() + self.totals.len() + new_days + new_totals + unreadable
    }
}

impl Content {
    fn is_unreadable(&self) -> bool {
        matches!(self, Self::Unreadable { .. })
    }
}
