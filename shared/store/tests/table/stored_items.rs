//! Every kind of item, exactly as it is stored. A deployed table must stay readable, and an older release must read the
//! items of a newer one. A difference here changes the table's format and needs a line in CHANGELOG.md.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use domain::{
    account::{Access, ApiKey},
    campaign::CampaignType,
    event::{Change, CreatedSerialNumber, Creation, Event, Installation, InstantFrom, Subject},
    google::{Callback, CallbackKind},
    id::AccountId,
    wallet::{DeviceOs, Wallet},
};
use serde_json::{Map, Value, json};
use store::{GoogleRootKeys, StreamRecord};

use super::{
    TestTable, at, deadline, event, expect_done, now, pass,
    recount_parts::recount_part,
    registration,
    tally::{install, uninstall},
    typed_serial, untyped,
};

/// The items, by partition key and sort key, in the JSON of DynamoDB's own API.
const EXPECTED: &str = include_str!("stored_items.json");

#[tokio::test]
async fn every_item_is_stored_as_it_always_was() {
    let table = TestTable::start().await;
    write_every_kind(&table).await;

    let items = table.everything().await;
    let stored: BTreeMap<String, Value> = items.into_iter().map(readable).collect();
    let stored = serde_json::to_string_pretty(&stored).unwrap();
    assert_eq!(stored, EXPECTED.trim_end());
}

async fn write_every_kind(table: &TestTable) {
    let account: AccountId = "acme".parse().unwrap();
    let campaign = "bd69162b-8995-4c89-bdca-898fae6050d0".parse().unwrap();

    table.create_account(&account, &"ops@example.com".parse().unwrap(), at(0)).await.unwrap();
    let key = ApiKey::claimed("a key that is no secret");
    let record = table.add_key(&account, &key, Access::ReadOnly, at(1)).await.unwrap().unwrap();
    table.revoke_key(&account, record.id, at(2)).await.unwrap().unwrap();

    table.claim(campaign, &account, Some(CampaignType::Coupons), at(3)).await.unwrap();
    let named = Change::Created(Creation {
        serial_number: Some(CreatedSerialNumber::Typed {
            serial_number: typed_serial("pass.com.example", "serial-1"),
            token: Some("a token that is no secret".parse().unwrap()),
        }),
        google_object_id: Some("3388000000022000000.object-1".parse().unwrap()),
    });
    let everything = Installation {
        registration_id: registration(1),
        wallet: Wallet::GoogleWallet,
        device_os: DeviceOs::Android,
        device_library_identifier: Some("device-1".parse().unwrap()),
        push_token: Some("token-1".parse().unwrap()),
        push_service_url: Some("https://push.example.com".parse().unwrap()),
        serial_number: Some(typed_serial("pass.com.example", "serial-1")),
    };
    for event in [
        event(campaign, pass(1), at(4), named),
        event(campaign, pass(2), at(5), Change::Created(untyped(None))),
        event(campaign, pass(1), at(6), Change::Installed(everything)),
        install(campaign, pass(1), registration(2), at(7)),
        install(campaign, pass(1), registration(3), at(8)),
        uninstall(campaign, pass(1), registration(3), at(9)),
        event(campaign, pass(1), at(10), Change::Updated(InstantFrom::Sender)),
        Event {
            subject: Subject::EveryPass(InstantFrom::Sender),
            ..install(campaign, pass(1), registration(1), at(11))
        },
    ] {
        let event = Event { account_id: account.clone(), ..event };
        for outcome in table.apply_all(&[event], now(), deadline()).await {
            expect_done(outcome);
        }
    }

    for (object, kind) in [("1.saved", CallbackKind::Saved), ("1.deleted", CallbackKind::Deleted)] {
        let nonce = "2c1f6b0e".parse().unwrap();
        let callback = Callback { object_id: object.parse().unwrap(), kind, order: 1_754_114_831_806, nonce };
        expect_done(table.apply_callback(&account, campaign, pass(1), &callback, at(12)).await.unwrap());
    }
    table.set_google_issuers(&account, &["3388000000022000000".parse().unwrap()]).await.unwrap();
    let url = "https://example.com/keys".to_owned();
    let keys = GoogleRootKeys { url, key_set: "{\"keys\": []}".to_owned(), fresh_until: at(13) };
    table.store_google_keys(&keys).await.unwrap();

    table.write_bookmark("listing", 2, "cursor".to_owned(), now()).await.unwrap();
    let records = [
        stream_record("100", "CAMPAIGN", &json!({"known_since": {"S": at(3).to_string()}})),
        stream_record("101", &format!("PASS#{}#{}", pass(1), registration(2)), &image(Some("passbook"))),
        stream_record("102", &format!("PASS#{}#{}", pass(1), registration(1)), &image(None)),
    ];
    let records: Vec<_> = records.iter().map(|record| StreamRecord::from_json(&record.to_string()).unwrap()).collect();
    table.tally("shardId-1", &records, now(), deadline()).await.unwrap();
    recount_part(table, campaign, now()).await;
    recount_part(table, campaign, now()).await;
}

/// Returns the image of an active registration, which is unreadable without a wallet.
fn image(wallet: Option<&str>) -> Value {
    let at = at(7).to_string();
    let mut image = json!({"last_event_at": {"S": at}, "created_at": {"S": at}, "device_os": {"S": "ios"}});
    if let Some(wallet) = wallet {
        image["wallet"] = json!({"S": wallet});
    }
    image
}

fn stream_record(sequence_number: &str, sk: &str, new_image: &Value) -> Value {
    let keys = json!({"pk": {"S": "CAMPAIGN#bd69162b-8995-4c89-bdca-898fae6050d0"}, "sk": {"S": sk}});
    json!({"dynamodb": {"Keys": keys, "SequenceNumber": sequence_number, "NewImage": new_image}})
}

fn readable(item: std::collections::HashMap<String, AttributeValue>) -> (String, Value) {
    let key = |name: &str| item[name].as_s().unwrap().clone();
    let name = format!("{} {}", key("pk"), key("sk"));
    let attributes: BTreeMap<_, _> = item.into_iter().map(|(name, value)| (name, typed(value))).collect();
    (name, Value::Object(Map::from_iter(attributes)))
}

fn typed(value: AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!({"S": text}),
        AttributeValue::N(number) => json!({"N": number}),
        AttributeValue::Ss(texts) => json!({"SS": texts}),
        AttributeValue::L(values) => json!({"L": values.into_iter().map(typed).collect::<Vec<_>>()}),
        AttributeValue::M(values) => {
            let values: BTreeMap<_, _> = values.into_iter().map(|(name, value)| (name, typed(value))).collect();
            json!({"M": values})
        }
        other => panic!("no item has a {other:?}"),
    }
}
