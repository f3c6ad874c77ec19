//! The answer to "which registrations?": pages in any order through any filter, at the same cost at any depth.

use std::{fmt::Display, num::NonZeroU32};

use futures_util::{FutureExt as _, try_join};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{ACCEPT, CONTENT_TYPE, LINK, VARY},
};
use lambda_http::Request;
use tracing::warn;

use super::{
    Response,
    cursor::{Cursor, ListingId, Side},
    error::{ApiError, ErrorCode},
    filter::{Attribute, Filter},
    format::Format,
    log::RequestLog,
    page::{ListingQuery, Start},
    path::RegistrationsPath,
    query, reading,
};
use crate::{
    clock::Timestamp,
    field::FieldErrors,
    registration::Registration,
    store::{Collection, CreatedAtRange, Direction, RegistrationStore, Stretch},
};

/// How many registrations an answer examines, beyond those it returns, to pass over pages, to filter, or to count.
pub const MAX_EXAMINED: usize = 10_000;
/// How many registrations can be ordered by another attribute than `created_at`.
pub const MAX_SORTED: usize = 5_000;
/// How many registrations the first read through a filter takes; each further one takes [`READ_GROWTH`] times as many, up to what
/// fits into one answer of DynamoDB, so that a filter that finds enough reads little and one that does not reads seldom.
const INITIAL_FILTERED_READ: usize = 100;
const MAX_FILTERED_READ: usize = 5_000;
const READ_GROWTH: usize = 4;

/// Answers a request for registrations: what is known, how many there are and the page, side by side.
///
/// # Errors
///
/// 404 where there is no such type of campaign; then 401 where the key is not good; then 404 where the campaign or the pass is not
/// known to its account; then 400.
pub async fn answer(
    store: &RegistrationStore,
    request: &Request,
    read_path: fn(&Request) -> Result<RegistrationsPath, ApiError>,
    now: Timestamp,
) -> Result<Response, ApiError> {
    let path = reading::path(store, request, read_path, now).await?;
    let format = Format::of(request);
    let asked = query::parameters(request).and_then(|asked| ListingQuery::from_parameters(asked, format));
    let listing = asked.and_then(|query| Listing::new(store, path, query, now));
    let listing = match listing {
        Ok(listing) => listing,
        Err(invalid) => {
            Box::pin(reading::expect_known(store, request, path, now)).await?;
            return Err(invalid);
        }
    };
    // Whoever may not see this ends the reading at once; what else goes wrong waits until that is known.
    let ((), total, page) = try_join!(
        Box::pin(reading::expect_known(store, request, path, now)),
        Box::pin(listing.total()).map(Ok),
        Box::pin(listing.page()).map(Ok)
    )?;
    let page = page?;
    let total = page.total.or(total?);
    RequestLog::listed(request, page.registrations.len());
    listing.respond(page, total, format).await
}

/// One listing and what is asked of it.
struct Listing<'a> {
    store: &'a RegistrationStore,
    path: RegistrationsPath,
    id: ListingId,
    query: ListingQuery,
    cursor: Option<Cursor>,
    created_at: CreatedAtRange,
    now: Timestamp,
}

/// A page and its neighbours.
struct Page {
    number: u32,
    registrations: Vec<Registration>,
    next: Option<Cursor>,
    previous: Option<PageStart>,
    /// How many registrations the listing has, where finding the page told.
    total: Option<usize>,
}

/// How a neighbour is reached.
enum PageStart {
    Number(u32),
    Cursor(Cursor),
}

/// What a walk through the collection brought.
struct Walk {
    matches: Vec<Registration>,
    skipped: usize,
    end: WalkEnd,
}

/// Why a walk ended.
enum WalkEnd {
    /// It found what it wanted.
    Found,
    /// There is no more.
    Collection,
    /// It examined as many as it may; this was the last.
    Examined(Registration),
}

impl<'a> Listing<'a> {
    fn new(
        store: &'a RegistrationStore,
        path: RegistrationsPath,
        query: ListingQuery,
        now: Timestamp,
    ) -> Result<Self, ApiError> {
        let id = ListingId::new(&path.to_string(), &query::query_string(&query.common_parameters()));
        let created_at = query.filter.created_at_range();
        let mut listing = Self { store, path, id, query, cursor: None, created_at, now };
        if let Start::Cursor(text) = &listing.query.start {
            let cursor = listing.read_cursor(text).ok_or_else(|| {
                let errors = FieldErrors::of("cursor", "expected a cursor from a Link of this very listing");
                ApiError::with_fields(ErrorCode::InvalidCursor, format!("invalid cursor: {errors}"), errors)
            })?;
            listing.cursor = Some(cursor);
        }
        Ok(listing)
    }

