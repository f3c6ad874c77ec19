//! Errors, as wallets understand them: a status without a body.

use std::fmt::Display;

use api::{
    Response, bare,
    error::{ApiError, FunctionError},
};
use domain::fields::FieldErrors;
use http::StatusCode;
use store::StoreError;

/// The error of a call. For the log it is one of the API's errors; the wallet gets only its status.
#[derive(Debug, Clone)]
pub struct WalletError(ApiError);

impl WalletError {
    /// 401: the pass is unknown, or the token is not the pass's.
    pub(crate) fn unauthorized() -> Self {
        Self(ApiError::unauthorized())
    }

    /// 404: no such call.
    pub(crate) fn not_found() -> Self {
        Self(ApiError::route_not_found())
    }

    /// 400: the body is not JSON, or a value is beyond its limit.
    pub(crate) fn malformed(expected: impl Display) -> Self {
        Self(ApiError::invalid_body(FieldErrors::of("body", expected)))
    }
}

impl From<ApiError> for WalletError {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl From<StoreError> for WalletError {
    fn from(error: StoreError) -> Self {
        Self(error.into())
    }
}

impl FunctionError for WalletError {
    /// 400 instead of 422: the devices know no other status for a bad request.
    fn status(&self) -> StatusCode {
        match self.0.status() {
            StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
            status => status,
        }
    }

    fn number(&self) -> u16 {
        self.0.number()
    }

    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn cause(&self) -> Option<&str> {
        self.0.cause()
    }

    fn into_response(self) -> Response {
        bare(self.status())
    }
}
