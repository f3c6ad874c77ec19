//! Listings: pages of registrations, in any order and through any filter.
//!
//! In the order of `created_at`, a page costs the same at any depth, because DynamoDB starts reading right after a
//! given registration. A cursor names that registration; a bookmark is a cursor stored while the previous page was
//! answered. A page number without a bookmark is slower and limited, because all registrations before the page have to
//! be skipped. In any other order the whole collection is read and sorted, so its size is limited. Every walk through a
//! collection examines a limited number of registrations.
//!
//! Until the key is known to be valid, at most one short query is sent. So a caller without a valid key cannot make the
//! table read much.
//!
//! - [`query`]: the caller's request, with its [`filter`] and [`order`]
//! - `walk`: reading through a collection
//! - `paging`: the registrations of a page, and how to reach the next and the previous page
//! - `total`: the number of registrations in the listing, for `X-Total`
//! - [`cursor`]: the position of a page, as an opaque text
//! - [`format`](mod@format): JSON, CSV or NDJSON

pub mod cursor;
pub mod filter;
pub mod format;
pub mod order;
mod paging;
pub mod query;
mod total;
mod walk;

use std::fmt::Display;

use domain::{
    account::{Access, KeyId},
    time::Timestamp,
};
use futures_util::{TryFutureExt as _, try_join};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{ACCEPT, CONTENT_TYPE, LINK, VARY},
};
use lambda_http::Request;
use store::{Collection, CreatedAtRange, Direction, Table};
use tracing::warn;

pub use self::walk::MAX_EXAMINED;
use self::{
    cursor::{Cursor, ListingId, Side},
    filter::{Attribute, Filter},
    format::Format,
    paging::{Page, PageStart, Paging, page_before},
    query::{ListingQuery, Position},
    walk::{Walker, Wanted},
};
use crate::{
    Response,
    access::{ReadRequest, ReadSize},
    error::ApiError,
    path::RegistrationsPath,
    query::{parameters, query_string},
    request_log::RequestLog,
};

/// The maximum number of registrations that can be ordered by an attribute other than `created_at`.
pub const MAX_SORTED: usize = 5_000;

/// The maximum number of registrations on a page that is read before the key is known to be valid.
const MAX_SMALL_PAGE: usize = 100;

/// Answers a request for a page of registrations.
///
/// # Errors
///
/// In the order of [`crate::access`].
pub async fn answer(
    table: &Table,
    request: &Request,
    read_path: fn(&Request) -> Result<RegistrationsPath, ApiError>,
    now: Timestamp,
) -> Result<Response, ApiError> {
    let reading = ReadRequest::new(table, request, read_path, Access::ReadOnly, now).await?;
    let format = Format::of(request);
    let query = parameters(request).and_then(|parameters| ListingQuery::from_parameters(parameters, format));
    let listing = query.and_then(|query| Listing::new(table, &reading, query, now));
    let listing = reading.check_access_if_invalid(listing).await?;

    let (totals, page) = reading.admit_and_read(listing.wanted_totals(), listing.size(), listing.page()).await?;
    // A page with a registration proves that its pass is known. Otherwise check it.
    if page.as_ref().map_or(true, |page| page.registrations.is_empty()) {
        Box::pin(reading.expect_known_pass()).await?;
    }
    let page = page?;
    let total = Box::pin(listing.total(&page, totals.as_ref())).await?;
    RequestLog::record_listed(request, page.registrations.len());
    let response = listing.respond(&page, total, format)?;
    // The gateway drops the body of a HEAD, so its caller has not seen the page.
    if request.method() == Method::GET {
        listing.write_bookmark(&page).await;
    }
    Ok(response)
}

/// A listing, and the request for one of its pages.
struct Listing<'a> {
    table: &'a Table,
    path: RegistrationsPath,
    id: ListingId,
    /// The caller's key. Callers with different keys do not share bookmarks.
    key_id: KeyId,
    query: ListingQuery,
    cursor: Option<Cursor>,
    created_at: CreatedAtRange,
    now: Timestamp,
}

