//! What the functions cost, measured on the binaries that are deployed, driven through a Lambda Runtime API over an embedded table.
//!
//! - `cargo bench -p local` measures everything and prints it as the tables of `docs/performance.md`.
//! - `… -- guard` counts instructions and sizes and fails where one is more than was recorded; `… -- guard FOLDER` those of the
//!   binaries that `sam build` left there.
//! - `… -- record`, `… -- record FOLDER` records what the guard compares with.
//! - `… -- bill` prints what a stack costs a month, as in `docs/growing.md`.
//! - `… -- scale` loads a campaign of a million registrations and walks through it.

mod bill;
mod cost;
mod measure;
mod operations;
mod scale;
mod stage;
mod tls;

use std::process::ExitCode;

use measure::Measured;

#[tokio::main]
async fn main() -> ExitCode {
    let asked: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let done = match asked.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => report().await,
        ["guard"] => cost::guard(None).await,
        ["guard", folder] => cost::guard(Some(folder.as_ref())).await,
        ["record"] => cost::record(None).await,
        ["record", folder] => cost::record(Some(folder.as_ref())).await,
        ["scale"] => scale::walk().await,
        ["bill"] => bill::print().await,
        _ => Err("expected nothing, or one of guard, record, each with or without a folder, scale and bill".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn report() -> Measured<()> {
    cost::print_times().await?;
    cost::print_counts().await?;
    operations::print().await
}
