//! Reports of a campaign's counts, in the shape that Passworks documents (Passworks API v2, "Campaign Reports"), and as a page.
//!
//! What Passworks reports beside, redeems and pushes, is not observed here and left out, not told as 0.

pub mod page;

use std::collections::BTreeMap;

use serde::Serialize;

use super::error::ApiError;
use crate::{
    clock::Day,
    counts::{ChangeKind, Counts, Part},
    field::FieldErrors,
    id::CampaignId,
    registration::{DeviceOs, Wallet},
    store::CampaignCounts,
};

/// How many days a report has at the most.
pub const MAX_DAYS: usize = 366;

/// Counts day by day.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "contract", derive(utoipa::ToSchema))]
pub struct Report {
    /// The campaign.
    campaign_id: CampaignId,
    /// The first day.
    start_date: Day,
    /// The last day.
    end_date: Day,
    /// Every day, those without events too.
    #[serde(rename = "report")]
    days: BTreeMap<Day, DayReport>,
}

/// The counts of a day, UTC.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "contract", derive(utoipa::ToSchema))]
pub struct DayReport {
    /// How many registrations began.
    installs_count: i64,
    /// How many registrations ended.
    uninstalls_count: i64,
    /// The installs by operating system.
    i: BySystem,
    /// The uninstalls by operating system.
    u: BySystem,
    /// How many registrations were active at the end of the day.
    active_count: i64,
    /// The same by wallet.
    wallets: ByWallet,
}

/// Counts in total.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "contract", derive(utoipa::ToSchema))]
pub struct TotalsReport {
    /// The campaign.
    campaign_id: CampaignId,
    /// The counts.
    report: Totals,
}

/// The counts of all days.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "contract", derive(utoipa::ToSchema))]
pub struct Totals {
    /// Those on iOS.
    apple: SystemTotals,
    /// Those on Android.
    android: SystemTotals,
    /// How many registrations began.
    installs_count: i64,
    /// How many registrations ended.
    uninstalls_count: i64,
    /// How many registrations are active.
    active_count: i64,
    /// The same by wallet.
    wallets: ByWallet,
}

/// The counts of an operating system.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "contract", derive(utoipa::ToSchema))]
pub struct SystemTotals {
    /// How many registrations began.
    installs_count: i64,
    /// How many registrations ended.
    uninstalls_count: i64,
}

/// A count for each operating system.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "contract", derive(utoipa::ToSchema))]
pub struct BySystem {
    /// iOS.
    ios: i64,
    /// Android.
    android: i64,
    /// Windows Phone.
    wp: i64,
}

/// The counts of each wallet.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "contract", derive(utoipa::ToSchema))]
pub struct ByWallet {
    /// Apple Wallet.
    passbook: WalletReport,
    /// Google Wallet.
    google_wallet: WalletReport,
    /// Wallet Passes.
    wallet_passes: WalletReport,
    /// Passworks' own wallet, which is deprecated.
    passworks_wallet: WalletReport,
    /// `Pass2U`.
    pass2u: WalletReport,
    /// `PassWallet`.
    passwallet: WalletReport,
}

/// The counts of one wallet.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "contract", derive(utoipa::ToSchema))]
#[expect(clippy::struct_field_names, reason = "the names are those of the API")]
pub struct WalletReport {
    /// How many registrations began.
    installs_count: i64,
    /// How many registrations ended.
    uninstalls_count: i64,
    /// How many registrations are, or at the end of the day were, active.
    active_count: i64,
}

/// The days that a report is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// The first.
    pub start: Day,
    /// The last.
    pub end: Day,
}

/// What happened on each day of a period, and what it had come to at the day's end.
#[derive(Debug)]
pub struct History {
    /// The campaign.
    pub campaign: CampaignId,
    /// The days, in their order.
    pub days: Vec<PastDay>,
}

/// A day of a history.
#[derive(Debug)]
pub struct PastDay {
    /// Which.
    pub day: Day,
    /// What happened.
    pub counts: Counts,
    /// Everything that had happened by its end.
    pub until_its_end: Counts,
}

