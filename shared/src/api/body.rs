//! The body of a request.

use http::header::CONTENT_TYPE;
use lambda_http::Request;
use serde_json::Value;

use super::error::{ApiError, ErrorCode};
use crate::{field::FieldErrors, json};

/// The largest body, in bytes.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// The body as JSON.
///
/// # Errors
///
/// 415 where it is declared as something else, 413 where it is larger than 1 MiB, 400 where it is not JSON.
pub fn read(request: &Request) -> Result<Value, ApiError> {
    let content_type = request.headers().get(CONTENT_TYPE);
    if content_type.is_some_and(|content_type| !content_type.to_str().is_ok_and(is_json)) {
        let errors = FieldErrors::of("Content-Type", "expected application/json");
        let message = format!("unsupported media type: {errors}");
        return Err(ApiError::with_fields(ErrorCode::UnsupportedMediaType, message, errors));
    }
    let body: &[u8] = request.body();
    if body.len() > MAX_BODY_BYTES {
        let errors = FieldErrors::of("body", format_args!("expected at most {MAX_BODY_BYTES} bytes"));
        return Err(ApiError::with_fields(ErrorCode::BodyTooLarge, format!("body too large: {errors}"), errors));
    }
    json::parse(body).map_err(|error| {
        let errors = FieldErrors::of("body", format_args!("expected JSON: {error}"));
        ApiError::with_fields(ErrorCode::InvalidJson, format!("invalid JSON: {errors}"), errors)
    })
}

/// `application/json` or any `+json` (RFC 6839), with or without parameters.
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
        assert_eq!(read(&request(content_type, b"[]")).unwrap(), serde_json::json!([]));
    }

    #[rstest]
    #[case("text/plain", b"[]", ErrorCode::UnsupportedMediaType)]
    #[case("application/x-www-form-urlencoded", b"[]", ErrorCode::UnsupportedMediaType)]
    #[case("application/json", b"", ErrorCode::InvalidJson)]
    #[case("application/json", b"{", ErrorCode::InvalidJson)]
    #[case("application/json", b"\"\xff\"", ErrorCode::InvalidJson)]
    fn anything_else_is_refused(#[case] content_type: &str, #[case] body: &[u8], #[case] code: ErrorCode) {
        assert_eq!(read(&request(content_type, body)).unwrap_err().code(), code);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(content_type in "[ -~]{0,20}", body in prop::collection::vec(any::<u8>(), 0..64)) {
            let is_json = serde_json::from_slice::<Value>(&body).is_ok();
            prop_assert!(read(&request("application/json", &body)).is_err() || is_json);
            // Whatever the content is said to be, it is an answer, not a panic.
            let _ = read(&request(&content_type, &body));
        }
    }

    #[test]
    fn bodies_that_are_too_deep_or_too_large_are_refused() {
        let deep = "[".repeat(100_000);
        assert_eq!(read(&request("", deep.as_bytes())).unwrap_err().code(), ErrorCode::InvalidJson);
        let large = " ".repeat(MAX_BODY_BYTES + 1);
        assert_eq!(read(&request("", large.as_bytes())).unwrap_err().code(), ErrorCode::BodyTooLarge);
    }
}
