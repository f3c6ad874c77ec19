//! What the functions cost, measured on the binaries that are deployed, driven through a Lambda Runtime API over an embedded table.
//!
//! - `cargo bench -p local` measures everything and prints it as the tables of `docs/performance.md`.
//! - `… -- guard` counts instructions, sizes and request units and fails where one is more than was recorded.
//! - `… -- record` records what the guard compares with.
//! - `… -- scale` loads a campaign of a million registrations and walks through it.

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
        ["guard"] => cost::guard().await,
        ["record"] => cost::record().await,
        ["scale"] => scale::walk().await,
        _ => Err("expected nothing, or one of guard, record, scale".into()),
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
