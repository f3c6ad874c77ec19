//! Single events: the effect of each on the items of the table.

use std::collections::BTreeMap;

use domain::{
    device::DeviceLibraryIdentifier,
    event::{Change, Event, Installation},
    id::AccountId,
    wallet::Wallet,
};
use rstest::rstest;
use store::{Collection, Outcome};

use super::{
    TestTable, at, demo, event, expect_done, installation, new_campaign, now, pass, registration, typed_serial, untyped,
};

use Outcome::{Applied, Unchanged};

/// Something that happens to one registration at an instant.
#[derive(Debug, Clone, Copy)]
enum Happening {
    Install(u32),
    Uninstall(u32),
}

use Happening::{Install, Uninstall};

#[rstest]
#[case::first_install(&[(Install(5), Applied)], Some(5))]
#[case::the_same_install_again(&[(Install(5), Applied), (Install(5), Unchanged)], Some(5))]
#[case::a_later_install(&[(Install(5), Applied), (Install(7), Applied)], Some(7))]
#[case::an_earlier_install(&[(Install(5), Applied), (Install(3), Unchanged)], Some(5))]
#[case::removal(&[(Install(5), Applied), (Uninstall(7), Applied)], None)]
#[case::the_same_removal_again(&[(Install(5), Applied), (Uninstall(7), Applied), (Uninstall(7), Unchanged)], None)]
#[case::a_removal_that_comes_first(&[(Uninstall(7), Applied), (Install(5), Unchanged)], None)]
#[case::a_removal_of_something_older(&[(Install(5), Applied), (Uninstall(3), Unchanged)], Some(5))]
#[case::at_the_same_instant_a_removal_wins(&[(Install(5), Applied), (Uninstall(5), Applied)], None)]
#[case::at_the_same_instant_a_removal_stays(&[(Uninstall(5), Applied), (Install(5), Unchanged)], None)]
#[case::an_install_after_a_removal(&[(Install(5), Applied), (Uninstall(7), Applied), (Install(9), Applied)], Some(9))]
#[case::two_late_events(&[(Install(9), Applied), (Uninstall(7), Unchanged), (Install(5), Unchanged)], Some(9))]
#[tokio::test]
async fn the_latest_event_determines_the_state(
    #[case] story: &[(Happening, Outcome)],
    #[case] active_since: Option<u32>,
) {
    let table = TestTable::start().await;
    let (campaign, pass, id) = (new_campaign(), pass(1), registration(1));
    for (happening, expected) in story {
        let (instant, change) = match happening {
            Install(instant) => (*instant, Change::Installed(installation(id))),
            Uninstall(instant) => (*instant, Change::Uninstalled { registration_id: id }),
        };
        let outcome = expect_done(table.apply(&event(campaign, pass, at(instant), change), now()).await);
        assert_eq!(outcome, *expected, "{happening:?} of {story:?}");
    }
    for collection in [Collection::Campaign(campaign), Collection::Pass(campaign, pass)] {
        let active = table.active(collection).await;
        assert_eq!(
            active.iter().map(|found| found.created_at).collect::<Vec<_>>(),
            Vec::from_iter(active_since.map(at))
        );
    }
}

#[tokio::test]
async fn a_removal_leaves_nothing_about_the_device() {
    let table = TestTable::start().await;
    let (campaign, pass, id) = (new_campaign(), pass(1), registration(1));
    let installed = Installation {
        device_library_identifier: Some("device".parse().unwrap()),
        push_token: Some("token".parse().unwrap()),
        push_service_url: Some("https://push.example".parse().unwrap()),
        serial_number: Some(typed_serial("pass.com.example", "serial")),
        ..installation(id)
    };
    expect_done(table.apply(&event(campaign, pass, at(5), Change::Installed(installed)), now()).await);
    let sk = format!("PASS#{pass}#{id}");
    let active = table.items(campaign).await.remove(&sk).unwrap();
    let device = format!("demo#{}", "device".parse::<DeviceLibraryIdentifier>().unwrap().digest());
    assert_eq!(active["device"], device);
    assert_eq!(
        (active["push_token"].as_str(), active["push_token_at"].as_str()),
        ("token", at(5).to_string().as_str())
    );
    assert_eq!((active["pass_type"].as_str(), active["serial_number"].as_str()), ("pass.com.example", "serial"));
    assert_eq!(active["push_service_url"], "https://push.example");
    assert_eq!(active["pass"], format!("{campaign}#{pass}"));

    let removal = event(campaign, pass, at(7), Change::Uninstalled { registration_id: id });
    expect_done(table.apply(&removal, now()).await);
    let removed = table.items(campaign).await.remove(&sk).unwrap();
    let expected = [
        ("pk", format!("CAMPAIGN#{campaign}")),
        ("sk", sk),
        ("last_event_at", at(7).to_string()),
        // 90 days after the removal was received, whenever it happened.
        ("expires_at", (now().unix_seconds() + 90 * 24 * 60 * 60).to_string()),
    ];
    assert_eq!(removed, expected.map(|(name, value)| (name.to_owned(), value)).into());
}

#[tokio::test]
async fn a_later_install_replaces_the_earlier_one_completely() {
    let table = TestTable::start().await;
    let (campaign, pass, id) = (new_campaign(), pass(1), registration(1));
    let first = Installation { push_token: Some("old".parse().unwrap()), ..installation(id) };
    let second = Installation { wallet: Wallet::Pass2u, ..installation(id) };
    for (instant, installed) in [(5, first), (7, second)] {
        expect_done(table.apply(&event(campaign, pass, at(instant), Change::Installed(installed)), now()).await);
    }
    let item = table.items(campaign).await.remove(&format!("PASS#{pass}#{id}")).unwrap();
    assert_eq!(item["wallet"], "pass2u");
    assert!(!item.contains_key("push_token") && !item.contains_key("expires_at"));
}

