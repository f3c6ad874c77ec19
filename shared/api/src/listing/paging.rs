//! Pages: the registrations of a page, and how to reach the next and the previous page. Nothing here reads the table.
//!
//! A walk forwards looks for one registration more than the page holds. That one shows that a next page exists, so the
//! total is not needed. The next and the previous page are reached by a cursor that names a registration at the edge of
//! this page. A number is used for page 1 and for the page before an empty page that was found by counting. An empty
//! page that begins at a cursor has no previous page, because nothing shows that the page before it still has
//! registrations.

use domain::registration::Registration;

use super::{
    cursor::{Cursor, Side},
    order::Order,
    walk::{MAX_EXAMINED, Walk, WalkEnd},
};
use crate::error::ApiError;

/// The page size of a listing, and the position at which page 1 begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Paging {
    pub(super) per_page: usize,
    /// How many registrations come before page 1.
    pub(super) offset: usize,
}

/// A page, and how to reach the next and the previous page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) number: u32,
    pub(super) registrations: Vec<Registration>,
    /// Where the next page begins, even if it has no registrations yet. `None` if this page has none either and was
    /// reached by counting from the beginning.
    pub(super) end: Option<Cursor>,
    /// Whether the next page has registrations, or may have some.
    pub(super) has_next: bool,
    pub(super) previous: Option<PageStart>,
    /// The number of registrations in the listing, if reading the page showed it.
    pub(super) total: Option<usize>,
}

/// How to reach the previous page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PageStart {
    Number(u32),
    Cursor(Cursor),
}

impl Paging {
    /// Returns the number of registrations before a page, `offset` included.
    pub(super) fn skip(self, page: u32) -> usize {
        let pages = usize::try_from(page.saturating_sub(1)).unwrap_or(usize::MAX);
        pages.saturating_mul(self.per_page).saturating_add(self.offset)
    }

    /// Returns the number of registrations before a page, if a walk may examine that many.
    ///
    /// # Errors
    ///
    /// 400 `page_too_far` if that is more than a walk may examine.
    pub(super) fn reachable_skip(self, page: u32) -> Result<usize, ApiError> {
        let skip = self.skip(page);
        if skip > MAX_EXAMINED { Err(ApiError::page_too_far(MAX_EXAMINED)) } else { Ok(skip) }
    }

    /// Returns the page that a walk from the beginning of the listing found after skipping [`Paging::skip`]
    /// registrations. The walk looked for one registration more than the page holds.
    ///
    /// # Errors
    ///
    /// 400 `page_too_far` if the walk reached its limit before it had skipped them all.
    pub(super) fn page_from_beginning(self, number: u32, walk: Walk) -> Result<Page, ApiError> {
        let Walk { mut matches, skipped, end } = walk;
        if skipped < self.skip(number) && matches!(end, WalkEnd::Limit(_)) {
            return Err(ApiError::page_too_far(MAX_EXAMINED));
        }
        matches.truncate(self.per_page);
        let total = matches!(end, WalkEnd::EndOfCollection).then_some(skipped + matches.len());
        let previous = match matches.first() {
            Some(first) => start_before(number, first),
            None => self.start_before_end(number, skipped),
        };
        let has_next = !matches!(end, WalkEnd::EndOfCollection);
        let end = end_of_page(number, end, matches.last());
        Ok(Page { number, registrations: matches, end, has_next, previous, total })
    }

    /// Returns the page that a walk found after the registration of `start`. The walk looked for one registration more
    /// than the page holds.
    pub(super) fn page_after(self, number: u32, start: &Cursor, walk: Walk) -> Page {
        let Walk { mut matches, skipped: _, end } = walk;
        matches.truncate(self.per_page);
        let previous = matches.first().and_then(|first| start_before(number, first));
        let has_next = !matches!(end, WalkEnd::EndOfCollection);
        let end = end_of_page(number, end, matches.last()).or_else(|| Some(start.clone()));
        Page { number, registrations: matches, end, has_next, previous, total: None }
    }

