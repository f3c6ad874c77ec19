//! The HTTP server, and the front that stands in for API Gateway.
//!
//! A [`Front`] answers requests, and [`serve`] serves it on a port. The other fronts stand in for the APIs of SQS
//! ([`sqs`](super::sqs)), Lambda ([`lambda`](super::lambda)) and DynamoDB ([`dynamodb`](super::dynamodb)).

mod accept;

use std::{convert::Infallible, future::Future, net::SocketAddr, sync::Arc, time::Duration};

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulConnection, GracefulShutdown},
};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::watch,
};
use tracing::error;

use self::accept::Acceptor;
use crate::{
    aws::{
        gateway::{self, Gateway, MAX_HEAD_BYTES, MAX_PAYLOAD_BYTES},
        local_only, origin,
    },
    functions::Functions,
    pages::{docs, home::HomePage},
    template::Integration,
};

/// How long a server waits for a whole body. It waits as long for a whole head, which is hyper's default.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long API Gateway waits for a function.
const INTEGRATION_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a stopping server waits for requests under way.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// Answers the requests of one port.
pub trait Front: Send + Sync + 'static {
    /// The largest body that is accepted, in bytes. The default is API Gateway's.
    const MAX_BODY_BYTES: usize = 10 * 1024 * 1024;

    /// Answers a request whose body has been read.
    fn answer(
        &self,
        request: http::request::Parts,
        body: Bytes,
        caller: SocketAddr,
    ) -> impl Future<Output = Response<Vec<u8>>> + Send;
}

/// API Gateway in front of the functions.
pub struct ApiFront {
    /// The routes.
    pub gateway: Gateway,
    /// The functions.
    pub functions: Functions,
    /// The page at `/`, or `None` to pass requests for it to the functions.
    pub home: Option<HomePage>,
}

impl Front for ApiFront {
    async fn answer(&self, request: http::request::Parts, body: Bytes, caller: SocketAddr) -> Response<Vec<u8>> {
        if gateway::head_size(&request) > MAX_HEAD_BYTES {
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            return gateway::own_response(status, "Request Header Fields Too Large");
        }
        // The start page needs no key, so it is only for this machine.
        let home = self.home.as_ref().filter(|_| local_only::is_local(&request.headers));
        if let (Some(home), &Method::GET, "/") = (home, &request.method, request.uri.path()) {
            return home.answer().await;
        }
        if let Some(response) = docs::answer(request.uri.path()).filter(|_| request.method == Method::GET) {
            return response;
        }
        if let Some(response) = self.gateway.preflight(&request.method, &request.headers) {
            return response;
        }
        let Some(matched) = self.gateway.route(&request.method, request.uri.path()) else {
            return gateway::own_response(StatusCode::NOT_FOUND, "Not Found");
        };
        let Some(path) = gateway::received_path(request.uri.path()) else {
            return gateway::own_response(StatusCode::BAD_REQUEST, "Bad Request");
        };
        let source_ip = caller.ip().to_string();
        let mut response = match matched.integration() {
            Integration::Function(function) => {
                let event = gateway::event(&matched, &request, &path, &body, &source_ip);
                self.invoke(function, event).await
            }
            Integration::Http(integration) => {
                origin::pass_on(integration, matched.parameters(), &request, body, &source_ip).await
            }
        };
        self.gateway.allow_origin(&request.headers, response.headers_mut());
        response
    }
}

