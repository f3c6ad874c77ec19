//! Wires the function to Lambda.

use std::process::ExitCode;

use account_admin::{AccountAdmin, Config};
use lambda_runtime::{Error, service_fn};
use process::{config::environment, log};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    log::init();
    log::exit_code(run().await)
}

async fn run() -> Result<(), Error> {
    let config = Config::from_lookup(&environment)?;
    let function = AccountAdmin::new(&config);
    lambda_runtime::run(service_fn(|event| function.handle(event))).await
}
