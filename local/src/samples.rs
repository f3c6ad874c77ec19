//! The sample events in `events/`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::Value;
use shared::{
    account::{Access, ApiKey, KeyId},
    clock,
    store::{RegistrationStore, StoreError},
};
use thiserror::Error;

use crate::{
    functions::{Functions, InvokeError},
    template::Template,
};

/// The sample that a new table begins with: the three installs of the source document.
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
        /// Where, and what was expected.
        cause: serde_json::Error,
    },
    /// The account that they belong to was not made.
    #[error("the account demo was not made: {0}")]
    NoAccount(#[from] StoreError),
    /// The first events have no function, or it failed.
    #[error("{FIRST_EVENTS} has no answer: {0}")]
    Unanswered(#[from] InvokeError),
    /// The first events were not all applied.
    #[error("{FIRST_EVENTS} was not applied: {0}")]
    NotApplied(Value),
}

/// Makes the one account that a local table begins with: user name `demo`, API key `demo`.
pub async fn create_demo_account(store: &RegistrationStore) -> Result<(), StoreError> {
    let now = clock::now();
    let (Ok(account), Ok(user_name)) = (DEMO.parse(), DEMO.parse()) else { return Ok(()) };
    store.create_account(&account, &user_name, now).await?;
    store.add_key(&account, &ApiKey::claimed(DEMO), Access::ReadWrite, now).await?;
    Ok(())
}

/// The key of the demo account, which is no secret.
#[must_use]
pub fn demo_key() -> KeyId {
    ApiKey::claimed(DEMO).id()
}

/// Fills a new table with the first events, by the function that takes them.
pub async fn apply_first_events(functions: &Functions, template: &Template) -> Result<(), SampleError> {
    let event = read(&folder().join(FIRST_EVENTS))?;
    let function = function_of(&event, template).unwrap_or_default();
    let answer = functions.invoke(function, event).await?;
    match answer["batchItemFailures"].as_array() {
        Some(failures) if failures.is_empty() => Ok(()),
        _ => Err(SampleError::NotApplied(answer)),
    }
}

/// The folder with the samples.
#[must_use]
pub fn folder() -> PathBuf {
    Template::default_path().with_file_name("events")
}

/// Reads the event in a file.
pub fn read(path: &Path) -> Result<Value, SampleError> {
    let text = fs::read_to_string(path).map_err(|cause| SampleError::Unreadable { path: path.to_owned(), cause })?;
    serde_json::from_str(&text).map_err(|cause| SampleError::NotJson { path: path.to_owned(), cause })
}

/// The samples in `http/`, `sqs/` and `dynamodb/` that reach `function`, by name (`http/list-campaign.json`), in alphabetical order.
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

/// The function that the template sends an event to, by the event's route, its queue or its stream.
#[must_use]
pub fn function_of<'a>(event: &Value, template: &'a Template) -> Option<&'a str> {
    if let Some(key) = event["routeKey"].as_str() {
        let route = template.routes.iter().find(|route| {
            route.path == key || key.split_once(' ') == Some((route.method.as_str(), route.path.as_str()))
        });
        return route.map(|route| route.function.as_str());
    }
    let arn = &event["eventSourceARN"];
    if let Some(source) = template.streams.iter().find(|source| arn == &source.arn) {
        return Some(&source.function);
    }
    let is_from_queue = event["Records"][0]["eventSource"] == "aws:sqs";
    template.queues.first().filter(|_| is_from_queue).map(|queue| queue.function.as_str())
}
