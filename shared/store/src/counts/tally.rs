//! The tally: adds the changes in the table's stream to the counts, each exactly once.
//!
//! Lambda delivers the records of a shard in order the first time, but may deliver records again, and then out of
//! order. A checkpoint for each shard names the record that was counted last. One transaction adds to the counts and
//! advances the checkpoint, so the two always agree.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use domain::{
    counts::{ChangeKind, Counts},
    id::CampaignId,
    time::{Day, Timestamp},
};
use serde::{Deserialize, Serialize};

use super::items::CountUpdate;
use crate::{
    StoreError, Table,
    changes::{Content, RegistrationChange, RegistrationState, SequenceNumber, StreamRecord},
    dynamodb::{
        codec::{self, text},
        limits,
        transaction::{self, Transacted},
    },
    keys,
};

/// How many items, not including the checkpoint, one transaction can write.
const MAX_COUNT_ITEMS: usize = transaction::MAX_ITEMS - 1;
/// How long a checkpoint is kept after it last advanced. Records are gone from the stream after a day.
const CHECKPOINT_LIFE: Duration = Duration::from_hours(7 * 24);
/// How long an unreadable record is kept: as long as a dead letter, because it may have personal data too.
const UNREADABLE_LIFE: Duration = Duration::from_hours(14 * 24);
/// The length in bytes to which an unreadable record is cut, because an item holds at most 400 KB.
const MAX_RECORD_LENGTH: usize = 390_000;

/// The result of counting a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tallied {
    /// How many changes of state were counted.
    pub changes: usize,
    /// How many records had been counted before.
    pub repeated: usize,
    /// How many records were unreadable and were stored for an operator.
    pub unreadable: usize,
}

/// The sum of consecutive records of a shard, which one transaction writes.
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

/// The checkpoint of a shard: the sequence number of the last record counted.
#[derive(Serialize, Deserialize)]
struct CheckpointItem {
    pk: String,
    sk: String,
    last_sequence_number: String,
    expires_at: i64,
}

/// An unreadable record, for an operator to look at.
#[derive(Serialize)]
struct UnreadableItem<'a> {
    pk: &'static str,
    sk: String,
    problem: &'a str,
    record: &'a str,
    received_at: Timestamp,
    expires_at: i64,
}

impl Table {
    /// Counts those of `records` that are not counted yet. All must be of one shard, in any order. Each record is
    /// counted once, even if it is delivered again, in other batches, or after an attempt that stopped halfway.
    ///
    /// One transaction advances the shard's checkpoint from the position that was read and adds to every count that
    /// changes. It does both or neither, so a change is counted if and only if its record is at or before the
    /// checkpoint.
    ///
    /// A transaction that conflicts with others is repeated until it succeeds. No attempt begins that may end after
    /// `deadline`: then this is an error, and a later call counts the rest.
    pub async fn tally(
        &self,
        shard: &str,
        records: &[StreamRecord],
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Tallied, StoreError> {
        // Lambda processes records in order the first time, and perhaps out of order if it processes them again
        // (<https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-windows.html>).
        let mut in_order: Vec<&StreamRecord> = records.iter().collect();
        in_order.sort_by(|left, right| left.sequence_number.cmp(&right.sequence_number));
        in_order.dedup_by(|left, right| left.sequence_number == right.sequence_number);
        let mut tallied = Tallied { repeated: records.len() - in_order.len(), ..Tallied::default() };
        let mut rest = in_order.as_slice();
        let mut checkpoint = self.checkpoint(shard, deadline).await?;
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
            let writes = self.writes_of(&fold, shard, checkpoint.as_ref(), last, now)?;
            match self.transact(writes, deadline).await? {
                Transacted::Done => {
                    tallied.changes += fold.changes;
                    tallied.unreadable += usize::from(fold.unreadable.is_some());
                    checkpoint = Some(last.clone());
                    rest = &rest[fold.records..];
                }
                // Another process moved the checkpoint in between.
                Transacted::ConditionFailed => checkpoint = self.checkpoint(shard, deadline).await?,
            }
        }
    }

