//! Responses: the status, headers and body with which a handler answers.

use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use crate::error::ApiError;

/// A handler's response. [`lambda::service`](crate::lambda::service) puts it into API Gateway's envelope.
pub type Response = http::Response<Body>;

/// The body of a response, in the form that API Gateway's envelope needs: a JSON string.
///
/// A body that is JSON itself is escaped in that string. [`Body::of_json_string`] takes a body that was written in the
/// escaped form at once, which is much cheaper for a long one.
#[derive(Debug, Clone)]
pub struct Body(Box<RawValue>);

impl Body {
    /// Returns the body whose JSON string is `text`, with quotation marks around it.
    ///
    /// # Errors
    ///
    /// If `text` is not valid JSON.
    pub fn of_json_string(text: String) -> serde_json::Result<Self> {
        RawValue::from_string(text).map(Self)
    }

    /// Returns the body as the caller gets it.
    ///
    /// # Errors
    ///
    /// If the body was made of JSON that is not a string.
    pub fn text(&self) -> serde_json::Result<String> {
        serde_json::from_str(self.0.get())
    }
}

impl From<&str> for Body {
    #[expect(clippy::expect_used, reason = "a text, written into memory, is always JSON")]
    fn from(text: &str) -> Self {
        Self(to_raw_value(text).expect("a text is JSON"))
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::from("")
    }
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
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
