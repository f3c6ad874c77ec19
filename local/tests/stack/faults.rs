//! A table that is slow or throttled, fails, or cuts off or garbles its responses: a request is answered if possible,
//! and otherwise fails in time. No acknowledged write is lost, and no event is applied twice.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use http::{Method, StatusCode};
use local::testing::{
    faults::{Fault, Faults},
    sandbox::Sandbox,
};
use process::deadline::ANSWER_MARGIN;
use rstest::rstest;
use serde_json::{Value, json};
use store::limits::{ATTEMPTS, CALL_TIMEOUT};

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
    // Each listing makes two calls at once, and each POST one.
    assert!(faults.calls() <= 6 * usize::try_from(ATTEMPTS).unwrap(), "retries are bounded");
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

/// Returns a message with the install of a registration of its own.
fn message(campaign: &str, number: usize) -> Value {
    let body = json!({
        "event": "installed", "account_id": "demo", "campaign_id": campaign, "pass_id": PASS,
        "event_at": format!("2016-11-10T00:00:{:02}Z", number % 60),
        "event_extra": {
            "registration_id": format!("00000000-0000-4000-8000-{number:012}"), "device_os": "ios",
            "device_app_vendor": "passbook",
        },
    });
    json!({"messageId": number.to_string(), "body": body.to_string(), "eventSource": "aws:sqs"})
}

/// Returns the ids of the messages that go back to the queue.
fn failed(answer: &Value) -> BTreeSet<usize> {
    let failures = answer["batchItemFailures"].as_array().unwrap().iter();
    failures.map(|failure| failure["itemIdentifier"].as_str().unwrap().parse().unwrap()).collect()
}

/// Returns the id of one of many campaigns.
fn campaign(number: usize) -> String {
    format!("11111111-0000-4000-8000-{number:012}")
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_a_throttled_table_refuses_go_back_to_the_queue_and_are_applied_later() {
    let (sandbox, faults) = faulty().await;
    let functions = sandbox.faulty_functions(&faults).unwrap();
    let messages: Vec<_> = (0..50).map(|number| message(CAMPAIGN, number)).collect();
    let batch = json!({"Records": messages});

    faults.always(Fault::Throttled);
    let begin = Instant::now();
    let answer = functions.invoke("registration-ingest", batch.clone()).await.unwrap();
    assert_eq!(failed(&answer).len(), 50);
    assert!(begin.elapsed() < MAX_ANSWER_TIME, "{:?}", begin.elapsed());

    // Of the first 90 calls, a third is throttled and a third loses its answer. Even so, every event is applied exactly
    // once.
    faults.always(Fault::None);
    faults.next([Fault::None, Fault::Throttled, Fault::Unanswered].into_iter().cycle().take(90));
    let answer = functions.invoke("registration-ingest", batch.clone()).await.unwrap();
    assert_eq!(failed(&answer).len(), 0, "{answer}");
    assert_eq!(get(&sandbox, &format!("{}?per_page=100", campaign_path())).await.ids().len(), 53);
}

#[rstest]
#[case::when_it_is_claimed(false)]
#[case::when_its_events_are_applied(true)]
#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_campaign_sends_back_only_its_own_messages(#[case] is_remembered: bool) {
    let (sandbox, faults) = faulty().await;
    let functions = sandbox.faulty_functions(&faults).unwrap();
    let throttled = campaign(1);
    if is_remembered {
        let batch = json!({"Records": [message(&throttled, 100), message(CAMPAIGN, 101)]});
        assert_eq!(failed(&functions.invoke("registration-ingest", batch).await.unwrap()).len(), 0);
    }
    faults.always_if_containing(&throttled, Fault::Throttled);
    let of = |number| if number % 10 == 0 { CAMPAIGN } else { throttled.as_str() };
    let messages: Vec<_> = (0..100).map(|number| message(of(number), number)).collect();
    let answer = functions.invoke("registration-ingest", json!({"Records": messages})).await.unwrap();
    let expected = (0..100).filter(|number| of(*number) == throttled);
    assert_eq!(failed(&answer), expected.collect());
}

/// A lost connection or a slow table concerns every campaign, so the first call that times out ends the batch.
#[tokio::test(flavor = "multi_thread")]
async fn if_calls_time_out_all_messages_go_back_after_the_time_of_one_call() {
    let (sandbox, faults) = faulty().await;
    let functions = sandbox.faulty_functions(&faults).unwrap();
    let batch = json!({"Records": [message(CAMPAIGN, 100)]});
    assert_eq!(failed(&functions.invoke("registration-ingest", batch).await.unwrap()).len(), 0);
    faults.always(Fault::Lost);
    let messages: Vec<_> = (0..100).map(|number| message(&campaign(number), number)).collect();
    let begin = Instant::now();
    let answer = functions.invoke("registration-ingest", json!({"Records": messages})).await.unwrap();
    assert_eq!(failed(&answer).len(), 100);
    assert!(begin.elapsed() < 2 * CALL_TIMEOUT, "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_throttled_campaigns_do_not_add_up_to_more_than_the_time_of_the_function() {
    let (mut sandbox, faults) = faulty().await;
    // The time of one throttled call, of the answer, and a little more.
    let timeout = CALL_TIMEOUT + ANSWER_MARGIN + Duration::from_secs(2);
    sandbox.template.functions.get_mut("registration-ingest").unwrap().timeout = timeout;
    let functions = sandbox.faulty_functions(&faults).unwrap();
    faults.always_if_containing(&campaign(0)[..8], Fault::Throttled);
    let messages: Vec<_> = (0..100).map(|number| message(&campaign(number), number)).collect();
    let answer = functions.invoke("registration-ingest", json!({"Records": messages})).await.unwrap();
    assert_eq!(failed(&answer).len(), 100);
}
