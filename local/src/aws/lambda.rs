//! Lambda's own API in front of the functions: `Invoke`, as the AWS CLI and the SDKs call it.

use std::{collections::BTreeMap, net::SocketAddr};

use http::{HeaderValue, Method, Response, StatusCode, Uri, header::CONTENT_TYPE};
use hyper::body::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::{
    aws::front::Front,
    functions::{Functions, InvokeError},
};

/// Lambda's API in front of the functions.
pub struct LambdaFront {
    /// The functions.
    pub functions: Functions,
    /// The folder of each function, by the function's name on AWS.
    pub names: BTreeMap<String, String>,
}

impl LambdaFront {
    /// Returns the folder of the function that a URL names, and the version or the alias: after a colon in the name, or
    /// in the parameter `Qualifier`.
    fn function(&self, url: &Uri) -> Result<(&str, Option<String>), String> {
        let name = url.path().strip_prefix("/2015-03-31/functions/").and_then(|rest| rest.strip_suffix("/invocations"));
        let name = name.map(|name| percent_decode_str(name).decode_utf8_lossy()).unwrap_or_default();
        let parameter = url.query().unwrap_or_default().split('&').find_map(|found| found.strip_prefix("Qualifier="));
        let (name, qualifier) = name.split_once(':').map_or((&*name, parameter), |(name, found)| (name, Some(found)));
        let folder = self.names.get(name).ok_or_else(|| format!("Function not found: {name}"))?;
        Ok((folder, qualifier.map(str::to_owned)))
    }
}

impl Front for LambdaFront {
    async fn answer(&self, request: http::request::Parts, body: Bytes, _: SocketAddr) -> Response<Vec<u8>> {
        if request.method != Method::POST {
            return refusal(StatusCode::NOT_FOUND, "ResourceNotFoundException", "the local stack supports Invoke only");
        }
        let (function, qualifier) = match self.function(&request.uri) {
            Ok(function) => function,
            Err(problem) => return refusal(StatusCode::NOT_FOUND, "ResourceNotFoundException", &problem),
        };
        let event = if body.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&body) };
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                let problem = format!("Could not parse request body into json: {error}");
                return refusal(StatusCode::BAD_REQUEST, "InvalidRequestContentException", &problem);
            }
        };
        match self.functions.invoke_qualified(function, qualifier.as_deref(), event).await {
            Ok(answer) => json_response(StatusCode::OK, &answer),
            Err(error) => {
                let kind = match &error {
                    InvokeError::TimedOut(_) => "Sandbox.Timedout",
                    _ => "Unhandled",
                };
                let answer = json!({"errorType": kind, "errorMessage": error.to_string()});
                let mut response = json_response(StatusCode::OK, &answer);
                response.headers_mut().insert("x-amz-function-error", HeaderValue::from_static("Unhandled"));
                response
            }
        }
    }
}

fn refusal(status: StatusCode, code: &'static str, problem: &str) -> Response<Vec<u8>> {
    let mut response = json_response(status, &json!({"Type": "User", "Message": problem}));
    response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(code));
    response
}

fn json_response(status: StatusCode, body: &Value) -> Response<Vec<u8>> {
    let mut response = Response::new(body.to_string().into_bytes());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
