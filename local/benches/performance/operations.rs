//! The cost of each operation in calls to the table, request units and bytes.

use http::{Method, header};
use local::{
    aws::front::{ApiFront, Front as _},
    testing::recorder::Call,
};
use serde_json::{Value, json};

use crate::{
    measure::Measured,
    stage::{self, CAMPAIGN},
};

const PASS: &str = "b0000000-0000-4000-8000-000000000000";
const REGISTRATION: &str = "c0000000-0000-4000-8000-000000000001";

/// Measures operations one after the other on the same functions, and prints a row for each. The first operation of
/// each function is cold; all later ones are warm.
pub(crate) async fn print() -> Measured<()> {
    let sandbox = stage::build().await?;
    let recorder = sandbox.recorder().await?;
    let front = sandbox.recorded_front(&recorder)?;
    let campaign = format!("/v2/coupons/{CAMPAIGN}/registrations");
    let pass = format!("/v2/coupons/{CAMPAIGN}/passes/{PASS}/registrations");
    // The functions of another front answer this, so that those that are measured are cold.
    let first = ask(&sandbox.fresh_front()?, Method::GET, &format!("{campaign}?per_page=50"), &Value::Null).await?;
    let link = stage::next_link(first.headers()[header::LINK].to_str()?)?;
    let install =
        json!({"wallet": "passbook", "device_os": "ios", "id": REGISTRATION, "created_at": "2026-01-01T00:00:00Z"});
    let events = |count: usize| (0..count).map(event).collect::<Value>();

    println!("\n| operation | calls | request units | bytes to the table | bytes from it |\n|---|---|--:|--:|--:|");
    for (name, method, path, body) in [
        ("page of 50, first of a process", Method::GET, format!("{campaign}?per_page=50"), Value::Null),
        ("page of 50", Method::GET, format!("{campaign}?per_page=50"), Value::Null),
        ("a further page of 50 by `Link`", Method::GET, link.to_owned(), Value::Null),
        ("page of 1,000", Method::GET, format!("{campaign}?per_page=1000"), Value::Null),
        ("page of 50 by its number", Method::GET, format!("{campaign}?per_page=50&page=2"), Value::Null),
        ("page of a pass", Method::GET, pass.clone(), Value::Null),
        ("report of a month", Method::GET, format!("/v2/coupons/{CAMPAIGN}/reports"), Value::Null),
        ("install, first of a process", Method::POST, pass.clone(), install.clone()),
        ("install again", Method::POST, pass.clone(), install),
        ("uninstall", Method::DELETE, format!("{pass}/{REGISTRATION}"), Value::Null),
        ("100 events", Method::POST, "/v2/registration_events".to_owned(), events(100)),
        ("the same again", Method::POST, "/v2/registration_events".to_owned(), events(100)),
    ] {
        recorder.take().clear();
        ask(&front, method, &path, &body).await?;
        row(name, &recorder.take());
    }
    Ok(())
}

pub(crate) fn event(number: usize) -> Value {
    json!({
        "event": "installed", "campaign_id": CAMPAIGN, "pass_id": PASS, "event_at": "2026-01-02T00:00:00Z",
        "event_extra": {
            "registration_id": format!("d0000000-0000-4000-8000-{number:012}"), "device_os": "ios",
            "device_app_vendor": "passbook", "push_token": "p".repeat(64),
        },
    })
}

/// Returns the sort key of the registration of `event(number)`.
pub(crate) fn registration_sk(number: usize) -> String {
    format!("PASS#{PASS}#d0000000-0000-4000-8000-{number:012}")
}

/// Returns the answer to a request, or an error if it is not a success.
pub(crate) async fn ask(
    front: &ApiFront,
    method: Method,
    path: &str,
    body: &Value,
) -> Measured<http::Response<Vec<u8>>> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let request = http::Request::builder().method(method).uri(path).header(header::AUTHORIZATION, "demo");
    let (request, ()) = request.header(header::CONTENT_TYPE, "application/json").body(())?.into_parts();
    let answer = front.answer(request, body.into(), ([127, 0, 0, 1], 1).into()).await;
    if answer.status().is_success() { Ok(answer) } else { Err(format!("{path}: {answer:?}").into()) }
}

fn row(name: &str, calls: &[Call]) {
    let mut operations: Vec<_> = calls.iter().map(|call| call.operation.as_str()).collect();
    operations.sort_unstable();
    let counted = operations.chunk_by(|left, right| left == right).map(|same| match same {
        [one] => (*one).to_owned(),
        same => format!("{} × {}", same.len(), same[0]),
    });
    let counted = counted.collect::<Vec<_>>().join(", ");
    let units: f64 = calls.iter().map(|call| call.units).sum();
    let (to, from) = calls.iter().fold((0, 0), |(to, from), call| (to + call.bytes.0, from + call.bytes.1));
    println!("| {name} | {counted} | {units} | {to} | {from} |");
}