    /// The page that is asked for.
    async fn page(&self) -> Result<Page, ApiError> {
        if self.query.order.attribute != Attribute::CreatedAt {
            return self.sorted_page().await;
        }
        let remembered = match (&self.cursor, &self.query.start) {
            (None, Start::Page(number)) if number.get() > 1 => self.remembered(*number).await?,
            _ => None,
        };
        match self.cursor.as_ref().or(remembered.as_ref()) {
            Some(Cursor { page, side: Side::After, registration }) => {
                self.forward_page(*page, Some(registration), 0).await
            }
            Some(Cursor { page, side: Side::Before, registration }) => self.backward_page(*page, registration).await,
            None => {
                let number = self.query.number();
                self.forward_page(number, None, self.query.skip(number)).await
            }
        }
    }

    /// The page that begins after a registration, or after the first `skip`.
    async fn forward_page(&self, number: u32, after: Option<&Registration>, skip: usize) -> Result<Page, ApiError> {
        let per_page = self.query.per_page;
        if skip > MAX_EXAMINED {
            return Err(too_far());
        }
        // One more than the page has tells whether there is a next one.
        let walk = self.walk(self.query.order.direction, after, skip, per_page + 1).await?;
        let Walk { mut matches, skipped, end } = walk;
        if skipped < skip && matches!(end, WalkEnd::Examined(_)) {
            return Err(too_far());
        }
        matches.truncate(per_page);
        // Who has walked from the beginning to the end has counted.
        let total = (after.is_none() && matches!(end, WalkEnd::Collection)).then_some(skipped + matches.len());
        let next = match end {
            WalkEnd::Found => matches.last().cloned(),
            WalkEnd::Examined(last) => Some(last),
            WalkEnd::Collection => None,
        };
        let previous = match matches.first() {
            _ if number == 1 => None,
            // Past the end: the page before exists only if it has something on it.
            None if after.is_none() => (self.query.skip(number - 1) < skipped).then_some(PageStart::Number(number - 1)),
            None => after.map(|after| page_before(number, after)),
            Some(first) => Some(page_before(number, first)),
        };
        Ok(Page {
            number,
            registrations: matches,
            next: next.map(|registration| page_after(number, registration)),
            previous,
            total,
        })
    }

    /// The page that ends before a registration. Where that reaches the beginning, it is page 1.
    async fn backward_page(&self, number: u32, before: &Registration) -> Result<Page, ApiError> {
        let direction = self.query.order.direction.reversed();
        let Walk { mut matches, skipped: _, end } = self.walk(direction, Some(before), 0, self.query.per_page).await?;
        matches.reverse();
        let (first, last) = match (end, matches.first(), matches.last()) {
            (WalkEnd::Found, Some(first), Some(last)) => (first.clone(), last.clone()),
            (WalkEnd::Examined(first), _, last) => (first.clone(), last.cloned().unwrap_or(first)),
            (WalkEnd::Found | WalkEnd::Collection, _, _) => {
                return self.forward_page(1, None, self.query.skip(1)).await;
            }
        };
        let previous = (number > 1).then(|| page_before(number, &first));
        let next = Some(page_after(number, last));
        Ok(Page { number, registrations: matches, next, previous, total: None })
    }

