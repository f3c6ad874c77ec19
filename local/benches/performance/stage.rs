//! The table that everything is measured over, and the events that the functions get.

use local::{samples, sandbox::Sandbox};
use serde_json::{Value, json};

use crate::measure::Measured;

/// How many registrations the campaign has: more than the largest page, so that every page has a next one.
const REGISTRATIONS: usize = 1_001;

/// The campaign that is listed.
pub(crate) const CAMPAIGN: &str = "11111111-2222-4333-8444-555555555555";

/// A table with the account `demo`, the first events and one campaign with its counts.
pub(crate) async fn build() -> Measured<Sandbox> {
    let sandbox = Sandbox::with_first_events().await?;
    sandbox.load_campaign(CAMPAIGN.parse()?, REGISTRATIONS).await?;
    Ok(sandbox)
}

/// What API Gateway hands over for a page of the campaign.
pub(crate) fn page(per_page: usize) -> Measured<Value> {
    let mut event = samples::read(&samples::folder().join("http/list-campaign.json"))?;
    let path = format!("/v2/coupons/{CAMPAIGN}/registrations");
    event["rawPath"] = json!(path);
    event["requestContext"]["http"]["path"] = json!(path);
    event["pathParameters"]["campaign_id"] = json!(CAMPAIGN);
    event["rawQueryString"] = json!(format!("per_page={per_page}"));
    Ok(event)
}
