//! Repair: finds the changes of state that a campaign's counts lack, from its active registrations.
//!
//! Counts are kept by wallet and by operating system, but not by both, so they do not show which changes were lost. Any
//! changes will do that make the counts agree with the registrations again, if the wallets and the systems still add up
//! to the total. The one idea is to add whole installs, each with a wallet and a system, until no part lacks one. Then
//! each part lacks only uninstalls, and these add up too, so they can be added part by part.
//!
//! Example: an install of Google Wallet on Android is counted, but the only active registration is of Apple Wallet on
//! iOS and began on 9 November. The repair is an install of Apple Wallet on iOS on 9 November, and an uninstall of
//! Google Wallet on Android today.

use std::collections::BTreeMap;

use domain::{
    counts::{ChangeKind, Counts, Part},
    time::Day,
    wallet::{DeviceOs, Wallet},
};

use super::items::CampaignCounts;

/// What counts depend on in an active registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ActiveRegistration {
    /// The day of its install.
    pub(crate) began: Day,
    pub(crate) wallet: Wallet,
    pub(crate) device_os: DeviceOs,
}

/// How many active registrations there are, by what counts depend on. A campaign has few different ones for each day,
/// however large it is.
pub(crate) type ActiveRegistrations = BTreeMap<ActiveRegistration, i64>;

/// A repair in progress.
struct Repair {
    /// The active registrations minus the counts and the changes added so far.
    difference: Counts,
    /// The changes added so far.
    days: BTreeMap<Day, Counts>,
}

/// Returns the changes of each day that, added to the counts, make every part as active as the registrations.
///
/// 1. A registration whose install was not counted on its day gets one, if its wallet or its system lacks an install in
///    the totals.
/// 2. Installs that are still lacking are of registrations that were removed since, so their days are unknown. They go
///    to the first known day, because on a later day an install might follow its uninstall.
/// 3. Now the totals have every install. Uninstalls that they lack go to today, because their days are unknown too.
pub(crate) fn repairs(counted: &CampaignCounts, active: &ActiveRegistrations, today: Day) -> BTreeMap<Day, Counts> {
    let known_days = counted.days.keys().copied().chain(active.keys().map(|registration| registration.began));
    let first_day = known_days.min().unwrap_or(today);
    let mut repair = Repair { difference: sum_of_installs(active), days: BTreeMap::new() };
    repair.difference -= &counted.totals;

    for (registration, count) in uncounted(active, &counted.days) {
        let lacking = registration.parts().map(|part| repair.lack(part)).into_iter().max().unwrap_or_default();
        let missing = lacking.min(count);
        if missing > 0 {
            repair.add(registration.began, &registration.installs(missing));
        }
    }
    while let Some(install) = repair.next_install() {
        repair.add(first_day, &install);
    }
    let uninstalls = Part::all().map(|part| ((ChangeKind::Uninstall, part), -repair.lack(part)));
    let uninstalls: Counts = uninstalls.filter(|(_, count)| *count > 0).collect();
    if !uninstalls.is_empty() {
        repair.add(today, &uninstalls);
    }
    repair.days
}

/// Returns the active registrations, as installs without uninstalls.
pub(crate) fn sum_of_installs(active: &ActiveRegistrations) -> Counts {
    let mut sum = Counts::default();
    for (registration, count) in active {
        sum += &registration.installs(*count);
    }
    sum
}

/// Returns the registrations whose install is not among those counted on their day.
///
/// Example: three registrations of Apple Wallet on iOS began on a day with two such installs, so one is returned.
fn uncounted(active: &ActiveRegistrations, counted: &BTreeMap<Day, Counts>) -> ActiveRegistrations {
    let mut unmatched = counted.clone();
    let mut uncounted = ActiveRegistrations::new();
    for (registration, count) in active {
        let installs = unmatched.entry(registration.began).or_default();
        let parts = registration.parts().map(|part| installs.get(ChangeKind::Install, part));
        let matched = parts.into_iter().min().unwrap_or_default().clamp(0, *count);
        *installs -= &registration.installs(matched);
        if matched < *count {
            uncounted.insert(*registration, count - matched);
        }
    }
    uncounted
}

impl ActiveRegistration {
    /// Returns the counts of the installs of `count` such registrations.
    pub(crate) fn installs(self, count: i64) -> Counts {
        Counts::several(ChangeKind::Install, self.wallet, self.device_os, count)
    }

    fn parts(self) -> [Part; 2] {
        [Part::Wallet(self.wallet), Part::DeviceOs(self.device_os)]
    }
}

impl Repair {
    fn add(&mut self, day: Day, changes: &Counts) {
        *self.days.entry(day).or_default() += changes;
        self.difference -= changes;
    }

    /// Returns how many installs the totals of a part lack. A negative number is of uninstalls.
    fn lack(&self, part: Part) -> i64 {
        self.difference.active(part)
    }

    /// Returns an install in the wallet and on the system that lack most installs: `None` if no part lacks one.
    ///
    /// Example: if only Google Wallet lacks an install, and no system, it is one on iOS, which then lacks an uninstall.
    fn next_install(&self) -> Option<Counts> {
        // Of equals `max_by_key` returns the last, but the first in the lists is the most common.
        let wallet = *Wallet::ALL.iter().rev().max_by_key(|wallet| self.lack(Part::Wallet(**wallet)))?;
        let device_os = *DeviceOs::ALL.iter().rev().max_by_key(|device_os| self.lack(Part::DeviceOs(**device_os)))?;
        let is_lacking = Part::all().any(|part| self.lack(part) > 0);
        is_lacking.then(|| Counts::one(ChangeKind::Install, wallet, device_os))
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};

