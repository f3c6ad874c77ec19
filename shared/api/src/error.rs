//! The error type of the API, and the only place that turns it into the documented JSON.
//!
//! An error has two audiences: the caller receives its code, message and fields; only the log receives its cause. A
//! [`BareError`] is for callers that understand only a status.

mod bare;

use std::fmt::Display;

use domain::{event::Refusal, fields::FieldErrors, time::Timestamp};
use http::{
    HeaderValue, StatusCode,
    header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;
use store::{ClaimError, StoreError};
use strum::{IntoStaticStr, VariantArray};

pub use self::bare::BareError;
use crate::Response;

/// How long a caller should wait before trying again, in seconds.
const RETRY_AFTER_SECONDS: u16 = 1;

/// The value of `WWW-Authenticate` in a 401 (RFC 7617).
const CHALLENGE: &str = "Basic realm=\"registrations\", charset=\"UTF-8\"";

/// The error of a function, which can become the response that the function's callers expect, like [`ApiError`].
pub trait FunctionError: From<StoreError> + Send {
    /// Returns the HTTP status.
    fn status(&self) -> StatusCode;

    /// Returns the number of the kind of error, for the log.
    fn number(&self) -> u16;

    /// Returns the name of the kind of error, for the log.
    fn name(&self) -> &'static str;

    /// Returns the cause, for the log only: the caller must not see it.
    fn cause(&self) -> Option<&str>;

    /// Converts the error into a response.
    fn into_response(self) -> Response;
}

/// An error that a handler returns.
#[derive(Debug, Clone)]
pub struct ApiError {
    code: ErrorCode,
    message: String,
    errors: FieldErrors,
    header: Header,
    /// The cause, for the log only.
    cause: Option<String>,
}

/// The additional header of an error's response.
#[derive(Debug, Clone)]
enum Header {
    None,
    Allow(String),
    RetryAfter,
    Authenticate,
}

/// The kind of an error, for programs. It has a name and a [number](ErrorCode::number).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(feature = "contract", derive(utoipa::ToSchema), schema(as = ErrorName))]
pub enum ErrorCode {
    /// 400: a parameter of the path or the query is invalid.
    InvalidParameter,
    /// 400: the cursor was altered or belongs to another listing.
    InvalidCursor,
    /// 400: the page is too far to be reached by its number; follow `Link` instead.
    PageTooFar,
    /// 400: there are too many registrations to order by an attribute other than `created_at`.
    TooManyToSort,
    /// 400: the body is not JSON, repeats a key, or is not the gzip that `Content-Encoding` promises.
    InvalidJson,
    /// 401: the key is missing or not valid.
    Unauthorized,
    /// 403: the key may not do this.
    Forbidden,
    /// 404: the path does not exist.
    RouteNotFound,
    /// 404: the account has no campaign with this id and type.
    CampaignNotFound,
    /// 404: the pass is not known in the campaign.
    PassNotFound,
    /// 404: the registration is not known, or was removed long ago.
    RegistrationNotFound,
    /// 405: the path does not accept this method; `Allow` lists the methods it accepts.
    MethodNotAllowed,
    /// 409: the registration was removed at or after the `created_at` of the request.
    RegistrationRemoved,
    /// 413: the body is too large.
    BodyTooLarge,
    /// 415: the `Content-Type` is not JSON in UTF-8, or the `Content-Encoding` is not supported.
    UnsupportedMediaType,
    /// 422: the body is JSON, but not valid for this request.
    InvalidBody,
    /// 500: an internal error.
    InternalError,
    /// 503: the table does not answer; try again.
    Unavailable,
}

impl ErrorCode {
    /// Every code.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// Returns the HTTP status.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::InvalidParameter
            | Self::InvalidCursor
            | Self::PageTooFar
            | Self::TooManyToSort
            | Self::InvalidJson => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::RouteNotFound | Self::CampaignNotFound | Self::PassNotFound | Self::RegistrationNotFound => {
                StatusCode::NOT_FOUND
            }
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RegistrationRemoved => StatusCode::CONFLICT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::InvalidBody => StatusCode::UNPROCESSABLE_ENTITY,
            Self::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Returns the number, which is `error_code` in the body and in the log: the status, then two digits of its own.
    ///
    /// Callers compare with these numbers, so a number never changes, and a number that is no longer used is never
    /// given to another error.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::InvalidParameter => 40001,
            Self::InvalidCursor => 40002,
            Self::PageTooFar => 40003,
            Self::TooManyToSort => 40004,
            Self::InvalidJson => 40005,
            Self::Unauthorized => 40101,
            Self::Forbidden => 40301,
            Self::CampaignNotFound => 40401,
            Self::PassNotFound => 40402,
            Self::RegistrationNotFound => 40403,
            Self::RouteNotFound => 40404,
            Self::MethodNotAllowed => 40501,
            Self::RegistrationRemoved => 40901,
            Self::BodyTooLarge => 41301,
            Self::UnsupportedMediaType => 41501,
            Self::InvalidBody => 42201,
            Self::InternalError => 50001,
            Self::Unavailable => 50301,
        }
    }

    /// Returns the name, which is `error` in the body and in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The body of an error response of this API.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "contract", derive(utoipa::ToSchema), schema(as = Error))]
