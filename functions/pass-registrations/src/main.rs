//! Wires the function to Lambda.

use api::lambda;
use lambda_runtime::Error;
use pass_registrations::{Config, PassRegistrations};
use process::{config::environment, log};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::init();
    let config = Config::from_lookup(&environment).inspect_err(log::not_started)?;
    lambda::run(PassRegistrations::new(&config)).await
}
