//! What of a listing is asked for: the page, its size, the filter, the order.

use std::{num::NonZeroU32, ops::RangeInclusive, str::FromStr};

use super::{
    error::ApiError,
    filter::{Condition, Filter},
    format::Format,
    order::Order,
};
use crate::field::FieldErrors;

/// How many registrations a page has where nobody says (Passworks API v2, "Pagination").
pub const DEFAULT_PER_PAGE: usize = 25;
/// How many registrations a page may have at the most.
pub const MAX_PER_PAGE: usize = 1000;
/// How many registrations may be passed over before page 1.
pub const MAX_OFFSET: usize = 10_000;

/// What a caller asks of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListingQuery {
    /// Where to begin.
    pub start: Start,
    /// How many registrations a page has.
    pub per_page: usize,
    /// How many registrations are passed over before page 1.
    pub offset: usize,
    /// Which registrations.
    pub filter: Filter,
    /// In which order.
    pub order: Order,
}

/// Where a page begins, as the caller says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// At the beginning, without a word about pages.
    Beginning,
    /// At the page of this number.
    Page(NonZeroU32),
    /// At a cursor, not yet read.
    Cursor(String),
}

impl ListingQuery {
    /// Reads the parameters of a query string, for a listing in this form. Names that mean nothing here are ignored.
    ///
    /// # Errors
    ///
    /// 400 with every parameter that is wrong.
    pub fn from_parameters(parameters: Vec<(String, String)>, format: Format) -> Result<Self, ApiError> {
        let (default_per_page, largest_per_page) = format.per_page();
        let mut errors = FieldErrors::default();
        let (mut page, mut per_page, mut offset, mut cursor, mut order) = (None, None, None, None, None);
        let mut conditions = Vec::new();
        for (name, value) in parameters {
            match name.as_str() {
                "page" => once(&mut page, &name, number(&value, 1..=u32::MAX), &mut errors),
                "per_page" => once(&mut per_page, &name, number(&value, 1..=largest_per_page), &mut errors),
                "offset" => once(&mut offset, &name, number(&value, 0..=MAX_OFFSET), &mut errors),
                "cursor" => once(&mut cursor, &name, Ok(value), &mut errors),
                "q[s]" => {
                    once(&mut order, &name, value.parse().map_err(|error| format!("{error}")), &mut errors);
                }
                _ => match name.strip_prefix("q[").and_then(|rest| rest.strip_suffix(']')) {
                    Some(inner) => match Condition::parse(inner, value) {
                        Ok(condition) => conditions.push(condition),
                        Err(expected) => errors.add(&name, expected),
                    },
                    None if name == "q" || name.starts_with("q[") => {
                        errors.add(&name, "expected q[<attribute>_<predicate>] or q[s]");
                    }
                    None => {}
                },
            }
        }
        let start = match (page, cursor) {
            (Some(_), Some(_)) => {
                errors.add("cursor", "expected a cursor or a page, not both");
                Start::Beginning
            }
            (Some(page), None) => NonZeroU32::new(page).map_or(Start::Beginning, Start::Page),
            (None, Some(cursor)) => Start::Cursor(cursor),
            (None, None) => Start::Beginning,
        };
        if !errors.is_empty() {
            return Err(ApiError::parameters(errors));
        }
        Ok(Self {
            start,
            per_page: per_page.unwrap_or(default_per_page),
            offset: offset.unwrap_or_default(),
            filter: Filter::all_of(conditions),
            order: order.unwrap_or_default(),
        })
    }

    /// The parameters that all pages of the listing have in common, in their one form.
    #[must_use]
    pub fn common_parameters(&self) -> Vec<(String, String)> {
        let Self { start: _, per_page, offset, filter, order } = self;
        let mut parameters = vec![("per_page".to_owned(), per_page.to_string())];
        if *offset > 0 {
            parameters.push(("offset".to_owned(), offset.to_string()));
        }
        let conditions = filter.conditions().iter();
        parameters.extend(conditions.map(|condition| (condition.to_string(), condition.value().to_owned())));
        if *order != Order::default() {
            parameters.push(("q[s]".to_owned(), order.to_string()));
        }
        parameters
    }
}

/// A whole number in decimal digits.
fn number<T>(text: &str, range: RangeInclusive<T>) -> Result<T, String>
where
    T: FromStr + PartialOrd + std::fmt::Display,
{
    let is_decimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let value = is_decimal.then(|| text.parse().ok()).flatten().filter(|value| range.contains(value));
    value.ok_or_else(|| format!("expected a number from {} to {}", range.start(), range.end()))
}

fn once<T>(slot: &mut Option<T>, name: &str, value: Result<T, String>, errors: &mut FieldErrors) {
    match value {
        Err(expected) => errors.add(name, expected),
        Ok(_) if slot.is_some() => errors.add(name, "expected once"),
        Ok(value) => *slot = Some(value),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn read(parameters: &[(&str, &str)]) -> Result<ListingQuery, ApiError> {
        let owned = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        ListingQuery::from_parameters(owned.collect(), Format::Json)
    }

    #[test]
    fn without_parameters_it_is_the_first_25_by_time() {
        let query = read(&[("utm_source", "ignored")]).unwrap();
        assert_eq!(query.start, Start::Beginning);
        assert_eq!((query.per_page, query.offset, query.order), (25, 0, Order::default()));
        assert!(query.filter.is_empty());
    }

    #[test]
    fn the_common_parameters_read_back() {
        let given = [
            ("page", "3"),
            ("per_page", "50"),
            ("offset", "10"),
            ("q[wallet_eq]", "passbook"),
            ("q[created_at_gteq]", "2016"),
            ("q[s]", "wallet desc"),
        ];
        let query = read(&given).unwrap();
        let again = ListingQuery::from_parameters(query.common_parameters(), Format::Json).unwrap();
        assert_eq!(again, ListingQuery { start: Start::Beginning, ..query });
    }

    #[rstest]
    #[case(&[("page", "0")], &["page"])]
    #[case(&[("page", "-1")], &["page"])]
    #[case(&[("page", "+1")], &["page"])]
    #[case(&[("page", "")], &["page"])]
    #[case(&[("page", "99999999999999999999")], &["page"])]
    #[case(&[("page", "1"), ("page", "2")], &["page"])]
    #[case(&[("per_page", "0")], &["per_page"])]
    #[case(&[("per_page", "1001")], &["per_page"])]
    #[case(&[("per_page", "ten")], &["per_page"])]
    #[case(&[("offset", "10001")], &["offset"])]
    #[case(&[("page", "1"), ("cursor", "x")], &["cursor"])]
    #[case(&[("q[s]", "up")], &["q[s]"])]
    #[case(&[("q[colour_eq]", "red")], &["q[colour_eq]"])]
    #[case(&[("q", "red")], &["q"])]
    #[case(&[("q[wallet_eq", "red")], &["q[wallet_eq"])]
    #[case(&[("page", "x"), ("per_page", "x"), ("offset", "x")], &["offset", "page", "per_page"])]
    fn every_parameter_that_is_wrong_is_named(#[case] parameters: &[(&str, &str)], #[case] names: &[&str]) {
        let error = read(parameters).unwrap_err();
        assert_eq!(error.errors().fields().collect::<Vec<_>>(), names);
    }
}
