//! Keeps web pages away from the APIs that need no key.
//!
//! Any page that a developer opens can send requests to ports of this machine. A request from a page of another site
//! names that site in `Origin`. A page whose own name was made to point at this machine (DNS rebinding) names itself in
//! `Host`. So a request may name only this machine in either. Programs such as the AWS CLI send no `Origin`.

use std::net::{IpAddr, SocketAddr};

use http::{
    HeaderMap, HeaderValue, Response, StatusCode, Uri,
    header::{CONTENT_TYPE, HOST, ORIGIN},
    uri::Authority,
};
use hyper::body::Bytes;
use serde_json::json;

use crate::aws::front::Front;

/// Answers 403 to requests that name another host than this machine, and passes all others on.
pub struct LocalOnly<F>(pub F);

impl<F: Front> Front for LocalOnly<F> {
    const MAX_BODY_BYTES: usize = F::MAX_BODY_BYTES;

    async fn answer(&self, request: http::request::Parts, body: Bytes, caller: SocketAddr) -> Response<Vec<u8>> {
        if is_local(&request.headers) {
            return self.0.answer(request, body, caller).await;
        }
        let message = "expected Host and Origin, if there is one, to be localhost, 127.0.0.1 or [::1]";
        let body = json!({ "__type": "AccessDeniedException", "message": message });
        let mut response = Response::new(body.to_string().into_bytes());
        *response.status_mut() = StatusCode::FORBIDDEN;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

/// Returns whether a request names this machine as its host and as its origin, if it has one.
#[must_use]
pub fn is_local(headers: &HeaderMap) -> bool {
    let host = |value: &HeaderValue| value.to_str().ok()?.parse::<Authority>().ok();
    let origin = |value: &HeaderValue| value.to_str().ok()?.parse::<Uri>().ok()?.into_parts().authority;
    let is_this_machine =
        |authority: Option<Authority>| authority.is_some_and(|named| names_this_machine(named.host()));
    headers.contains_key(HOST)
        && headers.get_all(HOST).iter().all(|value| is_this_machine(host(value)))
        && headers.get_all(ORIGIN).iter().all(|value| is_this_machine(origin(value)))
}

fn names_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn headers(host: &str, origin: &str) -> HeaderMap {
        let named = [(HOST, host), (ORIGIN, origin)].into_iter().filter(|(_, value)| !value.is_empty());
        named.map(|(name, value)| (name, value.parse().unwrap())).collect()
    }

    #[rstest]
    #[case("127.0.0.1:4566", "")]
    #[case("localhost", "")]
    #[case("LOCALHOST:80", "")]
    #[case("[::1]:4566", "")]
    #[case("127.0.0.1:4566", "http://localhost:3000")]
    #[case("127.0.0.1:4566", "http://127.0.0.1:4566")]
    #[case("[::1]:4566", "http://[::1]:4566")]
    fn this_machine_is_local(#[case] host: &str, #[case] origin: &str) {
        assert!(is_local(&headers(host, origin)));
    }

    #[rstest]
    #[case::no_host("", "")]
    #[case::rebound("rebound.example:4566", "")]
    #[case::looks_local("localhost.example", "")]
    #[case::looks_like_an_address("127.0.0.1.example", "")]
    #[case::a_user_name("localhost@rebound.example", "")]
    #[case::another_machine("192.168.1.7:4566", "")]
    #[case::another_site("127.0.0.1:4566", "https://page.example")]
    #[case::a_file_or_a_sandbox("127.0.0.1:4566", "null")]
    #[case::a_rebound_page("rebound.example:4566", "http://rebound.example:4566")]
    fn a_web_page_is_foreign(#[case] host: &str, #[case] origin: &str) {
        assert!(!is_local(&headers(host, origin)));
    }

    #[test]
    fn every_one_of_several_headers_counts() {
        let mut headers = headers("localhost", "");
        headers.append(HOST, HeaderValue::from_static("rebound.example"));
        assert!(!is_local(&headers));
    }
}
