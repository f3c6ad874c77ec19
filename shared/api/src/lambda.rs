//! Runs a handler as a Lambda function behind API Gateway.
//!
//! [`service`] makes an event safe to parse, answers 503 before Lambda's deadline, writes the log lines of the request
//! and puts the response into API Gateway's envelope, with the headers that every answer has.

use std::{borrow::Cow, collections::BTreeMap, convert::Infallible, future::Future, time::Duration};

use domain::time::{self, Timestamp};
use lambda_http::{LambdaEvent, Request, RequestExt as _, request::LambdaRequest, service_fn, tower::Service};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use process::deadline;
use serde::{Serialize, Serializer};
use store::StoreError;

use crate::{Body, Response, error::FunctionError, request_log::RequestLog};

/// The headers of every answer that does not set them itself.
///
/// Answers depend on the caller's key, and a cache may store even a 404 or a 308 unless a header forbids it (RFC 9111,
/// section 4.2.2). Browsers must not guess another content type (Fetch standard, "X-Content-Type-Options"), or send a
/// key without TLS (RFC 6797; a browser ignores the header of the local stack, which has no TLS).
const DEFAULT_HEADERS: [(&str, &str); 3] = [
    ("cache-control", "private, no-store"),
    ("strict-transport-security", "max-age=31536000"),
    ("x-content-type-options", "nosniff"),
];

/// The characters that a query must not contain unencoded (RFC 3986); `lambda_http` panics on them.
const ILLEGAL_IN_QUERY: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A function behind API Gateway.
pub trait HttpFunction: Clone + Send + Sync + 'static {
    /// The error that the function returns.
    type Error: FunctionError;

    /// Prepares the function while Lambda starts the process, before any caller waits for it.
    fn warm_up(&self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Answers one request, which arrived at `now`.
    fn handle(&self, request: Request, now: Timestamp) -> impl Future<Output = Result<Response, Self::Error>> + Send;
}

/// Runs a function as a Lambda process, which answers one request at a time for as long as it lives.
///
/// # Errors
///
/// If the Lambda Runtime API does not answer.
pub async fn run(function: impl HttpFunction) -> Result<(), lambda_http::Error> {
    function.warm_up().await;
    // A task that is woken runs at once. Before Tokio polls the future of `main` again, it asks the system for events:
    // three calls more for a page (counted with strace).
    tokio::spawn(lambda_http::lambda_runtime::run(service(function))).await?
}

/// Returns a function as the service that `lambda_runtime::run` and the local stack call with API Gateway's events.
///
/// Only the service writes a request's log line. If the request failed, the line includes the cause.
pub fn service(
    function: impl HttpFunction,
) -> impl Service<LambdaEvent<LambdaRequest>, Response: Serialize + Send, Error = Infallible, Future: Send> {
    service_fn(move |event: LambdaEvent<LambdaRequest>| {
        let function = function.clone();
        async move {
            let LambdaEvent { payload, context } = event;
            let mut request = Request::from(legal(payload)).with_lambda_context(context);
            let log = RequestLog::begin(&mut request);
            let time_left = time_left(&request);
            // Each call to the table has its own timeout, but several calls in a row can still take too long.
            let answer = match tokio::time::timeout(time_left, Box::pin(function.handle(request, time::now()))).await {
                Ok(answer) => answer,
                Err(_) => Err(StoreError::Unavailable(format!("there was no answer within {time_left:?}")).into()),
            };
            log.answered(&answer);
            Ok::<_, Infallible>(InEnvelope(answer.unwrap_or_else(FunctionError::into_response)))
        }
    })
}

/// A response that is serialised in its envelope. `lambda_http` has one, too, but would escape the body again.
struct InEnvelope(Response);

/// API Gateway's envelope (API Gateway developer guide, "Lambda function response for format 2.0").
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    status_code: u16,
    headers: BTreeMap<&'a str, Cow<'a, str>>,
    body: &'a Body,
    is_base64_encoded: bool,
}

impl Serialize for InEnvelope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(response) = self;
        let defaults = DEFAULT_HEADERS.map(|(name, value)| (name, Cow::Borrowed(value)));
        let own = response.headers().iter();
        let own = own.map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())));
        let envelope = Envelope {
            status_code: response.status().as_u16(),
            headers: defaults.into_iter().chain(own).collect(),
            body: response.body(),
            is_base64_encoded: false,
        };
        envelope.serialize(serializer)
    }
}

/// Returns how long an answer may take: until shortly before Lambda's deadline.
#[must_use]
pub fn time_left(request: &Request) -> Duration {
    deadline::time_left(request.lambda_context_ref().map_or(0, |context| context.deadline))
}

