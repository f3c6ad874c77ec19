//! The one error type and the one place where it becomes the documented JSON.

use http::{
    HeaderValue, StatusCode,
    header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;

use super::Response;
use crate::{
    field::FieldErrors,
    store::{ClaimError, StoreError},
};

/// What a caller should wait before trying again, in seconds.
const RETRY_AFTER_SECONDS: u16 = 1;

/// How a caller may say who it is (RFC 7617).
const CHALLENGE: &str = "Basic realm=\"registrations\", charset=\"UTF-8\"";

/// An answer that is not the one the caller wanted.
#[derive(Debug, Clone)]
pub struct ApiError {
    code: ErrorCode,
    message: String,
    errors: FieldErrors,
    header: Header,
    /// For the log only.
    cause: Option<String>,
}

/// What an error says beside its body.
#[derive(Debug, Clone)]
enum Header {
    None,
    Allow(String),
    RetryAfter,
    Authenticate,
}

/// What went wrong, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "contract", derive(utoipa::ToSchema))]
pub enum ErrorCode {
    /// 400: a part of the path or the query is not what was expected.
    InvalidParameter,
    /// 400: the cursor was altered or belongs to another listing.
    InvalidCursor,
    /// 400: a page that far can be reached by following `Link` only.
    PageTooFar,
    /// 400: too many registrations to order by anything but `created_at`.
    TooManyToSort,
    /// 400: the body is not JSON.
    InvalidJson,
    /// 401: no key, or none that is good.
    Unauthorized,
    /// 403: the key may not do this.
    Forbidden,
    /// 404: no such path.
    RouteNotFound,
    /// 404: the campaign is not known, under this type and to this account.
    CampaignNotFound,
    /// 404: nobody ever heard of the pass.
    PassNotFound,
    /// 404: nobody ever heard of the registration.
    RegistrationNotFound,
    /// 405: the path takes other methods.
    MethodNotAllowed,
    /// 409: the registration was removed later than it is said to have been created.
    RegistrationRemoved,
    /// 413: the body is too large.
    BodyTooLarge,
    /// 415: the body is not declared as JSON.
    UnsupportedMediaType,
    /// 422: the body is JSON, but not what was expected.
    InvalidBody,
    /// 500: our fault.
    InternalError,
    /// 503: the table does not answer.
    Unavailable,
}

impl ErrorCode {
    /// Every error.
    pub const ALL: [Self; 18] = [
        Self::InvalidParameter,
        Self::InvalidCursor,
        Self::PageTooFar,
        Self::TooManyToSort,
        Self::InvalidJson,
        Self::Unauthorized,
        Self::Forbidden,
        Self::RouteNotFound,
        Self::CampaignNotFound,
        Self::PassNotFound,
        Self::RegistrationNotFound,
        Self::MethodNotAllowed,
        Self::RegistrationRemoved,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::InvalidBody,
        Self::InternalError,
        Self::Unavailable,
    ];

    /// The HTTP status.
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

    /// The `error_code` of the body and of the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidParameter => "invalid_parameter",
            Self::InvalidCursor => "invalid_cursor",
            Self::PageTooFar => "page_too_far",
            Self::TooManyToSort => "too_many_to_sort",
            Self::InvalidJson => "invalid_json",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::RouteNotFound => "route_not_found",
            Self::CampaignNotFound => "campaign_not_found",
            Self::PassNotFound => "pass_not_found",
            Self::RegistrationNotFound => "registration_not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RegistrationRemoved => "registration_removed",
            Self::BodyTooLarge => "body_too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::InvalidBody => "invalid_body",
            Self::InternalError => "internal_error",
            Self::Unavailable => "unavailable",
        }
    }
}

/// An answer that is not the one the caller wanted.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "contract", derive(utoipa::ToSchema), schema(as = Error))]
pub struct ErrorBody<'a> {
    /// The HTTP status.
    status_code: u16,
    /// What went wrong, for programs.
    error_code: ErrorCode,
    /// What went wrong, for people.
    message: &'a str,
    /// What went wrong, by parameter or by field of the body, each with what was expected.
    errors: &'a FieldErrors,
}