impl<'a> Listing<'a> {
    fn new(table: &'a Table, reading: &ReadRequest<'_>, query: ListingQuery, now: Timestamp) -> Result<Self, ApiError> {
        let (path, key_id) = (reading.path(), reading.key_id());
        let id = ListingId::new(&path.to_string(), &query_string(&query.common_parameters()));
        let created_at = query.filter.created_at_range();
        let mut listing = Self { table, path, id, key_id, query, cursor: None, created_at, now };
        if let Position::Cursor(text) = &listing.query.position {
            listing.cursor = Some(listing.decode_cursor(text).ok_or_else(ApiError::invalid_cursor)?);
        }
        Ok(listing)
    }

    /// Returns `Small` if one short query reads the page: a short page without filter, at the beginning or after a
    /// registration.
    fn size(&self) -> ReadSize {
        let ListingQuery { position: _, per_page, offset, filter, order: _ } = &self.query;
        let is_one_query = match &self.cursor {
            Some(cursor) => cursor.side == Side::After,
            None => self.query.page_number() == 1 && *offset == 0,
        };
        let is_small = is_one_query && self.is_in_time_order() && filter.is_empty() && *per_page <= MAX_SMALL_PAGE;
        if is_small { ReadSize::Small } else { ReadSize::Large }
    }

    /// Reads the requested page.
    async fn page(&self) -> Result<Page, ApiError> {
        if !self.is_in_time_order() {
            return self.sorted_page().await;
        }
        let bookmark = self.bookmark().await?;
        match self.cursor.as_ref().or(bookmark.as_ref()) {
            Some(start @ Cursor { page: _, side: Side::After, registration }) => {
                let wanted = Wanted { after: Some(registration), ..self.wanted(0, self.query.per_page + 1) };
                Ok(self.paging().page_after(self.page_number(), start, self.walker().walk(wanted).await?))
            }
            Some(Cursor { page, side: Side::Before, registration }) => {
                let direction = self.query.order.direction.reversed();
                let wanted = Wanted { direction, after: Some(registration), ..self.wanted(0, self.query.per_page) };
                match page_before(*page, self.walker().walk(wanted).await?) {
                    Some(page) => Ok(page),
                    None => self.page_from_beginning(1).await,
                }
            }
            None => self.page_from_beginning(self.page_number()).await,
        }
    }

    /// Returns the number of the requested page.
    fn page_number(&self) -> u32 {
        self.cursor.as_ref().map_or(self.query.page_number(), |cursor| cursor.page)
    }

    async fn page_from_beginning(&self, number: u32) -> Result<Page, ApiError> {
        let paging = self.paging();
        let wanted = self.wanted(paging.reachable_skip(number)?, self.query.per_page + 1);
        paging.page_from_beginning(number, self.walker().walk(wanted).await?)
    }

    /// Reads a page ordered by an attribute other than `created_at`. Reads the whole range of the collection and sorts
    /// it.
    async fn sorted_page(&self) -> Result<Page, ApiError> {
        let order = self.query.order;
        let everything = Filter::default();
        let direction = Direction::Ascending;
        let wanted = Wanted { filter: &everything, direction, after: None, skip: 0, count: MAX_SORTED + 1 };
        let walker = self.walker();
        let walk = Box::pin(walker.walk(wanted)).map_err(ApiError::from);
        let (bookmark, walk) = try_join!(Box::pin(self.bookmark()), walk)?;
        let mut sorted = walk.matches;
        if sorted.len() > MAX_SORTED {
            return Err(ApiError::too_many_to_sort(MAX_SORTED));
        }
        sorted.retain(|registration| self.query.filter.matches(registration));
        sorted.sort_by(|left, right| order.compare(left, right));
        let start = self.cursor.as_ref().or(bookmark.as_ref());
        Ok(self.paging().page_of_sorted(self.page_number(), start, order, &sorted))
    }

