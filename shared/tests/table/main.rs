//! The store against a real engine: the rules of section "The event" and "The table" of the README, in every order.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounts;
mod claims;
mod copy;
mod events;
mod every_order;
mod listing;
mod recount;
mod registering;
mod stored_items;
mod tally;
mod versions;

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::{operation::update_item::builders::UpdateItemFluentBuilder, types::AttributeValue};
use local::{recorder::Recorder, sandbox::Sandbox, stream::TableStream};
use shared::{
    clock::Timestamp,
    event::{Change, Event, Installation},
    id::{CampaignId, PassId, RegistrationId},
    registration::{DeviceOs, Registration, Wallet},
    store::{Collection, CreatedAtRange, Direction, RegistrationStore, Stretch, TableConfig},
};

/// An empty table and a store over it.
pub(crate) struct Table {
    sandbox: Sandbox,
    pub(crate) store: RegistrationStore,
}

impl Table {
    pub(crate) async fn start() -> Self {
        let sandbox = Sandbox::start().await.unwrap();
        let store = store(&sandbox);
        Self { sandbox, store }
    }

    /// A store that remembers nothing, as in a process that has just started.
    pub(crate) fn fresh_store(&self) -> RegistrationStore {
        store(&self.sandbox)
    }

    /// A store that reaches the table through a recorder.
    pub(crate) fn recorded_store(&self, recorder: &Recorder) -> RegistrationStore {
        let mut variables = self.sandbox.table_variables();
        variables.insert("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), recorder.endpoint().to_owned());
        connect(&variables)
    }

    /// Everything in the campaign's partition, by sort key.
    pub(crate) async fn items(&self, campaign: CampaignId) -> BTreeMap<String, BTreeMap<String, String>> {
        let client = self.sandbox.client().unwrap();
        let query = client
            .query()
            .table_name(&self.sandbox.template.table.name)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", AttributeValue::S(format!("CAMPAIGN#{campaign}")));
        let items = query.send().await.unwrap().items.unwrap_or_default();
        let text = |value: AttributeValue| match value {
            AttributeValue::S(text) | AttributeValue::N(text) => text,
            other => panic!("no item has a {other:?}"),
        };
        let readable = items
            .into_iter()
            .map(|item| item.into_iter().map(|(name, value)| (name, text(value))).collect::<BTreeMap<_, _>>());
        readable.map(|item| (item["sk"].clone(), item)).collect()
    }

    /// Every item of the table, except the account `demo` and its key, which a sandbox begins with.
    pub(crate) async fn everything(&self) -> Vec<HashMap<String, AttributeValue>> {
        let client = self.sandbox.client().unwrap();
        let scan = client.scan().table_name(&self.sandbox.template.table.name).send().await.unwrap();
        let of_demo = |item: &HashMap<String, AttributeValue>| {
            item.get("user_name").is_some_and(|name| name.as_s().is_ok_and(|name| name == "demo"))
        };
        scan.items.unwrap_or_default().into_iter().filter(|item| !of_demo(item)).collect()
    }

    /// Writes a text into an item, as nobody but a test does.
    pub(crate) async fn set(&self, campaign: CampaignId, sk: &str, attribute: &str, value: &str) {
        self.set_in(&format!("CAMPAIGN#{campaign}"), sk, attribute, value).await;
    }

    /// The same, of any partition.
    pub(crate) async fn set_in(&self, pk: &str, sk: &str, attribute: &str, value: &str) {
        let update = self.update(pk, sk).update_expression("SET #name = :value");
        let update = update.expression_attribute_values(":value", AttributeValue::S(value.to_owned()));
        update.expression_attribute_names("#name", attribute).send().await.unwrap();
    }

    /// Takes an attribute out of an item, as nobody but a test does.
    pub(crate) async fn remove(&self, campaign: CampaignId, sk: &str, attribute: &str) {
        let update = self.update(&format!("CAMPAIGN#{campaign}"), sk).update_expression("REMOVE #name");
        update.expression_attribute_names("#name", attribute).send().await.unwrap();
    }

    fn update(&self, pk: &str, sk: &str) -> UpdateItemFluentBuilder {
        let update = self.sandbox.client().unwrap().update_item().table_name(&self.sandbox.template.table.name);
        update.key("pk", AttributeValue::S(pk.to_owned())).key("sk", AttributeValue::S(sk.to_owned()))
    }

    /// The table's stream, from its beginning on.
    pub(crate) fn stream(&self) -> TableStream {
        self.sandbox.stream()
    }

    /// What is active, oldest first.
    pub(crate) async fn active(&self, collection: Collection) -> Vec<Registration> {
        let everything = CreatedAtRange::default();
        let stretch = Stretch { created_at: &everything, direction: Direction::Ascending, after: None, limit: 1000 };
        self.store.list(collection, stretch).await.unwrap().registrations
    }
}

fn store(sandbox: &Sandbox) -> RegistrationStore {
    connect(&sandbox.table_variables())
}

fn connect(variables: &BTreeMap<String, String>) -> RegistrationStore {
    RegistrationStore::connect(&TableConfig::from_lookup(&|name| variables.get(name).cloned()).unwrap())
}

/// A campaign that no other test has.
pub(crate) fn new_campaign() -> CampaignId {
    uuid::Uuid::new_v4().to_string().parse().unwrap()
}

/// The pass with a number for its name.
pub(crate) fn pass(number: u128) -> PassId {
    uuid::Uuid::from_u128(number).to_string().parse().unwrap()
}

/// The registration with a number for its name.
pub(crate) fn registration(number: u128) -> RegistrationId {
    uuid::Uuid::from_u128(number).to_string().parse().unwrap()
}

/// The instant so many milliseconds into the story.
pub(crate) fn at(milliseconds: u32) -> Timestamp {
    let base: Timestamp = "2016-11-09T11:09:00.000Z".parse().unwrap();
    base.plus(std::time::Duration::from_millis(milliseconds.into()))
}

/// The instant at which everything is received.
pub(crate) fn now() -> Timestamp {
    "2016-11-10T00:00:00.000Z".parse().unwrap()
}

/// What an install brings when nothing about it matters.
pub(crate) fn installation(registration_id: RegistrationId) -> Installation {
    Installation {
        registration_id,
        wallet: Wallet::Passbook,
        device_os: DeviceOs::Ios,
        device_library_identifier: None,
        push_token: None,
    }
}

/// An event of the account `demo`.
pub(crate) fn event(campaign_id: CampaignId, pass_id: PassId, at: Timestamp, change: Change) -> Event {
    Event { account_id: "demo".parse().unwrap(), campaign_id, campaign_type: None, pass_id, at, change }
}
