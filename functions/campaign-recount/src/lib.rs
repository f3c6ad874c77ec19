//! Recounts a campaign's active registrations, for operators, and repairs its stored counts if they differ.
//!
//! | event | answer |
//! |---|---|
//! | `{"campaign_id"}` | `{"campaign_id","outcome","again_at"?,"active_count","differences":[{"of","active","counted"}]}` |
//!
//! `outcome` is `agrees`, `repaired` (the counts differed, or were not known to be complete) or `busy`. The counts of a
//! busy campaign stay unchanged, because a change of the last 25 hours may not have been counted yet. The exception is
//! a repair of more than 99 days, which needs several transactions: if the counts change between two of them, it stops,
//! and the days written so far stay repaired. `again_at` is the earliest time at which to try again. `of` is `all`, a
//! wallet or an operating system.

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
use store::{Recount, RecountOutcome, StoreError, Table};
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
    active_count: i64,
    differences: Vec<Difference>,
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
        let answer = Answer::new(campaign, &self.table.recount(campaign, now).await?);
        let (request_id, campaign_id, differences) =
            (context.request_id, campaign.to_string(), answer.differences.len());
        info!(
            request_id,
            campaign_id,
            outcome = answer.outcome,
            active = answer.active_count,
            differences,
            "recounted a campaign"
        );
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
        let Recount { active, counted, outcome } = recount;
        let (outcome, again_at) = match outcome {
            RecountOutcome::Agrees => ("agrees", None),
            RecountOutcome::Repaired => ("repaired", None),
            RecountOutcome::Busy { again_at } => ("busy", Some(*again_at)),
        };
        let compared = Part::all().map(|part| (part, active.active(part), counted.active(part)));
        let differences = compared
            .filter(|(_, active, counted)| active != counted)
            .map(|(part, active, counted)| Difference { of: part.to_string(), active, counted });
        let active_count = active.active(Part::All);
        Self { campaign_id, outcome, again_at, active_count, differences: differences.collect() }
    }
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
