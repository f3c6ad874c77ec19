//! The query string: decoding it strictly from a request, and writing it for a link.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr};

use domain::fields::FieldErrors;
use lambda_http::Request;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::error::ApiError;

/// The characters to encode: all except the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Returns the parameters of a request's query string in their order. Names and values are decoded, and `+` becomes a
/// space.
///
/// # Errors
///
/// 400 if a decoded name or value is not UTF-8.
pub fn parameters(request: &Request) -> Result<Vec<(String, String)>, ApiError> {
    let pairs = request.uri().query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs
        .map(|(name, value)| match (decoded(name), decoded(value)) {
            (Some(name), Some(value)) => Ok((name, value)),
            (Some(name), None) => Err(ApiError::parameter(&name, "expected percent-encoded UTF-8")),
            (None, _) => Err(ApiError::parameter("query", "expected percent-encoded UTF-8")),
        })
        .collect()
}

/// Adds an error for each parameter that is not one of `known`, so that a misspelt parameter is never ignored.
pub fn refuse_unknown(parameters: &[(String, String)], known: &[&str], errors: &mut FieldErrors) {
    for (name, _) in parameters.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
        add_unknown(name, known, errors);
    }
}

/// Adds the error for a parameter that is not one of `known`.
pub fn add_unknown(name: &str, known: &[&str], errors: &mut FieldErrors) {
    match known {
        [] => errors.add(name, "is not known, expected no parameter"),
        known => errors.add(name, format_args!("is not known, expected one of {}", known.join(", "))),
    }
}

/// Parses a whole number of decimal digits that lies in the range.
///
/// # Errors
///
/// What was expected, if the text is something else.
pub fn number<T>(text: &str, range: RangeInclusive<T>) -> Result<T, String>
where
    T: FromStr + PartialOrd + Display,
{
    let is_decimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let value = is_decimal.then(|| text.parse().ok()).flatten().filter(|value| range.contains(value));
    value.ok_or_else(|| format!("expected a number from {} to {}", range.start(), range.end()))
}

/// Stores a parameter's value, or adds an error if it is invalid or if the parameter was given before.
pub fn once<T>(slot: &mut Option<T>, name: &str, value: Result<T, String>, errors: &mut FieldErrors) {
    match value {
        Err(expected) => errors.add(name, expected),
        Ok(_) if slot.is_some() => errors.add(name, "expected once"),
        Ok(value) => *slot = Some(value),
    }
}

/// Checks that a request has no parameters, for routes that have none.
///
/// # Errors
///
/// 400 that names every parameter.
pub fn expect_none(request: &Request) -> Result<(), ApiError> {
    let mut errors = FieldErrors::default();
    refuse_unknown(&parameters(request)?, &[], &mut errors);
    if errors.is_empty() { Ok(()) } else { Err(ApiError::parameters(errors)) }
}

/// Writes parameters as a query string that [`parameters`] decodes to the same parameters.
#[must_use]
pub fn query_string(parameters: &[(String, String)]) -> String {
    let pairs: Vec<String> =
        parameters.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    pairs.join("&")
}

fn decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// Encodes a text as a part of a path or a query.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use lambda_http::Body;
    use proptest::prelude::*;

    use super::*;

    fn request(query: &str) -> Request {
        let mut request = Request::new(Body::Empty);
        *request.uri_mut() = format!("http://localhost/?{query}").parse().unwrap();
        request
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn brackets_may_be_encoded_and_plus_is_a_space() {
        let expected = pairs(&[("q[s]", "created_at desc")]);
        for query in ["q[s]=created_at+desc", "q%5Bs%5D=created_at%20desc", "&q%5bs]=created_at+desc&"] {
            assert_eq!(parameters(&request(query)).unwrap(), expected, "{query}");
        }
        assert_eq!(parameters(&request("a&b=&c=1=2")).unwrap(), pairs(&[("a", ""), ("b", ""), ("c", "1=2")]));
    }

    #[test]
    fn a_parameter_that_is_not_utf_8_is_refused_by_name() {
        let error = parameters(&request("page=%FF")).unwrap_err();
        assert_eq!(error.errors().fields().collect::<Vec<_>>(), ["page"]);
        assert!(parameters(&request("%FF=1")).is_err());
    }

    #[test]
    fn an_unknown_parameter_is_refused_with_the_known_ones() {
        let parameters = pairs(&[("page", "1"), ("Page", "2"), ("filter[0].field", "wallet"), ("", "")]);
        let refused = |known: &[&str]| {
            let mut errors = FieldErrors::default();
            refuse_unknown(&parameters, known, &mut errors);
            errors.to_string()
        };
        let expected = "is not known, expected one of page, per_page";
        assert_eq!(
            refused(&["page", "per_page"]),
            format!(": {expected}; Page: {expected}; filter[0].field: {expected}")
        );
        assert!(refused(&[]).ends_with("page: is not known, expected no parameter"));
        assert_eq!(refused(&["page", "Page", "filter[0].field", ""]), "");
    }

    #[test]
    fn a_route_without_parameters_accepts_an_empty_query() {
        for query in ["", "&", "&&"] {
            assert!(expect_none(&request(query)).is_ok(), "{query}");
        }
        for (query, name) in [("a=1", "a"), ("a", "a"), ("%61=", "a"), ("a=%FF", "a"), ("%FF=a", "query")] {
            let error = expect_none(&request(query)).unwrap_err();
            assert_eq!(error.errors().fields().collect::<Vec<_>>(), [name], "{query}");
        }
    }

    proptest! {
        #[test]
        fn a_written_query_string_reads_back(names in prop::collection::vec(("[^\u{0}]{1,9}", ".{0,9}"), 0..5)) {
            let written = query_string(&names);
            prop_assert_eq!(parameters(&request(&written)).unwrap(), names);
        }
    }
}
