//! Recounts: compare a campaign's counts with its registrations, and repair the counts if they differ.
//!
//! The tally counts every change exactly once, except changes from before it existed and changes that it could not
//! read. A recount reads all registrations of a campaign and adds the changes that the counts lack, as [`repairs`]
//! finds them. The difficulty is a change that is in the stream but not counted yet, because adding it would count it
//! twice. [`Table::recount`] explains how that is avoided.
//!
//! A large campaign takes several invocations. `census` reads it part by part, and `progress` stores how far it is.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use domain::{
    counts::Counts,
    id::CampaignId,
    time::{Day, Timestamp},
};

use super::{
    census::PART_SIZE,
    items::{CampaignCounts, CountUpdate},
    progress::{ChangesCounted, Claim, LEASE, Progress},
    repair::{repairs, sum_of_installs},
};
use crate::{
    StoreError, Table,
    dynamodb::transaction::{self, Transacted},
};

/// The time after which a change is either counted or gone from the table's stream, which keeps it for 24 hours (Amazon
/// DynamoDB, "Change data capture for DynamoDB Streams"). The additional hour is for a batch that was read at the last
/// moment.
const COUNTED_AFTER: Duration = Duration::from_hours(25);
/// How many days, not including the totals, one transaction can write.
const MAX_DAYS_PER_TRANSACTION: usize = transaction::MAX_ITEMS - 1;
/// How often a running recount stores its progress. A write costs a unit for each KB of the item, so it is rare; a
/// killed invocation loses at most this much work.
const SAVE_INTERVAL: Duration = Duration::from_mins(1);
/// How long before its deadline an invocation stops reading. A read and the write of the progress take up to eight
/// seconds each ([`CALL_TIMEOUT`](crate::limits::CALL_TIMEOUT)), and the answer needs time too.
const READ_MARGIN: Duration = Duration::from_secs(20);
/// How long before its deadline an invocation does not begin to compare and repair any more. A repair of 35 years of
/// days is 130 transactions, so 0.3 seconds for each and the same margin as above. A repair that is cut off all the
/// same is completed by the next recount.
const REPAIR_MARGIN: Duration = Duration::from_mins(1);

/// One invocation that recounts: its id, its clock and its limits.
#[derive(Clone, Copy)]
pub struct RecountRun<'a> {
    invocation: &'a str,
    clock: &'a (dyn Fn() -> Timestamp + Sync),
    deadline: Timestamp,
    part_size: i32,
}

/// The result of an invocation that recounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recount {
    /// The outcome.
    pub outcome: RecountOutcome,
    /// The counts and the registrations, or `None` if the recount has not read every registration yet.
    pub comparison: Option<Comparison>,
    /// How many items all invocations of this recount have read: passes, and active and removed registrations.
    pub items_read: u64,
    /// When the first invocation of this recount began.
    pub started_at: Timestamp,
    /// How long ago that was.
    pub duration: Duration,
}

/// What a recount compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The active registrations, as installs without uninstalls.
    pub active: Counts,
    /// The totals before the repair.
    pub counted: Counts,
}

/// The outcome of a recount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecountOutcome {
    /// The counts agreed with the registrations.
    Agrees,
    /// The counts were repaired and agree with the registrations now.
    Repaired,
    /// A change may be in the stream but not counted yet. Nothing was repaired, or nothing further if the repair needs
    /// several transactions.
    Busy {
        /// The earliest instant at which another attempt is worthwhile.
        again_at: Timestamp,
    },
    /// The time of this invocation was over, or too short for a repair. The next one continues, at any time.
    Unfinished,
    /// Another invocation recounts the campaign, so this one read nothing.
    Running {
        /// Until when the other one keeps others away, unless it stores its progress again.
        until: Timestamp,
    },
}

impl<'a> RecountRun<'a> {
    /// Returns an invocation that ends at `deadline`. Its id, `invocation`, differs from those of other invocations that
    /// may recount the same campaign at the same time.
    #[must_use]
    pub fn new(invocation: &'a str, clock: &'a (dyn Fn() -> Timestamp + Sync), deadline: Timestamp) -> Self {
        Self { invocation, clock, deadline, part_size: PART_SIZE }
    }

    /// Makes the invocation read at most this many items at once, instead of 5,000.
    #[must_use]
    pub fn part_size(self, part_size: i32) -> Self {
        Self { part_size, ..self }
    }

    fn time_left(&self) -> Duration {
        let milliseconds = self.deadline.unix_milliseconds() - self.now().unix_milliseconds();
        Duration::from_millis(milliseconds.try_into().unwrap_or_default())
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }
}

impl fmt::Debug for RecountRun<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RecountRun")
            .field("invocation", &self.invocation)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

