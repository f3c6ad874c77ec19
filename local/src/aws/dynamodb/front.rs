//! DynamoDB's own API in front of the embedded engine.

use std::{net::SocketAddr, sync::Arc};

use dynoxide::Database;
use http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use hyper::body::Bytes;
use serde_json::{Value, json};
use tracing::error;

use super::{connections::Connections, refusals};
use crate::aws::front::Front;

/// The embedded engine, which gets only requests that DynamoDB would not refuse either.
pub(super) struct DynamoDbFront {
    connections: Arc<Connections>,
    database: Database,
}

impl DynamoDbFront {
    pub(super) fn new(database: Database) -> Self {
        Self { connections: Arc::new(Connections::new(database.clone())), database }
    }
}

impl Front for DynamoDbFront {
    /// The size of the largest `BatchWriteItem` (Amazon DynamoDB API reference, `BatchWriteItem`).
    const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;

    async fn answer(&self, request: http::request::Parts, body: Bytes, _: SocketAddr) -> Response<Vec<u8>> {
        let target = request.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        let operation = target.and_then(|target| target.strip_prefix("DynamoDB_20120810."));
        if let Some(refusal) = operation.and_then(|operation| refusals::check(&self.database, operation, &body)) {
            return response(StatusCode::BAD_REQUEST, &refusal.body());
        }
        let connections = Arc::clone(&self.connections);
        // A task of its own, because DynamoDB carries out a call even if its caller gives it up.
        let call = tokio::spawn(async move { connections.send(request, body).await });
        let answer = call.await.unwrap_or_else(|error| Err(error.into()));
        answer.unwrap_or_else(|error| {
            error!(error, "the embedded engine did not answer");
            let body = json!({
                "__type": "com.amazonaws.dynamodb.v20120810#InternalServerError",
                "message": "the embedded engine did not answer",
            });
            response(StatusCode::INTERNAL_SERVER_ERROR, &body)
        })
    }
}

fn response(status: StatusCode, body: &Value) -> Response<Vec<u8>> {
    let mut response = Response::new(body.to_string().into_bytes());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.0"));
    response
}
