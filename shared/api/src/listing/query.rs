//! The query parameters of a listing: the page, its size, the filter and the order.

use std::num::NonZeroU32;

use domain::fields::FieldErrors;

use super::{filter::Filter, format::Format, order::Order};
use crate::{
    error::ApiError,
    query::{add_unknown, number, once, query_string},
};

/// The maximum number of registrations to skip before page 1.
pub const MAX_OFFSET: usize = 10_000;

/// The maximum length of all conditions together, in bytes, percent-encoded in their canonical form. `Link` contains
/// them three times, and API Gateway allows 10,240 bytes of headers (Amazon API Gateway developer guide, "Quotas for
/// configuring and running an HTTP API").
pub const MAX_FILTER_LENGTH: usize = 2_000;

/// The parameters that are known, for the error of an unknown one.
const KNOWN: [&str; 7] =
    ["page", "per_page", "offset", "cursor", "q[s]", "q[<attribute>_<predicate>]", "q[<attribute>_in][]"];

/// A caller's request for a page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListingQuery {
    /// The position of the page.
    pub position: Position,
    /// The number of registrations per page.
    pub per_page: usize,
    /// The number of registrations to skip before page 1.
    pub offset: usize,
    /// The filter that the listed registrations pass.
    pub filter: Filter,
    /// The order of the registrations.
    pub order: Order,
}

/// The position of a page, as the caller requested it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// The beginning: the caller named neither a page nor a cursor.
    Beginning,
    /// The page with this number.
    Page(NonZeroU32),
    /// A cursor, not yet decoded.
    Cursor(String),
}

impl ListingQuery {
    /// Parses the parameters of a query string, for a listing in `format`.
    ///
    /// # Errors
    ///
    /// 400 that names every invalid parameter.
    pub fn from_parameters(parameters: Vec<(String, String)>, format: Format) -> Result<Self, ApiError> {
        let (default_per_page, max_per_page) = format.per_page();
        let mut errors = FieldErrors::default();
        let (mut page, mut per_page, mut offset, mut cursor, mut order) = (None, None, None, None, None);
        let mut conditions = Vec::new();
        for (name, value) in parameters {
            match name.as_str() {
                "page" => once(&mut page, &name, number(&value, 1..=u32::MAX), &mut errors),
                "per_page" => once(&mut per_page, &name, number(&value, 1..=max_per_page), &mut errors),
                "offset" => once(&mut offset, &name, number(&value, 0..=MAX_OFFSET), &mut errors),
                "cursor" => once(&mut cursor, &name, Ok(value), &mut errors),
                "q[s]" if value.is_empty() => {}
                "q[s]" => {
                    once(&mut order, &name, value.parse().map_err(|error| format!("{error}")), &mut errors);
                }
                _ if name == "q" || name.starts_with("q[") => conditions.push((name, value)),
                _ => add_unknown(&name, &KNOWN, &mut errors),
            }
        }
        let filter = Filter::parse(&conditions, &mut errors);
        if query_string(&filter.parameters()).len() > MAX_FILTER_LENGTH {
            errors.add("q", format!("expected conditions of at most {MAX_FILTER_LENGTH} bytes together"));
        }
        let position = match (page, cursor) {
            (Some(_), Some(_)) => {
                errors.add("cursor", "expected a cursor or a page, not both");
                Position::Beginning
            }
            (Some(page), None) => NonZeroU32::new(page).map_or(Position::Beginning, Position::Page),
            (None, Some(cursor)) => Position::Cursor(cursor),
            (None, None) => Position::Beginning,
        };
        if !errors.is_empty() {
            return Err(ApiError::parameters(errors));
        }
        Ok(Self {
            position,
            per_page: per_page.unwrap_or(default_per_page),
            offset: offset.unwrap_or_default(),
            filter,
            order: order.unwrap_or_default(),
        })
    }

    /// Returns the requested page number, or 1 if the caller requested no number.
    #[must_use]
    pub fn page_number(&self) -> u32 {
        match self.position {
            Position::Page(number) => number.get(),
            Position::Beginning | Position::Cursor(_) => 1,
        }
    }

    /// Returns the parameters that all pages of the listing share, in their canonical form.
    #[must_use]
    pub fn common_parameters(&self) -> Vec<(String, String)> {
        let Self { position: _, per_page, offset, filter, order } = self;
        let mut parameters = vec![("per_page".to_owned(), per_page.to_string())];
        if *offset > 0 {
            parameters.push(("offset".to_owned(), offset.to_string()));
        }
        parameters.extend(filter.parameters());
        if *order != Order::default() {
            parameters.push(("q[s]".to_owned(), order.to_string()));
        }
        parameters
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn parse(parameters: &[(&str, &str)]) -> Result<ListingQuery, ApiError> {
        let owned = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        ListingQuery::from_parameters(owned.collect(), Format::Json)
    }

    #[test]
    fn without_parameters_a_page_is_the_first_25_by_time() {
        let query = parse(&[("q[s]", ""), ("q[wallet_eq]", "")]).unwrap();
        assert_eq!(query.position, Position::Beginning);
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
            ("q[device_os_in][]", "ios"),
            ("q[device_os_in][]", "WP"),
            ("q[s]", "wallet DESC"),
        ];
        let query = parse(&given).unwrap();
        let again = ListingQuery::from_parameters(query.common_parameters(), Format::Json).unwrap();
        assert_eq!(again, ListingQuery { position: Position::Beginning, ..query });
    }

    #[rstest]
    #[case("x".repeat(1_985), true)]
    #[case("x".repeat(1_986), false)]
    #[case("é".repeat(330), true)]
    #[case("é".repeat(331), false)]
    fn all_conditions_together_have_a_maximum_length(#[case] value: String, #[case] is_accepted: bool) {
        // `q%5Bid_cont%5D=` has 15 bytes. A byte of `é` is written with three.
        let found = parse(&[("q[id_cont]", &value)]).map_err(|error| error.message().to_owned());
        let refused = Err("invalid parameters: q: expected conditions of at most 2000 bytes together".to_owned());
        assert_eq!(found.map(drop), if is_accepted { Ok(()) } else { refused });
    }

    #[test]
    fn an_unknown_parameter_is_refused_with_the_known_ones() {
        let error = parse(&[("perpage", "1")]).unwrap_err();
        let expected = "is not known, expected one of page, per_page, offset, cursor, q[s], \
                        q[<attribute>_<predicate>], q[<attribute>_in][]";
        assert_eq!(error.message(), format!("invalid parameters: perpage: {expected}"));
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
    #[case(&[("q", "")], &["q"])]
    #[case(&[("q[]", "")], &["q[]"])]
    #[case(&[("per_page", "")], &["per_page"])]
    #[case(&[("offset", "")], &["offset"])]
    #[case(&[("perpage", "1")], &["perpage"])]
    #[case(&[("Page", "2")], &["Page"])]
    #[case(&[("filter[0].field", "wallet")], &["filter[0].field"])]
    #[case(&[("", "")], &[""])]
    #[case(&[("q[wallet_eq", "red")], &["q[wallet_eq"])]
    #[case(&[("page", "x"), ("per_page", "x"), ("offset", "x")], &["offset", "page", "per_page"])]
    fn every_invalid_parameter_is_named(#[case] parameters: &[(&str, &str)], #[case] names: &[&str]) {
        let error = parse(parameters).unwrap_err();
        assert_eq!(error.errors().fields().collect::<Vec<_>>(), names);
    }
}