    fn is_in_time_order(&self) -> bool {
        self.query.order.attribute == Attribute::CreatedAt
    }

    fn paging(&self) -> Paging {
        Paging { per_page: self.query.per_page, offset: self.query.offset }
    }

    fn walker(&self) -> Walker<'_> {
        Walker { table: self.table, collection: self.path.collection, created_at: &self.created_at }
    }

    fn wanted(&self, skip: usize, count: usize) -> Wanted<'_> {
        let ListingQuery { filter, order, .. } = &self.query;
        Wanted { filter, direction: order.direction, after: None, skip, count }
    }

    /// Reads the bookmark of the requested page, which exists if the caller recently requested the page before it by
    /// its number.
    async fn bookmark(&self) -> Result<Option<Cursor>, ApiError> {
        let page = match self.query.position {
            Position::Page(page) if page.get() > 1 => page.get(),
            Position::Page(_) | Position::Beginning | Position::Cursor(_) => return Ok(None),
        };
        let text = self.table.bookmark(&self.id.digest_for(self.key_id), page, self.now).await?;
        Ok(text.and_then(|text| self.decode_cursor(&text)))
    }

    /// Decodes a cursor, or returns `None` if it does not belong to this listing or its registration is outside the
    /// range to read. DynamoDB rejects a start outside the range it reads.
    fn decode_cursor(&self, text: &str) -> Option<Cursor> {
        let cursor = Cursor::decode(text, &self.id)?;
        let registration = &cursor.registration;
        let is_inside = match self.path.collection {
            Collection::Campaign(_) => true,
            Collection::Pass(_, pass) => registration.pass_id == pass,
        };
        (cursor.page > 0 && is_inside && self.created_at.contains(registration.created_at)).then_some(cursor)
    }

    fn respond(&self, page: &Page, total: Option<usize>, format: Format) -> Result<Response, ApiError> {
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
        if let Some(end) = page.end.as_ref().filter(|_| page.has_next) {
            put(headers, "x-next-page", end.page);
            links.push(self.link("next", Some(("cursor", end.encode(&self.id)))));
        }
        match &page.previous {
            Some(PageStart::Cursor(previous)) => {
                put(headers, "x-prev-page", previous.page);
                links.push(self.link("prev", Some(("cursor", previous.encode(&self.id)))));
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

    /// Writes the bookmark of the page after this one if the caller walks by page numbers, also if the listing has no
    /// such page now: it replaces a bookmark of an earlier walk through a longer listing.
    ///
    /// A failure is only logged. Without the bookmark, the next page is found by counting, within the first
    /// [`MAX_EXAMINED`] registrations, or begins at the bookmark of an earlier walk.
    async fn write_bookmark(&self, page: &Page) {
        let Position::Page(_) = self.query.position else { return };
        // A text that is no cursor: the next page is found by counting too.
        let cursor = page.end.as_ref().map_or_else(String::new, |end| end.encode(&self.id));
        let listing = self.id.digest_for(self.key_id);
        let next = page.number.saturating_add(1);
        if let Err(error) = self.table.write_bookmark(&listing, next, cursor, self.now).await {
            warn!(%error, "the bookmark of the next page was not written");
        }
    }

    /// Returns one link of the `Link` header (RFC 8288), relative to the API.
    fn link(&self, rel: &str, start: Option<(&str, String)>) -> String {
        let mut parameters = self.query.common_parameters();
        parameters.extend(start.map(|(name, value)| (name.to_owned(), value)));
        format!("<{}?{}>; rel=\"{rel}\"", self.path, query_string(&parameters))
    }
}

fn put(headers: &mut HeaderMap, name: &'static str, value: impl Display) {
    if let Ok(value) = HeaderValue::try_from(value.to_string()) {
        headers.insert(HeaderName::from_static(name), value);
    }
}
