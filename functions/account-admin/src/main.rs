//! Wires the function to Lambda.

use account_admin::{AccountAdmin, Config};
use lambda_runtime::{Error, service_fn};
use process::{config::environment, log};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::init();
    let config = Config::from_lookup(&environment).inspect_err(log::not_started)?;
    let function = AccountAdmin::new(&config);
    lambda_runtime::run(service_fn(|event| function.handle(event))).await
}
