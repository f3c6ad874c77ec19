//! Errors for callers that understand only a status: wallets, and Google.

use http::StatusCode;
use store::StoreError;

use super::{ApiError, FunctionError};
use crate::{Response, bare};

/// An error of which the caller gets only the status, without a body. For the log it is one of the API's errors.
///
/// The status is 400 instead of 422: these callers' protocols have no other one for a bad request.
#[derive(Debug, Clone)]
pub struct BareError(ApiError);

impl From<ApiError> for BareError {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl From<StoreError> for BareError {
    fn from(error: StoreError) -> Self {
        Self(error.into())
    }
}

impl FunctionError for BareError {
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

#[cfg(test)]
mod tests {
    use domain::fields::FieldErrors;

    use super::*;

    #[test]
    fn a_caller_gets_only_the_status_and_never_a_422() {
        let invalid = ApiError::invalid_body(FieldErrors::of("body", "expected something else"));
        for (error, expected) in [(invalid, 400), (ApiError::unauthorized(), 401), (ApiError::unavailable("x"), 503)] {
            let number = error.number();
            let bare = BareError::from(error);
            assert_eq!((bare.status().as_u16(), bare.number()), (expected, number));
            let response = bare.into_response();
            assert_eq!(response.status().as_u16(), expected);
            assert_eq!((response.body().text().unwrap(), response.headers().len()), (String::new(), 0));
        }
    }
}
