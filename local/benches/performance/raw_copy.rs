//! The lower bound for a listing function: a program that sends one fixed query over a socket and copies the answer.
//! The difference between it and the real function is the cost of our code and of the SDK. It is compiled on its own,
//! with only the standard library.

use std::{
    env,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
};

fn main() {
    let variable = |name: &str| env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    let (runtime_api, query) = (variable("AWS_LAMBDA_RUNTIME_API"), variable("RAW_QUERY"));
    let engine = variable("AWS_ENDPOINT_URL_DYNAMODB").replace("http://", "");
    let mut runtime = BufReader::new(TcpStream::connect(&runtime_api).expect("the Runtime API"));
    let mut table = BufReader::new(TcpStream::connect(&engine).expect("the engine"));
    loop {
        let next = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nhost: runtime\r\n\r\n";
        let Some((head, _)) = exchange(&mut runtime, next) else { return };
        let Some(id) = header(&head, "lambda-runtime-aws-request-id") else { return };
        let head = "POST / HTTP/1.1\r\nhost: localhost\r\nx-amz-target: DynamoDB_20120810.Query\r\n\
            content-type: application/x-amz-json-1.0\r\nx-amz-date: 20260101T000000Z\r\n\
            authorization: AWS4-HMAC-SHA256 Credential=a/20260101/eu-west-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0\r\n";
        let (_, page) = exchange(&mut table, &format!("{head}content-length: {}\r\n\r\n{query}", query.len())).expect("a page");
        let answer = format!("{{\"statusCode\":200,\"page\":{page}}}");
        let path = format!("/2018-06-01/runtime/invocation/{id}/response");
        let request = format!("POST {path} HTTP/1.1\r\nhost: runtime\r\ncontent-length: {}\r\n\r\n{answer}", answer.len());
        exchange(&mut runtime, &request).expect("the Runtime API accepts the answer");
    }
}

/// Sends a request and returns the head and the body of the response, or `None` if the request failed.
fn exchange(stream: &mut BufReader<TcpStream>, request: &str) -> Option<(String, String)> {
    stream.get_mut().write_all(request.as_bytes()).ok()?;
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        stream.read_line(&mut head).ok().filter(|read| *read > 0)?;
    }
    let length = header(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let is_success = head.split(' ').nth(1).is_some_and(|status| status.starts_with('2'));
    is_success.then(|| (head, String::from_utf8(body).expect("text")))
}

fn header(head: &str, name: &str) -> Option<String> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(found, _)| found.eq_ignore_ascii_case(name))?;
    Some(value.trim().to_owned())
}
