//! What a function reads from its environment, checked at start.

use std::str::FromStr;

use thiserror::Error;

/// Looks a variable up: the environment of a process, or what `local` resolves from the template.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Why a function does not start.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// A variable is not set, or is set to nothing.
    #[error("the variable {0} is not set")]
    Missing(&'static str),
    /// A variable has a value that it must not have.
    #[error("the variable {name}: {expected}")]
    Invalid {
        /// Its name.
        name: &'static str,
        /// What was expected.
        expected: String,
    },
}

/// What a function is configured with that reads nothing from its environment.
#[derive(Debug, Clone, Copy)]
pub struct NoVariables;

impl NoVariables {
    /// Nothing to read, nothing to go wrong.
    pub fn from_lookup(_: Lookup<'_>) -> Result<Self, ConfigError> {
        Ok(Self)
    }
}

/// The variable `name` as a `T`.
pub fn required<T>(lookup: Lookup<'_>, name: &'static str) -> Result<T, ConfigError>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    optional(lookup, name)?.ok_or(ConfigError::Missing(name))
}

/// The variable `name` as a `T`, where it is set and not empty.
pub fn optional<T>(lookup: Lookup<'_>, name: &'static str) -> Result<Option<T>, ConfigError>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    lookup(name)
        .filter(|value| !value.is_empty())
        .map(|value| value.parse().map_err(|error: T::Err| ConfigError::Invalid { name, expected: error.to_string() }))
        .transpose()
}

/// The look-up of a running process: its environment.
#[must_use]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::AccountId;

    #[test]
    fn a_variable_that_is_missing_or_wrong_is_named() {
        let lookup = |name: &str| match name {
            "EMPTY" => Some(String::new()),
            "WRONG" => Some("not an account".to_owned()),
            "RIGHT" => Some("demo".to_owned()),
            _ => None,
        };
        let error = |name| required::<AccountId>(&lookup, name).unwrap_err().to_string();

        assert_eq!(error("ABSENT"), "the variable ABSENT is not set");
        assert_eq!(error("EMPTY"), "the variable EMPTY is not set");
        assert_eq!(error("WRONG"), "the variable WRONG: expected 1 to 64 letters, digits, '-' or '_'");
        assert_eq!(required::<AccountId>(&lookup, "RIGHT").unwrap().as_str(), "demo");
    }
}