    async fn checkpoint(&self, shard: &str, deadline: Instant) -> Result<Option<SequenceNumber>, StoreError> {
        limits::expect_time_for_call(deadline)?;
        let found = self.consistent_item((keys::tally_pk(shard), keys::TALLY_SK.to_owned())).await?;
        let Some(found) = found else { return Ok(None) };
        let CheckpointItem { pk, last_sequence_number, .. } = codec::decode(found)?;
        let read = SequenceNumber::parse(&last_sequence_number);
        read.map(Some).map_err(|problem| StoreError::malformed(&pk, problem))
    }

    /// Returns the writes that add `fold` to the counts and advance the checkpoint.
    fn writes_of(
        &self,
        fold: &Fold<'_>,
        shard: &str,
        from: Option<&SequenceNumber>,
        to: &SequenceNumber,
        now: Timestamp,
    ) -> Result<Vec<TransactWriteItem>, StoreError> {
        let mut writes = vec![self.checkpoint_write(shard, from, to, now)?];
        for ((campaign, day), counts) in &fold.days {
            writes.push(self.count_write(*campaign, CountUpdate::of_day(*day, counts))?);
        }
        for (campaign, Totals { counts, since }) in &fold.totals {
            writes.push(self.count_write(*campaign, CountUpdate::of_totals(counts).counted_since(*since))?);
        }
        if let Some(Unreadable { sequence_number, record, problem }) = fold.unreadable {
            let kept = record.get(..record.floor_char_boundary(MAX_RECORD_LENGTH)).unwrap_or(record);
            let sk = keys::unreadable_sk(shard, sequence_number.as_str());
            let expires_at = now.plus(UNREADABLE_LIFE).unix_seconds();
            let item =
                UnreadableItem { pk: keys::UNREADABLE_PK, sk, problem, record: kept, received_at: now, expires_at };
            let put = Put::builder().table_name(&self.name).set_item(Some(codec::encode(&item)?)).build();
            writes.push(TransactWriteItem::builder().put(put.map_err(StoreError::unwritable)?).build());
        }
        Ok(writes)
    }

