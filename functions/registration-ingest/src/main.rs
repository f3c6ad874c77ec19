//! Wires the function to Lambda.

use lambda_runtime::{Error, service_fn};
use process::{config::environment, log};
use registration_ingest::{Config, RegistrationIngest};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::init();
    let config = Config::from_lookup(&environment).inspect_err(log::not_started)?;
    let function = RegistrationIngest::new(&config);
    lambda_runtime::run(service_fn(|event| function.handle(event))).await
}
