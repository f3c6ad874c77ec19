//! A function's configuration, read from its environment and checked at start.
//!
//! A missing or wrong variable stops the function before its first request. Values come through a [`Lookup`], so that
//! `local` and tests can pass them in without changing the environment of the process.

use std::str::FromStr;

use store::{Connection, Credentials, Table};
use thiserror::Error;

/// A function that returns the value of a variable, from the environment or, for `local`, from the template.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The error for configuration that keeps a function from starting.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// A variable is not set, or is empty.
    #[error("the variable {0} is not set")]
    Missing(&'static str),
    /// A variable has an invalid value.
    #[error("the variable {name}: {expected}")]
    Invalid {
        /// The name of the variable.
        name: &'static str,
        /// The expected value.
        expected: String,
    },
}

/// The configuration of a function that reads no variables.
#[derive(Debug, Clone, Copy)]
pub struct NoVariables;

impl NoVariables {
    /// Returns the configuration. Never fails.
    pub fn from_lookup(_: Lookup<'_>) -> Result<Self, ConfigError> {
        Ok(Self)
    }
}

/// The configuration of a function that uses the table. `Debug` does not show the credentials.
#[derive(Debug, Clone)]
pub struct TableConfig(Connection);

impl TableConfig {
    /// Reads the variables of the connection:
    ///
    /// - `TABLE_NAME`, from the template;
    /// - `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and the optional `AWS_SESSION_TOKEN`, from Lambda;
    /// - `AWS_ENDPOINT_URL_DYNAMODB` or else `AWS_ENDPOINT_URL`, which select another engine than DynamoDB.
    ///
    /// # Errors
    ///
    /// If a required variable is missing.
    pub fn from_lookup(lookup: Lookup<'_>) -> Result<Self, ConfigError> {
        let endpoint_url = match optional(lookup, "AWS_ENDPOINT_URL_DYNAMODB")? {
            Some(url) => Some(url),
            None => optional(lookup, "AWS_ENDPOINT_URL")?,
        };
        let access_key_id: String = required(lookup, "AWS_ACCESS_KEY_ID")?;
        let secret_access_key: String = required(lookup, "AWS_SECRET_ACCESS_KEY")?;
        let session_token = optional(lookup, "AWS_SESSION_TOKEN")?;
        Ok(Self(Connection {
            table_name: required(lookup, "TABLE_NAME")?,
            region: required(lookup, "AWS_REGION")?,
            endpoint_url,
            credentials: Credentials::new(access_key_id, secret_access_key, session_token, None, "environment"),
        }))
    }

    /// Returns the address of the table and the credentials for it.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.0
    }

    /// Returns the table. Sends nothing until the first call.
    #[must_use]
    pub fn connect(&self) -> Table {
        Table::connect(&self.0)
    }
}

/// Returns the variable `name` as a `T`, or an error if it is not set, is empty or is invalid.
pub fn required<T>(lookup: Lookup<'_>, name: &'static str) -> Result<T, ConfigError>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    optional(lookup, name)?.ok_or(ConfigError::Missing(name))
}

/// Returns the variable `name` as a `T`, or `None` if it is not set or is empty.
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

/// Returns the value of a variable in the environment of this process, or `None` if it is not set or is not UTF-8.
#[must_use]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use domain::id::AccountId;

    use super::*;

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

    #[test]
    fn a_missing_variable_of_the_table_is_named_and_no_secret_is_shown() {
        let set = |name: &str| (name != "AWS_SESSION_TOKEN").then(|| format!("the-{name}"));
        let config = TableConfig::from_lookup(&set).unwrap();
        assert!(!format!("{config:?}").contains("the-AWS_SECRET_ACCESS_KEY"));

        for missing in ["TABLE_NAME", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            let lookup = |name: &str| (name != missing).then(|| format!("the-{name}"));
            let error = TableConfig::from_lookup(&lookup).unwrap_err();
            assert_eq!(error, ConfigError::Missing(missing));
        }
    }
}