    fn checkpoint_write(
        &self,
        shard: &str,
        from: Option<&SequenceNumber>,
        to: &SequenceNumber,
        now: Timestamp,
    ) -> Result<TransactWriteItem, StoreError> {
        let item = CheckpointItem {
            pk: keys::tally_pk(shard),
            sk: keys::TALLY_SK.to_owned(),
            last_sequence_number: to.as_str().to_owned(),
            expires_at: now.plus(CHECKPOINT_LIFE).unix_seconds(),
        };
        let put = Put::builder().table_name(&self.name).set_item(Some(codec::encode(&item)?));
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
    /// Adds up records, from the first one until a transaction is full. A transaction has at most one unreadable
    /// record.
    fn of(records: &[&'a StreamRecord]) -> Self {
        let mut fold = Self::default();
        for StreamRecord { sequence_number, content } in records {
            if !fold.has_room_for(content) {
                break;
            }
            match content {
                Content::Registration(change) => fold.add(change),
                Content::CampaignClaimed { campaign, at } => {
                    fold.totals.entry(*campaign).or_default().since.get_or_insert(*at);
                }
                Content::Other => {}
                Content::Unreadable { record, problem } => {
                    fold.unreadable = Some(Unreadable { sequence_number, record, problem });
                }
            }
            fold.last = Some(sequence_number);
            fold.records += 1;
        }
        fold
    }

    fn add(&mut self, change: &RegistrationChange) {
        for counts in state_changes(change) {
            *self.days.entry((change.campaign, change.at.day())).or_default() += &counts;
            self.totals.entry(change.campaign).or_default().counts += &counts;
            self.changes += 1;
        }
    }

    /// Returns whether there is nothing to write. Then the checkpoint does not advance either: if Lambda delivers these
    /// records again, they again change nothing.
    fn is_empty(&self) -> bool {
        self.totals.is_empty() && self.unreadable.is_none()
    }

    /// Returns whether the transaction still has room for the items to which `content` adds. It has room for only one
    /// unreadable record, because of the record's size.
    fn has_room_for(&self, content: &Content) -> bool {
        let new_items = match content {
            Content::Registration(change) => {
                let is_new_day = !self.days.contains_key(&(change.campaign, change.at.day()));
                usize::from(is_new_day) + usize::from(!self.totals.contains_key(&change.campaign))
            }
            Content::CampaignClaimed { campaign, .. } => usize::from(!self.totals.contains_key(campaign)),
            Content::Other => 0,
            Content::Unreadable { .. } if self.unreadable.is_some() => return false,
            Content::Unreadable { .. } => 1,
        };
        let items = self.days.len() + self.totals.len() + usize::from(self.unreadable.is_some());
        items + new_items <= MAX_COUNT_ITEMS
    }
}

/// Returns the counts of the changes of state in one change of a registration: an uninstall if a state ended, and an
/// install if a state began. A change of wallet or operating system is both, and a repeated event is neither.
fn state_changes(change: &RegistrationChange) -> impl Iterator<Item = Counts> {
    let RegistrationChange { campaign: _, pass: _, registration: _, at: _, before, after } = *change;
    let (ended, began) = if before == after { (None, None) } else { (before, after) };
    let counts = |kind| move |RegistrationState { wallet, device_os }| Counts::one(kind, wallet, device_os);
    ended.map(counts(ChangeKind::Uninstall)).into_iter().chain(began.map(counts(ChangeKind::Install)))
}

#[cfg(test)]
mod tests {
    use domain::wallet::{DeviceOs, Wallet};
    use rstest::rstest;

    use super::*;

    const APPLE: Option<RegistrationState> =
        Some(RegistrationState { wallet: Wallet::Passbook, device_os: DeviceOs::Ios });
    const GOOGLE: Option<RegistrationState> =
        Some(RegistrationState { wallet: Wallet::GoogleWallet, device_os: DeviceOs::Android });

    #[rstest]
    #[case::install(None, APPLE, &[(ChangeKind::Install, Wallet::Passbook)])]
    #[case::removal(APPLE, None, &[(ChangeKind::Uninstall, Wallet::Passbook)])]
    #[case::another_wallet(
        APPLE, GOOGLE, &[(ChangeKind::Uninstall, Wallet::Passbook), (ChangeKind::Install, Wallet::GoogleWallet)]
    )]
    #[case::repeated_install(APPLE, APPLE, &[])]
    #[case::uninstall_of_an_unknown_registration(None, None, &[])]
    fn only_changes_of_state_are_counted(
        #[case] before: Option<RegistrationState>,
        #[case] after: Option<RegistrationState>,
        #[case] expected: &[(ChangeKind, Wallet)],
    ) {
        let change = RegistrationChange {
            campaign: "bd69162b-8995-4c89-bdca-898fae6050d0".parse().unwrap(),
            pass: "22d5b0ed-cc82-4743-a4fb-ee655d928037".parse().unwrap(),
            registration: "ed2951b4-1127-4a96-a2b1-8a73adb4b2db".parse().unwrap(),
            at: "2016-11-09T11:09:00.745Z".parse().unwrap(),
            before,
            after,
        };
        let counted: Vec<_> = state_changes(&change).collect();
        let expected = expected.iter().map(|(kind, wallet)| {
            let device_os = if *wallet == Wallet::Passbook { DeviceOs::Ios } else { DeviceOs::Android };
            Counts::one(*kind, *wallet, device_os)
        });
        assert_eq!(counted, expected.collect::<Vec<_>>());
    }
}
