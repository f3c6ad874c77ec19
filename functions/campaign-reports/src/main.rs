//! Wires the function to Lambda.

use api::lambda;
use campaign_reports::{CampaignReports, Config};
use lambda_runtime::Error;
use process::{config::environment, log};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::init();
    let config = Config::from_lookup(&environment).inspect_err(log::not_started)?;
    lambda::run(CampaignReports::new(&config)).await
}
