//! Functions invoked through Lambda's own API.

use http_body_util::{BodyExt as _, Full};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use local::aws::dynamodb::Data;
use local::{stack::Stack, template::Template};
use rstest::rstest;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::CAMPAIGN;

/// Invokes a function of a new stack. Returns the status, the kind of the error (empty if there is none) and the
/// answer.
async fn invoke(method: &str, function: &str, event: &str) -> (StatusCode, String, Value) {
    let template = Template::read(&Template::default_path()).unwrap();
    let running = Stack::open(template, &Data::Temporary).await.unwrap().serve(0).await.unwrap();
    let stream = TcpStream::connect(running.lambda_url.trim_start_matches("http://")).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::builder().method(method).uri(format!("/2015-03-31/functions/{function}/invocations"));
    let request = request.header("host", "localhost").body(Full::new(Bytes::from(event.to_owned()))).unwrap();
    let response = sender.send_request(request).await.unwrap();
    let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let error = header("x-amz-function-error").or(header("x-amzn-errortype")).unwrap_or_default();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    running.stop().await;
    (status, error, serde_json::from_slice(&body).unwrap())
}

#[rstest]
#[case("campaign-recount-dev")]
#[case("campaign-recount-dev:live")]
#[case("campaign-recount-dev%3Alive")]
#[tokio::test(flavor = "multi_thread")]
async fn a_function_answers_by_its_name_and_its_alias(#[case] function: &str) {
    let event = format!(r#"{{"campaign_id":"{CAMPAIGN}"}}"#);
    let (status, error, answer) = invoke("POST", function, &event).await;
    assert_eq!((status, error.as_str()), (StatusCode::OK, ""));
    assert_eq!(answer["active_count"], json!(3), "{answer}");
}

#[rstest]
#[case::refused("POST", "account-admin-dev", "{}", StatusCode::OK, "Unhandled")]
#[case::not_json("POST", "account-admin-dev", "{", StatusCode::BAD_REQUEST, "InvalidRequestContentException")]
#[case::unknown("POST", "account-admin-prod", "{}", StatusCode::NOT_FOUND, "ResourceNotFoundException")]
#[case::method("GET", "account-admin-dev", "", StatusCode::NOT_FOUND, "ResourceNotFoundException")]
#[tokio::test(flavor = "multi_thread")]
async fn errors_have_the_shape_of_lambdas_errors(
    #[case] method: &str,
    #[case] function: &str,
    #[case] event: &str,
    #[case] status: StatusCode,
    #[case] error: &str,
) {
    let (got, kind, answer) = invoke(method, function, event).await;
    assert_eq!((got, kind.as_str()), (status, error), "{answer}");
}