pub struct ErrorBody<'a> {
    /// The HTTP status.
    status_code: u16,
    /// The number of the kind of error, for programs.
    error_code: u16,
    /// The name of the kind of error, for programs and people.
    error: ErrorCode,
    /// A description of the error, for people.
    message: &'a str,
    /// The invalid parameters or fields of the body, each with what was expected.
    errors: &'a FieldErrors,
}

/// The constructors, in the order of the codes. Every message and field is written here.
impl ApiError {
    /// Returns a 400: the parameter `name` of the path or the query is invalid.
    #[must_use]
    pub fn parameter(name: &str, expected: impl Display) -> Self {
        Self::parameters(FieldErrors::of(name, expected))
    }

    /// Returns a 400: these parameters of the path or the query are invalid.
    #[must_use]
    pub fn parameters(errors: FieldErrors) -> Self {
        Self::with_fields(ErrorCode::InvalidParameter, "invalid parameters", errors)
    }

    /// Returns a 400: the cursor was altered or belongs to another listing.
    #[must_use]
    pub fn invalid_cursor() -> Self {
        let errors = FieldErrors::of("cursor", "expected a cursor from a Link of the same listing");
        Self::with_fields(ErrorCode::InvalidCursor, "invalid cursor", errors)
    }

    /// Returns a 400: more than `max` registrations come before the page.
    #[must_use]
    pub fn page_too_far(max: usize) -> Self {
        let expected = format_args!(
            "expected a page with at most {max} registrations before it; follow Link to reach later pages"
        );
        Self::with_fields(ErrorCode::PageTooFar, "the page is too far", FieldErrors::of("page", expected))
    }

    /// Returns a 400: more than `max` registrations would have to be ordered by an attribute other than
    /// `created_at`.
    #[must_use]
    pub fn too_many_to_sort(max: usize) -> Self {
        let expected = format_args!("expected created_at for more than {max} registrations");
        Self::with_fields(ErrorCode::TooManyToSort, "too many registrations to sort", FieldErrors::of("q[s]", expected))
    }

    /// Returns a 400: the body is not JSON, or repeats a key.
    #[must_use]
    pub fn invalid_json(problem: &serde_json::Error) -> Self {
        let errors = FieldErrors::of("body", format_args!("expected JSON: {problem}"));
        Self::with_fields(ErrorCode::InvalidJson, "invalid JSON", errors)
    }

    /// Returns a 400: the body is not the gzip that `Content-Encoding` promises.
    #[must_use]
    pub fn invalid_gzip(problem: &std::io::Error) -> Self {
        let errors = FieldErrors::of("Content-Encoding", format_args!("expected a complete gzip body: {problem}"));
        Self::with_fields(ErrorCode::InvalidJson, "invalid gzip", errors)
    }

    /// Returns a 401. Its response is identical for every cause.
    #[must_use]
    pub fn unauthorized() -> Self {
        let message = "expected the user name and API key of an account in Authorization";
        Self { header: Header::Authenticate, ..Self::new(ErrorCode::Unauthorized, message) }
    }

    /// Returns a 403: the key is read-only.
    #[must_use]
    pub fn forbidden() -> Self {
        Self::new(ErrorCode::Forbidden, "this needs a read_write key")
    }

    /// Returns a 404: the path does not exist.
    #[must_use]
    pub fn route_not_found() -> Self {
        Self::new(ErrorCode::RouteNotFound, "there is no such path")
    }

    /// Returns a 404: the path does not exist, because there is no such campaign type.
    #[must_use]
    pub fn unknown_campaign_type(expected: impl Display) -> Self {
        let errors = FieldErrors::of("campaign_type", expected);
        Self::with_fields(ErrorCode::RouteNotFound, "there is no such path", errors)
    }