    /// A page by another attribute than `created_at`, for which everything is read.
    async fn sorted_page(&self) -> Result<Page, ApiError> {
        let order = self.query.order;
        let everything = Filter::default();
        let walk = self.walk_through(&everything, Direction::Ascending, None, 0, MAX_SORTED + 1).await?;
        if walk.matches.len() > MAX_SORTED {
            let errors =
                FieldErrors::of("q[s]", format!("expected created_at for more than {MAX_SORTED} registrations"));
            let message = format!("too many registrations to sort: {errors}");
            return Err(ApiError::with_fields(ErrorCode::TooManyToSort, message, errors));
        }
        let mut sorted = walk.matches;
        sorted.retain(|registration| self.query.filter.matches(registration));
        sorted.sort_by(|left, right| order.compare(left, right));

        let per_page = self.query.per_page;
        let (number, start) = match &self.cursor {
            Some(Cursor { page, side: Side::After, registration }) => {
                (*page, sorted.partition_point(|other| order.compare(other, registration).is_le()))
            }
            Some(Cursor { page, side: Side::Before, registration }) => {
                let end = sorted.partition_point(|other| order.compare(other, registration).is_lt());
                end.checked_sub(per_page).map_or((1, self.query.skip(1)), |start| (*page, start))
            }
            None => (self.query.number(), self.query.skip(self.query.number())),
        };
        let end = start.saturating_add(per_page);
        let registrations: Vec<_> = sorted.iter().skip(start).take(per_page).cloned().collect();
        let next = registrations.last().filter(|_| end < sorted.len()).cloned();
        let previous = match registrations.first() {
            _ if number == 1 => None,
            Some(first) => Some(page_before(number, first)),
            None => (self.query.skip(number - 1) < sorted.len()).then_some(PageStart::Number(number - 1)),
        };
        let next = next.map(|registration| page_after(number, registration));
        Ok(Page { number, registrations, next, previous, total: Some(sorted.len()) })
    }

    /// How many registrations the listing has: from the counts of a campaign, which follow it by seconds, and by reading where it
    /// has none; nothing where that would read too many.
    async fn total(&self) -> Result<Option<usize>, ApiError> {
        if self.query.order.attribute != Attribute::CreatedAt {
            return Ok(None);
        }
        if let (Collection::Campaign(campaign), Some(part)) = (self.path.collection, self.query.filter.counted_part())
            && let Some(totals) = self.store.totals(campaign).await?
        {
            return Ok(Some(usize::try_from(totals.active(part)).unwrap_or_default()));
        }
        if self.query.filter.is_empty() {
            return Ok(self.store.count(self.path.collection, MAX_EXAMINED).await?);
        }
        let walk = self.walk(Direction::Ascending, None, usize::MAX, 0).await?;
        Ok(match walk.end {
            WalkEnd::Found | WalkEnd::Collection => Some(walk.skipped),
            WalkEnd::Examined(_) => None,
        })
    }

    async fn walk(
        &self,
        direction: Direction,
        after: Option<&Registration>,
        skip: usize,
        wanted: usize,
    ) -> Result<Walk, ApiError> {
        self.walk_through(&self.query.filter, direction, after, skip, wanted).await
    }

    /// Walks through the collection from `after` on, passes over the first `skip` that the filter lets through and brings
    /// the next `wanted`.
    async fn walk_through(
        &self,
        filter: &Filter,
        direction: Direction,
        after: Option<&Registration>,
        skip: usize,
        wanted: usize,
    ) -> Result<Walk, ApiError> {
        let created_at = &self.created_at;
        let budget = MAX_EXAMINED + wanted;
        let mut filtered_read = INITIAL_FILTERED_READ.max(wanted).max(skip.min(MAX_FILTERED_READ));
        let mut walk = Walk { matches: Vec::new(), skipped: 0, end: WalkEnd::Collection };
        let mut last = after.cloned();
        let mut examined = 0;
        loop {
            let missing = (skip - walk.skipped).saturating_add(wanted - walk.matches.len());
            let limit = if filter.is_empty() { missing } else { filtered_read }.min(budget - examined);
            let stretch = Stretch { created_at, direction, after: last.as_ref(), limit };
            let segment = self.store.list(self.path.collection, stretch).await?;
            for registration in segment.registrations {
                examined += 1;
                if filter.matches(&registration) {
                    if walk.skipped < skip {
                        walk.skipped += 1;
                    } else {
                        walk.matches.push(registration.clone());
                    }
                    if walk.matches.len() == wanted && walk.skipped == skip {
                        return Ok(Walk { end: WalkEnd::Found, ..walk });
                    }
                }
                last = Some(registration);
            }
            match last {
                _ if !segment.has_more => return Ok(walk),
                Some(last) if examined >= budget => return Ok(Walk { end: WalkEnd::Examined(last), ..walk }),
                _ => filtered_read = filtered_read.saturating_mul(READ_GROWTH).min(MAX_FILTERED_READ.max(wanted)),
            }
        }
    }

    /// Where the page was remembered to begin when the one before it was asked for.
    async fn remembered(&self, page: NonZeroU32) -> Result<Option<Cursor>, ApiError> {
        let text = self.store.remembered_page(&self.id.digest(), page.get(), self.now).await?;
        Ok(text.and_then(|text| self.read_cursor(&text)))
    }

