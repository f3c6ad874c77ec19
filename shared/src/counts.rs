//! Counts: how often passes were installed and uninstalled, altogether and by wallet and operating system.
//!
//! What is counted are changes of state. A registration that becomes active is an install; one that is active no more is an
//! uninstall; one that is active and changes its wallet or its operating system is both. A repeated install, an uninstall of
//! something never seen and the end of a tombstone are nothing. So installs − uninstalls = active, always and by each wallet and
//! each operating system.

use std::{
    collections::BTreeMap,
    fmt,
    ops::{AddAssign, SubAssign},
};

use crate::{
    clock::Day,
    id::CampaignId,
    registration::{DeviceOs, Wallet},
};

/// What happened to the state of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// It became active.
    Install,
    /// It is active no more.
    Uninstall,
}

/// One change of the state of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateChange {
    /// The campaign.
    pub campaign: CampaignId,
    /// On which day it happened.
    pub day: Day,
    /// What.
    pub kind: ChangeKind,
    /// In which wallet.
    pub wallet: Wallet,
    /// On which operating system.
    pub device_os: DeviceOs,
}

/// What is counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Everything.
    All,
    /// One wallet.
    Wallet(Wallet),
    /// One operating system.
    DeviceOs(DeviceOs),
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::All => "all",
            Self::Wallet(wallet) => wallet.as_str(),
            Self::DeviceOs(device_os) => device_os.as_str(),
        })
    }
}

/// How many installs and uninstalls there were. What is not in it is 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<(ChangeKind, Part), i64>);

impl ChangeKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Install, Self::Uninstall];
}

impl Part {
    /// Every part.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::divisions().into_iter().flatten()
    }

    /// The ways to divide everything into parts: not at all, by wallet, by operating system.
    fn divisions() -> [Vec<Self>; 3] {
        [vec![Self::All], Wallet::ALL.map(Self::Wallet).to_vec(), DeviceOs::ALL.map(Self::DeviceOs).to_vec()]
    }
}

impl Counts {
    /// The count of one change.
    #[must_use]
    pub fn of(change: &StateChange) -> Self {
        let StateChange { campaign: _, day: _, kind, wallet, device_os } = *change;
        [Part::All, Part::Wallet(wallet), Part::DeviceOs(device_os)].into_iter().map(|part| ((kind, part), 1)).collect()
    }

    /// How many there were.
    #[must_use]
    pub fn get(&self, kind: ChangeKind, part: Part) -> i64 {
        self.0.get(&(kind, part)).copied().unwrap_or_default()
    }

    /// How many registrations are active after these changes, if none was before.
    #[must_use]
    pub fn active(&self, part: Part) -> i64 {
        self.get(ChangeKind::Install, part) - self.get(ChangeKind::Uninstall, part)
    }

    /// The fewest installs and uninstalls that, added to these counts, make as many active as `active` says, by every part.
    ///
    /// As many are added by wallet as by operating system and altogether: where more are missing by the one than by the other,
    /// registrations changed the one and kept the other.
    #[must_use]
    pub fn missing(&self, active: &Self) -> Self {
        let lack = |part: &Part| active.active(*part) - self.active(*part);
        let begun = |division: &Vec<Part>| division.iter().map(|part| lack(part).max(0)).sum::<i64>();
        let divisions = Part::divisions();
        let installs = divisions.iter().map(begun).max().unwrap_or_default();
        let mut missing = Self::default();
        for division in &divisions {
            let changed = installs - begun(division);
            let largest = division.iter().max_by_key(|part| active.active(**part));
            for part in division {
                let kept = if Some(part) == largest { changed } else { 0 };
                missing.add(ChangeKind::Install, *part, lack(part).max(0) + kept);
                missing.add(ChangeKind::Uninstall, *part, (-lack(part)).max(0) + kept);
            }
        }
        missing
    }

    /// Adds so many more.
    pub fn add(&mut self, kind: ChangeKind, part: Part, count: i64) {
        *self.0.entry((kind, part)).or_default() += count;
    }

    /// Whether there were none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Those that are not 0.
    pub fn iter(&self) -> impl Iterator<Item = (ChangeKind, Part, i64)> {
        self.0.iter().filter(|(_, count)| **count != 0).map(|((kind, part), count)| (*kind, *part, *count))
    }
}

impl FromIterator<((ChangeKind, Part), i64)> for Counts {
    fn from_iter<I: IntoIterator<Item = ((ChangeKind, Part), i64)>>(counts: I) -> Self {
        Self(counts.into_iter().collect())
    }
}

impl AddAssign<&Self> for Counts {
    fn add_assign(&mut self, other: &Self) {
        for (key, count) in &other.0 {
            self.add(key.0, key.1, *count);
        }
    }
}

impl SubAssign<&Self> for Counts {
    fn sub_assign(&mut self, other: &Self) {
        for (key, count) in &other.0 {
            *self.0.entry(*key).or_default() -= count;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};

    use super::*;

    #[test]
    fn a_change_counts_altogether_and_for_its_wallet_and_its_system() {
        let install = StateChange {
            campaign: "bd69162b-8995-4c89-bdca-898fae6050d0".parse().unwrap(),
            day: "2016-11-09".parse().unwrap(),
            kind: ChangeKind::Install,
            wallet: Wallet::Passbook,
            device_os: DeviceOs::Ios,
        };
        let mut counts = Counts::of(&install);
        counts += &Counts::of(&install);
        counts += &Counts::of(&StateChange { kind: ChangeKind::Uninstall, ..install });

        assert_eq!(counts.get(ChangeKind::Install, Part::Wallet(Wallet::Passbook)), 2);
        assert_eq!(counts.get(ChangeKind::Uninstall, Part::DeviceOs(DeviceOs::Ios)), 1);
        assert_eq!(counts.active(Part::All), 1);
        assert_eq!(counts.active(Part::Wallet(Wallet::Pass2u)), 0);
    }

    fn changes(kind: ChangeKind) -> impl Strategy<Value = Vec<(ChangeKind, Wallet, DeviceOs)>> {
        prop::collection::vec((Just(kind), select(&Wallet::ALL), select(&DeviceOs::ALL)), 0..20)
    }

    fn sum(changes: &[(ChangeKind, Wallet, DeviceOs)]) -> Counts {
        let mut counts = Counts::default();
        for (kind, wallet, device_os) in changes {
            for part in [Part::All, Part::Wallet(*wallet), Part::DeviceOs(*device_os)] {
                counts.add(*kind, part, 1);
            }
        }
        counts
    }

    proptest! {
        #[test]
        fn what_is_missing_makes_up_for_every_difference(
            installs in changes(ChangeKind::Install),
            uninstalls in changes(ChangeKind::Uninstall),
            active in changes(ChangeKind::Install),
        ) {
            let (mut counts, active) = (sum(&[installs, uninstalls].concat()), sum(&active));
            let missing = counts.missing(&active);
            prop_assert!(missing.iter().all(|(_, _, count)| count > 0));
            counts += &missing;
            for part in Part::all() {
                prop_assert_eq!(counts.active(part), active.active(part));
            }
            for kind in ChangeKind::ALL {
                for division in Part::divisions() {
                    let sum: i64 = division.into_iter().map(|part| counts.get(kind, part)).sum();
                    prop_assert_eq!(sum, counts.get(kind, Part::All));
                }
            }
            prop_assert!(counts.missing(&active).is_empty());
        }
    }
}
