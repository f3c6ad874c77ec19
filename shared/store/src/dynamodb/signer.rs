//! Signs the attempts of a call (AWS IAM user guide, "Create a signed AWS API request", Signature Version 4).
//!
//! The SDK's signer works for each service and each request. A request of DynamoDB is always a `POST` to `/` with the
//! same few headers. So [`Signer`] writes the text to be signed without sorting, encoding or normalising anything,
//! derives the key once a day, and hashes with `ring`. A property test compares its signatures with those of the SDK.

use std::sync::{Mutex, PoisonError};

use aws_sdk_dynamodb::{
    config::{ConfigBag, Credentials, RuntimeComponents},
    error::BoxError,
};
use aws_smithy_runtime_api::client::{
    auth::{AuthScheme, AuthSchemeEndpointConfig, AuthSchemeId, Sign},
    identity::{Identity, IdentityFuture, ResolveIdentity, SharedIdentityResolver},
    orchestrator::HttpRequest,
    runtime_components::GetIdentityResolver,
};
use domain::time::Timestamp;
use ring::{digest, hmac};

use super::clock::Clock;

/// The name under which the orchestrator finds the signer.
pub(super) const SCHEME: AuthSchemeId = AuthSchemeId::new("sigv4");
/// The name of DynamoDB in a signature.
const SERVICE: &str = "dynamodb";

/// Signs the requests of one client.
#[derive(Debug)]
pub(super) struct Signer {
    credentials: Credentials,
    region: String,
    /// The value of the header `host`.
    host: String,
    clock: Clock,
    key_of_day: Mutex<Option<KeyOfDay>>,
}

/// The key for the signatures of one day.
#[derive(Debug, Clone)]
struct KeyOfDay {
    /// For example `20261127`.
    day: String,
    key: hmac::Key,
}

impl Signer {
    /// Returns a signer of requests to `url`, which is the root of its host.
    pub(super) fn new(credentials: Credentials, region: String, url: &str, clock: Clock) -> Self {
        Self { credentials, region, host: host_of(url).to_owned(), clock, key_of_day: Mutex::default() }
    }

    /// Signs the request: sets the headers with the time, the token of the session and the signature.
    fn sign(&self, request: &mut HttpRequest, now: Timestamp) -> Result<(), BoxError> {
        let time = basic_form(now);
        let headers = request.headers_mut();
        headers.try_insert("x-amz-date", time.clone())?;
        if let Some(token) = self.credentials.session_token() {
            headers.try_insert("x-amz-security-token", token.to_owned())?;
        }
        let authorization = self.authorization(request, &time);
        request.headers_mut().try_insert("authorization", authorization)?;
        Ok(())
    }

    /// Returns the value of the header `authorization`.
    fn authorization(&self, request: &HttpRequest, time: &str) -> String {
        let day = time.split('T').next().unwrap_or_default();
        let Self { credentials, region, .. } = self;
        let scope = format!("{day}/{region}/{SERVICE}/aws4_request");
        let (canonical, signed) = self.canonical(request);
        let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", sha256(canonical.as_bytes()));
        let signature = hex::encode(hmac::sign(&self.key_of(day), to_sign.as_bytes()));
        let id = credentials.access_key_id();
        format!("AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={signed}, Signature={signature}")
    }

    /// Returns the request in the canonical form, and the names of the headers in it.
    fn canonical(&self, request: &HttpRequest) -> (String, String) {
        let header = |name| request.headers().get(name);
        // In the order of their names.
        let headers = [
            ("content-type", header("content-type")),
            ("host", Some(self.host.as_str())),
            ("x-amz-date", header("x-amz-date")),
            ("x-amz-security-token", header("x-amz-security-token")),
            ("x-amz-target", header("x-amz-target")),
        ];
        let (mut canonical, mut signed) = (String::from("POST\n/\n\n"), String::new());
        for (name, value) in headers {
            let Some(value) = value else { continue };
            let separator = if signed.is_empty() { "" } else { ";" };
            canonical.extend([name, ":", value, "\n"]);
            signed.extend([separator, name]);
        }
        let body = sha256(request.body().bytes().unwrap_or_default());
        canonical.extend(["\n", &signed, "\n", &body]);
        (canonical, signed)
    }

    /// Returns the key for the signatures of a day. It takes four hashes to derive, so it is kept until the next day.
    fn key_of(&self, day: &str) -> hmac::Key {
        let mut kept = self.key_of_day.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some(KeyOfDay { day: known, key }) if known == day => key.clone(),
            _ => {
                let key = derived_key(self.credentials.secret_access_key(), day, &self.region, SERVICE);
                kept.insert(KeyOfDay { day: day.to_owned(), key }).key.clone()
            }
        }
    }
}

/// Derives the key for the signatures of a day.
fn derived_key(secret: &str, day: &str, region: &str, service: &str) -> hmac::Key {
    let key = |bytes: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, bytes);
    [day, region, service, "aws4_request"].into_iter().fold(key(format!("AWS4{secret}").as_bytes()), |derived, part| {
        key(hmac::sign(&derived, part.as_bytes()).as_ref())
    })
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

/// Returns the instant without punctuation and fractions, for example `20261127T164042Z`.
fn basic_form(instant: Timestamp) -> String {
    let seconds = instant.as_str().split('.').next().unwrap_or_default();
    seconds.chars().filter(char::is_ascii_alphanumeric).chain(['Z']).collect()
}

