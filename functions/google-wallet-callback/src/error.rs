//! Why a callback was not applied.
//!
//! Google documents that it repeats callbacks, but not after which statuses ("Use callbacks for saves and deletions").
//! So each status says what is true: a repetition of a 404 or a 503 may succeed, one of a 400 or a 413 cannot.

use api::error::{ApiError, BareError};
use domain::fields::FieldErrors;

use crate::{MAX_BODY_BYTES, keys::NoKeys};

/// 400: the callback is malformed, expired or not signed for an issuer of the account.
pub(crate) fn refused() -> BareError {
    let errors = FieldErrors::of("body", "expected a callback that is signed for an issuer of the account");
    ApiError::invalid_body(errors).into()
}

/// 413: the body is larger than that of any callback.
pub(crate) fn too_large() -> BareError {
    ApiError::body_too_large(MAX_BODY_BYTES).into()
}

/// 404: there is no such account.
pub(crate) fn no_account() -> BareError {
    ApiError::route_not_found().into()
}

/// 404: the object stands for no known pass. The event `created` that names it may still be on its way.
pub(crate) fn unknown_object() -> BareError {
    ApiError::pass_not_found().into()
}

/// 503: the callback cannot be verified now.
pub(crate) fn no_keys(cause: NoKeys) -> BareError {
    ApiError::unavailable(cause).into()
}
