//! `/docs`: a page that shows the contract. The local stack alone has it; it loads nothing from elsewhere.

use std::sync::Arc;

use http::{
    HeaderValue, Response, StatusCode,
    header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION},
};
use shared::api::route;
use utoipa_swagger_ui::Config;

/// Where the page is.
pub const PATH: &str = "/docs";

/// Holds the page to what its documentation promises.
const POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:");

/// The page or a file of it, where `path` names one.
#[must_use]
pub fn answer(path: &str) -> Option<Response<Vec<u8>>> {
    let mut response = Response::new(Vec::new());
    let file = match path.strip_prefix(PATH)? {
        "" => {
            *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
            response.headers_mut().insert(LOCATION, HeaderValue::from_static("/docs/"));
            return Some(response);
        }
        file => file.strip_prefix('/')?,
    };
    let config = Config::new([route::CONTRACT.path]).validator_url("none").use_base_layout();
    let file = utoipa_swagger_ui::serve(file, Arc::new(config)).ok()??;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::try_from(file.content_type).ok()?);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, POLICY);
    *response.body_mut() = file.bytes.into_owned();
    Some(response)
}
