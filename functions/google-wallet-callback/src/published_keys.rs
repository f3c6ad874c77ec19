//! Fetches the root keys that Google publishes.
//!
//! The keys decide who may install and uninstall, so they come only over HTTPS, from exactly the configured address: no
//! redirect is followed. The answer is limited in size and time.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use http::{HeaderMap, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use store::with_causes;
use thiserror::Error;

/// How long fetching may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How many bytes of an answer are read.
const MAX_LENGTH: usize = 64 * 1024;
/// How long keys are used without asking again if the answer does not say it.
const DEFAULT_FRESHNESS: Duration = Duration::from_hours(1);
/// How long keys are used without asking again at least, so that callbacks cannot make a function ask all the time.
const MIN_FRESHNESS: Duration = Duration::from_mins(1);
/// How long keys are used without asking again at most.
const MAX_FRESHNESS: Duration = Duration::from_hours(7 * 24);

/// The address of the published keys: HTTPS, or HTTP on this machine, for the local stack and tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeysUrl(Uri);

/// The error for an address that keys must not come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected an HTTPS URL")]
pub(crate) struct InvalidUrl;

/// A key set, and how long it may be used without asking again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FetchedKeySet {
    /// The key set, as it was sent.
    pub(crate) key_set: String,
    /// How long it is fresh.
    pub(crate) fresh_for: Duration,
}

/// Why the keys could not be fetched. They may be available later.
#[derive(Debug, Error)]
pub(crate) enum FetchError {
    /// The system has no root certificates.
    #[error("the root certificates of the system cannot be loaded")]
    NoRoots,
    /// The server does not answer.
    #[error("the server of the keys does not answer: {0}")]
    Unreachable(String),
    /// There was no answer in time.
    #[error("the server of the keys did not answer within {} seconds", TIMEOUT.as_secs())]
    TooSlow,
    /// The server answered with another status than 200.
    #[error("the server of the keys answered {0}")]
    Status(StatusCode),
    /// The answer is longer than it may be, is not text, or was cut off.
    #[error("the answer of the server of the keys cannot be read: {0}")]
    Unreadable(String),
}

impl FromStr for KeysUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        let url: Uri = text.parse().map_err(|_| InvalidUrl)?;
        let is_local = matches!(url.host(), Some("127.0.0.1" | "localhost" | "[::1]"));
        match url.scheme_str() {
            Some("https") => Ok(Self(url)),
            Some("http") if is_local => Ok(Self(url)),
            _ => Err(InvalidUrl),
        }
    }
}

impl fmt::Display for KeysUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(url) = self;
        write!(formatter, "{url}")
    }
}

/// Fetches the keys. Loads the root certificates of the system only now, because that takes longer than the whole start
/// of a function (decision 3).
pub(crate) async fn fetch(url: &KeysUrl) -> Result<FetchedKeySet, FetchError> {
    fetch_within(TIMEOUT, url).await
}

async fn fetch_within(timeout: Duration, url: &KeysUrl) -> Result<FetchedKeySet, FetchError> {
    tokio::time::timeout(timeout, get(url)).await.unwrap_or(Err(FetchError::TooSlow))
}

async fn get(KeysUrl(url): &KeysUrl) -> Result<FetchedKeySet, FetchError> {
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls()?).https_or_http().enable_http1().build();
    let client = Client::builder(TokioExecutor::new()).build::<_, Empty<&'static [u8]>>(connector);
    let response = client.get(url.clone()).await.map_err(|error| FetchError::Unreachable(with_causes(&error)))?;
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status(response.status()));
    }
    let fresh_for = freshness(response.headers());
    let body = Limited::new(response.into_body(), MAX_LENGTH).collect().await;
    let body = body.map_err(|error| FetchError::Unreadable(error.to_string()))?.to_bytes();
    let key_set = String::from_utf8(body.into()).map_err(|error| FetchError::Unreadable(error.to_string()))?;
    Ok(FetchedKeySet { key_set, fresh_for })
}

