//! Messages sent to the local queue reach the table.

use std::time::Duration;

use local::aws::dynamodb::Data;
use local::{
    samples,
    stack::{Running, Stack},
    template::Template,
    testing::sandbox::Sandbox,
};
use serde_json::{Value, json};

use crate::exchange;

async fn sqs(running: &Running, action: &str, call: &Value) -> (bool, Value) {
    let body = call.to_string();
    let (front, _) = running.queue_urls[0].rsplit_once('/').unwrap();
    let request = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic ZGVtbzpkZW1v\r\nConnection: close\r\nX-Amz-Target: AmazonSQS.{action}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = exchange(front, &request).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.starts_with("HTTP/1.1 200"), serde_json::from_str(body).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_applied_and_a_bad_one_waits_for_another_try() {
    let template = Template::read(&Template::default_path()).unwrap();
    let running = Stack::open(template, &Data::Temporary).await.unwrap().serve(0).await.unwrap();
    let batch = samples::read(&samples::folder().join("sqs/bad-message-among-good.json")).unwrap();
    let entries: Vec<Value> = (batch["Records"].as_array().unwrap().iter().enumerate())
        .map(|(place, record)| json!({"Id": place.to_string(), "MessageBody": record["body"]}))
        .collect();
    let sent = sqs(&running, "SendMessageBatch", &json!({"QueueUrl": running.queue_urls[0], "Entries": entries})).await;
    assert_eq!((sent.0, sent.1["Successful"].as_array().unwrap().len()), (true, 3));

    let list = format!(
        "GET {} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic ZGVtbzpkZW1v\r\nConnection: close\r\n\r\n",
        crate::campaign_path()
    );
    let listed = async {
        while !exchange(&running.url, &list).await.contains("X-Total: 5") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), listed).await.expect("two more than the source document's three");

    let attributes = async {
        loop {
            let (_, answer) = sqs(&running, "GetQueueAttributes", &json!({"QueueUrl": running.queue_urls[0]})).await;
            let counts = &answer["Attributes"];
            if counts["ApproximateNumberOfMessages"] == "0" && counts["ApproximateNumberOfMessagesNotVisible"] == "1" {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), attributes).await.expect("the bad message is hidden");

    let (is_ok, refused) = sqs(&running, "SendMessage", &json!({"QueueUrl": "elsewhere", "MessageBody": "x"})).await;
    assert_eq!((is_ok, &refused["__type"]), (false, &json!("com.amazonaws.sqs#QueueDoesNotExist")));
    running.stop().await;
}

#[tokio::test]
async fn an_event_in_an_envelope_is_applied_and_an_array_goes_back() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let functions = sandbox.fresh_functions().unwrap();
    let mut before = crate::get(&sandbox, &crate::campaign_path()).await.ids().len();
    for name in ["sqs/sns-envelope.json", "sqs/eventbridge-envelope.json"] {
        let mut batch = samples::read(&samples::folder().join(name)).unwrap();
        let answer = functions.invoke("registration-ingest", batch.clone()).await.unwrap();
        assert_eq!(answer["batchItemFailures"], json!([]), "{name}");
        let listed = crate::get(&sandbox, &crate::campaign_path()).await.ids().len();
        assert_eq!(listed, before + 1, "{name}");
        before = listed;

        let array = format!("[{}]", batch["Records"][0]["body"].as_str().unwrap());
        batch["Records"][0]["body"] = array.into();
        let answer = functions.invoke("registration-ingest", batch).await.unwrap();
        assert_eq!(answer["batchItemFailures"].as_array().unwrap().len(), 1, "{name}");
    }
}