    use super::*;

    const GOOGLE: (Wallet, DeviceOs) = (Wallet::GoogleWallet, DeviceOs::Android);
    const APPLE: (Wallet, DeviceOs) = (Wallet::Passbook, DeviceOs::Ios);

    fn day(number: u32) -> Day {
        format!("2016-11-0{number}").parse().unwrap()
    }

    fn today() -> Day {
        day(9)
    }

    fn active(registrations: impl IntoIterator<Item = (u32, (Wallet, DeviceOs))>) -> ActiveRegistrations {
        let mut active = ActiveRegistrations::new();
        for (began, (wallet, device_os)) in registrations {
            *active.entry(ActiveRegistration { began: day(began), wallet, device_os }).or_default() += 1;
        }
        active
    }

    fn one(kind: ChangeKind, (wallet, device_os): (Wallet, DeviceOs)) -> Counts {
        Counts::one(kind, wallet, device_os)
    }

    fn repaired(mut counts: CampaignCounts, active: &ActiveRegistrations) -> CampaignCounts {
        for (day, changes) in repairs(&counts, active, today()) {
            counts.add(day, &changes);
        }
        counts
    }

    #[test]
    fn an_install_goes_to_the_day_that_lacks_it_and_an_uninstall_to_today() {
        let mut counted = CampaignCounts::default();
        for (number, place) in [(1, GOOGLE), (2, APPLE), (3, GOOGLE)] {
            counted.add(day(number), &one(ChangeKind::Install, place));
        }
        let days = repairs(&counted, &active([(1, GOOGLE), (3, GOOGLE), (3, GOOGLE)]), today());
        let expected = [(day(3), one(ChangeKind::Install, GOOGLE)), (today(), one(ChangeKind::Uninstall, APPLE))];
        assert_eq!(days, BTreeMap::from(expected));
    }

    #[test]
    fn a_repeated_install_on_a_later_day_needs_no_repair() {
        let mut counted = CampaignCounts::default();
        counted.add(day(1), &one(ChangeKind::Install, GOOGLE));
        assert!(repairs(&counted, &active([(3, GOOGLE)]), today()).is_empty());
    }

    #[test]
    fn a_lost_install_of_a_removed_registration_goes_to_the_first_known_day() {
        let mut counted = CampaignCounts::default();
        counted.add(day(2), &one(ChangeKind::Install, GOOGLE));
        counted.add(day(3), &one(ChangeKind::Uninstall, APPLE));
        let days = repairs(&counted, &active([(2, GOOGLE)]), today());
        assert_eq!(days, BTreeMap::from([(day(2), one(ChangeKind::Install, APPLE))]));
    }

    fn places() -> impl Strategy<Value = Vec<(u32, (Wallet, DeviceOs))>> {
        prop::collection::vec((1..5_u32, (select(Wallet::ALL), select(DeviceOs::ALL))), 0..20)
    }

    prop_compose! {
        /// Counts of installs and uninstalls that need not belong to the same registrations.
        fn counted()(installs in places(), uninstalls in places()) -> CampaignCounts {
            let mut counts = CampaignCounts::default();
            for (kind, places) in ChangeKind::ALL.into_iter().zip([installs, uninstalls]) {
                for (number, place) in places {
                    counts.add(day(number), &one(kind, place));
                }
            }
            counts
        }
    }

    prop_compose! {
        fn active_registrations()(places in places()) -> ActiveRegistrations {
            active(places)
        }
    }

    prop_compose! {
        /// Counts of one part alone, as an edit by hand adds them.
        fn edit()(
            kind in select(&ChangeKind::ALL[..]),
            part in select(Part::all().collect::<Vec<_>>()),
            count in -3..=3_i64,
        ) -> Counts {
            Counts::from_iter([((kind, part), count)])
        }
    }

    proptest! {
        #[test]
        fn adding_the_repairs_removes_every_difference(counted in counted(), active in active_registrations()) {
            let changes = repairs(&counted, &active, today());
            prop_assert!(changes.values().flat_map(Counts::iter).all(|(_, _, count)| count > 0));
            let repaired = repaired(counted, &active);
            for part in Part::all() {
                prop_assert_eq!(repaired.totals.active(part), sum_of_installs(&active).active(part));
            }
            for counts in repaired.days.values().chain([&repaired.totals]) {
                for kind in ChangeKind::ALL {
                    let wallets = Wallet::ALL.iter().map(|wallet| counts.get(kind, Part::Wallet(*wallet)));
                    let systems = DeviceOs::ALL.iter().map(|device_os| counts.get(kind, Part::DeviceOs(*device_os)));
                    let (wallets, systems): (i64, i64) = (wallets.sum(), systems.sum());
                    prop_assert_eq!([wallets, systems], [counts.get(kind, Part::All); 2]);
                }
            }
            prop_assert!(repairs(&repaired, &active, today()).is_empty());
        }

        #[test]
        fn counts_edited_by_hand_agree_after_the_repair(
            mut counted in counted(),
            edit in edit(),
            active in active_registrations(),
        ) {
            counted.add(day(1), &edit);
            let repaired = repaired(counted, &active);
            for part in Part::all() {
                prop_assert_eq!(repaired.totals.active(part), sum_of_installs(&active).active(part));
            }
            prop_assert!(repairs(&repaired, &active, today()).is_empty());
        }
    }
}
