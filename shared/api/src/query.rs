//! The query string: decoding it strictly from a request, and writing it for a link.

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

    proptest! {
        #[test]
        fn a_written_query_string_reads_back(names in prop::collection::vec(("[^\u{0}]{1,9}", ".{0,9}"), 0..5)) {
            let written = query_string(&names);
            prop_assert_eq!(parameters(&request(&written)).unwrap(), names);
        }
    }
}
