//! What `export` prints while it copies.

use std::time::Duration;

use domain::{
    device::DeviceLibraryIdentifier,
    event::Installation,
    id::{AccountId, RegistrationId},
    pass::TypedSerialNumber,
    time,
    wallet::{DeviceOs, Wallet},
};
use http::StatusCode;
use local::{
    aws::dynamodb::Engine,
    export::export,
    progress::Pace,
    testing::{
        faults::{Fault, Faults},
        sandbox::Sandbox,
    },
};

use serde_json::json;
use store::{NamedPass, RegisteredForWallet, Unregistered};

use crate::{CAMPAIGN, post};

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

#[tokio::test]
async fn a_wallet_registers_lists_and_unregisters_against_a_copy() {
    let (sandbox, engine) = (Sandbox::start().await.unwrap(), Engine::temporary().await.unwrap());
    let event = |kind: &str, instant: &str| {
        json!({
            "event": kind, "campaign_id": CAMPAIGN, "pass_id": crate::PASS, "event_at": instant, "serial_number": "1",
            "pass_type_identifier": "pass.com.example", "authentication_token": "0123456789abcdef",
            "event_extra": {
                "device_library_identifier": "device-1", "device_app_vendor": "passbook", "device_os": "ios",
                "push_token": "token-1",
            },
        })
    };
    let events = json!([
        event("created", "2016-11-09T11:09:00Z"),
        event("installed", "2016-11-09T11:10:00Z"),
        event("updated", "2016-11-09T11:11:00Z"),
    ]);
    assert_eq!(post(&sandbox, "/v2/registration_events", &events).await.status, StatusCode::OK);

    engine.ensure_table(&sandbox.template.table).await.unwrap();
    let to = engine.store(&sandbox.template.table).unwrap();
    let pace = || Pace { first: Duration::MAX, longest: Duration::MAX };
    for wrote in ["wrote 1; 0 unchanged", "wrote 0; 1 unchanged"] {
        let mut results = Vec::new();
        let from = sandbox.store().unwrap();
        export(&from, &to, |line| results.push(line), pace(), |_| {}).await.unwrap();
        assert_eq!(results.last().unwrap(), &format!("names of passes: {wrote}"));
    }

    let account: AccountId = "demo".parse().unwrap();
    let serial_number =
        TypedSerialNumber { pass_type: "pass.com.example".parse().unwrap(), serial_number: "1".parse().unwrap() };
    let device: DeviceLibraryIdentifier = "device-1".parse().unwrap();
    let found = to.passes_with_serial_numbers(&account, std::slice::from_ref(&serial_number)).await.unwrap();
    let [NamedPass { serial_number: _, campaign_id, pass_id, token }] = found.try_into().unwrap();
    assert_eq!((campaign_id.to_string().as_str(), pass_id.to_string().as_str()), (CAMPAIGN, crate::PASS));
    assert_eq!(token, Some("0123456789abcdef".parse().unwrap()));

    let registration_id = RegistrationId::derived(pass_id, Wallet::Passbook, device.as_str());
    let installation = Installation {
        registration_id,
        wallet: Wallet::Passbook,
        device_os: DeviceOs::Ios,
        device_library_identifier: Some(device.clone()),
        push_token: Some("token-2".parse().unwrap()),
        push_service_url: None,
        serial_number: Some(serial_number.clone()),
    };
    let now = time::now();
    let again = to.register_for_wallet(&account, campaign_id, pass_id, &installation, now).await.unwrap();
    assert!(matches!(again, RegisteredForWallet::Active(_)), "{again:?}");
    let listed = to.registrations_of_device(&account, &device, Some(&serial_number.pass_type)).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].registration_id, listed[0].serial_number.as_ref()), (registration_id, Some(&serial_number)));
    let updates = to.updates_of(&[(campaign_id, pass_id)]).await.unwrap();
    assert_eq!(updates.of_pass(campaign_id, pass_id).unwrap().to_string(), "2016-11-09T11:11:00.000Z");
    let ended = to.unregister(campaign_id, pass_id, registration_id, now).await.unwrap();
    assert_eq!(ended, Unregistered::Removed);
    assert!(to.registrations_of_device(&account, &device, None).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_export_reports_the_names_that_belong_to_another_pass() {
    let (sandbox, other) = (Sandbox::start().await.unwrap(), Sandbox::start().await.unwrap());
    let created = |campaign: &str| {
        json!({
            "event": "created", "campaign_id": campaign, "pass_id": crate::PASS, "event_at": "2016-11-09T11:09:00Z",
            "serial_number": "1", "pass_type_identifier": "pass.com.example",
        })
    };
    for (sandbox, campaign) in [(&sandbox, CAMPAIGN), (&other, "cbc3016c-4c55-4564-81e9-a21664817be2")] {
        let answer = post(sandbox, "/v2/registration_events", &created(campaign)).await;
        assert_eq!(answer.json()["result"], "applied");
    }
    let mut results = Vec::new();
    let pace = Pace { first: Duration::MAX, longest: Duration::MAX };
    let (from, to) = (sandbox.store().unwrap(), other.store().unwrap());
    let error = export(&from, &to, |line| results.push(line), pace, |_| {}).await.unwrap_err();
    assert_eq!(error.to_string(), "0 campaigns and 1 names of passes were not exported");
    let pass = crate::PASS;
    assert_eq!(
        results.last().unwrap(),
        &format!(
            "pass {pass} of campaign {CAMPAIGN}: a serial number or Google object was not exported; in the target table, \
             it belongs to another pass"
        )
    );
}