    /// Returns page `number` of a sorted listing. It begins or ends at the cursor, or else it is found by counting.
    pub(super) fn page_of_sorted(
        self,
        number: u32,
        cursor: Option<&Cursor>,
        order: Order,
        sorted: &[Registration],
    ) -> Page {
        let (number, start) = match cursor {
            Some(Cursor { page: _, side: Side::After, registration }) => {
                (number, sorted.partition_point(|other| order.compare(other, registration).is_le()))
            }
            Some(Cursor { page: _, side: Side::Before, registration }) => {
                let end = sorted.partition_point(|other| order.compare(other, registration).is_lt());
                end.checked_sub(self.per_page).map_or((1, self.skip(1)), |start| (number, start))
            }
            None => (number, self.skip(number)),
        };
        let registrations: Vec<_> = sorted.iter().skip(start).take(self.per_page).cloned().collect();
        let previous = match (registrations.first(), cursor) {
            (Some(first), _) => start_before(number, first),
            (None, Some(_)) => None,
            (None, None) => self.start_before_end(number, sorted.len()),
        };
        let has_next = start.saturating_add(self.per_page) < sorted.len();
        let end = registrations.last().map(|last| cursor_after(number, last.clone())).or_else(|| cursor.cloned());
        Page { number, registrations, end, has_next, previous, total: Some(sorted.len()) }
    }

    /// Returns how to reach the page before page `number`, which is empty and was found by counting in a listing of
    /// `total` registrations: there is a previous page only if it has a registration.
    fn start_before_end(self, number: u32, total: usize) -> Option<PageStart> {
        let previous = number.checked_sub(1).filter(|previous| *previous > 0)?;
        (self.skip(previous) < total).then_some(PageStart::Number(previous))
    }
}

/// Returns the page before a registration, found by walking in reverse, or `None` if the walk reached the beginning:
/// then it is page 1.
pub(super) fn page_before(number: u32, walk: Walk) -> Option<Page> {
    let Walk { mut matches, skipped: _, end } = walk;
    matches.reverse();
    let (first, last) = match (end, matches.first(), matches.last()) {
        (WalkEnd::Found, Some(first), Some(last)) => (first.clone(), last.clone()),
        (WalkEnd::Limit(first), _, last) => (first.clone(), last.cloned().unwrap_or(first)),
        (WalkEnd::Found | WalkEnd::EndOfCollection, _, _) => return None,
    };
    let (previous, end) = (start_before(number, &first), Some(cursor_after(number, last)));
    Some(Page { number, registrations: matches, end, has_next: true, previous, total: None })
}

/// Returns the cursor at which page `number` ends, after its last registration, or after the last one that the walk
/// examined if it reached its limit. `None` if there is neither.
fn end_of_page(number: u32, end: WalkEnd, last: Option<&Registration>) -> Option<Cursor> {
    match end {
        WalkEnd::Limit(examined) => Some(cursor_after(number, examined)),
        WalkEnd::Found | WalkEnd::EndOfCollection => last.map(|last| cursor_after(number, last.clone())),
    }
}

fn cursor_after(number: u32, registration: Registration) -> Cursor {
    Cursor { page: number.saturating_add(1), side: Side::After, registration }
}

/// Returns how to reach the page before page `number`, whose first registration is `registration`, or `None` for the
/// first page. The first page is reached by its number, because it begins at the beginning of the listing even if
/// registrations were added there since.
fn start_before(number: u32, registration: &Registration) -> Option<PageStart> {
    match number.saturating_sub(1) {
        0 => None,
        1 => Some(PageStart::Number(1)),
        page => Some(PageStart::Cursor(Cursor { page, side: Side::Before, registration: registration.clone() })),
    }
}

#[cfg(test)]
mod tests {
    use domain::{
        time::Timestamp,
        wallet::{DeviceOs, Wallet},
    };
    use rstest::rstest;

    use super::*;

    const PAGING: Paging = Paging { per_page: 2, offset: 0 };

