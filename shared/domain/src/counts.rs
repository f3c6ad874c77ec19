//! Counts: the numbers of installs and uninstalls, in total, by wallet and by operating system.
//!
//! Changes of state are counted, not events. A registration that becomes active is an install; one that stops being
//! active is an uninstall; an active registration that changes its wallet or its operating system is both. A repeated
//! install, an uninstall of an unknown registration and the expiry of a tombstone are not counted. Therefore installs −
//! uninstalls = active registrations, always, for each wallet and for each operating system.

use std::{
    collections::BTreeMap,
    fmt, iter,
    ops::{AddAssign, SubAssign},
};

use crate::wallet::{DeviceOs, Wallet};

/// The kind of a change of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// The registration became active.
    Install,
    /// The registration is no longer active.
    Uninstall,
}

/// A group of registrations with counts of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// All registrations.
    All,
    /// The registrations in one wallet.
    Wallet(Wallet),
    /// The registrations on one operating system.
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

/// Numbers of installs and uninstalls by [`Part`]. An absent count is 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<(ChangeKind, Part), i64>);

impl ChangeKind {
    /// Both kinds.
    pub const ALL: [Self; 2] = [Self::Install, Self::Uninstall];
}

impl Part {
    /// Returns every part.
    pub fn all() -> impl Iterator<Item = Self> {
        let wallets = Wallet::ALL.iter().copied().map(Self::Wallet);
        let systems = DeviceOs::ALL.iter().copied().map(Self::DeviceOs);
        iter::once(Self::All).chain(wallets).chain(systems)
    }
}

impl Counts {
    /// Returns the counts of one change: 1 for all registrations, for its wallet and for its operating system.
    #[must_use]
    pub fn one(kind: ChangeKind, wallet: Wallet, device_os: DeviceOs) -> Self {
        Self::several(kind, wallet, device_os, 1)
    }

    /// Returns the counts of `count` changes of the same kind, wallet and operating system.
    #[must_use]
    pub fn several(kind: ChangeKind, wallet: Wallet, device_os: DeviceOs, count: i64) -> Self {
        let parts = [Part::All, Part::Wallet(wallet), Part::DeviceOs(device_os)];
        parts.into_iter().map(|part| ((kind, part), count)).collect()
    }

    /// Returns how many changes of this kind there were in this part.
    #[must_use]
    pub fn get(&self, kind: ChangeKind, part: Part) -> i64 {
        self.0.get(&(kind, part)).copied().unwrap_or_default()
    }

    /// Returns how many registrations are active after these changes, if none was active before.
    #[must_use]
    pub fn active(&self, part: Part) -> i64 {
        self.get(ChangeKind::Install, part) - self.get(ChangeKind::Uninstall, part)
    }

    /// Returns whether every count is 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Returns the counts that are not 0.
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
            *self.0.entry(*key).or_default() += count;
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
    use super::*;

    #[test]
    fn a_change_counts_in_total_and_for_its_wallet_and_its_system() {
        let one = |kind| Counts::one(kind, Wallet::Passbook, DeviceOs::Ios);
        let mut counts = one(ChangeKind::Install);
        counts += &one(ChangeKind::Install);
        counts += &one(ChangeKind::Uninstall);

        assert_eq!(counts.get(ChangeKind::Install, Part::Wallet(Wallet::Passbook)), 2);
        assert_eq!(counts.get(ChangeKind::Uninstall, Part::DeviceOs(DeviceOs::Ios)), 1);
        assert_eq!(counts.active(Part::All), 1);
        assert_eq!(counts.active(Part::Wallet(Wallet::Pass2u)), 0);
    }
}
