//! The requested page, and the links to others.

use api::{
    error::ApiError,
    listing::cursor::{self, ListingId},
    path::RegistrationsPath,
    query::{add_unknown, number, once, query_string},
};
use domain::fields::FieldErrors;
use store::TargetPosition;

use crate::format::Format;

/// A request for a page of push targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageRequest {
    pub(crate) path: RegistrationsPath,
    /// The maximum number of targets on the page.
    pub(crate) per_page: usize,
    /// Where the page begins, or `None` if it is the first one.
    pub(crate) after: Option<TargetPosition>,
}

impl PageRequest {
    /// Parses the parameters of a query string, for a page in `format`.
    ///
    /// # Errors
    ///
    /// 400 that names every invalid parameter, or 400 for a cursor that was altered or belongs to another listing.
    pub(crate) fn parse(
        path: RegistrationsPath,
        parameters: Vec<(String, String)>,
        format: Format,
    ) -> Result<Self, ApiError> {
        let (default_per_page, max_per_page) = format.per_page();
        let mut errors = FieldErrors::default();
        let (mut per_page, mut cursor) = (None, None);
        for (name, value) in parameters {
            match name.as_str() {
                "per_page" => once(&mut per_page, &name, number(&value, 1..=max_per_page), &mut errors),
                "cursor" => once(&mut cursor, &name, Ok(value), &mut errors),
                _ => add_unknown(&name, &["per_page", "cursor"], &mut errors),
            }
        }
        if !errors.is_empty() {
            return Err(ApiError::parameters(errors));
        }
        let first = Self { path, per_page: per_page.unwrap_or(default_per_page), after: None };
        let Some(cursor) = cursor else { return Ok(first) };
        let after = cursor::decode(&cursor, &first.listing());
        let after = after.filter(|position: &TargetPosition| position.is_in(path.collection));
        Ok(Self { after: Some(after.ok_or_else(ApiError::invalid_cursor)?), ..first })
    }

    /// Returns the `Link` header (RFC 8288): the page that begins at `next`, if there is one, and the first page.
    pub(crate) fn links(&self, next: Option<TargetPosition>) -> Result<String, ApiError> {
        let cursor = next.map(|next| cursor::encode(&next, &self.listing())).transpose().map_err(ApiError::internal)?;
        let next = cursor.map(|cursor| self.link("next", Some(("cursor".to_owned(), cursor))));
        let links: Vec<_> = next.into_iter().chain([self.link("first", None)]).collect();
        Ok(links.join(", "))
    }

    fn link(&self, rel: &str, cursor: Option<(String, String)>) -> String {
        let parameters: Vec<_> = [self.common_parameter()].into_iter().chain(cursor).collect();
        format!("<{}?{}>; rel=\"{rel}\"", self.path.push_targets(), query_string(&parameters))
    }

    fn listing(&self) -> ListingId {
        ListingId::new(&self.path.push_targets(), &query_string(&[self.common_parameter()]))
    }

    /// Returns the parameter that all pages share.
    fn common_parameter(&self) -> (String, String) {
        ("per_page".to_owned(), self.per_page.to_string())
    }
}

#[cfg(test)]
mod tests {
    use domain::campaign::CampaignType;
    use rstest::rstest;
    use store::Collection;

    use super::*;

    const CAMPAIGN: &str = "bd69162b-8995-4c89-bdca-898fae6050d0";
    const PASS: &str = "22d5b0ed-cc82-4743-a4fb-ee655d928037";
    const OTHER_PASS: &str = "b50a5348-27c5-40de-ae4a-5d8436284d65";

    fn of_pass(pass: &str) -> RegistrationsPath {
        let collection = Collection::Pass(CAMPAIGN.parse().unwrap(), pass.parse().unwrap());
        RegistrationsPath { campaign_type: CampaignType::Coupons, collection }
    }

    fn parse(path: RegistrationsPath, parameters: &[(&str, &str)], format: Format) -> Result<PageRequest, ApiError> {
        let owned = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        PageRequest::parse(path, owned.collect(), format)
    }

    fn position(pass: &str) -> TargetPosition {
        TargetPosition { pass_id: pass.parse().unwrap(), registration_id: None }
    }

    /// Returns the cursor in the link to the next page.
    fn cursor(page: &PageRequest, next: TargetPosition) -> String {
        let links = page.links(Some(next)).unwrap();
        links.split("cursor=").nth(1).unwrap().split('>').next().unwrap().to_owned()
    }

    #[test]
    fn a_page_links_to_the_next_and_the_first_one() {
        let page = parse(of_pass(PASS), &[], Format::Json).unwrap();
        let first = format!("</v2/coupons/{CAMPAIGN}/passes/{PASS}/push_targets?per_page=25>; rel=\"first\"");
        assert_eq!(page.links(None).unwrap(), first);
        let next = cursor(&page, position(PASS));
        let after = parse(of_pass(PASS), &[("cursor", &next), ("per_page", "25")], Format::Json).unwrap();
        assert_eq!(after, PageRequest { after: Some(position(PASS)), ..page });
        assert!(page.links(Some(position(PASS))).unwrap().ends_with(&format!("; rel=\"next\", {first}")));
    }

    #[test]
    fn a_cursor_of_another_listing_or_outside_of_the_pass_is_refused() {
        let page = parse(of_pass(PASS), &[], Format::Json).unwrap();
        let other_listing = cursor(&parse(of_pass(OTHER_PASS), &[], Format::Json).unwrap(), position(PASS));
        let other_size = cursor(&parse(of_pass(PASS), &[("per_page", "9")], Format::Json).unwrap(), position(PASS));
        let outside = cursor(&page, position(OTHER_PASS));
        for refused in [other_listing, other_size, outside, "x".to_owned(), String::new()] {
            let error = parse(of_pass(PASS), &[("cursor", &refused)], Format::Json).unwrap_err();
            assert_eq!(error.code(), api::error::ErrorCode::InvalidCursor, "{refused}");
        }
    }

    #[rstest]
    #[case(&[("per_page", "0")], &["per_page"])]
    #[case(&[("per_page", "1001")], &["per_page"])]
    #[case(&[("per_page", "1"), ("per_page", "1")], &["per_page"])]
    #[case(&[("cursor", "x"), ("cursor", "x")], &["cursor"])]
    #[case(&[("page", "1")], &["page"])]
    #[case(&[("q[wallet_eq]", "passbook"), ("offset", "1")], &["offset", "q[wallet_eq]"])]
    fn every_invalid_parameter_is_named(#[case] parameters: &[(&str, &str)], #[case] names: &[&str]) {
        let error = parse(of_pass(PASS), parameters, Format::Json).unwrap_err();
        assert_eq!(error.errors().fields().collect::<Vec<_>>(), names);
    }

    #[rstest]
    #[case(Format::Json, 25, 1_000)]
    #[case(Format::Ndjson, 2_000, 2_000)]
    fn each_format_has_its_own_sizes(#[case] format: Format, #[case] default: usize, #[case] max: usize) {
        assert_eq!(parse(of_pass(PASS), &[], format).unwrap().per_page, default);
        assert_eq!(parse(of_pass(PASS), &[("per_page", &max.to_string())], format).unwrap().per_page, max);
        assert!(parse(of_pass(PASS), &[("per_page", &(max + 1).to_string())], format).is_err());
    }
}
