//! Measures the cost of the functions: their release binaries, driven through a Lambda Runtime API, with an embedded
//! table.
//!
//! - `cargo bench -p local` compares the listing with the peer, and prints the tables of `docs/performance.md`.
//! - `… -- guard` measures instructions and sizes, and fails if one exceeds its recorded value by more than 5 %.
//! - `… -- record` records the values with which the guard compares.
//! - `… -- quotas` compares the listing with the peer under the processor time of small functions. It needs root.
//! - `… -- bill` prints the monthly cost of a stack, as in `docs/costs.md`.
//! - `… -- scale` loads a campaign of a million registrations and walks through it.
//!
//! `… -- report FOLDER`, and `guard`, `record` and `quotas` with a folder, measure the binaries that `sam build` left there.
//! Without a folder, the functions are built first.

mod bill;
mod binaries;
mod comparison;
mod cost;
mod events;
mod measure;
mod operations;
mod quotas;
mod scale;
mod stage;
mod tls;

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use measure::Measured;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &[&str]) -> Measured<()> {
    let functions = |folder: &[&str]| match folder {
        [] => binaries::build(),
        folder => binaries::built(folder.concat().as_ref()),
    };
    match arguments {
        [] => report(binaries::build()?).await,
        ["report", folder] => report(functions(&[folder])?).await,
        ["guard", folder @ ..] if folder.len() < 2 => cost::guard(functions(folder)?).await,
        ["record", folder @ ..] if folder.len() < 2 => cost::record(functions(folder)?).await,
        ["quotas", folder @ ..] if folder.len() < 2 => quotas::print(&functions(folder)?).await,
        ["scale"] => scale::walk().await,
        ["bill"] => bill::print().await,
        _ => Err("expected no argument, report FOLDER, guard, record or quotas [FOLDER], scale or bill".into()),
    }
}

async fn report(functions: BTreeMap<String, PathBuf>) -> Measured<()> {
    comparison::print(&functions).await?;
    cost::print_events(&functions).await?;
    operations::print().await
}
