//! The table that everything is measured over, and the events that the functions get.

use std::error::Error;

use local::{samples, sandbox::Sandbox};
use serde_json::{Value, json};
use shared::{
    campaign::CampaignType,
    clock::{self, Timestamp},
    event::{Change, Event, Installation},
    id::{AccountId, CampaignId, PassId},
    registration::{DeviceOs, Wallet},
};
use uuid::Uuid;

/// How many registrations the campaign has: more than the largest page, so that every page has a next one.
const REGISTRATIONS: u128 = 1_001;

/// The campaign that is listed.
pub(crate) const CAMPAIGN: &str = "11111111-2222-4333-8444-555555555555";

/// A table with the account `demo`, one campaign and its counts.
pub(crate) async fn build() -> Result<Sandbox, Box<dyn Error>> {
    let sandbox = Sandbox::with_first_events().await?;
    let variables = sandbox.table_variables();
    let config = shared::store::TableConfig::from_lookup(&|name| variables.get(name).cloned())?;
    let store = shared::store::RegistrationStore::connect(&config);
    let (campaign, account): (CampaignId, AccountId) = (CAMPAIGN.parse()?, "demo".parse()?);
    store.claim(campaign, &account, Some(CampaignType::Coupons), clock::now()).await?;
    let begin: Timestamp = "2026-01-01T00:00:00Z".parse()?;
    let events = (0..REGISTRATIONS).map(|number| install(campaign, number, begin));
    let events = events.collect::<Result<Vec<_>, _>>()?;
    for result in store.apply_all(&events, clock::now()).await {
        result?;
    }
    sandbox.tally().await?;
    Ok(sandbox)
}

fn install(campaign_id: CampaignId, number: u128, begin: Timestamp) -> Result<Event, Box<dyn Error>> {
    let registration_id = Uuid::from_u128(0xa000_0000_0000_4000_8000_0000_0000_0000 + number).to_string().parse()?;
    let pass_id: PassId = Uuid::from_u128(0xb000_0000_0000_4000_8000_0000_0000_0000 + number).to_string().parse()?;
    let installation = Installation {
        registration_id,
        wallet: Wallet::Passbook,
        device_os: DeviceOs::Ios,
        device_library_identifier: Some("d".repeat(32).parse()?),
        push_token: Some("p".repeat(64).parse()?),
    };
    let at = begin.plus(std::time::Duration::from_millis(u64::try_from(number)? * 1_001));
    let change = Change::Installed(installation);
    Ok(Event { account_id: "demo".parse()?, campaign_id, campaign_type: None, pass_id, at, change })
}

/// What API Gateway hands over for a page of the campaign.
pub(crate) fn page(per_page: usize) -> Result<Value, Box<dyn Error>> {
    let mut event = samples::read(&samples::folder().join("http/list-campaign.json"))?;
    let path = format!("/v2/coupons/{CAMPAIGN}/registrations");
    event["rawPath"] = json!(path);
    event["requestContext"]["http"]["path"] = json!(path);
    event["pathParameters"]["campaign_id"] = json!(CAMPAIGN);
    event["rawQueryString"] = json!(format!("per_page={per_page}"));
    Ok(event)
}
