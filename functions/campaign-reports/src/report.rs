//! The body of a report, in the shape that Passworks documents (Passworks API v2, "Campaign Reports").
//!
//! Passworks also reports redeems and pushes. This system does not observe them, so they are left out rather than
//! reported as 0.

use std::collections::BTreeMap;

use domain::{
    counts::{ChangeKind, Counts, Part},
    id::CampaignId,
    time::Day,
    wallet::{DeviceOs, Wallet},
};
use serde::Serialize;

use crate::history::{History, Period};

/// A campaign's counts, day by day.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "contract", derive(utoipa::ToSchema))]
pub struct Report {
    /// The campaign.
    campaign_id: CampaignId,
    /// The first day of the report.
    start_date: Day,
    /// The last day of the report.
    end_date: Day,
    /// The counts of every day, even of days without events.
    #[serde(rename = "report")]
    days: BTreeMap<Day, DayReport>,
}

/// The counts of one day in UTC.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "contract", derive(utoipa::ToSchema))]
pub struct DayReport {
    /// How many registrations began on the day.
    installs_count: i64,
    /// How many registrations ended on the day.
    uninstalls_count: i64,
    /// The installs by operating system.
    i: BySystem,
    /// The uninstalls by operating system.
    u: BySystem,
    /// How many registrations were active at the end of the day.
    active_count: i64,
    /// The same counts by wallet.
    wallets: ByWallet,
}

/// A campaign's total counts.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "contract", derive(utoipa::ToSchema))]
pub struct TotalsReport {
    /// The campaign.
    campaign_id: CampaignId,
    /// The counts over all days.
    report: Totals,
}

/// The counts over all days.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "contract", derive(utoipa::ToSchema))]
pub struct Totals {
    /// The counts on iOS.
    apple: SystemTotals,
    /// The counts on Android.
    android: SystemTotals,
    /// How many registrations began.
    installs_count: i64,
    /// How many registrations ended.
    uninstalls_count: i64,
    /// How many registrations are active now.
    active_count: i64,
    /// The same counts by wallet.
    wallets: ByWallet,
}

/// The counts on one operating system.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "contract", derive(utoipa::ToSchema))]
pub struct SystemTotals {
    /// How many registrations began.
    installs_count: i64,
    /// How many registrations ended.
    uninstalls_count: i64,
}

/// One count by operating system.
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

/// The counts by wallet.
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
    /// Every other wallet.
    other: WalletReport,
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
    /// How many registrations were active at the end of the day or, in totals, are active now.
    active_count: i64,
}

impl Report {
    /// Returns the report of a history.
    #[must_use]
    pub fn of(period: Period, history: &History) -> Self {
        let Period { start, end } = period;
        let days = history.days.iter();
        let days = days.map(|past| (past.day, DayReport::of(&past.counts, &past.until_its_end))).collect();
        Self { campaign_id: history.campaign, start_date: start, end_date: end, days }
    }
}

impl TotalsReport {
    /// Returns the report of these totals.
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
            other: wallet(Wallet::Other),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use store::CampaignCounts;

    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    fn names(body: &impl Serialize) -> Vec<String> {
        let Ok(Value::Object(fields)) = serde_json::to_value(body) else { panic!("expected an object") };
        fields.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn every_wallet_and_every_system_is_reported_in_its_order() {
        let counts = Counts::default();
        let wallets: Vec<_> = Wallet::ALL.iter().map(ToString::to_string).collect();
        assert_eq!(names(&ByWallet::of(&counts, &counts)), wallets);
        let systems: Vec<_> = DeviceOs::ALL.iter().map(ToString::to_string).collect();
        assert_eq!(names(&BySystem::of(&counts, ChangeKind::Install)), systems);
    }

    #[test]
    fn the_active_count_of_a_day_is_the_current_count_minus_all_later_changes() {
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
