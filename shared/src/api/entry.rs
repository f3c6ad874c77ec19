//! From the event that Lambda hands over to a handler, and from its result to the answer.

use std::{convert::Infallible, future::Future};

use lambda_http::{
    Adapter, IntoResponse as _, LambdaEvent, Request,
    request::LambdaRequest,
    service_fn,
    tower::{Service, ServiceExt as _},
};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;

use super::{Response, error::ApiError, log::RequestLog};
use crate::clock::{self, Timestamp};

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
    /// Answers one request that reached us at `now`.
    fn handle(&self, request: Request, now: Timestamp) -> impl Future<Output = Result<Response, ApiError>> + Send;
}

/// A function as the service that `lambda_runtime::run` and the local stack call with API Gateway's events.
///
/// Each request has its one line of the log here, failures with their cause, and only here.
pub fn http(
    function: impl HttpFunction,
) -> impl Service<LambdaEvent<LambdaRequest>, Response: Serialize + Send, Error = Infallible, Future: Send> {
    let service = service_fn(move |mut request: Request| {
        let function = function.clone();
        async move {
            let log = RequestLog::begin(&mut request);
            let answer = function.handle(request, clock::now()).await;
            let status = answer.as_ref().map_or_else(|error| error.code().status(), Response::status);
            log.answered(status, answer.as_ref().err());
            let response = answer.unwrap_or_else(ApiError::into_response);
            Ok::<_, Infallible>(response.into_response().await)
        }
    });
    Adapter::from(service).map_request(|event: LambdaEvent<LambdaRequest>| {
        let LambdaEvent { payload, context } = event;
        LambdaEvent { payload: legal(payload), context }
    })
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
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::api;

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
    fn answer(path: &str, query: &str, headers: &[(String, String)]) -> Value {
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
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let answer = runtime.block_on(http(Echo).call(LambdaEvent::new(event, lambda_http::Context::default())));
        let Ok(answer) = answer;
        serde_json::to_value(&answer).unwrap()
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
            let answer = answer(&path, &query, &headers);
            prop_assert!(matches!(answer["statusCode"].as_u64(), Some(200 | 400)), "{}", answer);
        }

        #[test]
        fn a_raw_query_means_what_its_encoded_form_means(value in "[ -~&&[^%&+]]{0,20}") {
            let encoded = api::query::query_string(&[("name".to_owned(), value.clone())]);
            let (raw, encoded) = (answer("/", &format!("name={value}"), &[]), answer("/", &encoded, &[]));
            prop_assert_eq!(&raw["body"], &encoded["body"]);
        }
    }
}
