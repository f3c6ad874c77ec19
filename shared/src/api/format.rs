//! In which form registrations are listed.

use std::fmt::{self, Write as _};

use lambda_http::Request;

use super::{
    accept,
    error::ApiError,
    page::{DEFAULT_PER_PAGE, MAX_PER_PAGE},
};
use crate::registration::Registration;

/// How many registrations a part of an export has, where nobody says and at the most. As text that is about 1.5 MB; Lambda
/// answers with 6 MB.
pub const MAX_EXPORT: usize = 10_000;

/// How many characters a registration has in JSON at the most.
const LENGTH: usize = 200;

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
            Self::Json => (DEFAULT_PER_PAGE, MAX_PER_PAGE),
            Self::Csv | Self::Ndjson => (MAX_EXPORT, MAX_EXPORT),
        }
    }

    /// The registrations in this form. No id, name or instant has anything in it that must be escaped, in none of them.
    pub fn write(self, registrations: &[Registration]) -> Result<String, ApiError> {
        let mut text = String::with_capacity((registrations.len() + 1) * LENGTH);
        match self {
            Self::Json => {
                let mut separator = '[';
                for registration in registrations {
                    text.push(separator);
                    write_json(&mut text, registration).map_err(ApiError::internal)?;
                    separator = ',';
                }
                text.push_str(if registrations.is_empty() { "[]" } else { "]" });
            }
            Self::Csv => {
                text.push_str("id,pass_id,wallet,device_os,created_at\r\n");
                for Registration { id, pass_id, wallet, device_os, created_at } in registrations {
                    write!(text, "{id},{pass_id},{wallet},{device_os},{created_at}\r\n").map_err(ApiError::internal)?;
                }
            }
            Self::Ndjson => {
                for registration in registrations {
                    write_json(&mut text, registration).map_err(ApiError::internal)?;
                    text.push('\n');
                }
            }
        }
        Ok(text)
    }
}

/// A registration as serde writes it, at a third of the cost.
fn write_json(text: &mut String, registration: &Registration) -> fmt::Result {
    let Registration { id, pass_id, wallet, device_os, created_at } = registration;
    write!(text, r#"{{"id":"{id}","pass_id":"{pass_id}","wallet":"{wallet}","#)?;
    write!(text, r#""device_os":"{device_os}","created_at":"{created_at}"}}"#)
}

#[cfg(test)]
mod tests {
    use http::header::ACCEPT;
    use lambda_http::Body;
    use proptest::{prelude::*, sample::select};
    use rstest::rstest;

    use super::*;
    use crate::registration::{DeviceOs, Wallet};

    fn registration() -> impl Strategy<Value = Registration> {
        let id = || any::<u128>().prop_map(|id| uuid::Uuid::from_u128(id).to_string());
        let fields = (id(), id(), select(&Wallet::ALL), select(&DeviceOs::ALL), 0..253_402_207_200_i64);
        fields.prop_map(|(id, pass_id, wallet, device_os, created_at)| Registration {
            id: id.parse().unwrap(),
            pass_id: pass_id.parse().unwrap(),
            wallet,
            device_os,
            created_at: crate::clock::Timestamp::of_unix_seconds(created_at).unwrap(),
        })
    }

    proptest! {
        #[test]
        fn json_is_what_serde_writes(registrations in prop::collection::vec(registration(), 0..5)) {
            let written = Format::Json.write(&registrations).unwrap();
            prop_assert_eq!(&written, &serde_json::to_string(&registrations).unwrap());
            prop_assert!(written.len() <= (registrations.len() + 1) * LENGTH);
            let lines = Format::Ndjson.write(&registrations).unwrap();
            let read: Vec<Registration> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            prop_assert_eq!(read, registrations);
        }
    }

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
