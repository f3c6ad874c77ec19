//! `export`: what one machine, or another table, has, into the table of a deployed stack.

use std::path::PathBuf;

use shared::{
    clock,
    config::{ConfigError, environment, optional},
    store::{ClaimError, Copied, RegistrationStore, StoreError, TableConfig},
};
use thiserror::Error;

use crate::{
    engine::{self, Engine, EngineError},
    samples,
    stack::Data,
};

/// Why the data, or some of it, was not exported.
#[derive(Debug, Error)]
pub enum ExportError {
    /// There is nothing to export.
    #[error("{0} has no data: nothing was ever kept there")]
    NoData(PathBuf),
    /// The data cannot be read.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Where it goes, or who may write there, is not said.
    #[error(
        "{0}; the table on AWS is found by AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN"
    )]
    Config(#[from] ConfigError),
    /// One of the two tables did not answer.
    #[error("{0}. What is there stays, and the same again goes on")]
    Store(#[from] StoreError),
    /// Some campaigns belong to somebody else there.
    #[error("{0} campaigns were not exported")]
    Refused(usize),
}

/// A table on AWS, or wherever `AWS_ENDPOINT_URL_DYNAMODB` says, as the environment of this process describes it.
///
/// # Errors
///
/// The variable that is missing.
pub fn table_on_aws(name: &str) -> Result<RegistrationStore, ExportError> {
    let region = optional(&environment, "AWS_REGION")?.or(optional(&environment, "AWS_DEFAULT_REGION")?);
    let lookup = |variable: &str| match variable {
        "TABLE_NAME" => Some(name.to_owned()),
        "AWS_REGION" => region.clone(),
        _ => environment(variable),
    };
    Ok(RegistrationStore::connect(&TableConfig::from_lookup(&lookup)?))
}

/// The engine that has the data of this machine, where it has any.
///
/// # Errors
///
/// There is none, or a stack that is running holds it.
pub async fn open(data: &Data) -> Result<Engine, ExportError> {
    match data {
        Data::Folder(folder) if !engine::has_data(folder) => Err(ExportError::NoData(folder.clone())),
        data => Ok(data.open().await?),
    }
}

/// Copies every account and every campaign from one table into another, and tells of each. The key `demo`, which everybody knows,
/// stays.
///
/// # Errors
///
/// Where a table does not answer, at once; where campaigns are refused, after all others.
pub async fn export(
    from: &RegistrationStore,
    to: &RegistrationStore,
    mut tell: impl FnMut(String),
) -> Result<(), ExportError> {
    let contents = from.contents().await?;
    for account in &contents.accounts {
        let keys = from.copy_account(account, &[samples::demo_key()], to).await?;
        tell(format!("account {account}: {keys} new keys"));
    }
    let mut refused = 0;
    for campaign in &contents.campaigns {
        match from.copy_campaign(*campaign, to, clock::now()).await {
            Ok(Copied { is_new, written, unchanged }) => {
                let counts = if is_new { " and what was counted before" } else { "" };
                tell(format!("campaign {campaign}: written {written} items{counts}; {unchanged} were there"));
            }
            Err(ClaimError::Store(error)) => return Err(error.into()),
            Err(refusal) => {
                refused += 1;
                tell(format!("campaign {campaign}: not exported, there {refusal}"));
            }
        }
    }
    if refused > 0 { Err(ExportError::Refused(refused)) } else { Ok(()) }
}
