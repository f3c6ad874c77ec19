//! The table's stream in a running stack: what is counted is deleted, and nothing is lost.

use std::{path::Path, time::Duration};

use local::{
    aws::{dynamodb::Data, stream::TableStream},
    stack::{Running, Stack},
    template::Template,
};
use serde_json::json;

use crate::{CAMPAIGN, DEMO, PASS, exchange, reports::report_path};

const TIMEOUT: Duration = Duration::from_secs(30);

fn template() -> Template {
    Template::read(&Template::default_path()).unwrap()
}

async fn open(folder: &Path) -> Stack {
    Stack::open(template(), &Data::Folder(folder.to_owned())).await.unwrap()
}

/// Waits until the counts have this many installs.
async fn until_counted(running: &Running, installs: u32) {
    let path = format!("{}/totals", report_path());
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {DEMO}\r\nConnection: close\r\n\r\n");
    let counted = async {
        let expected = format!(r#""installs_count":{installs},"uninstalls_count":0,"active_count":{installs}"#);
        while !exchange(&running.url, &request).await.contains(&expected) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(TIMEOUT, counted).await.expect("every install is counted");
}

/// Waits until one record is left in the stream.
async fn until_trimmed(running: &Running) {
    let trimmed = async {
        let table = template().table.name;
        loop {
            let read = TableStream::of(&running.engine_url, &table).read(1000).await.unwrap();
            if read.iter().map(|shard| shard.records.len()).sum::<usize>() == 1 {
                return;
            }
        }
    };
    tokio::time::timeout(TIMEOUT, trimmed).await.expect("consumed records are deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_are_right_if_everything_was_trimmed_before_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()).await);
    // The newest record gets a number that the clock reaches in the year 2255, as if the clock had been set back since.
    let data = rusqlite::Connection::open(folder.path().join("registrations.db")).unwrap();
    let newest = "SELECT MAX(id) FROM _stream_records";
    let renumber = format!("UPDATE _stream_records SET sequence_number = '9000000000000000' WHERE id = ({newest})");
    assert_eq!(data.execute(&renumber, []).unwrap(), 1);
    drop(data);

    let running = open(folder.path()).await.serve(0).await.unwrap();
    until_counted(&running, 3).await;
    until_trimmed(&running).await;
    running.stop().await;

    let running = open(folder.path()).await.serve(0).await.unwrap();
    let event = json!({
        "event": "installed", "campaign_id": CAMPAIGN, "campaign_type": "coupons", "pass_id": PASS,
        "event_at": "2016-11-10T00:00:00Z",
        "event_extra": {
            "registration_id": "5f0c1d6e-6f1c-4d8a-9d4c-0c6f3f3c1b2a",
            "device_os": "ios", "device_app_vendor": "passbook",
        },
    });
    let body = event.to_string();
    let head = format!("Host: x\r\nAuthorization: {DEMO}\r\nConnection: close\r\nContent-Type: application/json\r\n");
    let length = body.len();
    let post = format!("POST /v2/registration_events HTTP/1.1\r\n{head}Content-Length: {length}\r\n\r\n{body}");
    assert!(exchange(&running.url, &post).await.contains(r#"{"result":"applied"}"#));
    until_counted(&running, 4).await;
    running.stop().await;
}
