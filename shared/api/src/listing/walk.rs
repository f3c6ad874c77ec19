//! Walks: reads through a collection until enough matching registrations are found, or until enough were examined.
//!
//! DynamoDB does not filter here; this module does, because a filter of DynamoDB costs the same and matches less. A filter that matches
//! often should read little, and one that matches seldom should need few reads, so each further read through a filter asks for more.

use domain::registration::Registration;
use store::{Collection, CreatedAtRange, Direction, StoreError, Stretch, Table};

use super::filter::Filter;

/// How many registrations an answer may examine, beyond those it returns, to skip pages, to filter, or to count.
pub const MAX_EXAMINED: usize = 10_000;

/// How many registrations the first read through a filter asks for.
const INITIAL_FILTERED_READ: usize = 100;
/// How many registrations one read through a filter asks for at most: as many as fit into one answer of DynamoDB.
const MAX_FILTERED_READ: usize = 5_000;
/// How many times as many registrations each further read asks for.
const READ_GROWTH: usize = 4;

/// A collection to walk through.
#[derive(Clone, Copy)]
pub(super) struct Walker<'a> {
    pub(super) table: &'a Table,
    pub(super) collection: Collection,
    /// The range that is read.
    pub(super) created_at: &'a CreatedAtRange,
}

/// What a walk should find.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// Which registrations match.
    pub(super) filter: &'a Filter,
    pub(super) direction: Direction,
    /// The registration after which the walk begins, in its direction.
    pub(super) after: Option<&'a Registration>,
    /// How many matches to skip.
    pub(super) skip: usize,
    /// How many matches to return after those.
    pub(super) count: usize,
}

/// The result of a walk.
#[derive(Debug)]
pub(super) struct Walk {
    /// The matches, in the direction of the walk.
    pub(super) matches: Vec<Registration>,
    /// How many matches it skipped.
    pub(super) skipped: usize,
    pub(super) end: WalkEnd,
}

/// Why a walk ended.
#[derive(Debug)]
pub(super) enum WalkEnd {
    /// It found as many matches as it should.
    Found,
    /// It reached the end of the collection.
    EndOfCollection,
    /// It examined as many registrations as it may; this was the last one.
    Limit(Registration),
}

impl Walker<'_> {
    /// Walks until `wanted` is found, examining at most [`MAX_EXAMINED`] registrations beyond the matches that it returns.
    pub(super) async fn walk(&self, wanted: Wanted<'_>) -> Result<Walk, StoreError> {
        let Wanted { filter, direction, after, skip, count } = wanted;
        let budget = MAX_EXAMINED + count;
        let mut filtered_read = INITIAL_FILTERED_READ.max(count).max(skip.min(MAX_FILTERED_READ));
        let mut walk = Walk { matches: Vec::new(), skipped: 0, end: WalkEnd::EndOfCollection };
        let mut last = after.cloned();
        let mut examined = 0;
        loop {
            let missing = (skip - walk.skipped).saturating_add(count - walk.matches.len());
            let limit = if filter.is_empty() { missing } else { filtered_read }.min(budget - examined);
            let stretch = Stretch { created_at: self.created_at, direction, after: last.as_ref(), limit };
            let segment = self.table.list(self.collection, stretch).await?;
            for registration in segment.registrations {
                examined += 1;
                if filter.matches(&registration) {
                    if walk.skipped < skip {
                        walk.skipped += 1;
                    } else {
                        walk.matches.push(registration.clone());
                    }
                    if walk.matches.len() == count && walk.skipped == skip {
                        return Ok(Walk { end: WalkEnd::Found, ..walk });
                    }
                }
                last = Some(registration);
            }
            match last {
                _ if !segment.has_more => return Ok(walk),
                Some(last) if examined >= budget => return Ok(Walk { end: WalkEnd::Limit(last), ..walk }),
                _ => filtered_read = filtered_read.saturating_mul(READ_GROWTH).min(MAX_FILTERED_READ.max(count)),
            }
        }
    }
}
