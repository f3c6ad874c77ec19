//! Errors for unknown enum names.
//!
//! Wallets, operating systems, campaign types and the like are enums whose names `strum` derives. All of them share
//! this error, which lists the valid names, so it includes new variants automatically.

use std::fmt;

use strum::VariantNames;

/// The error for a text that is none of an enum's names. It lists the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownName(&'static [&'static str]);

impl UnknownName {
    /// Returns the error that lists the names of `T`.
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
