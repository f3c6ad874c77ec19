//! From the event that Lambda hands over to a handler, and from its result to the answer.

use std::{convert::Infallible, future::Future};

use lambda_http::{
    Adapter, IntoResponse as _, LambdaEvent, Request, RequestExt as _,
    request::LambdaRequest,
    service_fn,
    tower::{Service, ServiceExt as _},
};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;
use tracing::error;

use super::{Response, error::ApiError};
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
/// A failure is logged here, once, with the request's id, and only here.
pub fn http(
    function: impl HttpFunction,
) -> impl Service<LambdaEvent<LambdaRequest>, Response: Serialize + Send, Error = Infallible, Future: Send> {
    let service = service_fn(move |request: Request| {
        let function = function.clone();
        async move {
            let request_id = request.lambda_context().request_id;
            let response = function.handle(request, clock::now()).await.unwrap_or_else(|error| {
                log(&error, &request_id);
                error.into_response()
            });
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

fn log(error: &ApiError, request_id: &str) {
    if let Some(cause) = error.cause() {
        error!(request_id, error_code = error.code().as_str(), cause, "the request failed");
    }
}
