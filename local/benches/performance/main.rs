//! Measures the cost of the functions: their release binaries, driven through a Lambda Runtime API, with an embedded
//! table.
//!
//! - `cargo bench -p local` compares the listing with the peer, and prints the tables of `docs/performance.md`.
//! - `… -- guard` measures instructions and sizes, and fails if one exceeds its recorded value by more than 5 %.
//!   `… -- guard FOLDER` measures the binaries that `sam build` left in that folder.
//! - `… -- record` and `… -- record FOLDER` record the values with which the guard compares.
//! - `… -- bill` prints the monthly cost of a stack, as in `docs/costs.md`.
//! - `… -- quotas` compares the listing with the peer under the processor time of small functions. It needs root.
//! - `… -- scale` loads a campaign of a million registrations and walks through it.

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

use std::process::ExitCode;

use measure::Measured;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => report().await,
        ["guard"] => cost::guard(None).await,
        ["guard", folder] => cost::guard(Some(folder.as_ref())).await,
        ["record"] => cost::record(None).await,
        ["record", folder] => cost::record(Some(folder.as_ref())).await,
        ["quotas"] => quotas::print().await,
        ["scale"] => scale::walk().await,
        ["bill"] => bill::print().await,
        _ => Err("expected no argument, or one of guard [FOLDER], record [FOLDER], quotas, scale, bill".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn report() -> Measured<()> {
    comparison::print().await?;
    cost::print_events().await?;
    operations::print().await
}