/// Makes an event safe for `lambda_http`, which panics on a query or a host that cannot be part of a URI. Encodes the
/// query and removes the host, because no response uses it.
fn legal(event: LambdaRequest) -> LambdaRequest {
    match event {
        LambdaRequest::ApiGatewayV2(mut event) => {
            event.raw_query_string =
                event.raw_query_string.map(|query| utf8_percent_encode(&query, ILLEGAL_IN_QUERY).to_string());
            event.headers.remove(http::header::HOST);
            event.request_context.domain_name = None;
            LambdaRequest::ApiGatewayV2(event)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use http::StatusCode;
    use lambda_http::Context;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::error::ApiError;

    /// Returns a context whose deadline is `time` from now.
    fn context(time: Duration) -> Context {
        let mut context = Context::default();
        let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + time;
        context.deadline = end.as_millis().try_into().unwrap();
        context
    }

    /// A function that never answers.
    #[derive(Clone)]
    struct Silent;

    impl HttpFunction for Silent {
        type Error = ApiError;

        async fn handle(&self, _: Request, _: Timestamp) -> Result<Response, ApiError> {
            std::future::pending().await
        }
    }

    #[test]
    fn a_function_that_takes_too_long_answers_503_before_its_deadline() {
        let answer = answer(Silent, deadline::ANSWER_MARGIN + Duration::from_millis(20), "/", "", &[]);
        assert_eq!((&answer["statusCode"], &answer["headers"]["retry-after"]), (&json!(503), &json!("1")));
    }

    /// A function that sets one of the default headers itself.
    #[derive(Clone)]
    struct Cached;

    impl HttpFunction for Cached {
        type Error = ApiError;

        async fn handle(&self, _: Request, _: Timestamp) -> Result<Response, ApiError> {
            let mut response = Response::default();
            response.headers_mut().insert(http::header::CACHE_CONTROL, http::HeaderValue::from_static("public"));
            Ok(response)
        }
    }

    #[test]
    fn a_function_may_set_a_default_header_itself() {
        let headers = &answer(Cached, HOUR, "/", "", &[])["headers"];
        assert_eq!(
            (&headers["cache-control"], &headers["x-content-type-options"]),
            (&json!("public"), &json!("nosniff"))
        );
        assert_eq!(echo("")["headers"]["cache-control"], "private, no-store");
        assert_eq!(echo("%FF")["headers"]["cache-control"], "private, no-store", "an error");
    }

    /// A function that answers with the parameters of the query.
    #[derive(Clone)]
    struct Echo;

    impl HttpFunction for Echo {
        type Error = ApiError;

        async fn handle(&self, request: Request, _: Timestamp) -> Result<Response, ApiError> {
            let parameters = crate::query::parameters(&request)?;
            crate::json(StatusCode::OK, &parameters)
        }
    }

    /// Returns the function's answer to an API Gateway event with the caller's path, query and headers.
    fn answer(
        function: impl HttpFunction,
        time: Duration,
        path: &str,
        query: &str,
        headers: &[(String, String)],
    ) -> Value {
        let headers: serde_json::Map<String, Value> =
            headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let event = json!({
            "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query, "headers": headers,
            "requestContext": {
                "http": {"method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "x"},
                "routeKey": "$default", "stage": "$default", "timeEpoch": 0,
            },
            "isBase64Encoded": false,
        });
        let event: LambdaRequest = serde_json::from_str(&event.to_string()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let answer = runtime.block_on(service(function).call(LambdaEvent::new(event, context(time))));
        let Ok(answer) = answer;
        serde_json::to_value(&answer).unwrap()
    }

    const HOUR: Duration = Duration::from_hours(1);

    fn echo(query: &str) -> Value {
        answer(Echo, HOUR, "/", query, &[])
    }

    proptest! {
        #[test]
        fn no_request_makes_the_service_fail(
            path in "(/.{0,20}){1,3}",
            query in ".{0,40}",
            host in "[ -~]{0,20}",
            scheme in "[ -~]{0,9}",
        ) {
            let headers = [("host".to_owned(), host), ("x-forwarded-proto".to_owned(), scheme)];
            let answer = answer(Echo, HOUR, &path, &query, &headers);
            prop_assert!(matches!(answer["statusCode"].as_u64(), Some(200 | 400)), "{}", answer);
        }

        #[test]
        fn a_raw_query_means_the_same_as_its_encoded_form(value in "[ -~&&[^%&+]]{0,20}") {
            let encoded = crate::query::query_string(&[("name".to_owned(), value.clone())]);
            let (raw, encoded) = (echo(&format!("name={value}")), echo(&encoded));
            prop_assert_eq!(&raw["body"], &encoded["body"]);
        }
    }
}
