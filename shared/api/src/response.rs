//! Responses: the status, headers and body with which a handler answers.

use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use crate::error::ApiError;

/// A handler's response. [`lambda::service`](crate::lambda::service) puts it into API Gateway's envelope.
pub type Response = http::Response<Body>;

/// The body of a response, in the form that API Gateway's envelope needs: a JSON string.
///
/// A body that is JSON itself is escaped in that string. `Body::of_json_string` takes a body that was written in the
/// escaped form at once, which is much cheaper for a long one.
#[derive(Debug, Clone)]
pub struct Body(String);

/// The private name of `serde_json`'s `RawValue`. A struct of this name is written as the text in it, unchecked.
///
/// `RawValue` itself parses the text first, which would double the cost of a listed registration. If `serde_json`
/// changed the name, a body would become an object, and the test below would fail.
const RAW_VALUE: &str = "$serde_json::private::RawValue";

impl Body {
    /// Returns the body whose JSON string is `text`, with quotation marks around it. It is written into the envelope
    /// unchecked: only a debug build checks that it is a JSON string.
    pub(crate) fn of_json_string(text: String) -> Self {
        debug_assert!(serde_json::from_str::<String>(&text).is_ok(), "not a JSON string");
        Self(text)
    }

    /// Returns the body as the caller gets it.
    ///
    /// # Errors
    ///
    /// If the body was made of a text that is not a JSON string.
    pub fn text(&self) -> serde_json::Result<String> {
        serde_json::from_str(&self.0)
    }
}

impl From<&str> for Body {
    #[expect(clippy::expect_used, reason = "a text, written into memory, is always JSON")]
    fn from(text: &str) -> Self {
        Self(serde_json::to_string(text).expect("a text is JSON"))
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::from("")
    }
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut written = serializer.serialize_struct(RAW_VALUE, 1)?;
        written.serialize_field(RAW_VALUE, &self.0)?;
        written.end()
    }
}

/// Returns a response without a body.
#[must_use]
pub fn bare(status: StatusCode) -> Response {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

/// Returns a response with `body` as JSON.
///
/// # Errors
///
/// 500 if `body` cannot be written as JSON.
pub fn json(status: StatusCode, body: &impl Serialize) -> Result<Response, ApiError> {
    let body = serde_json::to_string(body).map_err(ApiError::internal)?;
    let mut response = Response::new(body.as_str().into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_written_as_the_json_string_that_it_is() {
        for text in ["", r#"[{"id":"\u0007"}]"#, "é\n"] {
            let escaped = serde_json::to_string(text).unwrap();
            let body = Body::of_json_string(escaped.clone());
            assert_eq!(
                (body.text().unwrap().as_str(), serde_json::to_string(&[&body]).unwrap()),
                (text, format!("[{escaped}]"))
            );
            assert_eq!(serde_json::to_string(&Body::from(text)).unwrap(), escaped);
        }
    }
}
