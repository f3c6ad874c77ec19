//! What `export` prints while it copies.

use std::time::Duration;

use local::{
    aws::dynamodb::Engine,
    export::export,
    progress::Pace,
    testing::{
        faults::{Fault, Faults},
        sandbox::Sandbox,
    },
};

use crate::CAMPAIGN;

/// Exports a campaign of 40 registrations, more than are copied concurrently, into an empty table that delays each
/// response. Returns the results and the progress.
async fn exported(delay: Duration, pace: Pace) -> (Vec<String>, Vec<String>) {
    let (sandbox, engine) = (Sandbox::start().await.unwrap(), Engine::temporary().await.unwrap());
    sandbox.load_campaign(CAMPAIGN.parse().unwrap(), 40).await.unwrap();
    let table = &sandbox.template.table;
    engine.ensure_table(table).await.unwrap();
    let slow = Faults::in_front_of(engine.endpoint()).await.unwrap();
    slow.always(Fault::Slow(delay));
    let to = Engine::elsewhere(slow.endpoint()).store(table).unwrap();
    let (mut results, mut progress) = (Vec::new(), Vec::new());
    let from = sandbox.store().unwrap();
    export(&from, &to, |line| results.push(line), pace, |line| progress.push(line)).await.unwrap();
    (results, progress)
}

#[tokio::test]
async fn a_slow_export_reports_how_far_it_is() {
    let pace = Pace { first: Duration::from_millis(1), longest: Duration::from_millis(1) };
    let (results, progress) = exported(Duration::from_millis(30), pace).await;
    let wrote = format!("campaign {CAMPAIGN}: wrote 40 items and their earlier counts; 0 unchanged");
    assert_eq!(results, ["account demo: 0 new keys", &wrote]);
    let line = format!("campaign {CAMPAIGN}: items copied so far: ");
    let copied = progress.iter().filter_map(|found| found.strip_prefix(&line)?.split_once(", after "));
    let copied: Vec<usize> = copied.map(|(count, _)| count.parse().unwrap()).collect();
    assert!(copied.is_sorted() && copied[0] == 0 && copied.iter().any(|count| (1..40).contains(count)), "{copied:?}");
}

#[tokio::test]
async fn a_quick_export_reports_only_its_results() {
    let (results, progress) = exported(Duration::ZERO, Pace { first: Duration::MAX, longest: Duration::MAX }).await;
    assert_eq!((results.len(), progress), (2, Vec::new()));
}
