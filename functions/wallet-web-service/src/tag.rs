//! Tags: what a device knows about its passes.
//!
//! A device sends back the tag of its last list, and gets the passes that have changed since. A tag states what was
//! listed, and no instant: for each of the device's passes it has a few characters that change with every update. So
//! whatever clocks, delays and the order of events do, a pass is listed exactly if the device has not seen its latest
//! update.
//!
//! A tag has the form `1.aaaaabbbbb…`: a version, and five characters for each pass, sorted. For more than
//! 100 passes it has one digest of all of them, and any change lists them all. Devices send tags back without
//! encoding them, so a tag has only characters that need no encoding.

use std::collections::HashSet;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use domain::{
    id::{CampaignId, PassId},
    pass::TypedSerialNumber,
    time::Timestamp,
};
use sha2::{Digest as _, Sha256};

/// The version, and what separates it from the rest.
const VERSION_PREFIX: &str = "1.";
/// How many characters a pass has in a tag. They hold 30 bits: the chance that an update goes unnoticed, until the next
/// one, is about one in a thousand million for each pass on the device.
const FINGERPRINT_LENGTH: usize = 5;
/// How many passes a tag lists one by one.
const MAX_PASSES: usize = 100;
/// How many characters the digest of more passes has.
const DIGEST_LENGTH: usize = 22;

/// The state of a pass that a device has registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PassState<'a> {
    /// The campaign of the pass.
    pub(crate) campaign: CampaignId,
    /// The pass.
    pub(crate) pass: PassId,
    /// When this device registered it.
    pub(crate) created_at: Timestamp,
    /// The serial number under which the device has registered it. A pass that got another one must be listed again.
    pub(crate) serial_number: Option<&'a TypedSerialNumber>,
    /// The latest update of the pass.
    pub(crate) pass_updated_at: Option<Timestamp>,
    /// The latest update of all passes of the campaign.
    pub(crate) campaign_updated_at: Option<Timestamp>,
}

/// What a list answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changes<'a> {
    /// The passes that have changed, in the order in which they were given.
    pub(crate) changed: Vec<&'a PassState<'a>>,
    /// The tag to send with them.
    pub(crate) tag: String,
}

impl PassState<'_> {
    fn fingerprint(&self) -> String {
        let Self { campaign, pass, created_at, serial_number, pass_updated_at, campaign_updated_at } = self;
        let mut hash = Sha256::new();
        hash.update(format!("{campaign}/{pass}/{created_at}"));
        for updated_at in [pass_updated_at, campaign_updated_at] {
            hash.update("/");
            hash.update(updated_at.map(|at| at.to_string()).unwrap_or_default());
        }
        // The serial number comes last, because it may contain a slash.
        if let Some(TypedSerialNumber { pass_type, serial_number }) = serial_number {
            for part in [pass_type.as_str(), serial_number.as_str()] {
                hash.update("/");
                hash.update(part);
            }
        }
        first_characters(hash, FINGERPRINT_LENGTH)
    }
}

/// Returns the first characters of a digest in base64url.
fn first_characters(hash: Sha256, length: usize) -> String {
    let mut text = BASE64_URL_SAFE_NO_PAD.encode(hash.finalize());
    text.truncate(length);
    text
}

