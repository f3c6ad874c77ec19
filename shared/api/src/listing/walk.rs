//! Walks: reads through a collection until enough matching registrations are found, or until the maximum number was
//! examined.
//!
//! This module filters the registrations itself, because DynamoDB's own filters cost the same and support fewer
//! conditions. Filtered reads start small, for filters that match often, and grow, for filters that rarely match.

use domain::registration::Registration;
use store::{Collection, CreatedAtRange, Direction, Segment, StoreError, Stretch, Table};

use super::filter::Filter;

/// How many registrations one walk may examine to skip pages, to filter or to count, in addition to the number of
/// matches it should return.
pub const MAX_EXAMINED: usize = 10_000;

/// The minimum number of registrations that the first filtered read requests.
const INITIAL_FILTERED_READ: usize = 100;
/// The number of registrations to which filtered reads grow: about as many as fit into one response of DynamoDB. A walk
/// that should return more matches reads more at once.
const MAX_FILTERED_READ: usize = 5_000;
/// The factor by which each further filtered read grows.
const READ_GROWTH: usize = 4;

/// A collection to walk through.
#[derive(Clone, Copy)]
pub(super) struct Walker<'a> {
    pub(super) table: &'a Table,
    pub(super) collection: Collection,
    /// The range to read.
    pub(super) created_at: &'a CreatedAtRange,
}

/// The matches that a walk should find.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// Which registrations match.
    pub(super) filter: &'a Filter,
    pub(super) direction: Direction,
    /// The registration after which the walk begins, in its direction.
    pub(super) after: Option<&'a Registration>,
    /// How many matches to skip.
    pub(super) skip: usize,
    /// How many matches to return after the skipped ones.
    pub(super) count: usize,
}

/// The result of a walk.
#[derive(Debug)]
pub(super) struct Walk {
    /// The matches, in the direction of the walk.
    pub(super) matches: Vec<Registration>,
    /// How many matches were skipped.
    pub(super) skipped: usize,
    pub(super) end: WalkEnd,
}

/// Why a walk ended.
#[derive(Debug)]
pub(super) enum WalkEnd {
    /// All requested matches were found.
    Found,
    /// The end of the collection, or of the range to read, was reached.
    EndOfCollection,
    /// The maximum number of registrations was examined; this was the last of them.
    Limit(Registration),
}

impl Walker<'_> {
    /// Walks until `wanted` is found. Examines at most [`MAX_EXAMINED`] plus `wanted.count` registrations.
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
            let Segment { registrations, has_more } = self.table.list(self.collection, stretch).await?;
            examined += registrations.len();
            last = registrations.last().cloned().or(last);
            walk.matches.reserve(registrations.len().min(count - walk.matches.len()));
            let mut matches = registrations.into_iter().filter(|registration| filter.matches(registration));
            walk.skipped += matches.by_ref().take(skip - walk.skipped).count();
            walk.matches.extend(matches.take(count - walk.matches.len()));
            if walk.matches.len() == count && walk.skipped == skip {
                return Ok(Walk { end: WalkEnd::Found, ..walk });
            }
            match last {
                _ if !has_more => return Ok(walk),
                Some(last) if examined >= budget => return Ok(Walk { end: WalkEnd::Limit(last), ..walk }),
                _ => filtered_read = filtered_read.saturating_mul(READ_GROWTH).min(MAX_FILTERED_READ.max(count)),
            }
        }
    }
}
