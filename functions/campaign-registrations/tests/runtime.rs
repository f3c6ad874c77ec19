//! The real binary, driven through the Lambda Runtime API with the sample events.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use local::{
    samples,
    template::Template,
    testing::{log_levels, runtime_api::LambdaProcess, sandbox::Sandbox},
};
use serde_json::Value;

const FUNCTION: &str = "campaign-registrations";
const BINARY: &str = env!("CARGO_BIN_EXE_campaign-registrations");

/// The example in the source document.
const SOURCE_DOCUMENT: &str = concat!(
    r#"[{"id":"ed2951b4-1127-4a96-a2b1-8a73adb4b2db","pass_id":"22d5b0ed-cc82-4743-a4fb-ee655d928037","#,
    r#""wallet":"passbook","device_os":"ios","created_at":"2016-11-09T11:09:00.745Z"},"#,
    r#"{"id":"01ff7401-ba48-4bc4-90ab-714dac0971fd","pass_id":"b50a5348-27c5-40de-ae4a-5d8436284d65","#,
    r#""wallet":"passbook","device_os":"ios","created_at":"2016-11-09T11:11:29.498Z"},"#,
    r#"{"id":"fe9c5b7a-fd1e-49fd-8467-cd010c28b481","pass_id":"b50a5348-27c5-40de-ae4a-5d8436284d65","#,
    r#""wallet":"wallet_passes","device_os":"android","created_at":"2016-11-09T14:29:11.651Z"}]"#,
);

fn ids(body: &str) -> Vec<String> {
    let registrations: Vec<Value> = serde_json::from_str(body).unwrap();
    registrations.iter().map(|registration| registration["id"].as_str().unwrap()[..8].to_owned()).collect()
}

#[tokio::test]
async fn the_binary_answers_every_sample_event() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let mut binary = LambdaProcess::start(BINARY, sandbox.variables(FUNCTION)).await.unwrap();
    for (name, event) in samples::reaching(FUNCTION, &sandbox.template).unwrap() {
        let answer = binary.invoke(&event).await.unwrap().unwrap();
        let (body, headers) = (answer["body"].as_str().unwrap(), &answer["headers"]);
        let media_type = if name.contains("export") { "text/csv" } else { "application/json" };
        assert_eq!((&answer["statusCode"], &headers["content-type"]), (&200.into(), &media_type.into()));
        match name.as_str() {
            "http/export-campaign.json" => assert_eq!(body.lines().count(), 4),
            "http/list-campaign.json" => {
                assert_eq!(body, SOURCE_DOCUMENT);
                assert_eq!((&headers["x-total"], &headers["x-total-pages"]), (&"3".into(), &"1".into()));
            }
            "http/list-campaign-paged.json" => {
                assert_eq!(ids(body), ["fe9c5b7a"]);
                assert_eq!((&headers["x-page"], &headers["x-prev-page"]), (&"2".into(), &"1".into()));
                assert_eq!(headers.get("x-next-page"), None);
            }
            "http/list-campaign-filtered.json" => assert_eq!(ids(body), ["01ff7401", "ed2951b4"]),
            unknown => panic!("no expectation for the sample {unknown}"),
        }
    }
    assert!(!binary.stop().await.unwrap().contains("ERROR"));
}

#[tokio::test]
async fn any_query_and_any_host_get_an_answer() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let mut binary = LambdaProcess::start(BINARY, sandbox.variables(FUNCTION)).await.unwrap();
    let mut event = samples::read(&samples::folder().join("http/list-campaign.json")).unwrap();
    for (query, host, status) in [
        ("q[id_cont]=a b\"<>#", "api.example.com", 200),
        ("a b\"<>#", "api.example.com", 400),
        ("q[\"]=x", "no host at all", 400),
        ("page=\u{7f}é", ":", 400),
        ("per_page=%FF", "[", 400),
    ] {
        event["rawQueryString"] = query.into();
        event["headers"]["host"] = host.into();
        let answer = binary.invoke(&event).await.unwrap().unwrap();
        assert_eq!(answer["statusCode"], status, "{query} {answer}");
    }
}

#[tokio::test]
async fn connections_are_open_before_the_first_event() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.expect_connections_opened(FUNCTION, BINARY, 2).await.unwrap();
}

#[tokio::test]
async fn a_missing_variable_is_named_at_start() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.expect_missing_variables_named(FUNCTION, BINARY).await.unwrap();
}

#[tokio::test]
async fn lambda_can_filter_each_line_at_every_level() {
    let template = Template::read(&Template::default_path()).unwrap();
    let samples = samples::reaching(FUNCTION, &template).unwrap();
    let events: Vec<_> = samples.into_iter().map(|(_, event)| event).collect();
    let counted = log_levels::expect_filterable_log(FUNCTION, BINARY, &events).await.unwrap();
    assert_eq!(counted, BTreeSet::from(["FailedRequests".to_owned()]));
}