impl Period {
    /// Reads `start_date` and `end_date`: the month up to today where nobody says. Names that mean nothing here are ignored.
    ///
    /// # Errors
    ///
    /// 400 with every parameter that is wrong.
    pub fn from_parameters(parameters: Vec<(String, String)>, today: Day) -> Result<Self, ApiError> {
        let mut errors = FieldErrors::default();
        let (mut start, mut end) = (None, None);
        for (name, value) in parameters {
            let slot = match name.as_str() {
                "start_date" => &mut start,
                "end_date" => &mut end,
                _ => continue,
            };
            match value.parse::<Day>() {
                Err(expected) => errors.add(&name, expected),
                Ok(_) if slot.is_some() => errors.add(&name, "expected once"),
                Ok(day) => *slot = Some(day),
            }
        }
        let end = end.unwrap_or(today);
        let start = start.unwrap_or_else(|| end.a_month_before());
        if errors.is_empty() {
            match start.count_through(end) {
                0 => errors.add("start_date", format_args!("expected a day up to the last, {end}")),
                days if days > MAX_DAYS => errors.add("start_date", format_args!("expected at most {MAX_DAYS} days")),
                _ => return Ok(Self { start, end }),
            }
        }
        Err(ApiError::parameters(errors))
    }
}

impl History {
    /// The history of a period, from counts that begin with it: what had come to be by the end of a day is what there is now, less
    /// what came after.
    #[must_use]
    pub fn of(campaign: CampaignId, period: Period, counts: &CampaignCounts) -> Self {
        let Period { start, end } = period;
        let mut until_its_end = counts.totals.clone();
        for (_, later) in counts.days.iter().rev().take_while(|(day, _)| **day > end) {
            until_its_end -= later;
        }
        let mut days: Vec<_> = start.through(end).collect();
        days.reverse();
        let backwards = days.into_iter().map(|day| {
            let of_the_day = counts.days.get(&day).cloned().unwrap_or_default();
            let past = PastDay { day, until_its_end: until_its_end.clone(), counts: of_the_day };
            until_its_end -= &past.counts;
            past
        });
        let mut days: Vec<_> = backwards.collect();
        days.reverse();
        Self { campaign, days }
    }
}

impl Report {
    /// The report of a history.
    #[must_use]
    pub fn of(period: Period, history: &History) -> Self {
        let Period { start, end } = period;
        let days = history.days.iter();
        let days = days.map(|past| (past.day, DayReport::of(&past.counts, &past.until_its_end))).collect();
        Self { campaign_id: history.campaign, start_date: start, end_date: end, days }
    }
}

impl TotalsReport {
    /// The report of these counts.
    #[must_use]
    pub fn of(campaign_id: CampaignId, totals: &Counts) -> Self {
        Self { campaign_id, report: Totals::of(totals) }
    }
}

impl DayReport {
    fn of(counts: &Counts, at_the_end: &Counts) -> Self {
        Self {
            installs_count: counts.get(ChangeKind::Install, Part::All),
            uninstalls_count: counts.get(ChangeKind::Uninstall, Part::All),
            i: BySystem::of(counts, ChangeKind::Install),
            u: BySystem::of(counts, ChangeKind::Uninstall),
            active_count: at_the_end.active(Part::All),
            wallets: ByWallet::of(counts, at_the_end),
        }
    }
}

impl Totals {
    fn of(totals: &Counts) -> Self {
        let system = |device_os| SystemTotals {
            installs_count: totals.get(ChangeKind::Install, Part::DeviceOs(device_os)),
            uninstalls_count: totals.get(ChangeKind::Uninstall, Part::DeviceOs(device_os)),
        };
        Self {
            apple: system(DeviceOs::Ios),
            android: system(DeviceOs::Android),
            installs_count: totals.get(ChangeKind::Install, Part::All),
            uninstalls_count: totals.get(ChangeKind::Uninstall, Part::All),
            active_count: totals.active(Part::All),
            wallets: ByWallet::of(totals, totals),
        }
    }
}

impl BySystem {
    fn of(counts: &Counts, kind: ChangeKind) -> Self {
        let system = |device_os| counts.get(kind, Part::DeviceOs(device_os));
        Self { ios: system(DeviceOs::Ios), android: system(DeviceOs::Android), wp: system(DeviceOs::Wp) }
    }
}

