//! Paths that end in a slash, and the method `HEAD`.

use http::{Method, StatusCode};
use local::testing::sandbox::Sandbox;
use rstest::rstest;
use serde_json::json;

use crate::{CAMPAIGN, PASS, REGISTRATION, call, campaign_path, exchange, get, pass_path, reports::report_path};

#[tokio::test]
async fn a_path_with_slashes_at_its_end_leads_to_the_path_without_them() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let front = sandbox.fresh_front().unwrap();
    for path in [
        campaign_path(),
        pass_path(),
        format!("{}/{REGISTRATION}", pass_path()),
        report_path(),
        format!("{}/totals", report_path()),
        "/v2/registration_events".to_owned(),
        "/v2/openapi.json".to_owned(),
    ] {
        for method in [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            for (slashes, query) in [("/", ""), ("///", "?per_page=2&q%5Bs%5D=wallet+desc")] {
                let target = format!("{path}{slashes}{query}");
                let answer = call(&front, method.clone(), &target, &[("authorization", "")], "{}").await;
                let location = format!("{path}{query}");
                assert_eq!(
                    (answer.status, answer.header("location"), answer.body.as_str()),
                    (StatusCode::PERMANENT_REDIRECT, Some(location.as_str()), ""),
                    "{method} {target}"
                );
            }
        }
    }
    let moved = get(&sandbox, &format!("{}/?per_page=2", campaign_path())).await;
    assert_eq!(get(&sandbox, moved.header("location").unwrap()).await.ids().len(), 2);
}

#[rstest]
#[case("//evil.example/")]
#[case("//evil.example/v2/openapi.json/")]
#[case("//evil.example%2Fv2/openapi.json/")]
#[case("/%5Cevil.example/")]
#[case("/v2/../evil.example/")]
#[case("/v2/coupons/%2e%2e/registrations/")]
#[case("/v2/coupons/%2Fevil.example/registrations/")]
#[case("/v2/")]
#[tokio::test]
async fn no_other_path_leads_anywhere(#[case] target: &str) {
    let sandbox = Sandbox::start().await.unwrap();
    let answer = get(&sandbox, target).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::NOT_FOUND, None));
}

#[tokio::test]
async fn a_head_is_answered_as_a_get_without_a_body() {
    let template = local::template::Template::read(&local::template::Template::default_path()).unwrap();
    let stack = local::stack::Stack::open(template, &local::aws::dynamodb::Data::Temporary).await.unwrap();
    let running = stack.serve(0).await.unwrap();
    let unknown = campaign_path().replace(CAMPAIGN, PASS);
    let targets = [
        campaign_path(),
        pass_path(),
        report_path(),
        format!("{}/totals", report_path()),
        "/v2/openapi.json".to_owned(),
    ];
    for target in targets.into_iter().chain([format!("{}?page=x", campaign_path()), unknown]) {
        let send = async |method: &str| {
            let credentials = "Authorization: Basic ZGVtbzpkZW1v";
            let request =
                format!("{method} {target} HTTP/1.1\r\nHost: x\r\n{credentials}\r\nConnection: close\r\n\r\n");
            let answer = exchange(&running.url, &request).await;
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            let differs = |line: &&str| line.starts_with("Apigw-Requestid") || line.starts_with("Date");
            let head: Vec<String> = head.lines().filter(|line| !differs(line)).map(str::to_owned).collect();
            (head, body.to_owned())
        };
        let (get_head, get_body) = send("GET").await;
        let length = format!("Content-Length: {}", get_body.len()).to_lowercase();
        assert!(get_head.iter().any(|line| line.to_lowercase() == length), "{get_head:?}");
        assert_eq!(send("HEAD").await, (get_head, String::new()), "{target}");
    }
    running.stop().await;
}

#[tokio::test]
async fn a_head_leaves_no_bookmark() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let front = sandbox.fresh_front().unwrap();
    let bookmarks = async || {
        let items = sandbox.items().await.unwrap();
        items.into_iter().filter(|item| item["pk"].as_s().unwrap().starts_with("BOOKMARK#")).count()
    };
    let first = format!("{}?page=1&per_page=1", campaign_path());
    assert_eq!(call(&front, Method::HEAD, &first, &[], "").await.header("x-next-page"), Some("2"));
    assert_eq!(bookmarks().await, 0);
    call(&front, Method::GET, &first, &[], "").await;
    assert_eq!(bookmarks().await, 1);
}

#[tokio::test]
async fn a_head_needs_a_key_where_a_get_does() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let front = sandbox.fresh_front().unwrap();
    let answer = call(&front, Method::HEAD, &campaign_path(), &[("authorization", "Bearer wrong")], "").await;
    assert_eq!((answer.status, &answer.json()["error_code"]), (StatusCode::UNAUTHORIZED, &json!(40101)));
}
