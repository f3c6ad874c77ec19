//! The errors of the calls.

use std::fmt::Display;

use api::error::{ApiError, BareError};
use domain::fields::FieldErrors;

/// 401: the pass is unknown, or the token is not the pass's.
pub(crate) fn unauthorized() -> BareError {
    ApiError::unauthorized().into()
}

/// 404: no such call.
pub(crate) fn not_found() -> BareError {
    ApiError::route_not_found().into()
}

/// 400: the body is not JSON, or a value is beyond its limit.
pub(crate) fn malformed(expected: impl Display) -> BareError {
    ApiError::invalid_body(FieldErrors::of("body", expected)).into()
}