impl ApiFront {
    /// Returns the answer of a function to an event.
    async fn invoke(&self, function: &str, event: Value) -> Response<Vec<u8>> {
        if event.to_string().len() > MAX_PAYLOAD_BYTES {
            return gateway::own_response(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
        }
        let request_id = event["requestContext"]["requestId"].as_str().and_then(gateway::request_id);
        let answer = tokio::time::timeout(INTEGRATION_TIMEOUT, self.functions.invoke(function, event)).await;
        let mut response = match answer {
            Err(_) => gateway::own_response(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
            Ok(Ok(answer)) if answer.to_string().len() <= MAX_PAYLOAD_BYTES => {
                gateway::response(answer).unwrap_or_else(internal_server_error)
            }
            Ok(Ok(_)) => internal_server_error(),
            Ok(Err(error)) => {
                error!(%error, function, "a function failed");
                internal_server_error()
            }
        };
        response.headers_mut().extend(request_id);
        response
    }
}

fn internal_server_error() -> Response<Vec<u8>> {
    gateway::own_response(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
}

/// Serves a front until `stopping` becomes true or its sender is dropped, then waits at most five seconds for requests
/// under way to end.
pub async fn serve(listener: TcpListener, front: impl Front, mut stopping: watch::Receiver<bool>) {
    let front = Arc::new(front);
    let connections = GracefulShutdown::new();
    let acceptor = Acceptor::new();
    loop {
        let (stream, caller) = tokio::select! {
            accepted = acceptor.accept(|| listener.accept()) => accepted,
            _ = stopping.wait_for(|stopping| *stopping) => break,
        };
        let connection = connections.watch(connection(stream, Arc::clone(&front), caller, BODY_TIMEOUT));
        tokio::spawn(async move {
            // An error ends only this connection. For example, the caller has closed it, or has sent invalid HTTP.
            let _ = connection.await;
        });
    }
    let _ = tokio::time::timeout(SHUTDOWN_GRACE, connections.shutdown()).await;
}

fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    front: Arc<impl Front>,
    caller: SocketAddr,
    body_timeout: Duration,
) -> impl GracefulConnection<Error = hyper::Error> + Send {
    let service = service_fn(move |request| answer(Arc::clone(&front), request, caller, body_timeout));
    http1::Builder::new()
        .timer(TokioTimer::new())
        // One published client compares the header name `X-Next-Page` case-sensitively.
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service)
}

async fn answer<F: Front>(
    front: Arc<F>,
    request: Request<Incoming>,
    caller: SocketAddr,
    body_timeout: Duration,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (request, body) = request.into_parts();
    let body = Limited::new(body, F::MAX_BODY_BYTES).collect();
    let response = match tokio::time::timeout(body_timeout, body).await {
        Ok(Ok(body)) => front.answer(request, body.to_bytes(), caller).await,
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            gateway::own_response(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large")
        }
        Ok(Err(_)) => gateway::own_response(StatusCode::BAD_REQUEST, "Bad Request"),
        Err(_) => gateway::own_response(StatusCode::REQUEST_TIMEOUT, "Request Timeout"),
    };
    Ok(response.map(|body| Full::new(Bytes::from(body))))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Answers with the length of the body.
    struct Length;

    impl Front for Length {
        async fn answer(&self, _: http::request::Parts, body: Bytes, _: SocketAddr) -> Response<Vec<u8>> {
            Response::new(body.len().to_string().into_bytes())
        }
    }

    /// Sends `request` over a connection whose other end waits `body_timeout` for a body. Returns everything that comes
    /// back until the other end closes the connection.
    async fn exchange(request: &str, body_timeout: Duration) -> String {
        let (mut ours, theirs) = tokio::io::duplex(1024);
        let caller = SocketAddr::from(([127, 0, 0, 1], 1));
        let serving = tokio::spawn(async move {
            let _ = connection(theirs, Arc::new(Length), caller, body_timeout).await;
        });
        ours.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        ours.read_to_string(&mut answer).await.unwrap();
        serving.await.unwrap();
        answer
    }

    #[rstest]
    #[case::of_known_length("Content-Length: 10\r\n\r\nhalf ")]
    #[case::of_unknown_length("Transfer-Encoding: chunked\r\n\r\n5\r\nhalf \r\n")]
    #[tokio::test]
    async fn half_a_body_is_answered_when_its_time_is_up(#[case] rest: &str) {
        let request = format!("POST / HTTP/1.1\r\nHost: localhost\r\n{rest}");
        let answer = exchange(&request, Duration::from_millis(10)).await;
        assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
        assert!(answer.ends_with(r#"{"message":"Request Timeout"}"#), "{answer}");
    }

    #[tokio::test]
    async fn a_whole_body_is_passed_on_and_an_invalid_one_is_refused() {
        let head = "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
        let whole = exchange(&format!("{head}Content-Length: 5\r\n\r\nwhole"), BODY_TIMEOUT).await;
        assert!(whole.starts_with("HTTP/1.1 200 OK\r\n") && whole.ends_with("\r\n\r\n5"), "{whole}");
        let invalid = exchange(&format!("{head}Transfer-Encoding: chunked\r\n\r\nno size\r\n"), BODY_TIMEOUT).await;
        assert!(invalid.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{invalid}");
    }
}
