//! In which form registrations are listed.

use std::fmt::Write as _;

use lambda_http::Request;

use super::{
    accept,
    error::ApiError,
    page::{DEFAULT_PER_PAGE, LARGEST_PER_PAGE},
};
use crate::registration::Registration;

/// How many registrations a part of an export has, where nobody says and at the most. As text that is about 1.5 MB; Lambda
/// answers with 6 MB.
pub const LARGEST_EXPORT: usize = 10_000;

/// A form of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `application/json`: an array, a page of it. What everybody gets who asks for nothing that there is.
    Json,
    /// `text/csv` (RFC 4180): a row with the names, then a row each. What a spreadsheet opens.
    Csv,
    /// `application/x-ndjson`: a line of JSON each.
    Ndjson,
}

impl Format {
    /// Every form, the one that is preferred first.
    pub const ALL: [Self; 3] = [Self::Json, Self::Csv, Self::Ndjson];

    /// The form that a request prefers.
    #[must_use]
    pub fn of(request: &Request) -> Self {
        Self::ALL[accept::preferred(request, &Self::ALL.map(Self::media_type))]
    }

    /// The media type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv",
            Self::Ndjson => "application/x-ndjson",
        }
    }

    /// How many registrations a page has where nobody says, and how many it may have.
    #[must_use]
    pub const fn per_page(self) -> (usize, usize) {
        match self {
            Self::Json => (DEFAULT_PER_PAGE, LARGEST_PER_PAGE),
            Self::Csv | Self::Ndjson => (LARGEST_EXPORT, LARGEST_EXPORT),
        }
    }

    /// The registrations in this form.
    pub fn write(self, registrations: &[Registration]) -> Result<String, ApiError> {
        let json = |value: &Registration| serde_json::to_string(value).map_err(ApiError::internal);
        match self {
            Self::Json => serde_json::to_string(registrations).map_err(ApiError::internal),
            Self::Csv => {
                let mut rows = "id,pass_id,wallet,device_os,created_at\r\n".to_owned();
                for Registration { id, pass_id, wallet, device_os, created_at } in registrations {
                    // No id, name or instant has a comma or a quote in it.
                    write!(rows, "{id},{pass_id},{wallet},{device_os},{created_at}\r\n").map_err(ApiError::internal)?;
                }
                Ok(rows)
            }
            Self::Ndjson => registrations.iter().map(|registration| Ok(json(registration)? + "\n")).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::ACCEPT;
    use lambda_http::Body;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("", Format::Json)]
    #[case("*/*", Format::Json)]
    #[case("text/csv", Format::Csv)]
    #[case("text/*", Format::Csv)]
    #[case("application/x-ndjson", Format::Ndjson)]
    #[case("application/*", Format::Json)]
    #[case("text/csv;q=0.5, application/json;q=0.4", Format::Csv)]
    #[case("text/csv;q=0.5, application/json", Format::Json)]
    #[case("text/csv; header=present; q=0.9, */*;q=0.1", Format::Csv)]
    #[case("application/json;q=0, */*;q=0.5", Format::Csv)]
    #[case("text/html, application/xhtml+xml", Format::Json)]
    #[case("text/csv;q=high", Format::Json)]
    #[case(",;,=;q=", Format::Json)]
    fn the_form_is_what_accept_prefers(#[case] accept: &str, #[case] expected: Format) {
        let mut request = Request::new(Body::Empty);
        if !accept.is_empty() {
            request.headers_mut().insert(ACCEPT, accept.parse().unwrap());
        }
        assert_eq!(Format::of(&request), expected);
    }
}
