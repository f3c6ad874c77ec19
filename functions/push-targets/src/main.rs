//! Wires the function to Lambda.

use std::process::ExitCode;

use api::lambda;
use lambda_runtime::Error;
use process::{config::environment, log};
use push_targets::{Config, PushTargets};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    log::init();
    log::exit_code(run().await)
}

async fn run() -> Result<(), Error> {
    let config = Config::from_lookup(&environment)?;
    lambda::run(PushTargets::new(&config)).await
}
