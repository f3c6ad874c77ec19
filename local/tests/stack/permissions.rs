//! Every function calls the table only as its policy in the template allows.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use domain::time;
use local::{
    aws::dynamodb::Engine,
    functions::InvokeError,
    samples,
    template::Template,
    testing::{sandbox::Sandbox, stream_events},
};
use serde_json::Value;
use store::{RecountOutcome, RecountRun, keys};

use crate::CAMPAIGN;

/// Invokes a function with events, and returns the operations that it called on the table. Fails if its policy does not
/// allow one of them.
async fn invoke(sandbox: &Sandbox, name: &str, events: &[Value]) -> Vec<String> {
    let faults = sandbox.faults().await.unwrap();
    faults.enforce_policy_of(sandbox.template.functions[name].clone());
    let functions = sandbox.faulty_functions(&faults).unwrap();
    for event in events {
        // The samples revoke a key and move a campaign that do not exist here. That is an answer, too.
        let answer = functions.invoke(name, event.clone()).await;
        assert!(matches!(answer, Ok(_) | Err(InvokeError::Failed(_))), "{name}: {answer:?}");
    }
    assert_eq!(faults.denied(), [""; 0], "{name}");
    faults.operations()
}

fn samples_in(folder: &str) -> Vec<Value> {
    let files = std::fs::read_dir(samples::folder().join(folder)).unwrap();
    files.map(|file| samples::read(&file.unwrap().path()).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_allows_every_call_of_its_function() {
    let template = Template::read(&Template::default_path()).unwrap();
    let requests = samples_in("http");
    for (name, function) in &template.functions {
        let events = match name.as_str() {
            // Twice, because a key is added to an account that exists.
            "account-admin" => [samples_in("admin"), samples_in("admin")].concat(),
            "campaign-recount" => samples_in("recount"),
            "registration-ingest" => samples_in("sqs"),
            "registration-tally" => samples_in("dynamodb"),
            // Each twice, because a repeated registration makes another call than a new one.
            "wallet-web-service" => {
                let calls = ["register", "list", "log", "unregister"]
                    .map(|call| samples::read(&samples::folder().join(format!("http/wallet-{call}.json"))).unwrap());
                calls.into_iter().flat_map(|call| [call.clone(), call]).collect()
            }
            _ => {
                let routes = template.routes.iter().filter(|route| route.function() == Some(name));
                let keys: Vec<_> = routes.map(|route| format!("{} {}", route.method, route.path)).collect();
                requests.iter().filter(|event| keys.iter().any(|key| event["routeKey"] == *key)).cloned().collect()
            }
        };
        // A sandbox of its own, because the samples of account-admin move the campaign to another account.
        let sandbox = Sandbox::with_wallet_events().await.unwrap();
        assert_eq!(invoke(&sandbox, name, &events).await.is_empty(), function.statements.is_empty(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_of_the_tally_allows_an_unreadable_record_in_its_transaction() {
    let sandbox = Sandbox::start().await.unwrap();
    let event = stream_events::with_an_unreadable_record().unwrap();
    let operations = invoke(&sandbox, "registration-tally", &[event]).await;
    assert_eq!(operations, ["BatchGetItem", "TransactWriteItems"]);
    let unreadable = sandbox.client().unwrap().query().table_name(&sandbox.template.table.name);
    let unreadable = unreadable.key_condition_expression("pk = :pk");
    let unreadable = unreadable.expression_attribute_values(":pk", AttributeValue::S(keys::UNREADABLE_PK.to_owned()));
    assert_eq!(unreadable.send().await.unwrap().count, 1);
}

/// A recount repairs counts only if the last change is a day old, so this one is made two days ahead.
#[tokio::test]
async fn the_policy_of_a_recount_allows_a_repair() {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let faults = sandbox.faults().await.unwrap();
    faults.enforce_policy_of(sandbox.template.functions["campaign-recount"].clone());
    let table = Engine::elsewhere(faults.endpoint()).store(&sandbox.template.table).unwrap();
    let clock = || time::now().plus(Duration::from_hours(48));
    let run = RecountRun::new("test", &clock, clock().plus(Duration::from_hours(1)));
    let recount = table.recount(CAMPAIGN.parse().unwrap(), run).await.unwrap();
    assert_eq!(recount.outcome, RecountOutcome::Repaired);
}