/// Returns the host of a URL, with the port unless it is the usual one. The HTTP client writes it so too.
fn host_of(url: &str) -> &str {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let host = rest.split('/').next().unwrap_or_default();
    host.strip_suffix(if scheme == "http" { ":80" } else { ":443" }).unwrap_or(host)
}

impl AuthScheme for Signer {
    fn scheme_id(&self) -> AuthSchemeId {
        SCHEME
    }

    fn identity_resolver(&self, resolvers: &dyn GetIdentityResolver) -> Option<SharedIdentityResolver> {
        resolvers.identity_resolver(SCHEME)
    }

    fn signer(&self) -> &dyn Sign {
        self
    }
}

impl Sign for Signer {
    fn sign_http_request(
        &self,
        request: &mut HttpRequest,
        _: &Identity,
        _: AuthSchemeEndpointConfig<'_>,
        _: &RuntimeComponents,
        _: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.sign(request, self.clock.now())
    }
}

/// The identity that the orchestrator asks for: none, because the signer has the credentials.
#[derive(Debug)]
pub(super) struct NoIdentity;

impl ResolveIdentity for NoIdentity {
    fn resolve_identity<'a>(&'a self, _: &'a RuntimeComponents, _: &'a ConfigBag) -> IdentityFuture<'a> {
        IdentityFuture::ready(Ok(Identity::new((), None)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use aws_sigv4::{
        http_request::{SignableBody, SignableRequest, SigningSettings, sign},
        sign::v4,
    };
    use proptest::prelude::*;

    use super::*;

    /// The key that AWS publishes as an example (AWS General Reference, "Examples of how to derive a signing key for
    /// Signature Version 4").
    #[test]
    fn the_key_is_derived_as_in_the_example_of_aws() {
        let key = derived_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20150830", "us-east-1", "iam");
        let expected = hex::decode("c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9").unwrap();
        let signature = |key: &hmac::Key| hmac::sign(key, b"text").as_ref().to_vec();
        assert_eq!(signature(&key), signature(&hmac::Key::new(hmac::HMAC_SHA256, &expected)));
    }

    fn request(url: &str, target: &str, body: &str) -> HttpRequest {
        let mut request = HttpRequest::new(body.to_owned().into());
        request.set_method("POST").unwrap();
        request.set_uri(url.to_owned()).unwrap();
        let headers = [
            ("content-type", "application/x-amz-json-1.0".to_owned()),
            ("x-amz-target", target.to_owned()),
            ("content-length", body.len().to_string()),
        ];
        for (name, value) in headers {
            request.headers_mut().insert(name, value);
        }
        request
    }

    /// Returns the header `authorization` that the SDK makes for the request.
    fn of_the_sdk(request: &HttpRequest, credentials: &Credentials, region: &str, at: i64) -> String {
        let mut settings = SigningSettings::default();
        settings.excluded_headers = Some(vec!["content-length".into(), "authorization".into()]);
        let identity = credentials.clone().into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name("dynamodb")
            .time(UNIX_EPOCH + Duration::from_secs(at.try_into().unwrap()))
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let body = SignableBody::Bytes(request.body().bytes().unwrap());
        let signable = SignableRequest::new(request.method(), request.uri(), request.headers().iter(), body).unwrap();
        let (instructions, _) = sign(signable, &parameters).unwrap().into_parts();
        let (headers, _) = instructions.into_parts();
        let authorization = headers.iter().find(|header| header.name() == "authorization");
        authorization.unwrap().value().to_owned()
    }

    proptest! {
        #[test]
        fn a_request_is_signed_as_the_sdk_signs_it(
            id in "[A-Z0-9]{1,20}",
            secret in "[A-Za-z0-9/+]{1,80}",
            token in prop::option::of("[A-Za-z0-9/+=]{1,900}"),
            region in "[a-z]{2}-[a-z]{4,9}-[1-9]",
            url in prop_oneof![
                "https://dynamodb\\.[a-z]{2}-[a-z]{4,9}-[1-9]\\.amazonaws\\.com/",
                "https?://[a-z]{1,9}(:80|:443|:4566)?/",
            ],
            target in "DynamoDB_20120810\\.[A-Za-z]{1,30}",
            body in ".{0,300}",
            times in prop::collection::vec(0..253_402_207_200_i64, 1..4),
        ) {
            let credentials = Credentials::new(id, secret, token, None, "test");
            let signer = Signer::new(credentials.clone(), region.clone(), &url, Clock::default());
            // The second time of a day finds the key of the day, another day does not.
            for at in times.iter().flat_map(|at| [*at, at ^ 1]) {
                let unsigned = request(&url, &target, &body);
                let mut signed = unsigned.try_clone().unwrap();
                signer.sign(&mut signed, Timestamp::of_unix_seconds(at).unwrap()).unwrap();
                prop_assert_eq!(
                    signed.headers().get("authorization").unwrap(),
                    of_the_sdk(&unsigned, &credentials, &region, at)
                );
            }
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let credentials = Credentials::new("id", "the-secret", Some("the-token".to_owned()), None, "test");
        let signer = Signer::new(credentials, "eu-west-1".to_owned(), "https://localhost", Clock::default());
        let key = signer.key_of("20261127");
        let mut sent = request("https://localhost/", "DynamoDB_20120810.Query", "{}");
        signer.sign(&mut sent, Timestamp::of_unix_seconds(0).unwrap()).unwrap();
        assert_eq!(sent.headers().get("x-amz-security-token"), Some("the-token"));
        let shown = format!("{signer:?} {key:?} {sent:?}");
        assert!(!shown.contains("the-secret") && !shown.contains("the-token"), "{shown}");
    }
}
