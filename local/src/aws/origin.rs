//! HTTP integrations: passes a request on to the server that the template names, and its answer back.
//!
//! Source: Amazon API Gateway developer guide, "Create HTTP proxy integrations for HTTP APIs" and "Quotas for
//! configuring and running an HTTP API".

use std::collections::BTreeMap;

use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, FORWARDED, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA},
    request::Parts,
};
use hyper::body::Bytes;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tracing::error;
use uuid::Uuid;

use crate::{
    aws::gateway::{own_response, request_id},
    client::{Client, HttpError},
    template::HttpIntegration,
};

/// Headers about one connection, which no proxy passes on (RFC 9110, section 7.6.1), and the length, which follows from
/// the body.
const OF_A_CONNECTION: [HeaderName; 8] = [
    CONNECTION,
    CONTENT_LENGTH,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What a path cannot contain (RFC 3986, section 3.3), in addition to characters that are not ASCII.
const NOT_IN_A_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Passes a request on, as an HTTP API does: without following redirects, and with the answer as it is.
pub(crate) async fn pass_on(
    integration: &HttpIntegration,
    parameters: &BTreeMap<String, String>,
    request: &Parts,
    body: Bytes,
    source_ip: &str,
) -> Response<Vec<u8>> {
    let Some(path) = path(&integration.path, parameters) else {
        return own_response(StatusCode::BAD_REQUEST, "Bad Request");
    };
    let target = match request.uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let mut response = match send(integration, &target, request, body, source_ip).await {
        Ok(answer) => response(&answer),
        // API Gateway answers a timeout with 503 (https://github.com/cortexlabs/cortex/issues/1225).
        Err(error) => {
            error!(%error, "the server of an HTTP integration did not answer");
            own_response(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
        }
    };
    response.headers_mut().extend(request_id(&Uuid::new_v4().to_string()));
    response
}

/// Puts the parameters into the path of an integration. Each is in the decoded form that the gateway has matched.
///
/// Returns `None` if the path would have a segment `.` or `..`, by which a caller could leave the path of the template.
/// Wallets send none, and AWS does not document what API Gateway does with them, so this stack does not pass them on.
fn path(template: &str, parameters: &BTreeMap<String, String>) -> Option<String> {
    let mut path = template.to_owned();
    for (name, value) in parameters {
        path = path.replace(&format!("{{{name}}}"), &encoded(value));
    }
    // Many servers take an encoded dot for a dot (WHATWG URL, "double-dot URL path segment").
    let is_dots = |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    (!path.split('/').any(is_dots)).then_some(path)
}

/// Encodes what a path cannot contain. An encoded character, which a wallet has encoded twice, stays as it is.
fn encoded(value: &str) -> String {
    let text = utf8_percent_encode(value, NOT_IN_A_PATH).to_string();
    let is_hex = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
    let mut parts = text.split('%');
    let mut encoded = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        encoded.push_str(if part.as_bytes().get(..2).is_some_and(is_hex) { "%" } else { "%25" });
        encoded.push_str(part);
    }
    encoded
}

async fn send(
    integration: &HttpIntegration,
    target: &str,
    request: &Parts,
    body: Bytes,
    source_ip: &str,
) -> Result<Response<Bytes>, HttpError> {
    let client = Client::new(&integration.server)?.with_timeout(integration.timeout);
    let mut outgoing = Request::builder().method(&request.method).uri(target).body(body)?;
    let mut headers = end_to_end(&request.headers);
    let host = headers.remove(HOST);
    // `Host` is the server's (https://codewisdom.io/blog/cloud-computing-and-infrastructure-aws-api-gateway-header/).
    // An HTTP API adds `Forwarded`, not `X-Forwarded-For` (https://github.com/expressjs/express/issues/5459), and `Via`.
    let host = host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or_default();
    let forwarded = format!("for={source_ip};host={host};proto=https");
    headers.append(FORWARDED, HeaderValue::try_from(forwarded).map_err(http::Error::from)?);
    headers.append(VIA, HeaderValue::from_static("HTTP/1.1 AmazonAPIGateway"));
    outgoing.headers_mut().extend(headers);
    client.send(outgoing).await
}

fn response(answer: &Response<Bytes>) -> Response<Vec<u8>> {
    let mut response = Response::new(answer.body().to_vec());
    *response.status_mut() = answer.status();
    *response.headers_mut() = end_to_end(answer.headers());
    response
}

/// Returns the headers that are passed on.
fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let named = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named: Vec<_> = named.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase()).collect();
    let is_passed_on =
        |name: &HeaderName| !OF_A_CONNECTION.contains(name) && !named.iter().any(|other| other == name.as_str());
    headers.iter().filter(|(name, _)| is_passed_on(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rstest::rstest;
    use tokio::net::TcpListener;

    use super::*;

    const PATH: &str = "/base/v1/passes/{pass_type}/{serial_number}";

    #[rstest]
    #[case("1", Some("/1"))]
    #[case::with_slashes("a//b/c", Some("/a//b/c"))]
    #[case::another_host("//evil.example/", Some("///evil.example/"))]
    #[case::a_user("@evil.example:80", Some("/@evil.example:80"))]
    #[case::still_encoded("a%2Fb%2f..%2F", Some("/a%2Fb%2f..%2F"))]
    #[case::no_encoding("100%", Some("/100%25"))]
    #[case::no_encoding_of_a_query(
        "a?b#c%zz d\r\né\\{pass_type}",
        Some("/a%3Fb%23c%25zz%20d%0D%0A%C3%A9%5C%7Bpass_type%7D")
    )]
    #[case::dots_in_a_name("..a/b..", Some("/..a/b.."))]
    #[case::dots("..", None)]
    #[case::dots_in_the_middle("a/../../../admin", None)]
    #[case::encoded_dots("a/.%2E/b", None)]
    #[case::one_dot("./a", None)]
    fn a_serial_number_stays_behind_the_path_of_the_template(#[case] value: &str, #[case] expected: Option<&str>) {
        let parameters = [("pass_type", "type"), ("serial_number", value)];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let expected = expected.map(|rest| format!("/base/v1/passes/type{rest}"));
        assert_eq!(path(PATH, &parameters), expected);
    }

    #[tokio::test]
    async fn a_server_that_does_not_answer_in_time_is_unavailable() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let timeout = Duration::from_millis(10);
        let integration = HttpIntegration { server, path: PATH.to_owned(), timeout };
        let (request, ()) = http::Request::new(()).into_parts();
        let answer = pass_on(&integration, &BTreeMap::new(), &request, Bytes::new(), "127.0.0.1").await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.body(), br#"{"message":"Service Unavailable"}"#);
    }
}
