//! Counting: the items that hold counts, the tally of the table's stream, and the repair of counts.

mod census;
mod items;
mod progress;
mod recount;
mod repair;
mod tally;

pub(crate) use self::{census::Census, items::totals_key, repair::repairs};
pub use self::{
    items::CampaignCounts,
    recount::{Comparison, Recount, RecountOutcome, RecountRun},
    tally::Tallied,
};
