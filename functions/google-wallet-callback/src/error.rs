//! Errors, as Google gets them: a status without a body.

use api::{
    Response, bare,
    error::{ApiError, ErrorCode, FunctionError},
};
use http::StatusCode;
use store::StoreError;

use crate::keys::NoKeys;

/// Why a callback was not applied.
///
/// Google documents that it repeats callbacks, but not after which statuses ("Use callbacks for saves and deletions").
/// So each status says what is true: a repetition of a 404 or a 503 may succeed, one of a 400 or a 413 cannot.
#[derive(Debug, Clone)]
pub struct CallbackError {
    status: StatusCode,
    code: ErrorCode,
    cause: Option<String>,
}

impl CallbackError {
    /// 400: the callback is malformed, expired or not signed for an issuer of the account.
    pub(crate) fn refused() -> Self {
        Self { status: StatusCode::BAD_REQUEST, ..Self::new(ErrorCode::InvalidBody) }
    }

    /// 413: the body is larger than that of any callback.
    pub(crate) fn too_large() -> Self {
        Self::new(ErrorCode::BodyTooLarge)
    }

    /// 404: there is no such account.
    pub(crate) fn no_account() -> Self {
        Self::new(ErrorCode::RouteNotFound)
    }

    /// 404: the object stands for no known pass. The event `created` that names it may still be on its way.
    pub(crate) fn unknown_object() -> Self {
        Self::new(ErrorCode::PassNotFound)
    }

    fn new(code: ErrorCode) -> Self {
        Self { status: code.status(), code, cause: None }
    }
}

impl From<NoKeys> for CallbackError {
    fn from(error: NoKeys) -> Self {
        Self { cause: Some(error.to_string()), ..Self::new(ErrorCode::Unavailable) }
    }
}

impl From<StoreError> for CallbackError {
    fn from(error: StoreError) -> Self {
        let error = ApiError::from(error);
        Self { cause: error.cause().map(str::to_owned), ..Self::new(error.code()) }
    }
}

impl FunctionError for CallbackError {
    fn status(&self) -> StatusCode {
        self.status
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
        bare(self.status)
    }
}
