//! The formats of a page: JSON, or NDJSON for an export.

use api::{
    accept,
    error::ApiError,
    listing::format::{DEFAULT_PER_PAGE, MAX_PER_PAGE},
};
use domain::push_target::PushTarget;
use lambda_http::Request;

/// The number of push targets in one part of an export, both the default and the maximum. They take less than the 6 MB
/// to which Lambda limits a response, also if each push token has to be escaped.
pub const MAX_EXPORT: usize = 2_000;

/// A format of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `application/json`: an array. The default, used even if `Accept` matches no format.
    Json,
    /// `application/x-ndjson`: a line of JSON per push target.
    Ndjson,
}

impl Format {
    const ALL: [Self; 2] = [Self::Json, Self::Ndjson];

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
            Self::Ndjson => "application/x-ndjson",
        }
    }

    /// Returns the default and the maximum number of push targets per page.
    #[must_use]
    pub const fn per_page(self) -> (usize, usize) {
        match self {
            Self::Json => (DEFAULT_PER_PAGE, MAX_PER_PAGE),
            Self::Ndjson => (MAX_EXPORT, MAX_EXPORT),
        }
    }

    /// Writes push targets in this format.
    ///
    /// # Errors
    ///
    /// 500 if a push target cannot be written as JSON.
    pub fn write(self, targets: &[PushTarget]) -> Result<String, ApiError> {
        match self {
            Self::Json => serde_json::to_string(targets).map_err(ApiError::internal),
            Self::Ndjson => targets.iter().try_fold(String::new(), |mut lines, target| {
                lines += &serde_json::to_string(target).map_err(ApiError::internal)?;
                lines.push('\n');
                Ok(lines)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::wallet::Wallet;
    use http::header::ACCEPT;
    use lambda_http::Body;
    use rstest::rstest;

    use super::*;

    /// The maximum length of a response in bytes (AWS Lambda developer guide, "Lambda quotas").
    const MAX_RESPONSE: usize = 6 * 1024 * 1024;

    fn target() -> PushTarget {
        PushTarget {
            registration_id: "ed2951b4-1127-4a96-a2b1-8a73adb4b2db".parse().unwrap(),
            pass_id: "22d5b0ed-cc82-4743-a4fb-ee655d928037".parse().unwrap(),
            wallet: Wallet::Passbook,
            pass_type_identifier: None,
            push_token: "0f1e".parse().unwrap(),
            push_service_url: None,
        }
    }

    #[test]
    fn a_target_always_has_all_keys_in_the_same_order() {
        let json = r#"{"registration_id":"ed2951b4-1127-4a96-a2b1-8a73adb4b2db","pass_id":"22d5b0ed-cc82-4743-a4fb-ee655d928037","wallet":"passbook","pass_type_identifier":null,"push_token":"0f1e","push_service_url":null}"#;
        assert_eq!(Format::Json.write(&[target(), target()]).unwrap(), format!("[{json},{json}]"));
        assert_eq!(Format::Ndjson.write(&[target(), target()]).unwrap(), format!("{json}\n{json}\n"));
        assert_eq!(Format::Json.write(&[]).unwrap(), "[]");
        assert_eq!(Format::Ndjson.write(&[]).unwrap(), "");
    }

    #[test]
    fn the_longest_part_fits_into_a_response_of_lambda() {
        let longest = PushTarget {
            wallet: Wallet::PassworksWallet,
            pass_type_identifier: Some(format!("pass.{}", "x".repeat(123)).parse().unwrap()),
            push_token: "\"".repeat(384).parse().unwrap(),
            push_service_url: Some(format!("https://{}", "\"".repeat(248)).parse().unwrap()),
            ..target()
        };
        for format in Format::ALL {
            let (_, max) = format.per_page();
            let body = format.write(&vec![longest.clone(); max]).unwrap();
            // The body is a string in API Gateway's envelope, so it is escaped once more.
            let escaped = serde_json::to_string(&body).unwrap().len();
            assert!(escaped + 10 * 1024 < MAX_RESPONSE, "{format:?}: {escaped}");
        }
    }

    #[rstest]
    #[case("", Format::Json)]
    #[case("*/*", Format::Json)]
    #[case("text/csv", Format::Json)]
    #[case("application/x-ndjson", Format::Ndjson)]
    #[case("application/json;q=0.5, application/x-ndjson", Format::Ndjson)]
    fn the_format_is_the_one_that_accept_prefers(#[case] accept: &str, #[case] expected: Format) {
        let mut request = Request::new(Body::Empty);
        if !accept.is_empty() {
            request.headers_mut().insert(ACCEPT, accept.parse().unwrap());
        }
        assert_eq!(Format::of(&request), expected);
    }
}
