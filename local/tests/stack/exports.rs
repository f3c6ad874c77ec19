//! Listings exported as CSV and NDJSON.

use http::{Method, StatusCode};
use serde_json::Value;

use crate::{Answer, call, campaign_path, walks::installed};

const HEAD: &str = "id,pass_id,wallet,device_os,created_at";

/// Exports `count` registrations by following `Link`. Returns every part, and the ids that were installed.
async fn parts(accept: &str, target: &str, count: usize) -> (Vec<Answer>, Vec<String>) {
    let (sandbox, all) = installed(count).await;
    let mut parts = Vec::new();
    let mut next = Some(target.to_owned());
    while let Some(target) = next {
        let answer = call(&sandbox.fresh_front().unwrap(), Method::GET, &target, &[("accept", accept)], "").await;
        assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, Some(accept)), "{answer:?}");
        assert_eq!(answer.header("vary"), Some("accept"));
        next = answer.link("next");
        parts.push(answer);
    }
    (parts, all)
}

#[tokio::test]
async fn a_campaign_is_exported_as_rows() {
    let target = format!("{}?per_page=1000", campaign_path());
    let (parts, all) = parts("text/csv", &target, 2500).await;
    assert_eq!(parts.len(), 3);
    let mut ids = Vec::new();
    for part in &parts {
        let mut rows = part.body.strip_suffix("\r\n").unwrap().split("\r\n");
        assert_eq!(rows.next(), Some(HEAD), "each part can be opened by itself");
        for row in rows {
            let cells: Vec<_> = row.split(',').collect();
            assert_eq!(cells.len(), 5, "{row}");
            ids.push(cells[0].to_owned());
        }
    }
    assert_eq!(ids, all);
}

#[tokio::test]
async fn a_filtered_campaign_is_exported_as_lines_of_json() {
    let target = format!("{}?q[device_os_eq]=ios&q[s]=created_at+desc", campaign_path());
    let (parts, all) = parts("application/x-ndjson", &target, 300).await;
    assert_eq!(parts.len(), 1, "everything fits into one part");
    let lines: Vec<Value> = parts[0].body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), all.len() / 2);
    assert!(lines.iter().all(|line| line["device_os"] == "ios"));
    assert_eq!(parts[0].header("x-total"), Some("150"));
}

#[tokio::test]
async fn an_export_and_a_json_page_have_different_size_limits() {
    let (sandbox, all) = installed(30).await;
    let front = sandbox.fresh_front().unwrap();
    let get = async |query: &str, accept: &str| {
        call(&front, Method::GET, &format!("{}{query}", campaign_path()), &[("accept", accept)], "").await
    };
    assert_eq!(get("?per_page=10000", "text/csv").await.body.lines().count(), all.len() + 1);
    assert_eq!(get("?per_page=10001", "text/csv").await.json()["error"], "invalid_parameter");
    assert_eq!(get("?per_page=1001", "application/json").await.json()["error"], "invalid_parameter");
    assert_eq!(get("", "text/html, */*;q=0.1").await.ids().len(), 25, "an unavailable format is answered as JSON");
    assert_eq!(get("?q[wallet_eq]=pass2u", "text/csv").await.body, format!("{HEAD}\r\n"));
}
