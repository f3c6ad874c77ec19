//! Wires the function to Lambda.

use lambda_runtime::Error;
use pass_registrations::{Config, PassRegistrations};
use shared::{api::entry, config::environment, log};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::init();
    let config = Config::from_lookup(&environment).inspect_err(log::not_started)?;
    entry::run(PassRegistrations::new(&config)).await
}
