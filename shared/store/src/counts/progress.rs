//! The progress of a recount: the item that lets the next invocation continue, and keeps a second one from reading the
//! same campaign at the same time.
//!
//! Every write of the item increases its `revision`, on condition that the revision is still the known one. So of two
//! invocations that find the same item only one succeeds, and one that was overtaken learns it at its next write. A
//! write whose answer was lost is repeated and finds its own revision, so the item also names its writer. The item is
//! not deleted at the end but marked as ended, and expires a day later, so revisions do not begin again while an
//! invocation can still know an old one.

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_dynamodb::{operation::put_item::PutItemInput, types::AttributeValue};
use domain::{
    counts::{ChangeKind, Counts, Part},
    id::CampaignId,
    time::{Day, Timestamp},
    wallet::{DeviceOs, Wallet},
};
use serde::{Deserialize, Serialize};

use super::{
    census::Census,
    items::{decode_counts, totals_key},
    repair::{ActiveRegistration, ActiveRegistrations},
};
use crate::{
    StoreError, Table,
    dynamodb::{
        codec::{self, ItemKey, key_of, text},
        conditional_put::has_written,
    },
    keys,
};

/// How long a write of the progress keeps other invocations from reading the campaign. A running invocation writes
/// about once a minute, so it can be late by two minutes. After one that was killed, the next may continue this soon.
pub(crate) const LEASE: Duration = Duration::from_mins(3);
/// The age at which a census is begun again instead of continued. It is less than the 25 hours that an operator waits
/// after an edit by hand, so a recount after that wait contains nothing read before the edit.
const CENSUS_LIFE: Duration = Duration::from_hours(24);
/// How long the item is kept after it was needed last. An invocation that still knows an old revision lives for up to
/// 15 minutes (the function's `Timeout` in `template.yaml`).
const RETENTION: Duration = Duration::from_hours(24);

/// The condition that this invocation has written this revision already.
const IS_REPEATED: &str = "(revision = :revision AND written_by = :invocation)";

/// A recount that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) started_at: Timestamp,
    /// How many installs and uninstalls were counted before the first registration was read.
    pub(crate) counted: ChangesCounted,
    pub(crate) census: Census,
    /// The revision of the stored item, or `None` if there is none.
    revision: Option<u64>,
    ended_at: Option<Timestamp>,
}

/// How many changes a campaign's totals contain. Every counted change adds to one of these numbers, so if they are
/// equal at two instants, nothing was counted in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChangesCounted {
    installs: i64,
    uninstalls: i64,
}

/// Whether an invocation may recount a campaign.
pub(crate) enum Claim {
    /// It may, from here on.
    Granted(Progress),
    /// Another invocation does. It got at least this far.
    Running {
        progress: Progress,
        /// Until when it keeps others away, unless it writes its progress again.
        until: Timestamp,
    },
}

/// A wallet on an operating system.
type Place = (Wallet, DeviceOs);
/// For each day, a number for each of some places.
type NumbersByDay = BTreeMap<Day, Vec<i64>>;

/// The stored form. `places` are those that occur. `days` has, for each day, the number of active registrations of each
/// of them, in the same order. A day takes about 30 bytes with four places, so the 400 KB of an item have room for 35
/// years of days (Amazon DynamoDB, "DynamoDB item sizes and formats"). If the item is ever too large, DynamoDB refuses
/// it and the recount fails with that error.
#[derive(Serialize, Deserialize)]
struct RecountItem {
    pk: String,
    sk: String,
    started_at: Timestamp,
    revision: u64,
    /// The invocation that wrote the item. Absent if an older release wrote it.
    written_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    running_until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    installs: i64,
    uninstalls: i64,
    items_read: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_received_at: Option<Timestamp>,
    places: Vec<Place>,
    days: NumbersByDay,
    expires_at: i64,
}

