//! The body of a request: JSON in UTF-8, with a limited size, perhaps compressed with gzip.

use std::io::Read as _;

use domain::json;
use flate2::bufread::MultiGzDecoder;
use http::{
    HeaderName,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use lambda_http::{Body, Request};
use serde_json::Value;

use crate::error::ApiError;

/// The maximum size of a body, in bytes, compressed or not.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// How a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Identity,
    Gzip,
}

/// Parses the body as JSON.
///
/// `Content-Type` is required because of browsers. A page of another origin can send a POST without `Content-Type`, or
/// with one that HTML forms use, without asking first (Fetch standard, "CORS-safelisted request-header"), and the
/// browser adds a stored user name and key. For JSON the browser asks first, and `CorsAllowOrigin` decides.
///
/// # Errors
///
/// 415 if `Content-Type` or `Content-Encoding` is not supported, 413 if the body is larger than 1 MiB, 400 if it is not
/// valid gzip or not valid JSON, or repeats a key.
pub fn parse(request: &Request) -> Result<Value, ApiError> {
    if !joined(request, CONTENT_TYPE).is_some_and(|content_type| is_json(&content_type)) {
        return Err(ApiError::unsupported_media_type());
    }
    let encoding = encoding(&joined(request, CONTENT_ENCODING).unwrap_or_default())?;
    if encoding == Encoding::Gzip && matches!(request.body(), Body::Text(_)) {
        return Err(ApiError::compressed_text());
    }
    let body: &[u8] = request.body();
    if body.len() > MAX_BODY_BYTES {
        return Err(ApiError::body_too_large(MAX_BODY_BYTES));
    }
    let body = match encoding {
        Encoding::Identity => json::parse(body),
        Encoding::Gzip => json::parse(&inflated(body)?),
    };
    body.map_err(|problem| ApiError::invalid_json(&problem))
}

/// Returns the value of a header, or `None` if it is absent. The values of a repeated header are joined, as API Gateway
/// joins them.
fn joined(request: &Request, name: HeaderName) -> Option<String> {
    let values: Vec<_> =
        request.headers().get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    (!values.is_empty()).then(|| values.join(","))
}

/// Returns whether a content type is `application/json` or `application/*+json` (RFC 6839), in UTF-8 or without a
/// charset. Other parameters are ignored.
fn is_json(content_type: &str) -> bool {
    let content_type = content_type.to_ascii_lowercase();
    let mut parts = content_type.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    let is_json =
        media_type == "application/json" || (media_type.starts_with("application/") && media_type.ends_with("+json"));
    let parameters = parts.filter_map(|parameter| parameter.split_once('='));
    let mut charsets = parameters.filter(|(name, _)| name.trim() == "charset").map(|(_, charset)| charset.trim());
    // `utf8` is another name of UTF-8 (WHATWG Encoding standard, "Names and labels").
    is_json && charsets.all(|charset| ["utf-8", "utf8"].contains(&charset.trim_matches('"')))
}

/// Parses `Content-Encoding`, a list in the order in which the encodings were applied (RFC 9110, section 8.4).
fn encoding(header: &str) -> Result<Encoding, ApiError> {
    let codings = header.split(',').map(|coding| coding.trim().to_ascii_lowercase());
    codings.filter(|coding| !["", "identity"].contains(&coding.as_str())).try_fold(
        Encoding::Identity,
        |known, coding| {
            match (known, coding.as_str()) {
                // RFC 9110, section 8.4.1.3: `x-gzip` is the same as `gzip`.
                (Encoding::Identity, "gzip" | "x-gzip") => Ok(Encoding::Gzip),
                (Encoding::Identity | Encoding::Gzip, _) => Err(ApiError::unsupported_encoding(header)),
            }
        },
    )
}

