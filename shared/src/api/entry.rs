//! From the event that Lambda hands over to a handler, and from its result to the answer.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    convert::Infallible,
    future::Future,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use lambda_http::{LambdaEvent, Request, RequestExt as _, request::LambdaRequest, service_fn, tower::Service};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::{Response, error::ApiError, log::RequestLog};
use crate::{
    clock::{self, Timestamp},
    store::StoreError,
};

/// How long before its end a function says that it has no answer, so that the caller hears it from us and not from API Gateway.
const RESPONSE_MARGIN: Duration = Duration::from_secs(2);

/// What a query must not have raw (RFC 3986); `lambda_http` panics on it.
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
    /// What is done while Lambda starts the process, before anybody waits for it.
    fn warm_up(&self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Answers one request that reached us at `now`.
    fn handle(&self, request: Request, now: Timestamp) -> impl Future<Output = Result<Response, ApiError>> + Send;
}

/// Runs a function as Lambda's process for it: one request at a time, for as long as there are any.
///
/// # Errors
///
/// The Lambda Runtime API does not answer.
pub async fn run(function: impl HttpFunction) -> Result<(), lambda_http::Error> {
    function.warm_up().await;
    lambda_http::lambda_runtime::run(http(function)).await
}

/// A function as the service that `lambda_runtime::run` and the local stack call with API Gateway's events.
///
/// Each request has its one line of the log here, failures with their cause, and only here.
pub fn http(
    function: impl HttpFunction,
) -> impl Service<LambdaEvent<LambdaRequest>, Response: Serialize + Send, Error = Infallible, Future: Send> {
    service_fn(move |event: LambdaEvent<LambdaRequest>| {
        let function = function.clone();
        async move {
            let LambdaEvent { payload, context } = event;
            let mut request = Request::from(legal(payload)).with_lambda_context(context);
            let log = RequestLog::begin(&mut request);
            let time = time_left(&request);
            // Where reads follow each other, none of them may take long, and all of them too long.
            let answer = match tokio::time::timeout(time, Box::pin(function.handle(request, clock::now()))).await {
                Ok(answer) => answer,
                Err(_) => Err(StoreError::Unavailable(format!("there was no answer within {time:?}")).into()),
            };
            let status = answer.as_ref().map_or_else(|error| error.code().status(), Response::status);
            log.answered(status, answer.as_ref().err());
            Ok::<_, Infallible>(envelope(&answer.unwrap_or_else(ApiError::into_response)))
        }
    })
}

/// A response as API Gateway takes it (API Gateway developer guide, "Lambda function response for format 2.0").
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    status_code: u16,
    headers: BTreeMap<&'a str, Cow<'a, str>>,
    body: &'a str,
    is_base64_encoded: bool,
}

/// The response in its envelope, as JSON, which the runtime passes on as it is. `lambda_http` would do the same where the runtime is
/// put together, and that is compiled for size, not for speed.
fn envelope(response: &Response) -> Box<RawValue> {
    let headers = response.headers();
    let headers = headers.iter().map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())));
    let envelope = Envelope {
        status_code: response.status().as_u16(),
        headers: headers.collect(),
        body: response.body(),
        is_base64_encoded: false,
    };
    to_raw_value(&envelope).unwrap_or_default()
}

/// How long an answer may take: until shortly before Lambda ends the function.
fn time_left(request: &Request) -> Duration {
    let deadline = request.lambda_context_ref().map_or(0, |context| context.deadline);
    let end = UNIX_EPOCH + Duration::from_millis(deadline).saturating_sub(RESPONSE_MARGIN);
    end.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO)
}

/// The event with a query that can stand in a URI, and without the host that the caller claims: our answers never use it, and
/// `lambda_http` would panic on one that is none.
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
    use http::StatusCode;
    use lambda_http::Context;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::api;

    /// A context with so much time.
    fn context(time: Duration) -> Context {
        let mut context = Context::default();
        let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + time;
        context.deadline = end.as_millis().try_into().unwrap();
        context
    }

    /// Never answers.
    #[derive(Clone)]
    struct Silent;

    impl HttpFunction for Silent {
        async fn handle(&self, _: Request, _: Timestamp) -> Result<Response, ApiError> {
            std::future::pending().await
        }
    }

    #[test]
    fn a_function_that_finds_no_answer_says_so_before_its_end() {
        let answer = answer(Silent, RESPONSE_MARGIN + Duration::from_millis(20), "/", "", &[]);
        assert_eq!((&answer["statusCode"], &answer["headers"]["retry-after"]), (&json!(503), &json!("1")));
    }

    /// Answers with what it was asked.
    #[derive(Clone)]
    struct Echo;

    impl HttpFunction for Echo {
        async fn handle(&self, request: Request, _: Timestamp) -> Result<Response, ApiError> {
            let parameters = api::query::parameters(&request)?;
            api::json(StatusCode::OK, &parameters)
        }
    }

    /// What the function answers to an event that is API Gateway's but for what a caller puts into it.
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
        let answer = runtime.block_on(http(function).call(LambdaEvent::new(event, context(time))));
        let Ok(answer) = answer;
        serde_json::to_value(&answer).unwrap()
    }

    const HOUR: Duration = Duration::from_hours(1);

    fn echo(query: &str) -> Value {
        answer(Echo, HOUR, "/", query, &[])
    }

    proptest! {
        #[test]
        fn nothing_that_a_caller_sends_makes_it_fail(
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
        fn a_raw_query_means_what_its_encoded_form_means(value in "[ -~&&[^%&+]]{0,20}") {
            let encoded = api::query::query_string(&[("name".to_owned(), value.clone())]);
            let (raw, encoded) = (echo(&format!("name={value}")), echo(&encoded));
            prop_assert_eq!(&raw["body"], &encoded["body"]);
        }
    }
}