impl ByWallet {
    fn of(counts: &Counts, at_the_end: &Counts) -> Self {
        let wallet = |wallet| WalletReport {
            installs_count: counts.get(ChangeKind::Install, Part::Wallet(wallet)),
            uninstalls_count: counts.get(ChangeKind::Uninstall, Part::Wallet(wallet)),
            active_count: at_the_end.active(Part::Wallet(wallet)),
        };
        Self {
            passbook: wallet(Wallet::Passbook),
            google_wallet: wallet(Wallet::GoogleWallet),
            wallet_passes: wallet(Wallet::WalletPasses),
            passworks_wallet: wallet(Wallet::PassworksWallet),
            pass2u: wallet(Wallet::Pass2u),
            passwallet: wallet(Wallet::Passwallet),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    /// Parameters, and the names of those that are wrong.
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);

    fn period(parameters: &[(&str, &str)]) -> Result<(String, String), Vec<String>> {
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        match Period::from_parameters(parameters, day("2016-03-31")) {
            Ok(Period { start, end }) => Ok((start.to_string(), end.to_string())),
            Err(error) => Err(error.errors().fields().map(str::to_owned).collect()),
        }
    }

    #[test]
    fn a_period_is_the_month_up_to_today_where_nobody_says() {
        let days = |start: &str, end: &str| Ok((start.to_owned(), end.to_owned()));
        assert_eq!(period(&[]), days("2016-02-29", "2016-03-31"));
        assert_eq!(period(&[("start_date", "2016-03-30")]), days("2016-03-30", "2016-03-31"));
        assert_eq!(period(&[("end_date", "2016-01-15"), ("x", "y")]), days("2015-12-15", "2016-01-15"));
        let year = [("start_date", "2016-01-01"), ("end_date", "2016-12-31")];
        assert_eq!(period(&year), days("2016-01-01", "2016-12-31"));
    }

    #[test]
    fn a_wrong_period_is_told_what_is_wrong() {
        let cases: [Case<'_>; 5] = [
            (&[("start_date", "yesterday"), ("end_date", "2016-02-30")], &["end_date", "start_date"]),
            (&[("start_date", "2016-03-02"), ("end_date", "2016-03-01")], &["start_date"]),
            (&[("start_date", "2015-01-01"), ("end_date", "2016-01-02")], &["start_date"]),
            (&[("end_date", "2016-03-01"), ("end_date", "2016-03-01")], &["end_date"]),
            (&[("start_date", "2016-04-01")], &["start_date"]),
        ];
        for (parameters, fields) in cases {
            assert_eq!(period(parameters), Err(fields.iter().map(|field| (*field).to_owned()).collect()));
        }
    }

    #[test]
    fn what_is_active_at_the_end_of_a_day_is_what_is_active_now_less_what_came_after() {
        let counts = |installs, uninstalls| -> Counts {
            let of = |kind, count| [((kind, Part::All), count), ((kind, Part::Wallet(Wallet::Pass2u)), count)];
            [of(ChangeKind::Install, installs), of(ChangeKind::Uninstall, uninstalls)].into_iter().flatten().collect()
        };
        let days = [("2016-11-09", counts(3, 0)), ("2016-11-11", counts(2, 1)), ("2016-11-20", counts(10, 2))];
        let campaign_counts = CampaignCounts {
            days: days.into_iter().map(|(text, counts)| (day(text), counts)).collect(),
            // Seven were active before the period began.
            totals: counts(22, 3),
            counted_since: None,
        };
        let campaign = "bd69162b-8995-4c89-bdca-898fae6050d0".parse().unwrap();
        let period = Period { start: day("2016-11-08"), end: day("2016-11-12") };
        let report = Report::of(period, &History::of(campaign, period, &campaign_counts));
        let active: Vec<_> = report.days.values().map(|day| day.active_count).collect();
        assert_eq!(active, [7, 10, 10, 11, 11]);
        let by_wallet: Vec<_> = report.days.values().map(|day| day.wallets.pass2u.active_count).collect();
        assert_eq!(by_wallet, active);
        assert_eq!(report.days[&day("2016-11-11")].uninstalls_count, 1);
        assert_eq!(report.days[&day("2016-11-10")].installs_count, 0);
    }
}
