//! A parser for JSON objects that reports all errors of an object at once.
//!
//! [`Fields`] parses an object field by field and adds each error to [`FieldErrors`] instead of stopping at the first.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::Serialize;
use serde_json::{Map, Value};

/// What is wrong, by field: `{"event_extra.device_os": ["expected one of ios, android, wp"]}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
#[cfg_attr(feature = "contract", derive(utoipa::ToSchema))]
pub struct FieldErrors(BTreeMap<String, Vec<String>>);

impl FieldErrors {
    /// Returns a single error of a single field.
    #[must_use]
    pub fn of(field: &str, error: impl fmt::Display) -> Self {
        let mut errors = Self::default();
        errors.add(field, error);
        errors
    }

    /// Adds an error to a field.
    pub fn add(&mut self, field: &str, error: impl fmt::Display) {
        self.0.entry(field.to_owned()).or_default().push(error.to_string());
    }

    /// Returns whether there are no errors.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the fields that have errors, in alphabetical order.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl fmt::Display for FieldErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (field, errors)) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { "; " };
            write!(formatter, "{separator}{field}: {}", errors.join(", "))?;
        }
        Ok(())
    }
}

/// The fields of one JSON object. A field that is `null` counts as absent; fields that are never read are ignored.
pub struct Fields<'a> {
    object: Option<&'a Map<String, Value>>,
    /// Whether the value, or the value that contains it, is not an object. Missing fields are not reported then.
    is_malformed: bool,
    prefix: &'static str,
    errors: &'a mut FieldErrors,
}

impl<'a> Fields<'a> {
    /// Returns the fields of `value`. Adds an error to the field `name` if `value` is not an object.
    pub fn of(value: &'a Value, name: &'static str, errors: &'a mut FieldErrors) -> Self {
        let object = value.as_object();
        if object.is_none() {
            errors.add(name, "expected a JSON object");
        }
        Self { object, is_malformed: object.is_none(), prefix: "", errors }
    }

    /// Returns the fields of the object in the field `name`, or no fields if it is absent. Adds an error if it is not
    /// an object. `prefix` must be `name` and a full stop.
    pub fn nested(&mut self, name: &'static str, prefix: &'static str) -> Fields<'_> {
        let value = self.value(name);
        let is_malformed = self.is_malformed || value.is_some_and(|value| !value.is_object());
        if is_malformed && !self.is_malformed {
            self.refuse(name, "expected a JSON object");
        }
        Fields { object: value.and_then(Value::as_object), is_malformed, prefix, errors: self.errors }
    }

    /// Returns the field `name` as a `T`. Adds an error and returns `None` if it is absent or invalid.
    pub fn required<T>(&mut self, name: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        if !self.is_malformed && !self.has(name) {
            self.refuse(name, "is required");
        }
        self.optional(name)
    }

    /// Returns the field `name` as a `T`, or `None` if it is absent. Adds an error and returns `None` if it is invalid.
    pub fn optional<T>(&mut self, name: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        let Some(text) = self.value(name)?.as_str() else {
            self.refuse(name, "expected a string");
            return None;
        };
        text.parse().map_err(|error| self.refuse(name, error)).ok()
    }

    /// Returns the array in the field `name` as a list of up to `max` `T`s. Adds an error and returns `None` if it is
    /// absent or invalid.
    pub fn required_list<T>(&mut self, name: &str, max: usize) -> Option<Vec<T>>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        if self.is_malformed {
            return None;
        }
        let Some(value) = self.value(name) else {
            self.refuse(name, "is required");
            return None;
        };
        let Some(values) = value.as_array().filter(|values| values.len() <= max) else {
            self.refuse(name, format_args!("expected an array of at most {max}"));
            return None;
        };
        let parsed = values.iter().map(|value| value.as_str().unwrap_or_default().parse());
        parsed.collect::<Result<_, T::Err>>().map_err(|error| self.refuse(name, error)).ok()
    }

    /// Returns whether the value, or the value that contains it, is not an object. Missing fields are not reported
    /// then.
    #[must_use]
    pub fn is_malformed(&self) -> bool {
        self.is_malformed
    }

    /// Returns whether the field `name` is present, valid or not.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// Adds an error to the field `name`.
    pub fn refuse(&mut self, name: &str, error: impl fmt::Display) {
        self.errors.add(&format!("{}{name}", self.prefix), error);
    }

    fn value(&self, name: &str) -> Option<&'a Value> {
        self.object?.get(name).filter(|value| !value.is_null())
    }
}
