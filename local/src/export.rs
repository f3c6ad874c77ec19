//! The command `export`: copies the local data, or the data of another table, into the table of a deployed stack.

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use domain::time;
use process::config::{ConfigError, TableConfig, environment, optional};
use store::{ClaimError, Copied, CopiedNames, StoreError, Table};
use thiserror::Error;

use crate::{
    aws::dynamodb::{self, Data, Engine, EngineError},
    progress::Pace,
    samples,
};

/// Why some or all of the data was not exported.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The data folder has no data.
    #[error("{0} has no data: no local stack has stored any there")]
    NoData(PathBuf),
    /// The data cannot be read.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The region or the credentials are missing.
    #[error(
        "{0}; set AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if the credentials are temporary, \
         AWS_SESSION_TOKEN"
    )]
    Config(#[from] ConfigError),
    /// One of the two tables did not answer.
    #[error("{0}. The data copied so far is kept; run the same command again to continue")]
    Store(#[from] StoreError),
    /// Campaigns belong to another account or have another type in the target table, or names of passes belong to
    /// another pass there.
    #[error("{campaigns} campaigns and {names} names of passes were not exported")]
    Refused {
        /// How many campaigns.
        campaigns: usize,
        /// How many serial numbers and Google objects.
        names: usize,
    },
}

/// Connects to the table `name` on AWS, or at the endpoint in `AWS_ENDPOINT_URL_DYNAMODB` or `AWS_ENDPOINT_URL` if one
/// is set. The region and the credentials come from this process's environment.
///
/// # Errors
///
/// If a variable is missing.
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
/// If there is no data, or a running stack holds it.
pub async fn open(data: &Data) -> Result<Engine, ExportError> {
    match data {
        Data::Folder(folder) if !dynamodb::has_data(folder) => Err(ExportError::NoData(folder.clone())),
        data => Ok(data.open().await?),
    }
}

/// Copies every account and every campaign from one table into another, and reports each of them in one line. Reports
/// the progress of slow steps to `progress`. Does not copy the key `demo`, because it is public.
///
/// # Errors
///
/// If a table does not answer, in which case the export stops at once, or if the target refuses some campaigns or names
/// of passes, in which case all others are copied.
pub async fn export(
    from: &Table,
    to: &Table,
    mut report: impl FnMut(String),
    pace: Pace,
    mut progress: impl FnMut(String),
) -> Result<(), ExportError> {
    let reading = || "reading the accounts and campaigns".to_owned();
    let contents = pace.report(from.contents(), reading, &mut progress).await?;
    for account in &contents.accounts {
        let keys = from.copy_account(account, &[samples::demo_key()], to).await?;
        report(format!("account {account}: {keys} new keys"));
    }
    let mut copied_campaigns = HashSet::new();
    for campaign in &contents.campaigns {
        let copied = AtomicUsize::new(0);
        let count = |so_far: Copied| copied.store(so_far.written + so_far.unchanged, Ordering::Relaxed);
        let copy = from.copy_campaign_with_progress(*campaign, to, time::now(), count);
        let line = || format!("campaign {campaign}: items copied so far: {}", copied.load(Ordering::Relaxed));
        match pace.report(copy, line, &mut progress).await {
            Ok(Copied { is_new, written, unchanged }) => {
                copied_campaigns.insert(*campaign);
                let counts = if is_new { " and their earlier counts" } else { "" };
                report(format!("campaign {campaign}: wrote {written} items{counts}; {unchanged} unchanged"));
            }
            Err(ClaimError::Store(error)) => return Err(error.into()),
            Err(refusal) => report(format!("campaign {campaign}: not exported; in the target table, {refusal}")),
        }
    }
    let campaigns = contents.campaigns.len() - copied_campaigns.len();
    let mut names = 0;
    if contents.has_names {
        let copied = AtomicUsize::new(0);
        let count = |so_far: &CopiedNames| copied.store(so_far.written + so_far.unchanged, Ordering::Relaxed);
        let copy = from.copy_names(&copied_campaigns, to, count);
        let line = || format!("names of passes copied so far: {}", copied.load(Ordering::Relaxed));
        let CopiedNames { written, unchanged, taken } = pace.report(copy, line, &mut progress).await?;
        report(format!("names of passes: wrote {written}; {unchanged} unchanged"));
        for (campaign, pass) in &taken {
            report(format!(
                "pass {pass} of campaign {campaign}: a serial number or Google object was not exported; in the target \
                 table, it belongs to another pass"
            ));
        }
        names = taken.len();
    }
    if campaigns + names > 0 { Err(ExportError::Refused { campaigns, names }) } else { Ok(()) }
}
