//! The formats of a listing: a page of JSON, or an export as CSV or NDJSON.

use domain::registration::Registration;
use lambda_http::Request;

use crate::{Body, accept, error::ApiError};

/// The default number of registrations on a page (Passworks API v2, "Pagination").
pub const DEFAULT_PER_PAGE: usize = 25;
/// The maximum number of registrations on a page.
pub const MAX_PER_PAGE: usize = 1000;

/// The number of registrations in one part of an export, both the default and the maximum. They take at most 2 MB as
/// text; Lambda limits a response to 6 MB.
pub const MAX_EXPORT: usize = 10_000;

/// The maximum length of a registration in escaped JSON, in bytes.
const MAX_JSON_LENGTH: usize = 220;

/// A format of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `application/json`: one page as an array. The default, used even if `Accept` matches no format.
    Json,
    /// `text/csv` (RFC 4180), for spreadsheets: a row with the names of the fields, then a row per registration.
    Csv,
    /// `application/x-ndjson`: a line of JSON per registration.
    Ndjson,
}

impl Format {
    /// Every format, in order of preference.
    pub const ALL: [Self; 3] = [Self::Json, Self::Csv, Self::Ndjson];

    /// Returns the format that a request prefers.
    #[must_use]
    pub fn of(request: &Request) -> Self {
        Self::ALL[accept::preferred(request, &Self::ALL.map(Self::media_type))]
    }

    /// Returns the media type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv",
            Self::Ndjson => "application/x-ndjson",
        }
    }

    /// Returns the default and the maximum number of registrations per page.
    #[must_use]
    pub const fn per_page(self) -> (usize, usize) {
        match self {
            Self::Json => (DEFAULT_PER_PAGE, MAX_PER_PAGE),
            Self::Csv | Self::Ndjson => (MAX_EXPORT, MAX_EXPORT),
        }
    }

    /// Writes registrations in this format, in the escaped form that the envelope needs. No id, name or instant contains
    /// a character that has to be escaped, in any of the formats or in the envelope.
    pub fn write(self, registrations: &[Registration]) -> Result<Body, ApiError> {
        let mut text = Vec::with_capacity((registrations.len() + 1) * MAX_JSON_LENGTH);
        text.push(b'"');
        match self {
            Self::Json => {
                let mut separator = b'[';
                for registration in registrations {
                    text.push(separator);
                    write_json(&mut text, registration);
                    separator = b',';
                }
                text.extend_from_slice(if registrations.is_empty() { b"[]" } else { b"]" });
            }
            Self::Csv => {
                text.extend_from_slice(br"id,pass_id,wallet,device_os,created_at\r\n");
                for registration in registrations {
                    write_csv(&mut text, registration);
                }
            }
            Self::Ndjson => {
                for registration in registrations {
                    write_json(&mut text, registration);
                    text.extend_from_slice(br"\n");
                }
            }
        }
        text.push(b'"');
        String::from_utf8(text).map(Body::of_json_string).map_err(ApiError::internal)
    }
}

/// Writes a registration as serde does, but with escaped quotation marks, and at a fraction of the cost: most parts have
/// a length that the compiler knows.
fn write_json(text: &mut Vec<u8>, registration: &Registration) {
    let Registration { id, pass_id, wallet, device_os, created_at } = registration;
    text.extend_from_slice(br#"{\"id\":\""#);
    text.extend_from_slice(id.as_bytes());
    text.extend_from_slice(br#"\",\"pass_id\":\""#);
    text.extend_from_slice(pass_id.as_bytes());
    text.extend_from_slice(br#"\",\"wallet\":\""#);
    text.extend_from_slice(wallet.as_str().as_bytes());
    text.extend_from_slice(br#"\",\"device_os\":\""#);
    text.extend_from_slice(device_os.as_str().as_bytes());
    text.extend_from_slice(br#"\",\"created_at\":\""#);
    text.extend_from_slice(created_at.as_bytes());
    text.extend_from_slice(br#"\"}"#);
}

fn write_csv(text: &mut Vec<u8>, registration: &Registration) {
    let Registration { id, pass_id, wallet, device_os, created_at } = registration;
    text.extend_from_slice(id.as_bytes());
    text.push(b',');
    text.extend_from_slice(pass_id.as_bytes());
    text.push(b',');
    text.extend_from_slice(wallet.as_str().as_bytes());
    text.push(b',');
    text.extend_from_slice(device_os.as_str().as_bytes());
    text.push(b',');
    text.extend_from_slice(created_at.as_bytes());
    text.extend_from_slice(br"\r\n");
}

#[cfg(test)]
mod tests {
    use domain::wallet::{DeviceOs, Wallet};
    use http::header::ACCEPT;
    use proptest::{prelude::*, sample::select};
    use rstest::rstest;

    use super::*;

    fn registration() -> impl Strategy<Value = Registration> {
        let id = || any::<u128>().prop_map(|id| uuid::Uuid::from_u128(id).to_string());
        let fields = (id(), id(), select(Wallet::ALL), select(DeviceOs::ALL), 0..253_402_207_200_i64);
        fields.prop_map(|(id, pass_id, wallet, device_os, created_at)| Registration {
            id: id.parse().unwrap(),
            pass_id: pass_id.parse().unwrap(),
            wallet,
            device_os,
            created_at: domain::time::Timestamp::of_unix_seconds(created_at).unwrap(),
        })
    }

    proptest! {
        #[test]
        fn json_is_the_same_as_serde_writes(registrations in prop::collection::vec(registration(), 0..5)) {
            let written = Format::Json.write(&registrations).unwrap();
            prop_assert_eq!(written.text().unwrap(), serde_json::to_string(&registrations).unwrap());
            let escaped = serde_json::to_string(&written).unwrap();
            prop_assert!(escaped.len() <= (registrations.len() + 1) * MAX_JSON_LENGTH);
            let lines = Format::Ndjson.write(&registrations).unwrap().text().unwrap();
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
    fn the_format_is_the_one_that_accept_prefers(#[case] accept: &str, #[case] expected: Format) {
        let mut request = Request::new(lambda_http::Body::Empty);
        if !accept.is_empty() {
            request.headers_mut().insert(ACCEPT, accept.parse().unwrap());
        }
        assert_eq!(Format::of(&request), expected);
    }
}
