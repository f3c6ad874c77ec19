//! The table and the events that all measurements share.

use local::{samples, testing::sandbox::Sandbox};
use serde_json::{Value, json};

use crate::measure::Measured;

/// The number of registrations in the campaign: more than the largest page, so that every measured page has a next
/// page.
const REGISTRATIONS: usize = 1_001;

/// The campaign that the measurements list.
pub(crate) const CAMPAIGN: &str = "11111111-2222-4333-8444-555555555555";

/// Creates a table with the account `demo`, the first events, a pass that wallets find, and one campaign with its
/// counts.
pub(crate) async fn build() -> Measured<Sandbox> {
    let sandbox = Sandbox::with_wallet_events().await?;
    sandbox.load_campaign(CAMPAIGN.parse()?, REGISTRATIONS).await?;
    Ok(sandbox)
}

/// Returns API Gateway's event for a page of the campaign.
pub(crate) fn page(per_page: usize) -> Measured<Value> {
    let mut event = samples::read(&samples::folder().join("http/list-campaign.json"))?;
    let path = format!("/v2/coupons/{CAMPAIGN}/registrations");
    event["rawPath"] = json!(path);
    event["requestContext"]["http"]["path"] = json!(path);
    event["pathParameters"]["campaign_id"] = json!(CAMPAIGN);
    event["rawQueryString"] = json!(format!("per_page={per_page}"));
    Ok(event)
}

/// Returns the event for the page to which `Link` leads from the answer to `event`.
pub(crate) fn next_page(event: &Value, answer: &Value) -> Measured<Value> {
    let link = next_link(answer["headers"]["link"].as_str().unwrap_or_default())?;
    let (_, query) = link.split_once('?').unwrap_or_default();
    let mut event = event.clone();
    event["rawQueryString"] = json!(query);
    Ok(event)
}

/// Returns the next page's path and query in the value of a `Link` header.
pub(crate) fn next_link(link: &str) -> Measured<&str> {
    let next = link.split(", ").find_map(|link| link.strip_prefix('<')?.strip_suffix(">; rel=\"next\""));
    next.ok_or_else(|| "the answer links to no next page".into())
}