/// Decompresses a body. Stops as soon as it is larger than [`MAX_BODY_BYTES`].
fn inflated(body: &[u8]) -> Result<Vec<u8>, ApiError> {
    let mut inflated = Vec::new();
    let mut decoder = MultiGzDecoder::new(body).take(MAX_BODY_BYTES as u64 + 1);
    decoder.read_to_end(&mut inflated).map_err(|problem| ApiError::invalid_gzip(&problem))?;
    if inflated.len() > MAX_BODY_BYTES {
        return Err(ApiError::body_too_large(MAX_BODY_BYTES));
    }
    Ok(inflated)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::error::ErrorCode;

    fn request(headers: &[(HeaderName, &str)], body: impl Into<Body>) -> Request {
        let mut request = Request::new(body.into());
        for (name, value) in headers {
            request.headers_mut().append(name, value.parse().unwrap());
        }
        request
    }

    fn typed(content_type: &str, body: &[u8]) -> Request {
        request(&[(CONTENT_TYPE, content_type)], body.to_vec())
    }

    fn encoded(content_encoding: &str, body: impl Into<Body>) -> Request {
        request(&[(CONTENT_TYPE, "application/json"), (CONTENT_ENCODING, content_encoding)], body)
    }

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn code(request: &Request) -> ErrorCode {
        parse(request).unwrap_err().code()
    }

    #[rstest]
    #[case("application/json")]
    #[case("Application/JSON; charset=utf-8")]
    #[case("application/json;charset=\"UTF-8\"")]
    #[case("application/json; charset=utf8; odata=verbose")]
    #[case("application/vnd.api+json")]
    fn json_in_utf_8_is_parsed(#[case] content_type: &str) {
        assert_eq!(parse(&typed(content_type, b"[]")).unwrap(), json!([]));
    }

    #[rstest]
    #[case("")]
    #[case("text/plain")]
    #[case("text/json")]
    #[case("application/x-www-form-urlencoded")]
    #[case("multipart/form-data; boundary=application/json")]
    #[case("application/json, text/plain")]
    #[case("application/json; charset=utf-16")]
    #[case("application/json; charset=ISO-8859-1")]
    #[case("application/json; charset=")]
    #[case("application/json; charset = utf-16")]
    #[case("application/json; charset=utf-8; charset=utf-16")]
    fn another_content_type_is_refused(#[case] content_type: &str) {
        let error = parse(&typed(content_type, b"[]")).unwrap_err();
        assert_eq!(error.code(), ErrorCode::UnsupportedMediaType);
        assert_eq!(error.errors().fields().collect::<Vec<_>>(), ["Content-Type"]);
    }

    #[test]
    fn a_missing_and_a_repeated_content_type_are_refused() {
        assert_eq!(code(&request(&[], "[]")), ErrorCode::UnsupportedMediaType);
        let json = (CONTENT_TYPE, "application/json");
        assert_eq!(code(&request(&[json.clone(), json], "[]")), ErrorCode::UnsupportedMediaType);
    }

    #[rstest]
    #[case(b"")]
    #[case(b"{")]
    #[case(b"\"\xff\"")]
    // UTF-16, as its byte order mark says.
    #[case(b"\xff\xfe[\0]\0")]
    #[case(b"\xef\xbb\xbf\xef\xbb\xbf[]")]
    fn a_body_that_is_not_json_is_refused(#[case] body: &[u8]) {
        assert_eq!(code(&typed("application/json", body)), ErrorCode::InvalidJson);
        assert_eq!(code(&encoded("gzip", gzip(body))), ErrorCode::InvalidJson);
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        let body = "\u{feff}{\"a\":1}";
        assert_eq!(parse(&typed("application/json", body.as_bytes())).unwrap(), json!({"a": 1}));
        assert_eq!(parse(&encoded("", body)).unwrap(), json!({"a": 1}));
        assert_eq!(parse(&encoded("gzip", gzip(body.as_bytes()))).unwrap(), json!({"a": 1}));
    }

    #[rstest]
    #[case("gzip")]
    #[case("x-gzip")]
    #[case("GZip")]
    #[case("identity, gzip")]
    #[case(",gzip ,")]
    fn a_compressed_body_is_decompressed(#[case] content_encoding: &str) {
        assert_eq!(parse(&encoded(content_encoding, gzip(b"[1]"))).unwrap(), json!([1]));
        // RFC 1952, section 2.2: a gzip file may have several members.
        assert_eq!(parse(&encoded(content_encoding, [gzip(b"[1"), gzip(b"]")].concat())).unwrap(), json!([1]));
    }

    #[rstest]
    #[case("")]
    #[case("identity")]
    #[case("Identity,identity")]
    fn a_body_without_an_encoding_is_parsed_as_it_is(#[case] content_encoding: &str) {
        assert_eq!(parse(&encoded(content_encoding, "[1]")).unwrap(), json!([1]));
    }

    #[rstest]
    #[case("deflate")]
    #[case("br")]
    #[case("gzip, gzip")]
    #[case("gzip, br")]
    #[case("deflate, gzip")]
    #[case("gzip;q=1")]
    #[case("utf-8")]
    fn another_encoding_is_refused_by_name(#[case] content_encoding: &str) {
        let error = parse(&encoded(content_encoding, gzip(b"[1]"))).unwrap_err();
        assert_eq!(error.code(), ErrorCode::UnsupportedMediaType);
        assert_eq!(error.errors().fields().collect::<Vec<_>>(), ["Content-Encoding"]);
        assert!(error.message().contains(content_encoding));
    }

    #[test]
    fn a_repeated_encoding_counts_as_a_list() {
        let header = |value| (CONTENT_ENCODING, value);
        let json = (CONTENT_TYPE, "application/json");
        let once = request(&[json.clone(), header("identity"), header("gzip")], gzip(b"[1]"));
        assert_eq!(parse(&once).unwrap(), json!([1]));
        assert_eq!(
            code(&request(&[json, header("gzip"), header("gzip")], gzip(b"[1]"))),
            ErrorCode::UnsupportedMediaType
        );
    }

    #[test]
    fn a_compressed_body_that_the_gateway_passed_on_as_text_is_refused() {
        let error = parse(&encoded("gzip", String::from_utf8_lossy(&gzip(b"[1]")).into_owned())).unwrap_err();
        assert_eq!(error.code(), ErrorCode::UnsupportedMediaType);
        assert!(error.message().contains("as text"), "{}", error.message());
    }

    #[test]
    fn broken_gzip_is_refused_by_the_name_of_its_header() {
        let whole = gzip(b"[1,2,3]");
        let truncated = (0..whole.len()).map(|length| whole[..length].to_vec());
        let mut corrupt = whole.clone();
        *corrupt.last_mut().unwrap() ^= 1;
        for body in truncated.chain([corrupt, b"[1]".to_vec(), [whole.as_slice(), b"x"].concat()]) {
            let error = parse(&encoded("gzip", body)).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidJson);
            assert_eq!(error.errors().fields().collect::<Vec<_>>(), ["Content-Encoding"]);
        }
    }

    #[test]
    fn bodies_that_are_too_deep_or_too_large_are_refused() {
        let deep = "[".repeat(100_000);
        assert_eq!(code(&typed("application/json", deep.as_bytes())), ErrorCode::InvalidJson);
        let spaces = |count: usize| [" ".repeat(count).as_bytes(), b"[]"].concat();
        let (largest, too_large) = (spaces(MAX_BODY_BYTES - 2), spaces(MAX_BODY_BYTES - 1));
        assert_eq!(parse(&typed("application/json", &largest)).unwrap(), json!([]));
        assert_eq!(code(&typed("application/json", &too_large)), ErrorCode::BodyTooLarge);
        assert_eq!(parse(&encoded("gzip", gzip(&largest))).unwrap(), json!([]));
        assert_eq!(code(&encoded("gzip", gzip(&too_large))), ErrorCode::BodyTooLarge);
        // A body that inflates to 500 MiB is not inflated further than the limit.
        let bomb = gzip(&vec![b' '; MAX_BODY_BYTES]).repeat(500);
        assert!(bomb.len() < MAX_BODY_BYTES);
        assert_eq!(code(&encoded("gzip", bomb)), ErrorCode::BodyTooLarge);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(
            content_type in "[ -~]{0,20}",
            content_encoding in "[ -~]{0,12}",
            body in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let is_json = serde_json::from_slice::<Value>(&body).is_ok();
            prop_assert!(parse(&typed("application/json", &body)).is_err() || is_json);
            // Any header and any body lead to a result, not to a panic.
            let _ = parse(&typed(&content_type, &body));
            let _ = parse(&encoded(&content_encoding, body.clone()));
            prop_assert!(parse(&encoded("gzip", body)).is_err());
        }

        #[test]
        fn a_compressed_body_means_the_same_as_the_body(value in ".{0,200}") {
            let body = json!({"value": value});
            let compressed = gzip(body.to_string().as_bytes());
            prop_assert_eq!(parse(&encoded("gzip", compressed)).unwrap(), body);
        }
    }
}
