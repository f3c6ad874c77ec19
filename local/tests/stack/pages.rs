//! Web pages of other sites, opened in a browser on the same machine, reach nothing that needs no key.

use local::{
    aws::dynamodb::Data,
    stack::{Running, Stack},
    template::Template,
};
use rstest::rstest;

use crate::{CAMPAIGN, exchange};

async fn running() -> Running {
    let template = Template::read(&Template::default_path()).unwrap();
    Stack::open(template, &Data::Temporary).await.unwrap().serve(0).await.unwrap()
}

/// Sends a request with these headers and returns the whole answer.
async fn send(url: &str, line: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    let head = format!("{line} HTTP/1.1\r\n{headers}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    exchange(url, &(head + body)).await
}

#[rstest]
#[case::of_another_site("Host: localhost\r\nOrigin: https://page.example")]
#[case::with_a_rebound_name("Host: page.example\r\nOrigin: http://page.example")]
#[tokio::test(flavor = "multi_thread")]
async fn a_page_reaches_neither_queue_nor_functions_nor_table(#[case] headers: &str) {
    let running = running().await;
    let (front, name) = running.queue_urls[0].rsplit_once('/').unwrap();
    let message = format!(r#"{{"QueueUrl":"{name}","MessageBody":"{{}}"}}"#);
    let send_message = "X-Amz-Target: AmazonSQS.SendMessage";
    let count = "X-Amz-Target: AmazonSQS.GetQueueAttributes";
    let list = "POST /2015-03-31/functions/account-admin-dev/invocations";
    let event = r#"{"action":"list_keys","account_id":"demo"}"#;

    let refused = send(front, "POST /", &format!("{headers}\r\n{send_message}"), &message).await;
    assert!(refused.starts_with("HTTP/1.1 403 Forbidden") && refused.contains("expected Host and Origin"), "{refused}");
    let counted = send(front, "POST /", &format!("Host: localhost\r\n{count}"), &message).await;
    let nothing = r#"{"ApproximateNumberOfMessages":"0","ApproximateNumberOfMessagesNotVisible":"0"}"#;
    assert!(counted.contains(nothing), "{counted}");
    let refused = send(&running.lambda_url, list, headers, event).await;
    assert!(refused.starts_with("HTTP/1.1 403 Forbidden") && !refused.contains("demo"), "{refused}");

    let scan = "X-Amz-Target: DynamoDB_20120810.Scan\r\nContent-Type: application/x-amz-json-1.0\r\nX-Amz-Date: 1\r\n\
        Authorization: AWS4-HMAC-SHA256 Credential=local, Signature=local, SignedHeaders=host";
    let table = r#"{"TableName":"registrations-dev"}"#;
    let refused = send(&running.engine_url, "POST /", &format!("{headers}\r\n{scan}"), table).await;
    assert!(refused.starts_with("HTTP/1.1 403 Forbidden") && !refused.contains(CAMPAIGN), "{refused}");
    let own = "Host: localhost\r\nOrigin: http://localhost:3000";
    let read = send(&running.engine_url, "POST /", &format!("{own}\r\n{scan}"), table).await;
    assert!(read.starts_with("HTTP/1.1 200 OK") && read.contains(CAMPAIGN), "{read}");
    assert!(!read.to_ascii_lowercase().contains("access-control-"), "{read}");

    let preflight = format!("{headers}\r\nAccess-Control-Request-Method: POST");
    for url in [front, &running.lambda_url, &running.engine_url] {
        let refused = send(url, "OPTIONS /", &preflight, "").await.to_ascii_lowercase();
        assert!(refused.starts_with("http/1.1 403") && !refused.contains("access-control-"), "{refused}");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_with_a_rebound_name_does_not_see_the_start_page() {
    let running = running().await;
    let own = send(&running.url, "GET /", "Host: 127.0.0.1:4010", "").await;
    assert!(own.starts_with("HTTP/1.1 200 OK") && own.contains(CAMPAIGN), "{own}");
    let foreign = send(&running.url, "GET /", "Host: page.example", "").await;
    assert!(foreign.starts_with("HTTP/1.1 404 Not Found") && !foreign.contains(CAMPAIGN), "{foreign}");
    running.stop().await;
}
