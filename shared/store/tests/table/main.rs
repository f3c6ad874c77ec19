//! Tests of the store against a real engine: the rules of the README's sections "The event" and "The table".

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounts;
mod batches;
mod callbacks;
mod claims;
mod copy;
mod devices;
mod events;
mod every_order;
mod failed_push;
mod listing;
mod pass_names;
mod push_targets;
mod recount;
mod recount_parts;
mod registering;
mod stored_items;
mod tally;
mod updates;
mod versions;

use std::{
    collections::{BTreeMap, HashMap},
    future::poll_fn,
    ops::Deref,
    task::Poll,
    time::{Duration, Instant},
};

use aws_sdk_dynamodb::{operation::update_item::builders::UpdateItemFluentBuilder, types::AttributeValue};
use domain::{
    event::{Change, CreatedSerialNumber, Creation, Event, Installation, Subject},
    id::{AccountId, CampaignId, PassId, RegistrationId},
    pass::TypedSerialNumber,
    registration::Registration,
    time::Timestamp,
    wallet::{DeviceOs, Wallet},
};
use local::{
    aws::stream::TableStream,
    testing::{faults::Faults, recorder::Recorder, sandbox::Sandbox},
};
use process::config::TableConfig;
use store::{Collection, CreatedAtRange, Direction, Outcome, Stretch, Table};

/// A real table, empty at first, and the store's access to it.
pub(crate) struct TestTable {
    sandbox: Sandbox,
    table: Table,
}

impl Deref for TestTable {
    type Target = Table;

    fn deref(&self) -> &Table {
        &self.table
    }
}

impl TestTable {
    pub(crate) async fn start() -> Self {
        let sandbox = Sandbox::start().await.unwrap();
        let table = connect(&sandbox.table_variables());
        Self { sandbox, table }
    }

    /// Returns access to the same table with an empty cache, as in a process that has just started.
    pub(crate) fn fresh(&self) -> Table {
        connect(&self.sandbox.table_variables())
    }

    /// Returns access to the same table through a recorder.
    pub(crate) fn recorded(&self, recorder: &Recorder) -> Table {
        self.through(recorder.endpoint())
    }

    /// Returns access to the same table through a proxy that injects faults.
    pub(crate) fn faulty(&self, faults: &Faults) -> Table {
        self.through(faults.endpoint())
    }

