//! Counting: the items that hold counts, the tally of the table's stream, and the repair of counts.

mod items;
mod recount;
mod repair;
mod tally;

pub use self::{
    items::CampaignCounts,
    recount::{Recount, RecountOutcome},
    tally::Tallied,
};
pub(crate) use self::{items::totals_key, recount::Census, repair::repairs};
