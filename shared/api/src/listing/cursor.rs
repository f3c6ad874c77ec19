//! Cursors: positions of pages in a listing.
//!
//! A cursor names the registration next to the page, not an offset. So a page in the order of `created_at` costs the
//! same at any depth, and registrations that are added or removed elsewhere do not shift it. A cursor is valid for one
//! listing only.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use domain::{account::KeyId, registration::Registration};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};

/// The length of a cursor's checksum, in bytes. The checksum detects damaged cursors and cursors of other listings. It
/// is not a signature: a forged cursor gives no access to other data, because the path determines the partition.
const CHECK_LENGTH: usize = 8;

/// The position of a page in a listing. Callers see it as an opaque text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The number of the page.
    pub page: u32,
    /// Whether the page is after or before the registration.
    pub side: Side,
    /// The registration next to the page. It may have been removed since.
    pub registration: Registration,
}

/// A side of a registration in the order of the listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The page begins after the registration.
    After,
    /// The page ends before the registration.
    Before,
}

/// The identity of a listing. Two requests have the same listing if they have the same path, filter, order, page size
/// and offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListingId(String);

impl ListingId {
    /// Returns the id of the listing at `path` with these parameters, both in their canonical form.
    #[must_use]
    pub fn new(path: &str, parameters: &str) -> Self {
        Self(format!("{path}?{parameters}"))
    }

    /// Returns the SHA-256 of the id and a caller's key as base64url: 43 characters.
    #[must_use]
    pub fn digest_for(&self, key: KeyId) -> String {
        let digest = Sha256::new().chain_update(key.to_string()).chain_update([0]).chain_update(self.0.as_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(digest.finalize())
    }
}

impl Cursor {
    /// Encodes the cursor as a text that [`Cursor::decode`] accepts for the same listing only.
    #[must_use]
    #[expect(clippy::expect_used, reason = "numbers and texts, written into memory, are always JSON")]
    pub(crate) fn encode(&self, listing: &ListingId) -> String {
        encode(self, listing).expect("a cursor is JSON")
    }

    /// Decodes a cursor of this listing. `None` if the text was altered or belongs to another listing.
    #[must_use]
    pub fn decode(text: &str, listing: &ListingId) -> Option<Self> {
        decode(text, listing)
    }
}

/// Encodes any position in a listing as a text that [`decode`] accepts for the same listing only.
///
/// # Errors
///
/// If the position cannot be written as JSON.
pub fn encode(position: &impl Serialize, listing: &ListingId) -> serde_json::Result<String> {
    let json = serde_json::to_vec(position)?;
    let mut bytes = check(listing, &json).to_vec();
    bytes.extend(json);
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// Decodes a position in this listing. `None` if the text was altered or belongs to another listing.
#[must_use]
pub fn decode<T: DeserializeOwned>(text: &str, listing: &ListingId) -> Option<T> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    let (found, json) = bytes.split_first_chunk()?;
    (*found == check(listing, json)).then(|| serde_json::from_slice(json).ok()).flatten()
}

/// Returns the checksum of a position's JSON for a listing.
fn check(listing: &ListingId, json: &[u8]) -> [u8; CHECK_LENGTH] {
    let digest = Sha256::new().chain_update(listing.0.as_bytes()).chain_update([0]).chain_update(json).finalize();
    let mut check = [0; CHECK_LENGTH];
    check.copy_from_slice(&digest[..CHECK_LENGTH]);
    check
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cursor() -> Cursor {
        serde_json::from_str(
            r#"{"page":7,"side":"after","registration":{"id":"ed2951b4-1127-4a96-a2b1-8a73adb4b2db",
                "pass_id":"22d5b0ed-cc82-4743-a4fb-ee655d928037","wallet":"passbook","device_os":"ios",
                "created_at":"2016-11-09T11:09:00.745Z"}}"#,
        )
        .unwrap()
    }

    #[test]
    fn a_cursor_is_valid_for_its_own_listing_only() {
        let listing = ListingId::new("/v2/coupons/1/registrations", "per_page=50");
        let text = cursor().encode(&listing);
        assert_eq!(Cursor::decode(&text, &listing), Some(cursor()));
        for other in [("/v2/coupons/2/registrations", "per_page=50"), ("/v2/coupons/1/registrations", "per_page=25")] {
            assert_eq!(Cursor::decode(&text, &ListingId::new(other.0, other.1)), None);
        }
    }

    proptest! {
        #[test]
        fn an_altered_cursor_is_refused(position in any::<prop::sample::Index>(), replacement in "[A-Za-z0-9_=%-]") {
            let listing = ListingId::new("/", "");
            let text = cursor().encode(&listing);
            let position = position.index(text.len());
            let mut altered = text.clone();
            altered.replace_range(position..=position, &replacement);
            prop_assert!(altered == text || Cursor::decode(&altered, &listing).is_none());
        }

        #[test]
        fn any_other_text_is_refused_without_a_panic(text in ".{0,300}") {
            prop_assert_eq!(Cursor::decode(&text, &ListingId::new("/", "")), None);
        }
    }
}
