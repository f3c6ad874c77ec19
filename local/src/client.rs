//! Sends requests to one server: HTTP/1.1, over TLS if its URL has `https`. It follows no redirect and uses no proxy,
//! so nothing is sent to any other server.

use std::{fmt, io, str::FromStr, sync::Arc, time::Duration};

use http::{
    Request, Response, Uri,
    header::HOST,
    uri::{Authority, Scheme},
};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{self, ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName},
};

/// The largest answer that is read, in bytes. Only passes are larger than some kilobytes.
const MAX_BODY_BYTES: usize = 10 * 1024 * 1024;
/// How long a request may take, from the connection to the end of the answer. API Gateway waits 30 seconds for a
/// function.
const TIMEOUT: Duration = Duration::from_secs(35);

/// The URL of a server: the `webServiceURL` of a pass, or the origin of the passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceUrl {
    is_tls: bool,
    authority: Authority,
    /// Without the slash at its end: passd, WalletPasses and FossWallet put one slash before `v1`, whether or not
    /// the URL ends in one.
    path: String,
}

/// Why a text is not the URL of a web service.
#[derive(Debug, Error)]
#[error("expected http://HOST/PATH or https://HOST/PATH, without user, query and fragment")]
pub struct InvalidUrl;

impl FromStr for ServiceUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        let uri: Uri = text.parse().map_err(|_| InvalidUrl)?;
        let is_tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(InvalidUrl),
        };
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or(InvalidUrl)?;
        if text.contains(['?', '#']) {
            return Err(InvalidUrl);
        }
        let path = uri.path().strip_suffix('/').unwrap_or(uri.path()).to_owned();
        Ok(Self { is_tls, authority: authority.clone(), path })
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { Scheme::HTTPS } else { Scheme::HTTP };
        write!(formatter, "{scheme}://{}{}", self.authority, self.path)
    }
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum HttpError {
    /// An argument cannot be a part of a request.
    #[error("an argument cannot be sent over HTTP: {0}")]
    Unsendable(#[from] http::Error),
    /// The connection could not be opened, or TLS failed.
    #[error("{0} cannot be reached: {1}")]
    Unreachable(ServiceUrl, io::Error),
    /// The system's certificates cannot be used.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The answer is not valid HTTP, or the connection ended before its end.
    #[error("the answer cannot be read: {0}")]
    Unreadable(Box<dyn std::error::Error + Send + Sync>),
    /// The answer is too large.
    #[error("an answer is larger than {MAX_BODY_BYTES} bytes")]
    TooLarge,
    /// The answer took too long.
    #[error("there is no answer within {} seconds", .0.as_secs())]
    TimedOut(Duration),
}

/// Sends requests to one server.
pub(crate) struct Client<'a> {
    service: &'a ServiceUrl,
    tls: Option<TlsConnector>,
    timeout: Duration,
}

impl<'a> Client<'a> {
    /// Reads the system's root certificates if the server has TLS.
    pub(crate) fn new(service: &'a ServiceUrl) -> Result<Self, HttpError> {
        let tls = if service.is_tls { Some(connector()?) } else { None };
        Ok(Self { service, tls, timeout: TIMEOUT })
    }

    /// Limits how long a request may take, from the connection to the end of the answer.
    pub(crate) fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sends a request over a connection of its own. Its URI is what follows the URL of the server: a path that begins
    /// with a slash, and the query.
    pub(crate) async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = self.addressed(request)?;
        tokio::time::timeout(self.timeout, self.send_untimed(request))
            .await
            .unwrap_or(Err(HttpError::TimedOut(self.timeout)))
    }

    /// Adds the path of the server and the header `Host`, which comes first.
    fn addressed(&self, request: Request<Bytes>) -> Result<Request<Full<Bytes>>, HttpError> {
        let ServiceUrl { authority, path, .. } = self.service;
        let (parts, body) = request.into_parts();
        let builder = Request::builder().method(parts.method).uri(format!("{path}{}", parts.uri));
        let mut request = builder.header(HOST, authority.as_str()).body(Full::new(body))?;
        request.headers_mut().extend(parts.headers);
        Ok(request)
    }

    async fn send_untimed(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, HttpError> {
        let unreachable = |error| HttpError::Unreachable(self.service.clone(), error);
        let ServiceUrl { is_tls, authority, .. } = self.service;
        // An IPv6 address has brackets in a URL.
        let host = authority.host().trim_matches(['[', ']']);
        let port = authority.port_u16().unwrap_or(if *is_tls { 443 } else { 80 });
        let stream = TcpStream::connect((host, port)).await.map_err(unreachable)?;
        let Some(tls) = &self.tls else { return send_over(stream, request).await };
        let name = ServerName::try_from(host.to_owned()).map_err(|error| unreachable(io::Error::other(error)))?;
        send_over(tls.connect(name, stream).await.map_err(unreachable)?, request).await
    }
}

