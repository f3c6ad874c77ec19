//! The sample events in `events/`, and what every new local table has: the account `demo` and the first events.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use domain::{
    account::{Access, ApiKey, KeyId},
    time,
};
use serde_json::Value;
use store::{StoreError, Table};
use thiserror::Error;

use crate::{
    aws::dynamodb::{Engine, EngineError},
    functions::{Functions, InvokeError},
    template::{RouteDefinition, Template},
};

/// The sample that fills a new table: the three installs of the source document.
pub const FIRST_EVENTS: &str = "sqs/source-document.json";

/// The local account's id, user name and API key.
const DEMO: &str = "demo";

/// Why a sample cannot be used.
#[derive(Debug, Error)]
pub enum SampleError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {cause}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The file is not JSON.
    #[error("{path} is not JSON: {cause}")]
    NotJson {
        /// The file.
        path: PathBuf,
        /// The place, and what was expected.
        cause: serde_json::Error,
    },
    /// The table cannot be used.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The account `demo` was not created.
    #[error("the account demo could not be created: {0}")]
    NoAccount(#[from] StoreError),
    /// The template sends the first events to no function, or the function failed.
    #[error("{FIRST_EVENTS} was not answered: {0}")]
    Unanswered(#[from] InvokeError),
    /// The first events were not all applied.
    #[error("{FIRST_EVENTS} was not applied: {0}")]
    NotApplied(Value),
}

/// Fills the template's table with the account `demo` and the first events, unless that was completed before. If it was
/// interrupted, adds what is missing.
///
/// The account's key is written last, and keeps its item if it is revoked. So if there is a key, nothing is missing,
/// and what was removed since was removed on purpose. A table that has other data but no account `demo`, or in which
/// the account `demo` has another key, was not filled by a local stack, so nothing is added to it.
pub async fn fill(engine: &Engine, functions: &Functions, template: &Template) -> Result<(), SampleError> {
    let table = engine.store(&template.table)?;
    let is_missing = match table.keys(&demo()).await? {
        Some(keys) => keys.is_empty(),
        None => engine.is_empty(&template.table).await?,
    };
    if is_missing {
        create_demo_account(&table).await?;
        apply_first_events(functions, template).await?;
        add_demo_key(&table).await?;
    }
    Ok(())
}

/// Creates the account that every new local table has, with the user name `demo`.
pub async fn create_demo_account(table: &Table) -> Result<(), StoreError> {
    table.create_account(&demo(), &demo(), time::now()).await?;
    Ok(())
}

/// Adds the key `demo` to the account `demo`.
pub async fn add_demo_key(table: &Table) -> Result<(), StoreError> {
    table.add_key(&demo(), &ApiKey::claimed(DEMO), Access::ReadWrite, time::now()).await?;
    Ok(())
}

/// Returns `demo` as an id or a name.
#[expect(clippy::expect_used, reason = "a constant, which every start of the stack parses")]
fn demo<T: FromStr<Err: fmt::Debug>>() -> T {
    DEMO.parse().expect("demo is valid")
}

/// Returns the id of the demo account's key, which is not a secret.
#[must_use]
pub fn demo_key() -> KeyId {
    ApiKey::claimed(DEMO).id()
}

/// Fills a new table with the first events, through the function that ingests them.
pub async fn apply_first_events(functions: &Functions, template: &Template) -> Result<(), SampleError> {
    let event = read(&folder().join(FIRST_EVENTS))?;
    let function = function_of(&event, template).unwrap_or_default();
    let answer = functions.invoke(function, event).await?;
    match answer["batchItemFailures"].as_array() {
        Some(failures) if failures.is_empty() => Ok(()),
        _ => Err(SampleError::NotApplied(answer)),
    }
}

/// Returns the folder with the samples.
#[must_use]
pub fn folder() -> PathBuf {
    Template::default_path().with_file_name("events")
}

/// Reads an event from a file.
pub fn read(path: &Path) -> Result<Value, SampleError> {
    let text = fs::read_to_string(path).map_err(|cause| SampleError::Unreadable { path: path.to_owned(), cause })?;
    serde_json::from_str(&text).map_err(|cause| SampleError::NotJson { path: path.to_owned(), cause })
}

/// Returns the samples in `http/`, `sqs/` and `dynamodb/` that the template sends to `function`, in alphabetical order.
/// Each has its name, such as `http/list-campaign.json`.
pub fn reaching(function: &str, template: &Template) -> Result<Vec<(String, Value)>, SampleError> {
    let mut samples = Vec::new();
    for kind in ["http", "sqs", "dynamodb"] {
        let folder = folder().join(kind);
        let unreadable = |cause| SampleError::Unreadable { path: folder.clone(), cause };
        for entry in fs::read_dir(&folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let event = read(&path)?;
            if function_of(&event, template) == Some(function) {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                samples.push((format!("{kind}/{name}"), event));
            }
        }
    }
    samples.sort_by(|(left, _), (right, _)| left.cmp(right));
    Ok(samples)
}

/// Returns the function to which the template sends an event, by the event's route, queue or stream, or `None` if the
/// template sends it to no function.
#[must_use]
pub fn function_of<'a>(event: &Value, template: &'a Template) -> Option<&'a str> {
    if let Some(key) = event["routeKey"].as_str() {
        let route = template.routes.iter().find(|route| {
            route.path == key || key.split_once(' ') == Some((route.method.as_str(), route.path.as_str()))
        });
        return route.and_then(RouteDefinition::function);
    }
    let arn = &event["eventSourceARN"];
    if let Some(source) = template.streams.iter().find(|source| arn == &source.arn) {
        return Some(&source.function);
    }
    let arn = &event["Records"][0]["eventSourceARN"];
    template.queues.iter().find(|queue| *arn == queue.arn()).map(|queue| queue.function.as_str())
}