impl ApiError {
    /// An error about nothing in particular.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), errors: FieldErrors::default(), header: Header::None, cause: None }
    }

    /// An error that names what is wrong.
    #[must_use]
    pub fn with_fields(code: ErrorCode, message: impl Into<String>, errors: FieldErrors) -> Self {
        Self { errors, ..Self::new(code, message) }
    }

    /// 400: the parameter `name` of the path or the query is not what was expected.
    #[must_use]
    pub fn parameter(name: &str, expected: impl std::fmt::Display) -> Self {
        Self::parameters(FieldErrors::of(name, expected))
    }

    /// 400: several parameters are not what was expected.
    #[must_use]
    pub fn parameters(errors: FieldErrors) -> Self {
        let message = format!("invalid parameters: {errors}");
        Self::with_fields(ErrorCode::InvalidParameter, message, errors)
    }

    /// 422: the body is JSON, but not what was expected.
    #[must_use]
    pub fn body(errors: FieldErrors) -> Self {
        let message = format!("invalid body: {errors}");
        Self::with_fields(ErrorCode::InvalidBody, message, errors)
    }

    /// 404: the campaign is not known, whether it does not exist, is of another type or belongs to another account.
    #[must_use]
    pub fn campaign_not_found() -> Self {
        let errors = FieldErrors::of("campaign_id", "is not known");
        Self::with_fields(ErrorCode::CampaignNotFound, "the campaign is not known", errors)
    }

    /// 401, alike to the last byte, whatever was wrong.
    #[must_use]
    pub fn unauthorized() -> Self {
        let message = "expected the user name and API key of an account in Authorization";
        Self { header: Header::Authenticate, ..Self::new(ErrorCode::Unauthorized, message) }
    }

    /// 405, with the methods that the path takes.
    #[must_use]
    pub fn method_not_allowed(allow: &str) -> Self {
        let message = format!("this path takes {allow}");
        Self { header: Header::Allow(allow.to_owned()), ..Self::new(ErrorCode::MethodNotAllowed, message) }
    }

    /// 500, with a cause for the log.
    #[must_use]
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        Self {
            cause: Some(cause.to_string()),
            ..Self::new(ErrorCode::InternalError, "something went wrong on our side; the log knows the request id")
        }
    }

    /// What went wrong, for programs.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// What went wrong, for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What went wrong, by field.
    #[must_use]
    pub fn errors(&self) -> &FieldErrors {
        &self.errors
    }

    /// What the log should know and the caller must not.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// The documented JSON.
    #[must_use]
    pub fn into_response(self) -> Response {
        let Self { code, message, errors, header, cause: _ } = self;
        let status = code.status();
        let body = ErrorBody { status_code: status.as_u16(), error_code: code, message: &message, errors: &errors };
        let mut response = super::json(status, &body).unwrap_or_else(|_| {
            let mut response = Response::default();
            *response.status_mut() = status;
            response
        });
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

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self {
                header: Header::RetryAfter,
                cause: Some(error.to_string()),
                ..Self::new(ErrorCode::Unavailable, "the registrations cannot be reached now; try again")
            },
            StoreError::Refused(_) | StoreError::Malformed { .. } => Self::internal(error),
        }
    }
}

/// A campaign in the path that the caller does not see under this type is not known.
impl From<ClaimError> for ApiError {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::OtherAccount | ClaimError::OtherType(_) => Self::campaign_not_found(),
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
            response.body(),
            r#"{"status_code":404,"error_code":"campaign_not_found","message":"the campaign is not known","errors":{"campaign_id":["is not known"]}}"#
        );
    }

    #[test]
    fn a_code_has_one_spelling_everywhere() {
        for code in ErrorCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }

    #[test]
    fn what_is_inside_stays_inside() {
        let unavailable = ApiError::from(StoreError::Unavailable("10.0.0.7 refused".to_owned()));
        assert!(unavailable.cause().is_some_and(|cause| cause.contains("10.0.0.7")));
        let response = unavailable.into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[RETRY_AFTER], "1");
        assert!(!response.body().contains("10.0.0.7"));

        let refused = ApiError::from(StoreError::Refused("no such table: secrets".to_owned())).into_response();
        assert_eq!(refused.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!refused.body().contains("secrets"));
    }
}
