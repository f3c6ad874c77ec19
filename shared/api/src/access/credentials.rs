//! Credentials: `Authorization` as HTTP Basic (user name or account id, and key), as `Bearer <key>`, or as the bare
//! key.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use domain::account::{ApiKey, KeyId, KeyRecord};
use http::header::AUTHORIZATION;
use lambda_http::Request;

/// The credentials in a request, not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    /// The user name in HTTP Basic. It must be the user name or the id of the key's account.
    user_name: Option<String>,
    key: ApiKey,
}

impl Credentials {
    /// Returns the credentials of a request, or `None` if it does not have exactly one `Authorization` in a documented
    /// form.
    pub(super) fn of(request: &Request) -> Option<Self> {
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

    /// Returns the id of the key, by which it is looked up.
    pub(super) fn key_id(&self) -> KeyId {
        self.key.id()
    }

    /// Returns whether the user name, if there is one, is the user name or the id of the key's account.
    pub(super) fn fit(&self, known: &KeyRecord) -> bool {
        let names = [known.user_name.as_str(), known.account_id.as_str()];
        self.user_name.as_ref().is_none_or(|user_name| names.contains(&user_name.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use domain::account::Access;
    use lambda_http::Body;
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn parse(header: &[u8]) -> Option<Credentials> {
        let mut request = Request::new(Body::Empty);
        request.headers_mut().insert(AUTHORIZATION, http::HeaderValue::from_bytes(header).ok()?);
        Credentials::of(&request)
    }

    #[rstest]
    #[case("Basic ZGVtbzprZXk=", Some("demo"), "key")]
    #[case("basic  ZGVtbzprOmV5", Some("demo"), "k:ey")]
    #[case("Bearer key", None, "key")]
    #[case("BEARER key", None, "key")]
    #[case("key", None, "key")]
    fn a_key_comes_in_three_forms(#[case] header: &str, #[case] user_name: Option<&str>, #[case] key: &str) {
        let expected = Credentials { user_name: user_name.map(str::to_owned), key: ApiKey::claimed(key) };
        assert_eq!(parse(header.as_bytes()), Some(expected));
    }

    #[test]
    fn the_user_name_is_that_of_the_keys_account_or_its_id() {
        let key = ApiKey::claimed("key");
        let known = KeyRecord {
            id: key.id(),
            account_id: "acme-1".parse().unwrap(),
            user_name: "Acme".parse().unwrap(),
            access: Access::ReadOnly,
            issued_at: "2016-11-09T11:09:00Z".parse().unwrap(),
            last_four: String::new(),
            revoked_at: None,
        };
        for (user_name, fits) in
            [(None, true), (Some("Acme"), true), (Some("acme-1"), true), (Some("acme"), false), (Some(""), false)]
        {
            let credentials = Credentials { user_name: user_name.map(str::to_owned), key: key.clone() };
            assert_eq!(credentials.fit(&known), fits, "{user_name:?}");
        }
    }

    #[rstest]
    #[case("")]
    #[case("Basic ZGVtbw==")]
    #[case("Basic %%%")]
    #[case("Basic /w==")]
    #[case("Digest key")]
    fn other_headers_contain_no_credentials(#[case] header: &str) {
        assert_eq!(parse(header.as_bytes()), None);
    }

    #[test]
    fn a_missing_and_a_repeated_header_contain_no_credentials() {
        let mut request = Request::new(Body::Empty);
        assert_eq!(Credentials::of(&request), None);
        for _ in 0..2 {
            request.headers_mut().append(AUTHORIZATION, http::HeaderValue::from_static("key"));
        }
        assert_eq!(Credentials::of(&request), None);
    }

    proptest! {
        #[test]
        fn no_header_panics_and_no_key_is_shown(header in prop::collection::vec(any::<u8>(), 0..64)) {
            let shown = parse(&header).map(|credentials| format!("{:?}", credentials.key));
            prop_assert!(shown.is_none_or(|shown| shown == "ApiKey(…)"));
        }
    }
}
