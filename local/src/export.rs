//! The command `export`: copies the local data, or the data of another table, into the table of a deployed stack.

use std::path::PathBuf;

use domain::time;
use process::config::{ConfigError, TableConfig, environment, optional};
use store::{ClaimError, Copied, StoreError, Table};
use thiserror::Error;

use crate::{
    aws::dynamodb::{self, Data, Engine, EngineError},
    samples,
};

/// Why some or all of the data was not exported.
#[derive(Debug, Error)]
pub enum ExportError {
    /// There is nothing to export.
    #[error("{0} has no data: no local stack has kept any there")]
    NoData(PathBuf),
    /// The data cannot be read.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Region or credentials are missing.
    #[error(
        "{0}; set AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if the credentials are temporary, \
         AWS_SESSION_TOKEN"
    )]
    Config(#[from] ConfigError),
    /// One of the two tables did not answer.
    #[error("{0}. What was copied so far stays; run the same command again to continue")]
    Store(#[from] StoreError),
    /// Some campaigns belong to another account, or are of another type, in the target table.
    #[error("{0} campaigns were not exported")]
    Refused(usize),
}

/// Connects to the table `name` on AWS, or at `AWS_ENDPOINT_URL_DYNAMODB` if that is set, with the region and
/// credentials in this process's environment.
///
/// # Errors
///
/// A variable is missing.
pub fn table_on_aws(name: &str) -> Result<Table, ExportError> {
    let region = optional(&environment, "AWS_REGION")?.or(optional(&environment, "AWS_DEFAULT_REGION")?);
    let lookup = |variable: &str| match variable {
        "TABLE_NAME" => Some(name.to_owned()),
        "AWS_REGION" => region.clone(),
        _ => environment(variable),
    };
    Ok(TableConfig::from_lookup(&lookup)?.connect())
}

/// Opens the engine that has the data of this machine.
///
/// # Errors
///
/// There is no data, or a running stack holds it.
pub async fn open(data: &Data) -> Result<Engine, ExportError> {
    match data {
        Data::Folder(folder) if !dynamodb::has_data(folder) => Err(ExportError::NoData(folder.clone())),
        data => Ok(data.open().await?),
    }
}

/// Copies every account and every campaign from one table into another, and reports each in a line. The key `demo` is
/// not copied, because it is public.
///
/// # Errors
///
/// Fails at once if a table does not answer. Fails after all other campaigns were copied if the target refused some.
pub async fn export(from: &Table, to: &Table, mut report: impl FnMut(String)) -> Result<(), ExportError> {
    let contents = from.contents().await?;
    for account in &contents.accounts {
        let keys = from.copy_account(account, &[samples::demo_key()], to).await?;
        report(format!("account {account}: {keys} new keys"));
    }
    let mut refused = 0;
    for campaign in &contents.campaigns {
        match from.copy_campaign(*campaign, to, time::now()).await {
            Ok(Copied { is_new, written, unchanged }) => {
                let counts = if is_new { " and their earlier counts" } else { "" };
                report(format!("campaign {campaign}: wrote {written} items{counts}; {unchanged} unchanged"));
            }
            Err(ClaimError::Store(error)) => return Err(error.into()),
            Err(refusal) => {
                refused += 1;
                report(format!("campaign {campaign}: not exported; in the target table, {refusal}"));
            }
        }
    }
    if refused > 0 { Err(ExportError::Refused(refused)) } else { Ok(()) }
}
