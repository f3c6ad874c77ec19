//! Campaigns of any size, for tests and measurements, loaded in bulk without writing to the stream.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use aws_sdk_dynamodb::types::AttributeValue;
use domain::{
    campaign::CampaignType,
    event::Installation,
    id::{CampaignId, PassId, RegistrationId},
    time::{self, Timestamp},
    wallet::{DeviceOs, Wallet},
};
use serde_json::{Value, json};
use store::{RecountRun, StoreError, Table, keys};
use thiserror::Error;
use uuid::Uuid;

use crate::{
    aws::dynamodb::{Engine, EngineError},
    progress::Pace,
    template::TableDefinition,
};

/// The maximum number of items in one import.
const IMPORT_SIZE: usize = 20_000;

/// Why a campaign cannot be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The engine cannot be reached, or does not support imports.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The first registration, from which the others are copied, was not accepted.
    #[error("the first registration was refused: {0}")]
    First(String),
    /// The table did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Returns the id of registration `number`. It belongs to pass `number / 2` and begins one second after registration
/// `number - 1`.
#[must_use]
pub fn registration_id(number: usize) -> String {
    Uuid::from_u128(0xa000_0000_0000_4000_8000_0000_0000_0000 + number as u128).to_string()
}

fn pass_id(number: usize) -> String {
    Uuid::from_u128(0xb000_0000_0000_4000_8000_0000_0000_0000 + number as u128 / 2).to_string()
}

/// Loads a coupon campaign of the account `demo` with `count` registrations, and writes its counts. Reports the
/// progress to `progress` if it takes longer than a second.
///
/// The first registration is installed through the store, with a device and a push token. The others are copies of its
/// item, so they look exactly like items that the store writes.
pub async fn load(
    engine: &Engine,
    table: &TableDefinition,
    campaign: CampaignId,
    count: usize,
    progress: impl FnMut(String),
) -> Result<(), LoadError> {
    let loaded = AtomicUsize::new(0);
    let line = || format!("campaign {campaign}: {} of {count} registrations loaded", loaded.load(Ordering::Relaxed));
    Pace::default().report(load_counting(engine, table, campaign, count, &loaded), line, progress).await
}

/// Loads a campaign and adds the number of its registrations to `loaded` while it does.
async fn load_counting(
    engine: &Engine,
    table: &TableDefinition,
    campaign: CampaignId,
    count: usize,
    loaded: &AtomicUsize,
) -> Result<(), LoadError> {
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
            (keys::SK, format!("PASS#{pass}#{registration}")),
            (keys::PASS, format!("{campaign}#{pass}")),
            (keys::WALLET, wallet.to_owned()),
            (keys::DEVICE_OS, device_os.to_owned()),
            (keys::CREATED_AT, at.clone()),
            ("last_event_at", at),
        ];
        for (name, value) in own {
            item.insert(name.to_owned(), json!({"S": value}));
        }
        Value::from(serde_json::Map::from_iter(item))
    });
    let mut items = items.peekable();
    loaded.store(1, Ordering::Relaxed);
    while items.peek().is_some() {
        let part: Vec<_> = items.by_ref().take(IMPORT_SIZE).collect();
        let size = part.len();
        engine.import(table, part).await?;
        loaded.fetch_add(size, Ordering::Relaxed);
    }
    // The recount gets an instant 48 hours ahead. The stream no longer delivers any change then, so the recount writes
    // the counts at once.
    let ahead = || time::now().plus(Duration::from_hours(48));
    store.recount(campaign, RecountRun::new("load", &ahead, ahead().plus(Duration::from_hours(1)))).await?;
    Ok(())
}

/// Installs registration 0 and returns its item.
async fn install(
    engine: &Engine,
    table: &TableDefinition,
    store: &Table,
    campaign: CampaignId,
    at: Timestamp,
) -> Result<HashMap<String, Value>, LoadError> {
    let first = |error: &dyn std::fmt::Display| LoadError::First(error.to_string());
    let account = parsed("demo")?;
    let claimed = store.claim(campaign, &account, Some(CampaignType::Coupons), time::now()).await;
    claimed.map_err(|error| first(&error))?;
    let (pass, registration_id): (PassId, RegistrationId) = (parsed(&pass_id(0))?, parsed(&registration_id(0))?);
    let installation = Installation {
        registration_id,
        wallet: Wallet::Passbook,
        device_os: DeviceOs::Ios,
        device_library_identifier: Some(parsed(&"d".repeat(32))?),
        push_token: Some(parsed(&"p".repeat(64))?),
        push_service_url: None,
        serial_number: None,
    };
    store.register(&account, campaign, pass, &installation, at, time::now()).await?;
    let key = |text: String| AttributeValue::S(text);
    let item = engine
        .client(table)?
        .get_item()
        .table_name(&table.name)
        .key(keys::PK, key(keys::campaign_pk(campaign)))
        .key(keys::SK, key(keys::registration_sk(pass, registration_id)));
    let item = item.send().await.map_err(StoreError::from)?.item.unwrap_or_default();
    let strings = item.into_iter().filter_map(|(name, value)| match value {
        AttributeValue::S(text) => Some((name, json!({"S": text}))),
        _ => None,
    });
    Ok(strings.collect())
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, LoadError> {
    text.parse().map_err(|error: T::Err| LoadError::First(error.to_string()))
}
