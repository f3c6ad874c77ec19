//! Campaigns of any size, for tests and measurements: loaded in bulk, without the stream.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use shared::{
    campaign::CampaignType,
    clock::{self, Timestamp},
    event::Installation,
    id::{CampaignId, PassId, RegistrationId},
    registration::{DeviceOs, Wallet},
    store::{RegistrationStore, StoreError, key},
};
use thiserror::Error;
use uuid::Uuid;

use crate::{
    engine::{Engine, EngineError},
    template::Table,
};

/// How many items are handed to the engine at a time.
const IMPORT_SIZE: usize = 20_000;

/// Why a campaign cannot be loaded.
#[derive(Debug, Error)]
pub enum CrowdError {
    /// The engine takes nothing in bulk.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The store refused the first of the registrations, which the others are made from.
    #[error("the first registration was refused: {0}")]
    First(String),
    /// The campaign could not be counted.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The registration with this number, of the pass with half of it, a second after the one before.
#[must_use]
pub fn registration_id(number: usize) -> String {
    Uuid::from_u128(0xa000_0000_0000_4000_8000_0000_0000_0000 + number as u128).to_string()
}

fn pass_id(number: usize) -> String {
    Uuid::from_u128(0xb000_0000_0000_4000_8000_0000_0000_0000 + number as u128 / 2).to_string()
}

/// Loads a coupon campaign of the account `demo` with so many registrations, and counts it.
///
/// The first is installed as any other, with a device and a push token; the others are copies of its item, so that they are what
/// the store writes.
pub async fn load(engine: &Engine, table: &Table, campaign: CampaignId, count: usize) -> Result<(), CrowdError> {
    let store = engine.store(table)?;
    let begin: Timestamp = parsed("2016-11-09T00:00:00.000Z")?;
    let first = install(engine, table, &store, campaign, begin).await?;
    let items = (1..count).map(|number| {
        let (pass, registration) = (pass_id(number), registration_id(number));
        let at = begin.plus(Duration::from_secs(number as u64)).to_string();
        let mut item = first.clone();
        let [wallet, device_os] =
            if number.is_multiple_of(2) { ["passbook", "ios"] } else { ["google_wallet", "android"] };
        let own = [
            (key::SK, format!("PASS#{pass}#{registration}")),
            (key::PASS, format!("{campaign}#{pass}")),
            (key::WALLET, wallet.to_owned()),
            (key::DEVICE_OS, device_os.to_owned()),
            (key::CREATED_AT, at.clone()),
            ("last_event_at", at),
        ];
        for (name, value) in own {
            item.insert(name.to_owned(), json!({"S": value}));
        }
        Value::from(serde_json::Map::from_iter(item))
    });
    let mut items = items.peekable();
    while items.peek().is_some() {
        engine.import(table, items.by_ref().take(IMPORT_SIZE).collect())?;
    }
    // So much later that nothing can be on its way to the counts.
    store.recount(campaign, clock::now().plus(Duration::from_hours(48))).await?;
    Ok(())
}

/// Installs the registration with the number 0 and brings its item.
async fn install(
    engine: &Engine,
    table: &Table,
    store: &RegistrationStore,
    campaign: CampaignId,
    at: Timestamp,
) -> Result<HashMap<String, Value>, CrowdError> {
    let first = |error: &dyn std::fmt::Display| CrowdError::First(error.to_string());
    let account = parsed("demo")?;
    let claimed = store.claim(campaign, &account, Some(CampaignType::Coupons), clock::now()).await;
    claimed.map_err(|error| first(&error))?;
    let (pass, registration_id): (PassId, RegistrationId) = (parsed(&pass_id(0))?, parsed(&registration_id(0))?);
    let installation = Installation {
        registration_id,
        wallet: Wallet::Passbook,
        device_os: DeviceOs::Ios,
        device_library_identifier: Some(parsed(&"d".repeat(32))?),
        push_token: Some(parsed(&"p".repeat(64))?),
    };
    store.register(campaign, pass, &installation, at, clock::now()).await?;
    let key = |text: String| AttributeValue::S(text);
    let item = engine
        .client(table)?
        .get_item()
        .table_name(&table.name)
        .key(key::PK, key(key::campaign_pk(campaign)))
        .key(key::SK, key(key::registration_sk(pass, registration_id)));
    let item = item.send().await.map_err(StoreError::from)?.item.unwrap_or_default();
    let strings = item.into_iter().filter_map(|(name, value)| match value {
        AttributeValue::S(text) => Some((name, json!({"S": text}))),
        _ => None,
    });
    Ok(strings.collect())
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, CrowdError> {
    text.parse().map_err(|error: T::Err| CrowdError::First(error.to_string()))
}