/// Returns which of a device's passes have changed since the tag that the device sent.
#[must_use]
pub(crate) fn changes<'a>(passes: &'a [PassState<'a>], sent: Option<&str>) -> Changes<'a> {
    let fingerprints: Vec<_> = passes.iter().map(PassState::fingerprint).collect();
    let mut sorted = fingerprints.clone();
    sorted.sort_unstable();
    let all = sorted.concat();
    let sent = sent.and_then(|sent| sent.strip_prefix(VERSION_PREFIX));
    if passes.len() > MAX_PASSES {
        let digest = first_characters(Sha256::new_with_prefix(&all), DIGEST_LENGTH);
        let changed = if sent == Some(digest.as_str()) { Vec::new() } else { passes.iter().collect() };
        return Changes { changed, tag: format!("{VERSION_PREFIX}{digest}") };
    }
    let known: HashSet<&[u8]> =
        sent.map(|sent| sent.as_bytes().chunks(FINGERPRINT_LENGTH).collect()).unwrap_or_default();
    let with_fingerprints = passes.iter().zip(&fingerprints);
    let changed = with_fingerprints.filter(|(_, fingerprint)| !known.contains(fingerprint.as_bytes()));
    Changes { changed: changed.map(|(pass, _)| pass).collect(), tag: format!("{VERSION_PREFIX}{all}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn pass(number: usize) -> PassState<'static> {
        let id = format!("22d5b0ed-cc82-4743-a4fb-{number:012x}");
        PassState {
            campaign: id.parse().unwrap(),
            pass: id.parse().unwrap(),
            created_at: at(0),
            serial_number: None,
            pass_updated_at: None,
            campaign_updated_at: None,
        }
    }

    fn passes(count: usize) -> Vec<PassState<'static>> {
        (0..count).map(pass).collect()
    }

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::nearest(milliseconds)
    }

    #[rstest]
    #[case(0)]
    #[case(1)]
    #[case(100)]
    #[case(101)]
    #[case(300)]
    fn without_a_tag_all_are_listed_and_with_it_none(#[case] count: usize) {
        let passes = passes(count);
        let everything: Vec<_> = passes.iter().collect();
        let Changes { changed, tag } = changes(&passes, None);
        assert_eq!(changed, everything);
        assert_eq!(changes(&passes, Some(&tag)), Changes { changed: Vec::new(), tag: tag.clone() });
        assert!(tag.len() < 512, "a tag is a part of a path");
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        assert!(tag.bytes().all(unreserved), "{tag}");
        for foreign in ["", "2016-11-09T11:09:00Z", "1478689740", "2.aaaaa", "1.", "1.a", "1.äöü"] {
            assert_eq!(changes(&passes, Some(foreign)).changed, everything, "{foreign}");
        }
    }

    #[test]
    fn a_tag_is_the_same_in_every_order() {
        let mut passes = passes(9);
        let tag = changes(&passes, None).tag;
        passes.reverse();
        assert_eq!(changes(&passes, None).tag, tag);
    }

    #[test]
    fn a_tag_has_a_version_and_five_characters_for_each_pass() {
        // printf '22d5b0ed-cc82-4743-a4fb-000000000000/22d5b0ed-cc82-4743-a4fb-000000000000/1970-01-01T00:00:00.000Z//' |
        //   openssl sha256 -binary | basenc --base64url | head -c 5
        assert_eq!(changes(&[pass(0)], None).tag, "1.rPXPf");
        // The same with '/pass.com.example/a/b' at its end.
        assert_eq!(
            changes(&[PassState { serial_number: Some(&serial_number("a/b")), ..pass(0) }], None).tag,
            "1.d0Ocd"
        );
    }

    fn serial_number(text: &str) -> TypedSerialNumber {
        TypedSerialNumber { pass_type: "pass.com.example".parse().unwrap(), serial_number: text.parse().unwrap() }
    }

    #[test]
    fn a_pass_that_got_another_serial_number_is_listed_again() {
        let [first, second] = ["1", "2"].map(serial_number);
        let mut passes = passes(3);
        passes[1].serial_number = Some(&first);
        let before = changes(&passes, None).tag;
        passes[1].serial_number = Some(&second);
        let Changes { changed, tag } = changes(&passes, Some(&before));
        assert_eq!(changed, [&passes[1]]);
        assert!(changes(&passes, Some(&tag)).changed.is_empty());
    }

    proptest! {
        #[test]
        fn exactly_the_passes_that_changed_are_listed_until_they_were(
            count in 1..=100_usize,
            changed in prop::collection::vec(any::<prop::sample::Index>(), 0..9),
            kind in 0..3,
            instant in 1..9_i64,
        ) {
            let mut passes = passes(count);
            let before = changes(&passes, None).tag;
            let positions: std::collections::BTreeSet<_> = changed.into_iter().map(|index| index.index(count)).collect();
            for position in &positions {
                let state = &mut passes[*position];
                match kind {
                    0 => state.pass_updated_at = Some(at(instant)),
                    1 => state.campaign_updated_at = Some(at(instant)),
                    _ => state.created_at = at(instant),
                }
            }
            let Changes { changed, tag } = changes(&passes, Some(&before));
            prop_assert_eq!(changed, positions.iter().map(|position| &passes[*position]).collect::<Vec<_>>());
            prop_assert_eq!(tag == before, positions.is_empty());
            prop_assert!(changes(&passes, Some(&tag)).changed.is_empty());
        }

        #[test]
        fn a_tag_hides_only_the_passes_that_it_states(
            known in prop::collection::vec(0..3_usize, 0..4),
            rest in "([0-9A-Za-z_-]{5}){0,4}.{0,4}",
        ) {
            let passes = passes(3);
            let stated: String = known.iter().map(|position| passes[*position].fingerprint()).collect();
            prop_assume!(passes.iter().all(|pass| !rest.contains(&pass.fingerprint())));
            let unknown: Vec<_> = (0..3).filter(|position| !known.contains(position)).map(|at| &passes[at]).collect();
            prop_assert_eq!(changes(&passes, Some(&format!("{VERSION_PREFIX}{stated}{rest}"))).changed, unknown);
        }
    }
}
