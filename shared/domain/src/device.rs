//! Texts that a wallet sends about its device and its pass.
//!
//! They may be personal data, so they are never shown and never logged, and texts about the device are deleted when the
//! registration ends. Their lengths are limited, so that an item stays small.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The error for a text that is empty, is too long or contains control characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected 1 to {longest} bytes of text without control characters")]
pub struct InvalidText {
    longest: usize,
}

macro_rules! bounded_texts {
    ($($(#[$doc:meta])* $name:ident: $longest:literal bytes),+ $(,)?) => {$(
        $(#[$doc])*
        #[doc = concat!("\n\n1 to ", $longest, " bytes, no control characters. `Debug` does not show it.")]
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// The maximum length in bytes.
            pub const MAX_LENGTH: usize = $longest;

            /// Returns the text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidText;

            fn from_str(text: &str) -> Result<Self, InvalidText> {
                let fits = (1..=Self::MAX_LENGTH).contains(&text.len()) && !text.contains(char::is_control);
                if fits { Ok(Self(text.to_owned())) } else { Err(InvalidText { longest: Self::MAX_LENGTH }) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidText;

            fn try_from(text: String) -> Result<Self, InvalidText> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )+};
}

// With these limits an item and its keys stay under 1 KB, so that an install costs three write units.
bounded_texts! {
    /// The device library identifier: a wallet's name for the device that it runs on.
    DeviceLibraryIdentifier: 128 bytes,
    /// The push token: the address at which a wallet is notified of changes to a pass.
    PushToken: 384 bytes,
    /// The serial number of a pass.
    SerialNumber: 256 bytes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_limited_in_length_and_never_shown() {
        let longest = "x".repeat(128);
        let device: DeviceLibraryIdentifier = longest.parse().unwrap();
        assert_eq!(device.as_str(), longest);
        assert!(!format!("{device:?}").contains('x'));

        for wrong in ["", "line\nbreak", &"x".repeat(129)] {
            let error = wrong.parse::<DeviceLibraryIdentifier>().unwrap_err();
            assert_eq!(error.to_string(), "expected 1 to 128 bytes of text without control characters");
        }
    }
}