    /// The cursor, where it is one of this listing and points into it: DynamoDB refuses to begin elsewhere.
    fn read_cursor(&self, text: &str) -> Option<Cursor> {
        let cursor = Cursor::decode(text, &self.id)?;
        let registration = &cursor.registration;
        let is_inside = match self.path.collection {
            Collection::Campaign(_) => true,
            Collection::Pass(_, pass) => registration.pass_id == pass,
        };
        (cursor.page > 0 && is_inside && self.created_at.contains(&registration.created_at.to_string()))
            .then_some(cursor)
    }

    async fn respond(&self, page: Page, total: Option<usize>, format: Format) -> Result<Response, ApiError> {
        let mut response = Response::new(format.write(&page.registrations)?);
        let headers = response.headers_mut();
        put(headers, CONTENT_TYPE.as_str(), format.media_type());
        put(headers, VARY.as_str(), ACCEPT);
        let ListingQuery { per_page, offset, .. } = self.query;
        if let Some(total) = total {
            put(headers, "x-total", total);
            put(headers, "x-total-pages", total.saturating_sub(offset).div_ceil(per_page));
        }
        put(headers, "x-page", page.number);
        put(headers, "x-per-page", per_page);
        put(headers, "x-offset", offset);

        let mut links = Vec::new();
        if let Some(next) = &page.next {
            put(headers, "x-next-page", next.page);
            let cursor = next.encode(&self.id).map_err(ApiError::internal)?;
            links.push(self.link("next", Some(("cursor", cursor.clone()))));
            if matches!(self.query.start, Start::Page(_)) && self.query.order.attribute == Attribute::CreatedAt {
                self.remember(next.page, cursor).await;
            }
        }
        match &page.previous {
            Some(PageStart::Cursor(previous)) => {
                put(headers, "x-prev-page", previous.page);
                let cursor = previous.encode(&self.id).map_err(ApiError::internal)?;
                links.push(self.link("prev", Some(("cursor", cursor))));
            }
            Some(PageStart::Number(number)) => {
                put(headers, "x-prev-page", number);
                links.push(self.link("prev", Some(("page", number.to_string()))));
            }
            None => {}
        }
        links.push(self.link("first", None));
        put(headers, LINK.as_str(), links.join(", "));
        Ok(response)
    }

    /// The page is answered well without a bookmark; only a walk by page numbers becomes slower.
    async fn remember(&self, page: u32, cursor: String) {
        if let Err(error) = self.store.remember_page(&self.id.digest(), page, cursor, self.now).await {
            warn!(%error, "a page was not remembered");
        }
    }

    /// One link of the `Link` header (RFC 8288), relative to the API.
    fn link(&self, rel: &str, start: Option<(&str, String)>) -> String {
        let mut parameters = self.query.common_parameters();
        parameters.extend(start.map(|(name, value)| (name.to_owned(), value)));
        format!("<{}?{}>; rel=\"{rel}\"", self.path, query::query_string(&parameters))
    }
}

impl ListingQuery {
    /// The number of the page that is asked for.
    fn number(&self) -> u32 {
        match self.start {
            Start::Page(number) => number.get(),
            Start::Beginning | Start::Cursor(_) => 1,
        }
    }

    /// How many registrations come before the page.
    fn skip(&self, page: u32) -> usize {
        let pages = usize::try_from(page.saturating_sub(1)).unwrap_or(usize::MAX);
        pages.saturating_mul(self.per_page).saturating_add(self.offset)
    }
}

fn page_after(number: u32, registration: Registration) -> Cursor {
    Cursor { page: number.saturating_add(1), side: Side::After, registration }
}

/// Page 1 begins where the listing begins, whatever was added since; any other page ends before a registration.
fn page_before(number: u32, registration: &Registration) -> PageStart {
    match number.saturating_sub(1) {
        0 | 1 => PageStart::Number(1),
        page => PageStart::Cursor(Cursor { page, side: Side::Before, registration: registration.clone() }),
    }
}

fn too_far() -> ApiError {
    let expected = format!("expected a page among the first {MAX_EXAMINED} registrations, or a walk along Link");
    let errors = FieldErrors::of("page", expected);
    ApiError::with_fields(ErrorCode::PageTooFar, format!("the page is too far: {errors}"), errors)
}

fn put(headers: &mut HeaderMap, name: &'static str, value: impl Display) {
    if let Ok(value) = HeaderValue::try_from(value.to_string()) {
        headers.insert(HeaderName::from_static(name), value);
    }
}
