//! Wires the function to Lambda.

use api::lambda;
use lambda_runtime::Error;
use process::{config::environment, log};
use unmatched_route::{Config, UnmatchedRoute};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::init();
    let config = Config::from_lookup(&environment).inspect_err(log::not_started)?;
    lambda::run(UnmatchedRoute::new(&config)).await
}