    /// Returns a 404, which is identical whether the campaign does not exist, has another type or belongs to another
    /// account.
    #[must_use]
    pub fn campaign_not_found() -> Self {
        Self::not_known(ErrorCode::CampaignNotFound, "the campaign is not known", "campaign_id")
    }

    /// Returns a 404: the campaign has no such pass.
    #[must_use]
    pub fn pass_not_found() -> Self {
        Self::not_known(ErrorCode::PassNotFound, "the pass is not known", "pass_id")
    }

    /// Returns a 404: the registration is not known, or was removed long ago.
    #[must_use]
    pub fn registration_not_found() -> Self {
        Self::not_known(ErrorCode::RegistrationNotFound, "the registration is not known", "registration_id")
    }

    /// Returns a 405 with the methods that the path accepts.
    #[must_use]
    pub fn method_not_allowed(allow: &str) -> Self {
        let message = format!("this path accepts {allow}");
        Self { header: Header::Allow(allow.to_owned()), ..Self::new(ErrorCode::MethodNotAllowed, message) }
    }

    /// Returns a 409: the registration was removed at this instant, at or after the `created_at` of the request.
    #[must_use]
    pub fn registration_removed(removed_at: Timestamp) -> Self {
        let expected = format_args!("expected an instant after the removal at {removed_at}");
        let errors = FieldErrors::of("created_at", expected);
        Self::with_fields(ErrorCode::RegistrationRemoved, "the registration was removed", errors)
    }

    /// Returns a 413: the body has more than `max` bytes.
    #[must_use]
    pub fn body_too_large(max: usize) -> Self {
        let errors = FieldErrors::of("body", format_args!("expected at most {max} bytes"));
        Self::with_fields(ErrorCode::BodyTooLarge, "body too large", errors)
    }

    /// Returns a 415: the `Content-Type` is missing, is not JSON or names another charset than UTF-8.
    #[must_use]
    pub fn unsupported_media_type() -> Self {
        let errors = FieldErrors::of("Content-Type", "expected application/json, in UTF-8");
        Self::with_fields(ErrorCode::UnsupportedMediaType, "unsupported media type", errors)
    }

    /// Returns a 415: the `Content-Encoding` is this one, which is not supported.
    #[must_use]
    pub fn unsupported_encoding(encoding: &str) -> Self {
        let errors = FieldErrors::of("Content-Encoding", format_args!("expected gzip or none, found {encoding}"));
        Self::with_fields(ErrorCode::UnsupportedMediaType, "unsupported encoding", errors)
    }

    /// Returns a 415: the body is compressed, but API Gateway passed it on as text, which destroys it.
    #[must_use]
    pub fn compressed_text() -> Self {
        let expected = "expected none, because the gateway passed the body on as text; with gzip, send a Content-Type \
                        such as application/vnd.api+json";
        Self::with_fields(
            ErrorCode::UnsupportedMediaType,
            "unsupported encoding",
            FieldErrors::of("Content-Encoding", expected),
        )
    }

    /// Returns a 422: the body is JSON, but these fields are invalid.
    #[must_use]
    pub fn invalid_body(errors: FieldErrors) -> Self {
        Self::with_fields(ErrorCode::InvalidBody, "invalid body", errors)
    }

    /// Returns a 422: the body has more than `max` events.
    #[must_use]
    pub fn too_many_events(max: usize) -> Self {
        Self::invalid_body(FieldErrors::of("events", format_args!("expected at most {max}")))
    }

