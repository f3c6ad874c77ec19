//! Where `X-Total` comes from: the number of registrations in a listing.

use domain::counts::Counts;
use store::{Collection, Direction, WantedTotals};

use super::{
    Listing,
    paging::Page,
    walk::{MAX_EXAMINED, WalkEnd, Wanted},
};
use crate::error::ApiError;

impl Listing<'_> {
    /// Returns which counts of the campaign [`Listing::total`] needs. The first page of a walk gets the current ones, so
    /// that a new walk shows what has happened before it.
    pub(super) fn wanted_totals(&self) -> WantedTotals {
        let is_of_campaign = matches!(self.path.collection, Collection::Campaign(_));
        if !is_of_campaign || !self.is_in_time_order() || self.query.filter.counted_part().is_none() {
            WantedTotals::None
        } else if self.page_number() == 1 {
            WantedTotals::Current
        } else {
            WantedTotals::Recent
        }
    }

    /// Returns the number of registrations in the listing, from the first of these sources that has it:
    ///
    /// 1. the page, if the whole listing was read for it;
    /// 2. the campaign's counts, which lag by seconds: of all registrations, of a wallet or of an operating system. The
    ///    number is never less than what the page shows;
    /// 3. reading the listing. `None` if more than [`MAX_EXAMINED`] registrations would have to be examined.
    pub(super) async fn total(&self, page: &Page, totals: Option<&Counts>) -> Result<Option<usize>, ApiError> {
        if page.total.is_some() {
            return Ok(page.total);
        }
        match (totals, self.query.filter.counted_part()) {
            (Some(totals), Some(part)) => {
                let shown = page.registrations.len() + usize::from(page.has_next);
                Ok(Some(usize::try_from(totals.active(part)).unwrap_or_default().max(shown)))
            }
            _ => self.count_by_reading().await,
        }
    }

    async fn count_by_reading(&self) -> Result<Option<usize>, ApiError> {
        if self.query.filter.is_empty() {
            return Ok(self.table.count_active(self.path.collection, MAX_EXAMINED).await?);
        }
        // The walk skips all matches and counts what it skips. Like `count_active`, it may read one registration more
        // than the limit, to see whether there are more.
        let wanted = Wanted { direction: Direction::Ascending, ..self.wanted(usize::MAX, 1) };
        let walk = self.walker().walk(wanted).await?;
        Ok(match walk.end {
            WalkEnd::Found | WalkEnd::EndOfCollection => Some(walk.skipped),
            WalkEnd::Limit(_) => None,
        })
    }
}