/// Trusts what the system trusts; the variable `SSL_CERT_FILE` names other certificates.
fn connector() -> Result<TlsConnector, HttpError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn send_over(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>, HttpError> {
    let unreadable = |error: hyper::Error| HttpError::Unreadable(Box::new(error));
    let handshake = http1::Builder::new().title_case_headers(true).handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(unreadable)?;
    // It ends when `sender` is dropped.
    tokio::spawn(connection);
    let (parts, body) = sender.send_request(request).await.map_err(unreadable)?.into_parts();
    let body = Limited::new(body, MAX_BODY_BYTES).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() { HttpError::TooLarge } else { HttpError::Unreadable(error) }
    })?;
    Ok(Response::from_parts(parts, body.to_bytes()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use tokio::{io::AsyncWriteExt as _, net::TcpListener};

    use super::*;

    /// Sends a request to a server that answers every connection with `answer` and leaves it open.
    async fn send(answer: Vec<u8>, timeout: Duration) -> Result<Response<Bytes>, HttpError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            // The client closes the connection if the answer is too large.
            let _ = stream.write_all(&answer).await;
            std::future::pending::<()>().await;
        });
        let request = Request::get("/v1/log").body(Bytes::new()).unwrap();
        let answer = Client { service: &service, tls: None, timeout }.send(request).await;
        server.abort();
        answer
    }

    #[rstest]
    #[case::nothing("")]
    #[case::half_a_head("HTTP/1.1 200 OK\r\nContent-")]
    #[case::half_a_body("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhalf")]
    #[tokio::test]
    async fn a_server_that_does_not_finish_its_answer_is_given_up(#[case] answer: &str) {
        let answer = send(answer.as_bytes().to_vec(), Duration::from_millis(10)).await;
        assert!(matches!(answer, Err(HttpError::TimedOut(_))), "{answer:?}");
    }

    #[rstest]
    #[case::largest(MAX_BODY_BYTES)]
    #[case::too_large(MAX_BODY_BYTES + 1)]
    #[tokio::test]
    async fn an_answer_is_read_up_to_a_limit(#[case] length: usize) {
        let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
        answer.resize(answer.len() + length, b'x');
        match send(answer, TIMEOUT).await {
            Ok(answer) => assert_eq!((answer.body().len(), length), (length, MAX_BODY_BYTES)),
            Err(error) => assert!(matches!(error, HttpError::TooLarge) && length > MAX_BODY_BYTES, "{error}"),
        }
    }

    #[tokio::test]
    async fn what_is_not_http_is_an_error() {
        let answer = send(b"SSH-2.0-OpenSSH_9.7\r\n".to_vec(), TIMEOUT).await;
        assert!(matches!(answer, Err(HttpError::Unreadable(_))), "{answer:?}");
    }

    #[rstest]
    #[case("https://example.com", "https://example.com")]
    #[case("https://example.com/", "https://example.com")]
    #[case("http://[::1]:4010/wallet/demo/", "http://[::1]:4010/wallet/demo")]
    fn a_slash_at_the_end_of_a_url_changes_nothing(#[case] text: &str, #[case] url: &str) {
        assert_eq!(text.parse::<ServiceUrl>().unwrap().to_string(), url);
    }

    #[rstest]
    #[case("example.com/wallet")]
    #[case("/wallet")]
    #[case("ftp://example.com")]
    #[case("https://user:password@example.com")]
    #[case("https://example.com/?a=b")]
    #[case("https://example.com/#a")]
    #[case("https:///wallet")]
    fn what_is_no_url_of_a_web_service_is_refused(#[case] text: &str) {
        assert!(text.parse::<ServiceUrl>().is_err());
    }
}