/// Applies these installs of one registration at the same instant to a new campaign and returns its item.
async fn item_after(table: &TestTable, installs: &[&Installation]) -> BTreeMap<String, String> {
    let (campaign, pass) = (new_campaign(), pass(1));
    for install in installs {
        expect_done(table.apply(&event(campaign, pass, at(5), Change::Installed((*install).clone())), now()).await);
    }
    let mut item = table.items(campaign).await.remove(&format!("PASS#{pass}#{}", registration(1))).unwrap();
    item.retain(|name, _| !["pk", "pass"].contains(&name.as_str()));
    item
}

#[tokio::test]
async fn of_two_installs_at_the_same_instant_the_one_with_the_greater_tie_stays() {
    let table = TestTable::start().await;
    let plain = installation(registration(1));
    let other = Installation { wallet: Wallet::Pass2u, push_token: Some("token".parse().unwrap()), ..plain.clone() };
    let [lesser, greater] = if plain.tie() < other.tie() { [&plain, &other] } else { [&other, &plain] };
    let expected = item_after(&table, &[greater]).await;
    assert_eq!((expected["tie"].as_str(), &expected["wallet"]), (greater.tie().as_str(), &greater.wallet.to_string()));
    for order in [&[lesser, greater][..], &[greater, lesser], &[greater, lesser, greater, lesser]] {
        assert_eq!(item_after(&table, order).await, expected);
    }
}

#[tokio::test]
async fn an_install_without_a_tie_stays_so_that_an_old_push_token_does_not_come_back() {
    let table = TestTable::start().await;
    let (campaign, pass, id) = (new_campaign(), pass(1), registration(1));
    let with = |token: &str| Installation { push_token: Some(token.parse().unwrap()), ..installation(id) };
    let install = event(campaign, pass, at(5), Change::Installed(with("old")));
    expect_done(table.apply(&install, now()).await);
    let sk = format!("PASS#{pass}#{id}");
    table.remove(campaign, &sk, "tie").await;
    table.register(&demo(), campaign, pass, &with("new"), at(6), now()).await.unwrap();
    assert_eq!(table.apply(&install, now()).await, Unchanged);
    assert_eq!(table.items(campaign).await[&sk]["push_token"], "new");
}

#[rstest]
#[case::the_longest_device_and_token(128, 384, None)]
// An FCM token is longer than one of APNs, which has 64 characters.
#[case::an_android_wallet(36, 200, Some((40, 36, 64)))]
#[case::a_long_serial_number(32, 64, Some((64, 128, 64)))]
#[tokio::test]
async fn an_item_stays_under_a_kilobyte(
    #[case] device: usize,
    #[case] token: usize,
    #[case] pass_type_serial_and_url: Option<(usize, usize, usize)>,
) {
    let table = TestTable::start().await;
    let (campaign, pass, id) = (new_campaign(), pass(1), registration(1));
    let padded = |start: &str, length: usize| format!("{start}{}", "x".repeat(length - start.len()));
    let mut installed = Installation {
        wallet: Wallet::PassworksWallet,
        device_os: domain::wallet::DeviceOs::Android,
        device_library_identifier: Some(padded("d", device).parse().unwrap()),
        push_token: Some(padded("t", token).parse().unwrap()),
        ..installation(id)
    };
    if let Some((pass_type, serial, url)) = pass_type_serial_and_url {
        installed.serial_number = Some(typed_serial(&padded("pass.", pass_type), &padded("s", serial)));
        installed.push_service_url = Some(padded("https://", url).parse().unwrap());
    }
    let account: AccountId = "a".repeat(64).parse().unwrap();
    let created = Change::Created(untyped(Some(&"s".repeat(256))));
    for change in [Change::Installed(installed), created] {
        let event = Event { account_id: account.clone(), ..event(campaign, pass, at(5), change) };
        expect_done(table.apply(&event, now()).await);
    }
    let size =
        |item: &BTreeMap<String, String>| item.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    let items = table.items(campaign).await;
    assert_eq!(items.len(), 2);
    assert!(items.values().all(|item| size(item) < 1024), "{items:?}");
}

#[rstest]
#[case::earlier_first(&[(3, Some("b")), (5, Some("a"))])]
#[case::later_first(&[(5, Some("a")), (3, Some("b")), (5, None)])]
#[case::the_same_instant(&[(3, Some("c")), (3, Some("b"))])]
#[tokio::test]
async fn the_earliest_created_event_of_a_pass_stays(#[case] story: &[(u32, Option<&str>)]) {
    let table = TestTable::start().await;
    let (campaign, pass) = (new_campaign(), pass(1));
    assert!(!table.pass_is_known(campaign, pass).await.unwrap());
    for (instant, serial_number) in story {
        let change = Change::Created(untyped(*serial_number));
        expect_done(table.apply(&event(campaign, pass, at(*instant), change), now()).await);
    }
    assert!(table.pass_is_known(campaign, pass).await.unwrap());
    let item = table.items(campaign).await.remove(&format!("PASS#{pass}")).unwrap();
    assert_eq!((item["known_since"].as_str(), item["serial_number"].as_str()), (at(3).to_string().as_str(), "b"));
}

#[tokio::test]
async fn even_a_removed_registration_makes_its_pass_known() {
    let table = TestTable::start().await;
    let campaign = new_campaign();
    let removal = event(campaign, pass(1), at(5), Change::Uninstalled { registration_id: registration(1) });
    expect_done(table.apply(&removal, now()).await);
    assert!(table.pass_is_known(campaign, pass(1)).await.unwrap());
    assert!(!table.pass_is_known(campaign, pass(2)).await.unwrap());
}
