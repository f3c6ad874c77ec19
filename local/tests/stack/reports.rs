//! Reports, from the table's stream to the response.

use std::time::{Duration, Instant};

use domain::wallet::Wallet;
use http::Method;
use local::aws::dynamodb::Data;
use local::{stack::Stack, template::Template, testing::sandbox::Sandbox};
use serde_json::{Value, json};

use crate::{CAMPAIGN, REGISTRATION, call, exchange, get, pass_path};

/// Returns the path of the campaign's report.
pub(crate) fn report_path() -> String {
    format!("/v2/coupons/{CAMPAIGN}/reports")
}

fn wallets(counted: &[(&str, u32, u32, u32)]) -> Value {
    let counts = Wallet::ALL.iter().map(|wallet| {
        let name = wallet.as_str();
        let found = counted.iter().find(|(counted, ..)| *counted == name);
        let (_, installs, uninstalls, active) = found.copied().unwrap_or_default();
        (name.to_owned(), json!({"installs_count": installs, "uninstalls_count": uninstalls, "active_count": active}))
    });
    Value::Object(counts.collect())
}

#[tokio::test]
async fn the_three_installs_of_the_source_document_are_reported() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    sandbox.tally().await.unwrap();
    let totals = get(&sandbox, &format!("{}/totals", report_path())).await;
    let expected = json!({
        "campaign_id": CAMPAIGN,
        "report": {
            "apple": {"installs_count": 2, "uninstalls_count": 0},
            "android": {"installs_count": 1, "uninstalls_count": 0},
            "installs_count": 3,
            "uninstalls_count": 0,
            "active_count": 3,
            "wallets": wallets(&[("passbook", 2, 0, 2), ("wallet_passes", 1, 0, 1)]),
        },
    });
    assert_eq!(totals.body, expected.to_string(), "identical byte for byte, including the order of keys");

    // One of the three registrations ends.
    let ended = format!("{}/{REGISTRATION}", pass_path());
    call(&sandbox.fresh_front().unwrap(), Method::DELETE, &ended, &[], "").await;
    sandbox.tally().await.unwrap();

    let period = "start_date=2016-11-08&end_date=2016-11-10";
    let days = get(&sandbox, &format!("{}?{period}", report_path())).await;
    let day = |installs: [u32; 2], active: u32, wallets: Value| {
        json!({
            "installs_count": installs.iter().sum::<u32>(), "uninstalls_count": 0,
            "i": {"ios": installs[0], "android": installs[1], "wp": 0}, "u": {"ios": 0, "android": 0, "wp": 0},
            "active_count": active, "wallets": wallets,
        })
    };
    let expected = json!({
        "campaign_id": CAMPAIGN, "start_date": "2016-11-08", "end_date": "2016-11-10",
        "report": {
            "2016-11-08": day([0, 0], 0, wallets(&[])),
            "2016-11-09": day([2, 1], 3, wallets(&[("passbook", 2, 0, 2), ("wallet_passes", 1, 0, 1)])),
            "2016-11-10": day([0, 0], 3, wallets(&[("passbook", 0, 0, 2), ("wallet_passes", 0, 0, 1)])),
        },
    });
    assert_eq!(days.body, expected.to_string());

    let month = get(&sandbox, &report_path()).await.json();
    let report = month["report"].as_object().unwrap();
    let (last, today) = report.iter().next_back().unwrap();
    assert_eq!((last.as_str(), &today["active_count"]), (month["end_date"].as_str().unwrap(), &json!(2)));
    assert_eq!((&today["uninstalls_count"], &today["u"]["android"]), (&json!(1), &json!(1)));
    assert!((29..=32).contains(&report.len()), "a month and a day");
}

#[tokio::test]
async fn a_campaign_without_counts_has_zeros() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let days = get(&sandbox, &format!("{}?start_date=2016-01-01&end_date=2016-12-31", report_path())).await.json();
    let days = days["report"].as_object().unwrap();
    assert_eq!(days.len(), 366);
    assert!(days.values().all(|day| day["active_count"] == 0 && day["i"]["ios"] == 0));
}

#[tokio::test]
async fn a_browser_gets_a_page_without_external_resources() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    sandbox.tally().await.unwrap();
    let front = sandbox.fresh_front().unwrap();
    let accept = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    let target = format!("{}?start_date=2016-11-08&end_date=2016-11-10", report_path());
    let page = call(&front, Method::GET, &target, &accept, "").await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none';"));
    assert!(!page.body.contains("src=") && !page.body.contains("href="), "{}", page.body);
    for (part, expected) in [
        ("the chart of installs", "<title>2016-11-09: 3 installs</title>"),
        ("its table", "<th scope=\"row\">2016-11-09</th><td>3</td><td>0</td>"),
        ("the split by wallet", "<span>Apple Wallet</span><i style=\"width:100%\"></i><b>2</b>"),
        ("a name for the chart", "role=\"img\" aria-labelledby=\"changes\""),
    ] {
        assert!(page.body.contains(expected), "{part}: {}", page.body);
    }
    let unknown = call(&front, Method::GET, "/v2/coupons/1/reports", &accept, "").await;
    assert_eq!(unknown.json()["error"], "invalid_parameter", "an error is JSON even for a browser");
}

#[tokio::test]
async fn the_local_start_page_links_to_every_campaign() {
    let template = Template::read(&Template::default_path()).unwrap();
    let running = Stack::open(template, &Data::Temporary).await.unwrap().serve(0).await.unwrap();
    let page = exchange(&running.url, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(page.starts_with("HTTP/1.1 200 OK") && page.contains("href=\"/docs\""), "{page}");
    assert!(page.contains(&format!("href=\"{}\"", report_path())), "{page}");
    running.stop().await;
}

#[tokio::test]
async fn counts_follow_the_registrations_of_a_running_stack() {
    let template = Template::read(&Template::default_path()).unwrap();
    let running = Stack::open(template, &Data::Temporary).await.unwrap().serve(0).await.unwrap();
    let path = format!("{}/totals", report_path());
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic ZGVtbzpkZW1v\r\nConnection: close\r\n\r\n");
    let begin = Instant::now();
    let mut answer = String::new();
    while !answer.contains(r#""installs_count":3,"uninstalls_count":0,"active_count":3"#) {
        assert!(begin.elapsed() < Duration::from_secs(30), "{answer}");
        answer = exchange(&running.url, &request).await;
    }
    running.stop().await;
}
