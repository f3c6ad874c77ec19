//! Wires the function to Lambda.

use std::process::ExitCode;

use campaign_recount::{CampaignRecount, Config};
use lambda_runtime::{Error, service_fn};
use process::{config::environment, log};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    log::init();
    log::exit_code(run().await)
}

async fn run() -> Result<(), Error> {
    let config = Config::from_lookup(&environment)?;
    let function = CampaignRecount::new(&config);
    lambda_runtime::run(service_fn(|event| function.handle(event))).await
}