impl Table {
    /// Counts the registrations of a campaign and repairs its counts if they differ. If `run` ends before all of them
    /// are read, the next call continues. Calls for the same campaign may overlap: then only one of them reads.
    ///
    /// This is safe at any time. A change of a registration is either counted, or still to be counted from the stream,
    /// or lost. The counts are repaired only if both of these conditions hold:
    ///
    /// - The latest change that the recount has seen was received at least 25 hours ago. So by now each change that it
    ///   has seen was counted or lost.
    /// - The counts are the same as before the first registration was read. So the changes that were counted were
    ///   counted before that, and a change that the recount has not seen, because it came after its registration was
    ///   read, is not counted yet. It will be, if the tally keeps up with the stream. If it is lost, the next recount
    ///   repairs the counts.
    ///
    /// If either condition does not hold, nothing is written, or nothing further if the repair needs several
    /// transactions. Neither depends on how long the recount takes, or in how many parts it reads.
    pub async fn recount(&self, campaign: CampaignId, run: RecountRun<'_>) -> Result<Recount, StoreError> {
        let now = run.now();
        let mut progress = match self.claim_recount(campaign, run.invocation, now).await? {
            Claim::Granted(progress) => progress,
            Claim::Running { progress, until } => {
                return Ok(progress.result(RecountOutcome::Running { until }, None, now));
            }
        };
        let result = self.continue_recount(campaign, &mut progress, run).await;
        if result.is_err() {
            // The next invocation can then continue here at once. Without this write it would continue at the write
            // before, once the lease is over, so the error of this write does not matter.
            let _ = self.save_recount(campaign, run.invocation, &mut progress, None).await;
        }
        result
    }

    /// Reads on until every registration is read or the time is over, and compares and repairs the counts at the end.
    async fn continue_recount(
        &self,
        campaign: CampaignId,
        progress: &mut Progress,
        run: RecountRun<'_>,
    ) -> Result<Recount, StoreError> {
        let mut saved_at = run.now();
        loop {
            let is_complete = !self.extend_census(campaign, &mut progress.census, run.part_size).await?;
            let now = run.now();
            let is_time_over = now.plus(if is_complete { REPAIR_MARGIN } else { READ_MARGIN }) >= run.deadline;
            // A complete census is always stored, so that a whole lease is left for the repair.
            if !is_complete && !is_time_over && now < saved_at.plus(SAVE_INTERVAL) {
                continue;
            }
            let until = now.plus(LEASE);
            if !self.save_recount(campaign, run.invocation, progress, (!is_time_over).then_some(until)).await? {
                return Ok(progress.result(RecountOutcome::Running { until }, None, now));
            }
            if is_time_over {
                return Ok(progress.result(RecountOutcome::Unfinished, None, now));
            }
            if is_complete {
                break;
            }
            saved_at = now;
        }
        let (outcome, comparison) = self.compare(campaign, progress, run).await?;
        let now = run.now();
        let recount = progress.result(outcome, Some(comparison), now);
        progress.end(now);
        // If another invocation has taken over, it finds that the counts are as they should be, or have changed.
        self.save_recount(campaign, run.invocation, progress, None).await?;
        Ok(recount)
    }

    /// Compares the counts with all registrations of a campaign, and repairs them if they differ.
    async fn compare(
        &self,
        campaign: CampaignId,
        progress: &Progress,
        run: RecountRun<'_>,
    ) -> Result<(RecountOutcome, Comparison), StoreError> {
        let now = run.now();
        let Progress { counted: counted_before, census, .. } = progress;
        let counted = self.consistent_counts(campaign).await?;
        let days = repairs(&counted, &census.active, now.day());
        let comparison = Comparison { active: sum_of_installs(&census.active), counted: counted.totals.clone() };
        let counted_at = census.last_received_at.map(|received_at| received_at.plus(COUNTED_AFTER));
        let outcome = if days.is_empty() && counted.counted_since.is_some() {
            RecountOutcome::Agrees
        } else if let Some(again_at) = counted_at.filter(|counted_at| *counted_at > now) {
            RecountOutcome::Busy { again_at }
        } else if ChangesCounted::of(&counted.totals) == *counted_before
            && self.repair(campaign, &counted, days, run).await? == Transacted::Done
        {
            RecountOutcome::Repaired
        } else {
            // The counts have changed since the first registration was read: a change was counted, or an earlier repair
            // was cut off. A new recount sees whether such a change is recent.
            RecountOutcome::Busy { again_at: now }
        };
        Ok((outcome, comparison))
    }

    /// Adds `days` to the counts. Stops at the first transaction that finds that another writer has added to them.
    ///
    /// The last transaction also stores since when the totals cover the whole campaign, even if no day needs a repair.
    async fn repair(
        &self,
        campaign: CampaignId,
        counted: &CampaignCounts,
        days: BTreeMap<Day, Counts>,
        run: RecountRun<'_>,
    ) -> Result<Transacted, StoreError> {
        let deadline = Instant::now() + run.time_left();
        let mut totals = counted.totals.clone();
        let days: Vec<_> = days.into_iter().collect();
        let mut earlier = days.chunks(MAX_DAYS_PER_TRANSACTION);
        let last = earlier.next_back().unwrap_or_default();
        for (days, since) in earlier.map(|days| (days, None)).chain([(last, Some(run.now()))]) {
            let mut sum = Counts::default();
            let mut writes = Vec::new();
            for (day, counts) in days {
                sum += counts;
                writes.push(self.count_write(campaign, CountUpdate::of_day(*day, counts))?);
            }
            let update = CountUpdate::of_totals(&sum).if_still(&totals).counted_since(since);
            writes.push(self.count_write(campaign, update)?);
            if self.transact(writes, deadline).await? == Transacted::ConditionFailed {
                return Ok(Transacted::ConditionFailed);
            }
            totals += &sum;
        }
        Ok(Transacted::Done)
    }
}

impl Progress {
    fn result(&self, outcome: RecountOutcome, comparison: Option<Comparison>, now: Timestamp) -> Recount {
        let Self { started_at, census, .. } = self;
        let milliseconds = now.unix_milliseconds() - started_at.unix_milliseconds();
        let duration = Duration::from_millis(milliseconds.try_into().unwrap_or_default());
        Recount { outcome, comparison, items_read: census.items_read, started_at: *started_at, duration }
    }
}