    /// Returns the registration with this number, created that many seconds after the beginning of 1970.
    fn registration(number: i64) -> Registration {
        let id = format!("00000000-0000-4000-8000-{number:012}");
        Registration {
            id: id.parse().unwrap(),
            pass_id: id.parse().unwrap(),
            wallet: Wallet::Passbook,
            device_os: DeviceOs::Ios,
            created_at: Timestamp::of_unix_seconds(number).unwrap(),
        }
    }

    fn registrations(numbers: &[i64]) -> Vec<Registration> {
        numbers.iter().copied().map(registration).collect()
    }

    fn walk(matches: &[i64], skipped: usize, end: WalkEnd) -> Walk {
        Walk { matches: registrations(matches), skipped, end }
    }

    fn after(page: u32, number: i64) -> Cursor {
        Cursor { page, side: Side::After, registration: registration(number) }
    }

    fn before(page: u32, number: i64) -> PageStart {
        PageStart::Cursor(Cursor { page, side: Side::Before, registration: registration(number) })
    }

    fn page(
        number: u32,
        numbers: &[i64],
        (has_next, end): (bool, Option<Cursor>),
        previous: Option<PageStart>,
        total: Option<usize>,
    ) -> Page {
        Page { number, registrations: registrations(numbers), end, has_next, previous, total }
    }

    /// A page that is followed by another one, which begins at this cursor.
    fn goes_on(cursor: Cursor) -> (bool, Option<Cursor>) {
        (true, Some(cursor))
    }

    /// The last page. A page after it would begin at this cursor.
    fn ends(cursor: Cursor) -> (bool, Option<Cursor>) {
        (false, Some(cursor))
    }

    const EMPTY: (bool, Option<Cursor>) = (false, None);

    #[rstest]
    #[case(1, 0)]
    #[case(2, 2)]
    #[case(u32::MAX, 2 * (u32::MAX as usize - 1))]
    fn a_page_skips_the_pages_before_it_and_the_offset(#[case] number: u32, #[case] skipped: usize) {
        assert_eq!(PAGING.skip(number), skipped);
        assert_eq!(Paging { offset: 7, ..PAGING }.skip(number), skipped + 7);
    }

    #[rstest]
    #[case(5_001, Some(10_000))]
    #[case(5_002, None)]
    fn a_page_is_reachable_by_its_number_after_at_most_10_000_registrations(
        #[case] number: u32,
        #[case] skip: Option<usize>,
    ) {
        assert_eq!(PAGING.reachable_skip(number).ok(), skip);
    }

