//! A table that is slow or throttled, fails, or cuts off or garbles its responses: a request is answered if possible,
//! and otherwise fails in time. No acknowledged write is lost, and no event is applied twice.

use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use local::testing::{
    faults::{Fault, Faults},
    sandbox::Sandbox,
};
use rstest::rstest;
use serde_json::{Value, json};

use crate::{CAMPAIGN, PASS, call, campaign_path, get, pass_path, reports::report_path};

/// The maximum time until an answer. API Gateway waits 30 seconds, and Lambda waits 28 seconds.
const MAX_ANSWER_TIME: Duration = Duration::from_secs(26);

async fn faulty() -> (Sandbox, Faults) {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let faults = sandbox.faults().await.unwrap();
    (sandbox, faults)
}

fn install() -> Value {
    let id = "5f0c1d6e-6f1c-4d8a-9d4c-0c6f3f3c1b2a";
    json!({"wallet": "google_wallet", "device_os": "android", "id": id, "created_at": "2016-11-10T00:00:00Z"})
}

#[rstest]
#[case::throttled(Fault::Throttled)]
#[case::internal(Fault::Internal)]
#[case::unanswered(Fault::Unanswered)]
#[case::cut_off(Fault::CutOff)]
#[case::slow(Fault::Slow(Duration::from_millis(300)))]
#[case::unprocessed(Fault::Unprocessed)]
#[tokio::test(flavor = "multi_thread")]
async fn a_temporary_fault_is_hidden_by_retries(#[case] fault: Fault) {
    let (sandbox, faults) = faulty().await;
    let front = sandbox.faulty_front(&faults).unwrap();
    let expected = get(&sandbox, &campaign_path()).await.body;
    // The functions have just started, and their first four attempts meet the fault.
    faults.next([fault; 4]);
    let answer = call(&front, Method::GET, &campaign_path(), &[], "").await;
    assert_eq!((answer.status, answer.body), (StatusCode::OK, expected));

    faults.next([fault; 3]);
    let headers = [("content-type", "application/json")];
    let answer = call(&front, Method::POST, &pass_path(), &headers, &install().to_string()).await;
    // If the answer to an install was lost, the second attempt finds the registration and answers 200.
    assert!(matches!(answer.status, StatusCode::CREATED | StatusCode::OK), "{answer:?}");
    assert_eq!(get(&sandbox, &campaign_path()).await.ids().len(), 4);
}

/// A key and a campaign may be used as soon as the answer to their creation has arrived.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_and_a_campaign_that_were_just_made_are_found() {
    let (sandbox, faults) = faulty().await;
    faults.always(Fault::Behind);
    for target in [campaign_path(), pass_path(), report_path()] {
        let front = sandbox.faulty_front(&faults).unwrap();
        let answer = call(&front, Method::GET, &target, &[], "").await;
        assert_eq!(answer.status, StatusCode::OK, "{target}");
    }
    let front = sandbox.faulty_front(&faults).unwrap();
    let headers = [("content-type", "application/json")];
    let answer = call(&front, Method::POST, &pass_path(), &headers, &install().to_string()).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let unknown = campaign_path().replace(CAMPAIGN, "00000000-0000-4000-8000-000000000000");
    assert_eq!(call(&front, Method::GET, &unknown, &[], "").await.status, StatusCode::NOT_FOUND);
}

#[rstest]
#[case::throttled(Fault::Throttled)]
#[case::internal(Fault::Internal)]
#[case::unanswered(Fault::Unanswered)]
#[case::rubbish(Fault::Rubbish)]
#[case::silent(Fault::Slow(Duration::from_hours(1)))]
#[tokio::test(flavor = "multi_thread")]
async fn a_lasting_fault_is_a_503_in_time(#[case] fault: Fault) {
    let (sandbox, faults) = faulty().await;
    let front = sandbox.faulty_front(&faults).unwrap();
    faults.always(fault);
    let events = json!([{
        "event": "installed", "campaign_id": CAMPAIGN, "pass_id": PASS, "event_at": "2016-11-10T00:00:00Z",
        "event_extra": {"registration_id": PASS, "device_os": "ios", "device_app_vendor": "passbook"},
    }]);
    let headers = [("content-type", "application/json")];
    let (install, events) = (install().to_string(), events.to_string());
    let begin = Instant::now();
    let (campaign, pass) = (campaign_path(), pass_path());
    let answers = futures_util::join!(
        call(&front, Method::GET, &campaign, &[], ""),
        call(&front, Method::GET, &pass, &[], ""),
        call(&front, Method::POST, &pass, &headers, &install),
        call(&front, Method::POST, "/v2/registration_events", &headers, &events),
    );
    for answer in [answers.0, answers.1, answers.2, answers.3] {
        let said = (answer.status, answer.header("retry-after"), answer.json()["error"].clone());
        assert_eq!(said, (StatusCode::SERVICE_UNAVAILABLE, Some("1"), json!("unavailable")));
    }
    assert!(begin.elapsed() < MAX_ANSWER_TIME, "{:?}", begin.elapsed());
    assert!(faults.calls() < 100, "retries are bounded");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_stay_unprocessed_are_a_503_in_time() {
    let (sandbox, faults) = faulty().await;
    let front = sandbox.faulty_front(&faults).unwrap();
    faults.always(Fault::Unprocessed);
    let begin = Instant::now();
    let answer = call(&front, Method::GET, &campaign_path(), &[], "").await;
    assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, Some("1")));
    assert!(begin.elapsed() < MAX_ANSWER_TIME, "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_a_throttled_table_refuses_go_back_to_the_queue_and_are_applied_later() {
    let (sandbox, faults) = faulty().await;
    let functions = sandbox.faulty_functions(&faults).unwrap();
    let message = |number: usize| {
        let body = json!({
            "event": "installed", "account_id": "demo", "campaign_id": CAMPAIGN, "pass_id": PASS,
            "event_at": format!("2016-11-10T00:00:{number:02}Z"),
            "event_extra": {
                "registration_id": format!("00000000-0000-4000-8000-{number:012}"), "device_os": "ios",
                "device_app_vendor": "passbook",
            },
        });
        json!({"messageId": number.to_string(), "body": body.to_string(), "eventSource": "aws:sqs"})
    };
    let batch = json!({"Records": (0..50).map(message).collect::<Vec<_>>()});
    let failed = |answer: &Value| answer["batchItemFailures"].as_array().unwrap().len();

    faults.always(Fault::Throttled);
    let begin = Instant::now();
    let answer = functions.invoke("registration-ingest", batch.clone()).await.unwrap();
    assert_eq!(failed(&answer), 50);
    assert!(begin.elapsed() < MAX_ANSWER_TIME, "{:?}", begin.elapsed());

    // Of the first 90 calls, a third is throttled and a third loses its answer. Even so, every event is applied exactly
    // once.
    faults.always(Fault::None);
    faults.next([Fault::None, Fault::Throttled, Fault::Unanswered].into_iter().cycle().take(90));
    let answer = functions.invoke("registration-ingest", batch.clone()).await.unwrap();
    assert_eq!(failed(&answer), 0, "{answer}");
    assert_eq!(get(&sandbox, &format!("{}?per_page=100", campaign_path())).await.ids().len(), 53);
}