    /// Returns the error of a refused event. A wrong campaign type is an invalid field, because the event names it.
    #[must_use]
    pub fn refused_event(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid(errors) => Self::invalid_body(errors),
            Refusal::OtherAccount => Self::campaign_not_found(),
            Refusal::OtherType(_) => Self::invalid_body(FieldErrors::of("campaign_type", refusal)),
            Refusal::RemovedSince(removed_at) => Self::registration_removed(removed_at),
            Refusal::UnknownRegistration => Self::registration_not_found(),
            Refusal::SerialNumberTaken => Self::invalid_body(FieldErrors::of("serial_number", refusal)),
            Refusal::GoogleObjectTaken => Self::invalid_body(FieldErrors::of("google_object_id", refusal)),
        }
    }

    /// Returns a 500 with a cause for the log.
    #[must_use]
    pub fn internal(cause: impl Display) -> Self {
        Self {
            cause: Some(cause.to_string()),
            ..Self::new(ErrorCode::InternalError, "something went wrong on our side; the log has the request id")
        }
    }

    /// Returns a 503 with a cause for the log.
    #[must_use]
    pub fn unavailable(cause: impl Display) -> Self {
        Self {
            header: Header::RetryAfter,
            cause: Some(cause.to_string()),
            ..Self::new(ErrorCode::Unavailable, "the registrations cannot be reached now; try again")
        }
    }

    fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), errors: FieldErrors::default(), header: Header::None, cause: None }
    }

    /// Returns an error whose message lists its fields.
    fn with_fields(code: ErrorCode, problem: &str, errors: FieldErrors) -> Self {
        let message = format!("{problem}: {errors}");
        Self { errors, ..Self::new(code, message) }
    }

    fn not_known(code: ErrorCode, message: &str, field: &str) -> Self {
        Self { errors: FieldErrors::of(field, "is not known"), ..Self::new(code, message) }
    }
}

impl ApiError {
    /// Returns the kind of the error, for programs.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// Returns the description of the error, for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the invalid parameters or fields.
    #[must_use]
    pub fn errors(&self) -> &FieldErrors {
        &self.errors
    }
}

impl FunctionError for ApiError {
    fn status(&self) -> StatusCode {
        self.code.status()
    }

    fn number(&self) -> u16 {
        self.code.number()
    }

    fn name(&self) -> &'static str {
        self.code.as_str()
    }

    fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    fn into_response(self) -> Response {
        let Self { code, message, errors, header, cause: _ } = self;
        let status = code.status();
        let body = ErrorBody {
            status_code: status.as_u16(),
            error_code: code.number(),
            error: code,
            message: &message,
            errors: &errors,
        };
        let mut response = written(status, &body);
        let header = match header {
            Header::None => None,
            Header::Allow(methods) => HeaderValue::try_from(methods).ok().map(|methods| (ALLOW, methods)),
            Header::Authenticate => Some((WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE))),
            Header::RetryAfter => Some((RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS))),
        };
        if let Some((name, value)) = header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

#[expect(clippy::expect_used, reason = "numbers and texts, written into memory, are always JSON")]
fn written(status: StatusCode, body: &ErrorBody<'_>) -> Response {
    crate::json(status, body).expect("an error body is JSON")
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Throttled(_) | StoreError::TooSlow(_) => Self::unavailable(error),
            StoreError::Refused(_) | StoreError::Malformed { .. } => Self::internal(error),
        }
    }
}

/// For a campaign in the path: a campaign of another account or type gets the same 404 as an unknown campaign.
impl From<ClaimError> for ApiError {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Refused(Refusal::OtherType(_)) => Self::campaign_not_found(),
            ClaimError::Refused(refusal) => Self::refused_event(refusal),
            ClaimError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_the_documented_shape() {
        let response = ApiError::campaign_not_found().into_response();
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(
            response.body().text().unwrap(),
            r#"{"status_code":404,"error_code":40401,"error":"campaign_not_found","message":"the campaign is not known","errors":{"campaign_id":["is not known"]}}"#
        );
    }

    #[test]
    fn a_code_has_one_spelling_everywhere() {
        for code in ErrorCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }

    #[test]
    fn the_number_of_an_error_is_unique_and_begins_with_its_status() {
        let mut numbers: Vec<u16> = ErrorCode::ALL.iter().map(|code| code.number()).collect();
        for (code, number) in ErrorCode::ALL.iter().zip(&numbers) {
            assert_eq!((number / 100, number % 100 > 0), (code.status().as_u16(), true), "{code:?}");
        }
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), ErrorCode::ALL.len());
    }

    #[test]
    fn a_cause_is_not_shown_to_the_caller() {
        for temporary in [StoreError::Unavailable, StoreError::Throttled, StoreError::TooSlow] {
            let unavailable = ApiError::from(temporary("10.0.0.7 refused".to_owned()));
            assert!(unavailable.cause().is_some_and(|cause| cause.contains("10.0.0.7")));
            let response = unavailable.into_response();
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(response.headers()[RETRY_AFTER], "1");
            assert!(!response.body().text().unwrap().contains("10.0.0.7"));
        }

        let refused = ApiError::from(StoreError::Refused("no such table: secrets".to_owned())).into_response();
        assert_eq!(refused.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!refused.body().text().unwrap().contains("secrets"));
    }
}