    #[rstest]
    #[case::more_follow(1, walk(&[1, 2, 3], 0, WalkEnd::Found), page(1, &[1, 2], goes_on(after(2, 2)), None, None))]
    #[case::all_fit(1, walk(&[1, 2], 0, WalkEnd::EndOfCollection), page(1, &[1, 2], ends(after(2, 2)), None, Some(2)))]
    #[case::nothing(1, walk(&[], 0, WalkEnd::EndOfCollection), page(1, &[], EMPTY, None, Some(0)))]
    #[case::second(2, walk(&[3, 4, 5], 2, WalkEnd::Found), page(2, &[3, 4], goes_on(after(3, 4)), Some(PageStart::Number(1)), None))]
    #[case::last(3, walk(&[5], 4, WalkEnd::EndOfCollection), page(3, &[5], ends(after(4, 5)), Some(before(2, 5)), Some(5)))]
    #[case::just_past_the_end(3, walk(&[], 4, WalkEnd::EndOfCollection), page(3, &[], EMPTY, Some(PageStart::Number(2)), Some(4)))]
    #[case::far_past_the_end(9, walk(&[], 4, WalkEnd::EndOfCollection), page(9, &[], EMPTY, None, Some(4)))]
    #[case::few_match(
        1, walk(&[1], 0, WalkEnd::Limit(registration(9))), page(1, &[1], goes_on(after(2, 9)), None, None)
    )]
    fn a_page_from_the_beginning(#[case] number: u32, #[case] walk: Walk, #[case] expected: Page) {
        assert_eq!(PAGING.page_from_beginning(number, walk).unwrap(), expected);
    }

    #[test]
    fn a_page_is_too_far_if_the_walk_reaches_its_limit_before_it() {
        let walk = walk(&[], 1, WalkEnd::Limit(registration(9)));
        assert!(PAGING.page_from_beginning(2, walk).is_err());
    }

    #[rstest]
    #[case::more_follow(3, walk(&[5, 6, 7], 0, WalkEnd::Found), page(3, &[5, 6], goes_on(after(4, 6)), Some(before(2, 5)), None))]
    #[case::last(3, walk(&[5], 0, WalkEnd::EndOfCollection), page(3, &[5], ends(after(4, 5)), Some(before(2, 5)), None))]
    #[case::all_removed(3, walk(&[], 0, WalkEnd::EndOfCollection), page(3, &[], ends(after(3, 4)), None, None))]
    #[case::filled_again(4, walk(&[5], 0, WalkEnd::EndOfCollection), page(4, &[5], ends(after(5, 5)), Some(before(3, 5)), None))]
    #[case::second(2, walk(&[5], 0, WalkEnd::EndOfCollection), page(2, &[5], ends(after(3, 5)), Some(PageStart::Number(1)), None))]
    fn a_page_after_a_registration(#[case] number: u32, #[case] walk: Walk, #[case] expected: Page) {
        assert_eq!(PAGING.page_after(number, &after(number, 4), walk), expected);
    }

    #[rstest]
    #[case::full(walk(&[4, 3], 0, WalkEnd::Found), Some(page(3, &[3, 4], goes_on(after(4, 4)), Some(before(2, 3)), None)))]
    #[case::few_match(
        walk(&[4], 0, WalkEnd::Limit(registration(1))), Some(page(3, &[4], goes_on(after(4, 4)), Some(before(2, 1)), None))
    )]
    #[case::none_match(
        walk(&[], 0, WalkEnd::Limit(registration(1))), Some(page(3, &[], goes_on(after(4, 1)), Some(before(2, 1)), None))
    )]
    #[case::the_beginning_was_reached(walk(&[1], 0, WalkEnd::EndOfCollection), None)]
    fn a_page_before_a_registration(#[case] walk: Walk, #[case] expected: Option<Page>) {
        assert_eq!(page_before(3, walk), expected);
    }

    #[rstest]
    #[case::first(1, None, page(1, &[1, 2], goes_on(after(2, 2)), None, Some(5)))]
    #[case::last(3, None, page(3, &[5], ends(after(4, 5)), Some(before(2, 5)), Some(5)))]
    #[case::just_past_the_end(4, None, page(4, &[], EMPTY, Some(PageStart::Number(3)), Some(5)))]
    #[case::far_past_the_end(9, None, page(9, &[], EMPTY, None, Some(5)))]
    #[case::after(2, Some(after(2, 2)), page(2, &[3, 4], goes_on(after(3, 4)), Some(PageStart::Number(1)), Some(5)))]
    #[case::nothing_after(3, Some(after(3, 5)), page(3, &[], ends(after(3, 5)), None, Some(5)))]
    #[case::after_a_removed_registration(2, Some(after(2, 0)), page(2, &[1, 2], goes_on(after(3, 2)), Some(PageStart::Number(1)), Some(5)))]
    fn a_page_of_a_sorted_listing(#[case] number: u32, #[case] cursor: Option<Cursor>, #[case] expected: Page) {
        let sorted = registrations(&[1, 2, 3, 4, 5]);
        assert_eq!(PAGING.page_of_sorted(number, cursor.as_ref(), Order::default(), &sorted), expected);
    }

    #[rstest]
    #[case::full_page(5, &[3, 4], 2)]
    #[case::the_beginning_was_reached(2, &[1, 2], 1)]
    fn a_page_before_a_registration_of_a_sorted_listing(
        #[case] number: i64,
        #[case] expected: &[i64],
        #[case] expected_page: u32,
    ) {
        let cursor = Cursor { page: 2, side: Side::Before, registration: registration(number) };
        let page = PAGING.page_of_sorted(2, Some(&cursor), Order::default(), &registrations(&[1, 2, 3, 4, 5]));
        assert_eq!((page.number, page.registrations), (expected_page, registrations(expected)));
    }
}
