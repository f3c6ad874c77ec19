//! The names of closed sets.
//!
//! Wallets, operating systems, campaign types and the like are enums whose names `strum` derives. Each set is parsed with the one error
//! here, which lists the names, so a new variant appears in it by itself.

use std::fmt;

use strum::VariantNames;

/// Why a text is not a name of a closed set: it lists the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownName(&'static [&'static str]);

impl UnknownName {
    /// The error for the names of `T`.
    #[must_use]
    pub fn of<T: VariantNames>(_: &str) -> Self {
        Self(T::VARIANTS)
    }
}

impl fmt::Display for UnknownName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "expected one of {}", self.0.join(", "))
    }
}

impl std::error::Error for UnknownName {}
