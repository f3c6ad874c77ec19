//! The page at `/docs`, which shows the contract. Only the local stack has this page. It loads nothing from other
//! servers.

use std::sync::Arc;

use api::route::Route;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION},
};
use utoipa_swagger_ui::Config;

/// The path of the page.
pub const PATH: &str = "/docs";

/// Makes browsers enforce that the page loads nothing from other servers.
const POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:");

/// Returns the page or one of its files, or `None` if `path` names neither.
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
    let config = Config::new([Route::Contract.path()]).validator_url("none").use_base_layout();
    let file = utoipa_swagger_ui::serve(file, Arc::new(config)).ok()??;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::try_from(file.content_type).ok()?);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, POLICY);
    *response.body_mut() = file.bytes.into_owned();
    Some(response)
}