    fn through(&self, endpoint: &str) -> Table {
        let mut variables = self.sandbox.table_variables();
        variables.insert("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), endpoint.to_owned());
        connect(&variables)
    }

    /// Returns all items of the campaign's partition except the progress of a recount, by sort key.
    pub(crate) async fn items(&self, campaign: CampaignId) -> BTreeMap<String, BTreeMap<String, String>> {
        let client = self.sandbox.client().unwrap();
        let query = client
            .query()
            .table_name(&self.sandbox.template.table.name)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", AttributeValue::S(format!("CAMPAIGN#{campaign}")));
        let items = query.send().await.unwrap().items.unwrap_or_default().into_iter();
        let items = items.filter(|item| item["sk"] != AttributeValue::S("RECOUNT".to_owned()));
        items.map(readable).map(|item| (item["sk"].clone(), item)).collect()
    }

    /// Returns the item with this key.
    pub(crate) async fn item(&self, pk: &str, sk: &str) -> Option<BTreeMap<String, String>> {
        let get = self.sandbox.client().unwrap().get_item().table_name(&self.sandbox.template.table.name);
        let get = get.key("pk", AttributeValue::S(pk.to_owned())).key("sk", AttributeValue::S(sk.to_owned()));
        get.send().await.unwrap().item.map(readable)
    }

    /// Returns every item of the table, except the account `demo` and its key, which every sandbox has.
    pub(crate) async fn everything(&self) -> Vec<HashMap<String, AttributeValue>> {
        let client = self.sandbox.client().unwrap();
        let scan = client.scan().table_name(&self.sandbox.template.table.name).send().await.unwrap();
        let of_demo = |item: &HashMap<String, AttributeValue>| {
            item.get("user_name").is_some_and(|name| name.as_s().is_ok_and(|name| name == "demo"))
        };
        scan.items.unwrap_or_default().into_iter().filter(|item| !of_demo(item)).collect()
    }

    /// Writes a string attribute into an item, bypassing the store.
    pub(crate) async fn set(&self, campaign: CampaignId, sk: &str, attribute: &str, value: &str) {
        self.set_in(&format!("CAMPAIGN#{campaign}"), sk, attribute, value).await;
    }

    /// Writes a string attribute into an item of any partition, bypassing the store.
    pub(crate) async fn set_in(&self, pk: &str, sk: &str, attribute: &str, value: &str) {
        let update = self.update(pk, sk).update_expression("SET #name = :value");
        let update = update.expression_attribute_values(":value", AttributeValue::S(value.to_owned()));
        update.expression_attribute_names("#name", attribute).send().await.unwrap();
    }

    /// Removes an attribute from an item, bypassing the store.
    pub(crate) async fn remove(&self, campaign: CampaignId, sk: &str, attribute: &str) {
        self.remove_from(&format!("CAMPAIGN#{campaign}"), sk, attribute).await;
    }

    /// Removes an attribute from an item of any partition, bypassing the store.
    pub(crate) async fn remove_from(&self, pk: &str, sk: &str, attribute: &str) {
        let update = self.update(pk, sk).update_expression("REMOVE #name");
        update.expression_attribute_names("#name", attribute).send().await.unwrap();
    }

    fn update(&self, pk: &str, sk: &str) -> UpdateItemFluentBuilder {
        let update = self.sandbox.client().unwrap().update_item().table_name(&self.sandbox.template.table.name);
        update.key("pk", AttributeValue::S(pk.to_owned())).key("sk", AttributeValue::S(sk.to_owned()))
    }

    /// Returns the table's stream, from its beginning on.
    pub(crate) fn stream(&self) -> TableStream {
        self.sandbox.stream()
    }

    /// Returns the active registrations, oldest first.
    pub(crate) async fn active(&self, collection: Collection) -> Vec<Registration> {
        let everything = CreatedAtRange::default();
        let stretch = Stretch { created_at: &everything, direction: Direction::Ascending, after: None, limit: 1000 };
        self.list(collection, stretch).await.unwrap().registrations
    }
}

fn readable(item: HashMap<String, AttributeValue>) -> BTreeMap<String, String> {
    let text = |value: AttributeValue| match value {
        AttributeValue::S(text) | AttributeValue::N(text) => text,
        other => panic!("expected a string or a number, found {other:?}"),
    };
    item.into_iter().map(|(name, value)| (name, text(value))).collect()
}

fn connect(variables: &BTreeMap<String, String>) -> Table {
    TableConfig::from_lookup(&|name| variables.get(name).cloned()).unwrap().connect()
}

/// Returns a campaign that no other test uses.
pub(crate) fn new_campaign() -> CampaignId {
    uuid::Uuid::new_v4().to_string().parse().unwrap()
}

/// Returns the pass whose id is this number.
pub(crate) fn pass(number: u128) -> PassId {
    uuid::Uuid::from_u128(number).to_string().parse().unwrap()
}

/// Returns the registration whose id is this number.
pub(crate) fn registration(number: u128) -> RegistrationId {
    uuid::Uuid::from_u128(number).to_string().parse().unwrap()
}

/// Returns the instant this many milliseconds after the start of the story.
pub(crate) fn at(milliseconds: u32) -> Timestamp {
    let base: Timestamp = "2016-11-09T11:09:00.000Z".parse().unwrap();
    base.plus(std::time::Duration::from_millis(milliseconds.into()))
}

/// Returns the instant at which all events are received.
pub(crate) fn now() -> Timestamp {
    "2016-11-10T00:00:00.000Z".parse().unwrap()
}

/// Returns a deadline that leaves time for every batch.
pub(crate) fn deadline() -> Instant {
    Instant::now() + Duration::from_hours(1)
}

/// Returns an install whose contents do not matter.
pub(crate) fn installation(registration_id: RegistrationId) -> Installation {
    Installation {
        registration_id,
        wallet: Wallet::Passbook,
        device_os: DeviceOs::Ios,
        device_library_identifier: None,
        push_token: None,
        push_service_url: None,
        serial_number: None,
    }
}

/// Returns the `created` event's contents of a pass whose serial number has no type.
pub(crate) fn untyped(serial_number: Option<&str>) -> Creation {
    let untyped = |text: &str| CreatedSerialNumber::Untyped(text.parse().unwrap());
    Creation { serial_number: serial_number.map(untyped), ..Creation::default() }
}

/// Returns the account of all events that do not name another.
pub(crate) fn demo() -> AccountId {
    "demo".parse().unwrap()
}

/// Returns a serial number of this pass type.
pub(crate) fn typed_serial(pass_type: &str, serial_number: &str) -> TypedSerialNumber {
    TypedSerialNumber { pass_type: pass_type.parse().unwrap(), serial_number: serial_number.parse().unwrap() }
}

/// Polls `work` a number of times and then drops it, like a process that is killed. Returns its result if it was done
/// by then.
pub(crate) async fn interrupted_after<T>(polls: usize, work: impl Future<Output = T>) -> Option<T> {
    let mut work = Box::pin(work);
    let mut polled = 0;
    let ended = poll_fn(|context| {
        polled += 1;
        if polled > polls { Poll::Ready(None) } else { work.as_mut().poll(context).map(Some) }
    });
    ended.await
}

/// Returns the outcome of an event, which must have been neither refused nor failed.
pub(crate) fn expect_done(outcome: Outcome) -> Outcome {
    assert!(matches!(outcome, Outcome::Applied | Outcome::Unchanged), "{outcome:?}");
    outcome
}

/// Returns an event of the account `demo`.
pub(crate) fn event(campaign_id: CampaignId, pass_id: PassId, at: Timestamp, change: Change) -> Event {
    Event { account_id: demo(), campaign_id, campaign_type: None, at, subject: Subject::Pass { pass_id, change } }
}