fn tls() -> Result<ClientConfig, FetchError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(FetchError::NoRoots);
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().map_err(|_| FetchError::NoRoots)?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// Returns how long an answer is fresh: its `max-age` less its `Age` (RFC 9111, sections 4.2.1 and 4.2.3), within our
/// bounds.
fn freshness(headers: &HeaderMap) -> Duration {
    let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok()).unwrap_or_default();
    let mut directives = text(header::CACHE_CONTROL).split(',').map(str::trim);
    let max_age = directives.find_map(|directive| {
        let (name, value) = directive.split_once('=')?;
        name.eq_ignore_ascii_case("max-age").then(|| value.trim_matches('"').parse().ok()).flatten()
    });
    let age = text(header::AGE).trim().parse().unwrap_or(0);
    let fresh = max_age.map_or(DEFAULT_FRESHNESS, |seconds: u64| Duration::from_secs(seconds.saturating_sub(age)));
    fresh.clamp(MIN_FRESHNESS, MAX_FRESHNESS)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// Starts a server that answers each request with `answer`, and returns its address.
    async fn server(answer: impl Into<Vec<u8>>) -> KeysUrl {
        let answer = answer.into();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let _ = connection.read(&mut [0; 1024]).await;
                let _ = connection.write_all(&answer).await;
            }
        });
        format!("http://{address}/keys").parse().unwrap()
    }

    fn answer(head: &str, body: &str) -> String {
        format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    }

    #[tokio::test]
    async fn the_key_set_comes_as_it_was_sent_and_is_fresh_as_long_as_it_says() {
        let url = server(answer("200 OK\r\nCache-Control: public, max-age=600\r\nAge: 100", "{\"keys\": []}")).await;
        let expected = FetchedKeySet { key_set: "{\"keys\": []}".to_owned(), fresh_for: Duration::from_secs(500) };
        assert_eq!(fetch(&url).await.unwrap(), expected);
    }

    #[rstest]
    #[case::another_status(answer("404 Not Found", "{}"), "answered 404 Not Found")]
    #[case::a_redirect(answer("302 Found\r\nLocation: https://example.org/", ""), "answered 302 Found")]
    #[case::too_long(answer("200 OK", &"x".repeat(64 * 1024 + 1)), "length limit exceeded")]
    #[case::cut_off("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx".to_owned(), "cannot be read")]
    #[case::no_http("hello".to_owned(), "does not answer")]
    #[tokio::test]
    async fn an_answer_that_cannot_be_used_is_an_error(#[case] answer: String, #[case] expected: &str) {
        let error = fetch(&server(answer).await).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[tokio::test]
    async fn a_silent_server_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let error = fetch_within(Duration::from_millis(20), &url).await.unwrap_err();
        assert!(matches!(error, FetchError::TooSlow), "{error}");
    }

    #[rstest]
    #[case("https://pay.google.com/gp/m/issuer/keys", true)]
    #[case("http://127.0.0.1:4020/keys", true)]
    #[case("http://localhost/keys", true)]
    #[case("http://pay.google.com/gp/m/issuer/keys", false)]
    #[case("http://localhost.example.org/keys", false)]
    #[case("file:///keys", false)]
    #[case("pay.google.com", false)]
    #[case("", false)]
    fn keys_come_only_over_https_or_from_this_machine(#[case] url: &str, #[case] is_allowed: bool) {
        assert_eq!(url.parse::<KeysUrl>().is_ok(), is_allowed);
    }

    #[rstest]
    #[case("", "", DEFAULT_FRESHNESS)]
    #[case("private, MAX-AGE=\"90\"", "", Duration::from_secs(90))]
    #[case("max-age=90", "20", Duration::from_secs(70))]
    #[case("max-age=90", "80", MIN_FRESHNESS)]
    #[case("max-age=90", "100", MIN_FRESHNESS)]
    #[case("max-age=90", "x", Duration::from_secs(90))]
    #[case("max-age=99999999999", "", MAX_FRESHNESS)]
    fn an_answer_says_how_long_it_is_fresh(#[case] control: &str, #[case] age: &str, #[case] expected: Duration) {
        let values = [(header::CACHE_CONTROL, control), (header::AGE, age)];
        let headers = values.into_iter().filter(|(_, value)| !value.is_empty());
        let headers = headers.map(|(name, value)| (name, value.parse().unwrap())).collect();
        assert_eq!(freshness(&headers), expected);
    }
}
