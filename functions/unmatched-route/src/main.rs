//! Wires the function to Lambda.

use api::function;
use lambda_runtime::Error;
use process::{config::environment, log};
use unmatched_route::{Config, UnmatchedRoute};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::init();
    let config = Config::from_lookup(&environment).inspect_err(log::not_started)?;
    function::run(UnmatchedRoute::new(&config)).await
}
