//! The registrations of one device.

use domain::{
    device::DeviceLibraryIdentifier,
    event::{Change, Event, Installation},
    id::{AccountId, CampaignId, PassId, RegistrationId},
    pass::TypedSerialNumber,
    wallet::Wallet,
};
use store::{DeviceRegistration, NamedPass, NamedRegistration, Unregistered};

use super::{
    TestTable, at, demo, event, expect_done, installation, new_campaign, now, pass, registration, tally::uninstall,
    typed_serial,
};

fn device(text: &str) -> DeviceLibraryIdentifier {
    text.parse().unwrap()
}

/// Returns an install of a pass of this type on `device-1`.
fn on_device(campaign: CampaignId, id: RegistrationId, pass_type: Option<&str>) -> Event {
    let installation = Installation {
        device_library_identifier: Some(device("device-1")),
        serial_number: pass_type.map(|pass_type| typed_serial(pass_type, &id.to_string())),
        ..installation(id)
    };
    event(campaign, pass(1), at(5), Change::Installed(installation))
}

#[tokio::test]
async fn a_device_lists_its_active_registrations_in_all_campaigns_of_the_account() {
    let table = TestTable::start().await;
    let (first, second) = (new_campaign(), new_campaign());
    let acme: AccountId = "acme".parse().unwrap();
    for event in [
        on_device(first, registration(1), Some("pass.x")),
        on_device(first, registration(2), Some("pass.y")),
        on_device(second, registration(3), Some("pass.x")),
        on_device(second, registration(4), None),
        on_device(second, registration(5), Some("pass.x")),
        uninstall(second, pass(1), registration(5), at(7)),
        Event { account_id: acme.clone(), ..on_device(new_campaign(), registration(6), Some("pass.x")) },
    ] {
        expect_done(table.apply(&event, now()).await);
    }
    let listed = async |account: &AccountId, name: &str, pass_type: Option<&str>| {
        let pass_type = pass_type.map(|text| text.parse().unwrap());
        let mut found = table.registrations_of_device(account, &device(name), pass_type.as_ref()).await.unwrap();
        found.sort_by_key(|found| found.registration_id);
        found
    };
    let all = listed(&demo(), "device-1", None).await;
    let expected = |campaign_id, number, pass_type: Option<&str>| DeviceRegistration {
        campaign_id,
        pass_id: pass(1),
        registration_id: registration(number),
        serial_number: pass_type.map(|pass_type| typed_serial(pass_type, &registration(number).to_string())),
        created_at: at(5),
    };
    assert_eq!(
        all,
        [
            expected(first, 1, Some("pass.x")),
            expected(first, 2, Some("pass.y")),
            expected(second, 3, Some("pass.x")),
            expected(second, 4, None),
        ]
    );
    let of_type = listed(&demo(), "device-1", Some("pass.x")).await;
    assert_eq!(of_type, [all[0].clone(), all[2].clone()]);
    assert_eq!(listed(&acme, "device-1", None).await.len(), 1);
    assert!(listed(&demo(), "device-2", None).await.is_empty());
}

#[tokio::test]
async fn a_device_lists_more_registrations_than_one_query_returns() {
    let table = TestTable::start().await;
    // Each of them is on the same device, and takes about 200 bytes of the index.
    table.sandbox.load_campaign(new_campaign(), 10_000).await.unwrap();
    let recorder = table.sandbox.recorder().await.unwrap();
    let store = table.recorded(&recorder);
    let found = store.registrations_of_device(&demo(), &device(&"d".repeat(32)), None).await.unwrap();
    assert_eq!(found.len(), 10_000);
    assert!(recorder.take().len() > 1);
}

#[tokio::test]
async fn only_active_registrations_are_ended_for_a_wallet() {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    for event in [
        on_device(campaign, registration(1), None),
        on_device(campaign, registration(2), None),
        uninstall(campaign, pass(1), registration(2), at(7)),
    ] {
        expect_done(table.apply(&event, now()).await);
    }
    assert_eq!(named(&table, campaign, "serial").await, [(campaign, pass(1), registration(1), None)]);
    let ended = table.unregister(campaign, pass(1), registration(1), now()).await.unwrap();
    assert_eq!(ended, Unregistered::Removed);
    assert_eq!(named(&table, campaign, "serial").await, []);
}

/// Returns the registrations on `device-1` that a wallet means if it names pass 1 by this serial number of `pass.x`, in
/// the order of their ids.
async fn named(
    table: &store::Table,
    campaign_id: CampaignId,
    serial_number: &str,
) -> Vec<(CampaignId, PassId, RegistrationId, Option<Wallet>)> {
    let serial_number = typed_serial("pass.x", serial_number);
    let pass = NamedPass { serial_number, campaign_id, pass_id: pass(1), token: None };
    let found = table.registrations_of_pass_on_device(&demo(), &device("device-1"), &pass).await.unwrap();
    let found = found.into_iter().map(|NamedRegistration { campaign_id, pass_id, registration_id, wallet }| {
        (campaign_id, pass_id, registration_id, wallet)
    });
    let mut found: Vec<_> = found.collect();
    found.sort_by_key(|(_, _, registration, _)| *registration);
    found
}

#[tokio::test]
async fn a_serial_number_means_the_registrations_that_have_it_or_are_of_its_pass_and_have_none() {
    let table = TestTable::start().await;
    let (campaign, other) = (new_campaign(), new_campaign());
    let derived = |wallet| RegistrationId::derived(pass(1), wallet, "device-1");
    let install = |campaign, number, id, serial_number: Option<TypedSerialNumber>| {
        let installation =
            Installation { device_library_identifier: Some(device("device-1")), serial_number, ..installation(id) };
        event(campaign, pass(number), at(5), Change::Installed(installation))
    };
    let [a, b] = ["a", "b"].map(|serial_number| typed_serial("pass.x", serial_number));
    let of_another_type = typed_serial("pass.y", "a");
    for event in [
        install(campaign, 1, registration(1), Some(a.clone())),
        install(campaign, 1, registration(2), Some(b.clone())),
        install(campaign, 1, registration(3), Some(of_another_type.clone())),
        install(campaign, 1, registration(4), None),
        install(campaign, 2, registration(5), Some(a.clone())),
        install(campaign, 2, registration(6), None),
        install(other, 1, registration(7), Some(a.clone())),
        install(other, 1, registration(8), None),
        install(campaign, 1, derived(Wallet::Passbook), Some(a.clone())),
        install(campaign, 1, derived(Wallet::Pass2u), Some(b.clone())),
        install(campaign, 1, derived(Wallet::Other), None),
    ] {
        expect_done(table.apply(&event, now()).await);
    }
    let indexed = |campaign, number, id| (campaign, pass(number), registration(id), None);
    // The wallet is the stored one, whatever the id was derived from.
    let read = |wallet| (campaign, pass(1), derived(wallet), Some(Wallet::Passbook));
    for (serial_number, expected) in [
        (
            "a",
            vec![
                indexed(campaign, 1, 1),
                indexed(campaign, 1, 4),
                indexed(campaign, 2, 5),
                indexed(other, 1, 7),
                read(Wallet::Passbook),
                read(Wallet::Other),
            ],
        ),
        ("b", vec![indexed(campaign, 1, 2), indexed(campaign, 1, 4), read(Wallet::Pass2u), read(Wallet::Other)]),
        ("c", vec![indexed(campaign, 1, 4), read(Wallet::Other)]),
    ] {
        let mut expected = expected;
        expected.sort_by_key(|(_, _, registration, _)| *registration);
        assert_eq!(named(&table, campaign, serial_number).await, expected, "{serial_number}");
    }
}
