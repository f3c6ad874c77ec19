//! The body of a request: JSON, with a limited size.

use domain::json;
use http::header::CONTENT_TYPE;
use lambda_http::Request;
use serde_json::Value;

use crate::error::ApiError;

/// The maximum size of a body, in bytes.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Parses the body as JSON. A request without `Content-Type` is treated as JSON.
///
/// # Errors
///
/// 415 if `Content-Type` is not JSON, 413 if the body is larger than 1 MiB, 400 if it is not valid JSON or repeats a
/// key.
pub fn parse(request: &Request) -> Result<Value, ApiError> {
    let content_type = request.headers().get(CONTENT_TYPE);
    if content_type.is_some_and(|content_type| !content_type.to_str().is_ok_and(is_json)) {
        return Err(ApiError::unsupported_media_type());
    }
    let body: &[u8] = request.body();
    if body.len() > MAX_BODY_BYTES {
        return Err(ApiError::body_too_large(MAX_BODY_BYTES));
    }
    json::parse(body).map_err(|problem| ApiError::invalid_json(&problem))
}

/// Returns whether a content type is `application/json` or `application/*+json` (RFC 6839), with or without parameters.
fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type == "application/json" || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use lambda_http::Body;
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::error::ErrorCode;

    fn request(content_type: &str, body: &[u8]) -> Request {
        let mut request = Request::new(Body::Binary(body.to_vec()));
        if !content_type.is_empty() {
            request.headers_mut().insert(CONTENT_TYPE, content_type.parse().unwrap());
        }
        request
    }

    #[rstest]
    #[case("application/json")]
    #[case("Application/JSON; charset=utf-8")]
    #[case("application/vnd.api+json")]
    #[case("")]
    fn json_is_read(#[case] content_type: &str) {
        assert_eq!(parse(&request(content_type, b"[]")).unwrap(), serde_json::json!([]));
    }

    #[rstest]
    #[case("text/plain", b"[]", ErrorCode::UnsupportedMediaType)]
    #[case("application/x-www-form-urlencoded", b"[]", ErrorCode::UnsupportedMediaType)]
    #[case("application/json", b"", ErrorCode::InvalidJson)]
    #[case("application/json", b"{", ErrorCode::InvalidJson)]
    #[case("application/json", b"\"\xff\"", ErrorCode::InvalidJson)]
    fn anything_else_is_refused(#[case] content_type: &str, #[case] body: &[u8], #[case] code: ErrorCode) {
        assert_eq!(parse(&request(content_type, body)).unwrap_err().code(), code);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(content_type in "[ -~]{0,20}", body in prop::collection::vec(any::<u8>(), 0..64)) {
            let is_json = serde_json::from_slice::<Value>(&body).is_ok();
            prop_assert!(parse(&request("application/json", &body)).is_err() || is_json);
            // Any `Content-Type` leads to a result, not to a panic.
            let _ = parse(&request(&content_type, &body));
        }
    }

    #[test]
    fn bodies_that_are_too_deep_or_too_large_are_refused() {
        let deep = "[".repeat(100_000);
        assert_eq!(parse(&request("", deep.as_bytes())).unwrap_err().code(), ErrorCode::InvalidJson);
        let large = " ".repeat(MAX_BODY_BYTES + 1);
        assert_eq!(parse(&request("", large.as_bytes())).unwrap_err().code(), ErrorCode::BodyTooLarge);
    }
}