impl Table {
    /// Makes this invocation the only one that recounts the campaign, for the next [`LEASE`]. It continues the recount
    /// in progress, if there is one that is not too old.
    pub(crate) async fn claim_recount(
        &self,
        campaign: CampaignId,
        invocation: &str,
        now: Timestamp,
    ) -> Result<Claim, StoreError> {
        let (mut known, mut totals) = (None, Counts::default());
        for item in self.consistent_items(vec![recount_key(campaign), totals_key(campaign)]).await? {
            if key_of(&item) == Some(totals_key(campaign)) {
                totals = decode_counts(keys::TOTALS_SK, &item)?;
            } else {
                known = Some(codec::decode::<RecountItem>(item)?);
            }
        }
        let running_until = known.as_ref().and_then(|known| known.running_until).filter(|until| *until > now);
        let known = known.map(RecountItem::progress);
        let mut progress = match (known, running_until) {
            (Some(progress), Some(until)) => return Ok(Claim::Running { progress, until }),
            (Some(progress), None) if progress.can_continue(now) => progress,
            (known, _) => Progress::begun(now, &totals, known.and_then(|known| known.revision)),
        };
        let until = now.plus(LEASE);
        if self.save_recount(campaign, invocation, &mut progress, Some(until)).await? {
            Ok(Claim::Granted(progress))
        } else {
            Ok(Claim::Running { progress, until })
        }
    }

    /// Stores the progress, and until when this invocation keeps others away: `None` if it has ended. Returns `false`
    /// and stores nothing if another invocation has continued or ended the recount since.
    ///
    /// The condition also holds if this invocation has written the same revision already, because the SDK repeats a
    /// write whose answer was lost.
    pub(crate) async fn save_recount(
        &self,
        campaign: CampaignId,
        invocation: &str,
        progress: &mut Progress,
        running_until: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        let revision = progress.revision.unwrap_or_default() + 1;
        let item = RecountItem::new(campaign, invocation, progress, revision, running_until);
        let put = PutItemInput::builder().table_name(&self.name).set_item(Some(codec::encode(&item)?));
        let put = match progress.revision {
            None => put.condition_expression(format!("attribute_not_exists(pk) OR {IS_REPEATED}")),
            Some(known) => put
                .condition_expression(format!("revision = :known OR {IS_REPEATED}"))
                .expression_attribute_values(":known", AttributeValue::N(known.to_string())),
        };
        let put = put
            .expression_attribute_values(":revision", AttributeValue::N(revision.to_string()))
            .expression_attribute_values(":invocation", text(invocation));
        let is_saved = has_written(self.client.send(put).await)?;
        if is_saved {
            progress.revision = Some(revision);
        }
        Ok(is_saved)
    }
}

impl Progress {
    fn begun(now: Timestamp, totals: &Counts, revision: Option<u64>) -> Self {
        Self {
            started_at: now,
            counted: ChangesCounted::of(totals),
            census: Census::default(),
            revision,
            ended_at: None,
        }
    }

    /// Makes the next recount begin again.
    pub(crate) fn end(&mut self, now: Timestamp) {
        self.census = Census::default();
        self.ended_at = Some(now);
    }

    fn can_continue(&self, now: Timestamp) -> bool {
        self.ended_at.is_none() && self.started_at.plus(CENSUS_LIFE) > now
    }
}

impl ChangesCounted {
    pub(crate) fn of(totals: &Counts) -> Self {
        let of = |kind| totals.get(kind, Part::All);
        Self { installs: of(ChangeKind::Install), uninstalls: of(ChangeKind::Uninstall) }
    }
}

impl RecountItem {
    fn new(
        campaign: CampaignId,
        invocation: &str,
        progress: &Progress,
        revision: u64,
        running_until: Option<Timestamp>,
    ) -> Self {
        let Progress { started_at, counted, census, revision: _, ended_at } = progress;
        let ChangesCounted { installs, uninstalls } = *counted;
        let Census { active, last_received_at, items_read, position } = census;
        let (places, days) = table_of(active);
        let (pk, sk) = recount_key(campaign);
        let needed_until = ended_at.unwrap_or_else(|| started_at.plus(CENSUS_LIFE));
        Self {
            pk,
            sk,
            started_at: *started_at,
            revision,
            written_by: Some(invocation.to_owned()),
            running_until,
            ended_at: *ended_at,
            installs,
            uninstalls,
            items_read: *items_read,
            position: position.clone(),
            last_received_at: *last_received_at,
            places,
            days,
            expires_at: needed_until.plus(RETENTION).unix_seconds(),
        }
    }

