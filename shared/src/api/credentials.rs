//! Who asks: `Authorization` as HTTP Basic (user name and key), as `Bearer <key>`, or as the bare key.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::header::AUTHORIZATION;
use lambda_http::Request;

use super::{
    error::{ApiError, ErrorCode},
    log::RequestLog,
};
use crate::{
    account::{Access, ApiKey, Caller},
    clock::Timestamp,
    store::RegistrationStore,
};

/// What a caller claims.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Credentials {
    /// In HTTP Basic, the name that must go with the key.
    user_name: Option<String>,
    key: ApiKey,
}

/// Refuses a request without credentials before anything is read for it.
///
/// # Errors
///
/// 401.
pub fn are_given(request: &Request) -> Result<(), ApiError> {
    Credentials::read(request).map(|_| ()).ok_or_else(ApiError::unauthorized)
}

/// Who asks, where the key is good.
///
/// # Errors
///
/// 401, the same whatever was wrong.
pub async fn caller(store: &RegistrationStore, request: &Request, now: Timestamp) -> Result<Caller, ApiError> {
    let Credentials { user_name, key } = Credentials::read(request).ok_or_else(ApiError::unauthorized)?;
    let known = store.key(key.id(), now).await?.ok_or_else(ApiError::unauthorized)?;
    if user_name.is_some_and(|user_name| user_name != known.user_name.as_str()) {
        return Err(ApiError::unauthorized());
    }
    RequestLog::account(request, &known.account_id);
    Ok(Caller { account_id: known.account_id, access: known.access })
}

/// Who asks, where the key is good and may write.
///
/// # Errors
///
/// 401, and 403 where the key may only read.
pub async fn writer(store: &RegistrationStore, request: &Request, now: Timestamp) -> Result<Caller, ApiError> {
    let caller = caller(store, request, now).await?;
    match caller.access {
        Access::ReadWrite => Ok(caller),
        Access::ReadOnly => Err(ApiError::new(ErrorCode::Forbidden, "this key may only read")),
    }
}

impl Credentials {
    fn read(request: &Request) -> Option<Self> {
        let mut headers = request.headers().get_all(AUTHORIZATION).iter();
        let header = headers.next().filter(|_| headers.next().is_none())?.to_str().ok()?.trim();
        let Some((scheme, rest)) = header.split_once(' ') else {
            return (!header.is_empty()).then(|| Self { user_name: None, key: ApiKey::claimed(header) });
        };
        let rest = rest.trim_start();
        match scheme.to_ascii_lowercase().as_str() {
            "bearer" => Some(Self { user_name: None, key: ApiKey::claimed(rest) }),
            "basic" => {
                let decoded = String::from_utf8(BASE64_STANDARD.decode(rest).ok()?).ok()?;
                let (user_name, key) = decoded.split_once(':')?;
                Some(Self { user_name: Some(user_name.to_owned()), key: ApiKey::claimed(key) })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use lambda_http::Body;
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn read(header: &[u8]) -> Option<Credentials> {
        let mut request = Request::new(Body::Empty);
        request.headers_mut().insert(AUTHORIZATION, http::HeaderValue::from_bytes(header).ok()?);
        Credentials::read(&request)
    }

    #[rstest]
    #[case("Basic ZGVtbzprZXk=", Some("demo"), "key")]
    #[case("basic  ZGVtbzprOmV5", Some("demo"), "k:ey")]
    #[case("Bearer key", None, "key")]
    #[case("BEARER key", None, "key")]
    #[case("key", None, "key")]
    fn a_key_comes_in_three_forms(#[case] header: &str, #[case] user_name: Option<&str>, #[case] key: &str) {
        let expected = Credentials { user_name: user_name.map(str::to_owned), key: ApiKey::claimed(key) };
        assert_eq!(read(header.as_bytes()), Some(expected));
    }

    #[rstest]
    #[case("")]
    #[case("Basic ZGVtbw==")]
    #[case("Basic %%%")]
    #[case("Basic /w==")]
    #[case("Digest key")]
    fn anything_else_is_none(#[case] header: &str) {
        assert_eq!(read(header.as_bytes()), None);
    }

    #[test]
    fn no_header_and_two_headers_are_none() {
        let mut request = Request::new(Body::Empty);
        assert_eq!(Credentials::read(&request), None);
        for _ in 0..2 {
            request.headers_mut().append(AUTHORIZATION, http::HeaderValue::from_static("key"));
        }
        assert_eq!(Credentials::read(&request), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_no_key_is_shown(header in prop::collection::vec(any::<u8>(), 0..64)) {
            let shown = read(&header).map(|credentials| format!("{:?}", credentials.key));
            prop_assert!(shown.is_none_or(|shown| shown == "ApiKey(…)"));
        }
    }
}
