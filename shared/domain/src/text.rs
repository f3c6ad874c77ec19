//! Types of text with a limited length.
//!
//! They hold texts that come from outside and that may be personal data, so none of them is ever shown or logged.

use thiserror::Error;

/// The error for a text that is empty, is too long or has another form than the type allows. It says what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct InvalidText(pub(crate) &'static str);

/// Defines types that hold a text of a limited length. Each has a function that returns whether a text has the expected
/// form, and a description of that form.
macro_rules! bounded_texts {
    ($($(#[$doc:meta])* $name:ident: $max:literal bytes, $has_form:path, $form:literal;)+) => {$(
        $(#[$doc])*
        #[doc = concat!("\n\n1 to ", $max, " bytes of ", $form, ". `Debug` does not show it.")]
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// The maximum length in bytes.
            pub const MAX_LENGTH: usize = $max;

            /// Returns the text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::text::InvalidText;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                if (1..=Self::MAX_LENGTH).contains(&text.len()) && $has_form(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err($crate::text::InvalidText(concat!("expected 1 to ", $max, " bytes of ", $form)))
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::text::InvalidText;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )+};
}

pub(crate) use bounded_texts;

/// Returns whether a text has no control characters.
pub(crate) fn is_printable(text: &str) -> bool {
    !text.contains(char::is_control)
}
