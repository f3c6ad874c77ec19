//! Recounts a campaign's active registrations, for operators, and repairs its stored counts if they differ.
//!
//! | event | answer |
//! |---|---|
//! | `{"campaign_id"}` | `{"campaign_id","outcome","again_at"?,"active_count"?,"differences"?:[{"of","active","counted"}],"items_read","started_at","milliseconds"}` |
//!
//! | `outcome` | meaning |
//! |---|---|
//! | `agrees` | the counts agreed with the registrations |
//! | `repaired` | the counts differed, or were not known to be complete, and agree now |
//! | `busy` | a change of the last 25 hours may not have been counted yet, or the counts changed during the recount; nothing was repaired, or only some of more than 99 days |
//! | `unfinished` | the time of this invocation was over, or too short for a repair; the next one continues |
//! | `running` | another invocation recounts the campaign; this one read nothing |
//!
//! A repair of more than 99 days needs several transactions: if the counts change between two of them, it stops, the
//! days written so far stay repaired, and the campaign is `busy`.
//!
//! `again_at` is there if another invocation is needed: the earliest time for it. `active_count` and `differences` are
//! there once every registration has been read. `of` is `all`, a wallet or an operating system. `items_read` (passes,
//! and active and removed registrations) and `milliseconds` are of the whole recount, which began at `started_at`.

use domain::{
    counts::Part,
    fields::{FieldErrors, Fields},
    id::CampaignId,
    time::{self, Timestamp},
};
use lambda_runtime::{Diagnostic, LambdaEvent};
pub use process::config::TableConfig as Config;
use serde::Serialize;
use serde_json::Value;
use store::{Comparison, Recount, RecountOutcome, RecountRun, StoreError, Table};
use thiserror::Error;
use tracing::info;

/// The function.
#[derive(Debug, Clone)]
pub struct CampaignRecount {
    table: Table,
}

/// The answer to an operator.
#[derive(Debug, Serialize)]
pub struct Answer {
    campaign_id: CampaignId,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    again_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    active_count: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    differences: Option<Vec<Difference>>,
    items_read: u64,
    started_at: Timestamp,
    milliseconds: u64,
}

/// A stored count that differed from the registrations.
#[derive(Debug, Serialize)]
struct Difference {
    of: String,
    active: i64,
    counted: i64,
}

/// Why a campaign was not recounted.
#[derive(Debug, Error)]
pub enum RecountError {
    /// The event is invalid.
    #[error("invalid event: {0}")]
    InvalidEvent(FieldErrors),
    /// There is no campaign with this id.
    #[error("there is no campaign {0}")]
    UnknownCampaign(CampaignId),
    /// The table failed or did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CampaignRecount {
    /// Returns the function, which uses the table that `config` names.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { table: config.connect() }
    }

    /// Recounts the campaign that an event names.
    pub async fn handle(&self, event: LambdaEvent<Value>) -> Result<Answer, RecountError> {
        let LambdaEvent { payload, context } = event;
        let campaign = parse(&payload)?;
        let now = time::now();
        if self.table.consistent_campaign(campaign, now).await?.is_none() {
            return Err(RecountError::UnknownCampaign(campaign));
        }
        let deadline = Timestamp::nearest(i64::try_from(context.deadline).unwrap_or(i64::MAX));
        // Lambda may deliver an asynchronous event twice (AWS Lambda, "How Lambda handles errors and retries with
        // asynchronous invocation"). The request id alone may not tell the deliveries apart.
        let invocation = format!("{} until {deadline}", context.request_id);
        let recount = self.table.recount(campaign, RecountRun::new(&invocation, &time::now, deadline)).await?;
        let answer = Answer::new(campaign, &recount);
        let Answer { outcome, active_count: active, items_read, milliseconds, .. } = answer;
        let (request_id, campaign_id) = (context.request_id, campaign.to_string());
        let differences = answer.differences.as_ref().map(Vec::len);
        info!(request_id, campaign_id, outcome, active, differences, items_read, milliseconds, "recounted a campaign");
        Ok(answer)
    }
}

fn parse(event: &Value) -> Result<CampaignId, RecountError> {
    let mut errors = FieldErrors::default();
    let campaign = Fields::of(event, "event", &mut errors).required("campaign_id");
    campaign.ok_or(RecountError::InvalidEvent(errors))
}

impl Answer {
    fn new(campaign_id: CampaignId, recount: &Recount) -> Self {
        let Recount { outcome, comparison, items_read, started_at, duration } = recount;
        let (outcome, again_at) = match outcome {
            RecountOutcome::Agrees => ("agrees", None),
            RecountOutcome::Repaired => ("repaired", None),
            RecountOutcome::Busy { again_at } => ("busy", Some(*again_at)),
            RecountOutcome::Unfinished => ("unfinished", Some(started_at.plus(*duration))),
            RecountOutcome::Running { until } => ("running", Some(*until)),
        };
        Self {
            campaign_id,
            outcome,
            again_at,
            active_count: comparison.as_ref().map(|comparison| comparison.active.active(Part::All)),
            differences: comparison.as_ref().map(differences),
            items_read: *items_read,
            started_at: *started_at,
            milliseconds: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// Returns the stored counts that differed from the registrations.
fn differences(Comparison { active, counted }: &Comparison) -> Vec<Difference> {
    let compared = Part::all().map(|part| (part, active.active(part), counted.active(part)));
    compared
        .filter(|(_, active, counted)| active != counted)
        .map(|(part, active, counted)| Difference { of: part.to_string(), active, counted })
        .collect()
}

/// The error that Lambda returns to the operator.
impl From<RecountError> for Diagnostic {
    fn from(error: RecountError) -> Self {
        let error_type = match error {
            RecountError::InvalidEvent(_) => "InvalidEvent",
            RecountError::UnknownCampaign(_) => "UnknownCampaign",
            RecountError::Store(_) => "Store",
        };
        Self { error_type: error_type.to_owned(), error_message: error.to_string() }
    }
}