    fn progress(self) -> Progress {
        let Self {
            pk: _,
            sk: _,
            started_at,
            revision,
            written_by: _,
            running_until: _,
            ended_at,
            installs,
            uninstalls,
            items_read,
            position,
            last_received_at,
            places,
            days,
            expires_at: _,
        } = self;
        Progress {
            started_at,
            counted: ChangesCounted { installs, uninstalls },
            census: Census { active: active_of(&places, &days), last_received_at, items_read, position },
            revision: Some(revision),
            ended_at,
        }
    }
}

fn recount_key(campaign: CampaignId) -> ItemKey {
    (keys::campaign_pk(campaign), keys::RECOUNT_SK.to_owned())
}

/// Returns the registrations as a table: its columns, and for each day the number in each column.
fn table_of(active: &ActiveRegistrations) -> (Vec<Place>, NumbersByDay) {
    let mut places: Vec<_> = active.keys().map(|registration| (registration.wallet, registration.device_os)).collect();
    places.sort_unstable();
    places.dedup();
    let mut days = NumbersByDay::new();
    for (ActiveRegistration { began, wallet, device_os }, count) in active {
        let counts = days.entry(*began).or_insert_with(|| vec![0; places.len()]);
        let known = places.iter().position(|place| *place == (*wallet, *device_os));
        if let Some(number) = known.and_then(|place| counts.get_mut(place)) {
            *number = *count;
        }
    }
    (places, days)
}

/// Returns the registrations of such a table.
fn active_of(places: &[Place], days: &NumbersByDay) -> ActiveRegistrations {
    let of_day = |(began, counts): (&Day, &Vec<i64>)| {
        let began = *began;
        let counts = places.iter().zip(counts.clone()).filter(|(_, count)| *count > 0);
        counts.map(move |((wallet, device_os), count)| {
            (ActiveRegistration { began, wallet: *wallet, device_os: *device_os }, count)
        })
    };
    days.iter().flat_map(of_day).collect()
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};

    use super::*;

    fn registrations() -> impl Strategy<Value = ActiveRegistrations> {
        let registration = (1..5_u32, select(Wallet::ALL), select(DeviceOs::ALL));
        let registration = registration.prop_map(|(day, wallet, device_os)| ActiveRegistration {
            began: format!("2016-11-0{day}").parse().unwrap(),
            wallet,
            device_os,
        });
        prop::collection::btree_map(registration, 1..1000_i64, 0..20)
    }

    proptest! {
        #[test]
        fn stored_registrations_are_read_back(active in registrations()) {
            let (places, days) = table_of(&active);
            prop_assert_eq!(active_of(&places, &days), active);
        }
    }

    /// Returns the size of a value (Amazon DynamoDB, "DynamoDB item sizes and formats").
    fn size_of(value: &AttributeValue) -> usize {
        match value {
            AttributeValue::S(text) => text.len(),
            AttributeValue::N(number) => number.len().div_ceil(2) + 1,
            AttributeValue::L(values) => values.iter().map(|value| size_of(value) + 1).sum::<usize>() + 3,
            AttributeValue::M(values) => {
                values.iter().map(|(name, value)| name.len() + size_of(value) + 1).sum::<usize>() + 3
            }
            other => panic!("the progress has no {other:?}"),
        }
    }

    #[test]
    fn the_days_of_35_years_fit_into_an_item() {
        let campaign = "bd69162b-8995-4c89-bdca-898fae6050d0".parse().unwrap();
        let (first, last): (Day, Day) = ("2016-01-01".parse().unwrap(), "2050-12-31".parse().unwrap());
        let places = [
            (Wallet::Passbook, DeviceOs::Ios),
            (Wallet::GoogleWallet, DeviceOs::Android),
            (Wallet::WalletPasses, DeviceOs::Android),
            (Wallet::Pass2u, DeviceOs::Android),
        ];
        let mut progress = Progress::begun("2051-01-01T00:00:00.000Z".parse().unwrap(), &Counts::default(), None);
        for began in first.through(last) {
            for (wallet, device_os) in places {
                progress.census.active.insert(ActiveRegistration { began, wallet, device_os }, 9_999);
            }
        }
        let item = codec::encode(&RecountItem::new(campaign, "an invocation", &progress, 1, None)).unwrap();
        let size = size_of(&AttributeValue::M(item));
        assert!(size < 400_000, "{size}");
    }
}
