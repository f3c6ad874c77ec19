use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use super::key;
use crate::{
    clock::Timestamp,
    counts::{ChangeKind, StateChange},
    id::CampaignId,
    registration::{DeviceOs, Wallet},
};

/// A record of the table's stream, and what of it is counted.
///
/// Shape: AWS Lambda developer guide, "Using AWS Lambda with Amazon DynamoDB", with new and old images.
#[derive(Debug, Clone)]
pub struct StreamRecord {
    pub(super) sequence_number: SequenceNumber,
    pub(super) content: Content,
}

/// What a record says.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// The state of a registration changed, or nothing that is counted.
    Changes(Vec<StateChange>),
    /// A campaign was claimed: everything that happens to it is in the stream.
    Campaign { campaign: CampaignId, since: Timestamp },
    /// It is not what its key promises.
    Unreadable { record: String, problem: String },
}

/// Where a record stands in its shard: a whole number of up to 40 digits, without zeros in front. So the longer one is the
/// larger; no integer of ours holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SequenceNumber(String);

/// Why a record cannot be placed: whoever sent it is not the table's stream.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected a record of the table's stream: {0}")]
pub struct InvalidRecord(String);

impl StreamRecord {
    /// Reads a record as Lambda hands it over. A record whose item is not what it should be is kept as unreadable.
    ///
    /// # Errors
    ///
    /// It has no sequence number.
    pub fn from_json(record: &Value) -> Result<Self, InvalidRecord> {
        let sequence_number = record["dynamodb"]["SequenceNumber"].as_str().unwrap_or_default();
        let sequence_number = SequenceNumber::read(sequence_number).map_err(InvalidRecord)?;
        let content = Content::read(&record["dynamodb"])
            .unwrap_or_else(|problem| Content::Unreadable { record: record.to_string(), problem });
        Ok(Self { sequence_number, content })
    }
}

impl SequenceNumber {
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let digits = || text.trim_start_matches('0').to_owned();
        is_number.then(|| Self(digits())).ok_or_else(|| "expected a sequence number in digits".to_owned())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialOrd for SequenceNumber {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SequenceNumber {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0.len(), &self.0).cmp(&(other.0.len(), &other.0))
    }
}

/// A string attribute. Attributes of other types are of no concern here.
#[derive(Deserialize)]
struct Text {
    #[serde(rename = "S")]
    text: String,
}

#[derive(Deserialize)]
struct Keys {
    pk: Text,
    sk: Text,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Images {
    keys: Keys,
    old_image: Option<Value>,
    new_image: Option<Value>,
}

/// What is read of an image of a registration.
#[derive(Deserialize)]
struct RegistrationImage {
    last_event_at: Text,
    created_at: Option<Text>,
    wallet: Option<Text>,
    device_os: Option<Text>,
}

/// A registration before or after a change.
#[derive(Clone, Copy)]
struct State {
    last_event_at: Timestamp,
    /// Where it is active.
    active: Option<(Wallet, DeviceOs)>,
}

impl Content {
    fn read(record: &Value) -> Result<Self, String> {
        let Images { keys: Keys { pk, sk }, old_image, new_image } =
            Images::deserialize(record).map_err(|error| error.to_string())?;
        let Some(campaign) = key::parse_campaign_pk(&pk.text) else { return Ok(Self::Changes(Vec::new())) };
        if sk.text == key::CAMPAIGN_SK {
            return match (old_image, new_image) {
                (None, Some(new)) => {
                    let since = Text::deserialize(&new["known_since"]).map_err(|error| error.to_string())?;
                    let since = since.text.parse().map_err(|error| format!("known_since: {error}"))?;
                    Ok(Self::Campaign { campaign, since })
                }
                _ => Ok(Self::Changes(Vec::new())),
            };
        }
        if key::parse_registration_sk(&sk.text).is_none() {
            return Ok(Self::Changes(Vec::new()));
        }
        let old = old_image.map(|image| State::read(&image)).transpose()?;
        let new = new_image.map(|image| State::read(&image)).transpose()?;
        Ok(Self::Changes(changes(campaign, old, new)))
    }
}

impl State {
    fn read(image: &Value) -> Result<Self, String> {
        let RegistrationImage { last_event_at, created_at, wallet, device_os } =
            RegistrationImage::deserialize(image).map_err(|error| error.to_string())?;
        let last_event_at = last_event_at.text.parse().map_err(|error| format!("last_event_at: {error}"))?;
        let active = match (created_at, wallet, device_os) {
            (None, _, _) => None,
            (Some(_), Some(wallet), Some(device_os)) => {
                let wallet = wallet.text.parse().map_err(|error| format!("wallet: {error}"))?;
                Some((wallet, device_os.text.parse().map_err(|error| format!("device_os: {error}"))?))
            }
            (Some(_), _, _) => return Err("an active registration has a wallet and a device_os".to_owned()),
        };
        Ok(Self { last_event_at, active })
    }
}

/// What is counted where a registration went from one state to another. An item that somebody deleted ended when it was last
/// heard of.
fn changes(campaign: CampaignId, old: Option<State>, new: Option<State>) -> Vec<StateChange> {
    let active = |state: Option<State>| state.and_then(|state| state.active);
    let (before, after) = (active(old), active(new));
    let Some(at) = new.or(old).map(|state| state.last_event_at) else { return Vec::new() };
    if before == after {
        return Vec::new();
    }
    let change = |kind| move |(wallet, device_os)| StateChange { campaign, day: at.day(), kind, wallet, device_os };
    let ended = before.map(change(ChangeKind::Uninstall));
    ended.into_iter().chain(after.map(change(ChangeKind::Install))).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn image(active: Option<(&str, &str)>, day: &str) -> Value {
        let at = format!("{day}T10:00:00.000Z");
        let mut image = json!({"last_event_at": {"S": at}, "expires_at": {"N": "1"}});
        if let Some((wallet, device_os)) = active {
            image["created_at"] = json!({"S": at});
            image["wallet"] = json!({"S": wallet});
            image["device_os"] = json!({"S": device_os});
        }
        image
    }

    fn record(sk: &str, old: Option<Value>, new: Option<Value>) -> Value {
        let pk = "CAMPAIGN#bd69162b-8995-4c89-bdca-898fae6050d0";
        let mut record = json!({"dynamodb": {"Keys": {"pk": {"S": pk}, "sk": {"S": sk}}, "SequenceNumber": "100"}});
        for (name, image) in [("OldImage", old), ("NewImage", new)] {
            if let Some(image) = image {
                record["dynamodb"][name] = image;
            }
        }
        record
    }

    const SK: &str = "PASS#22d5b0ed-cc82-4743-a4fb-ee655d928037#ed2951b4-1127-4a96-a2b1-8a73adb4b2db";
    const APPLE: Option<(&str, &str)> = Some(("passbook", "ios"));
    const GOOGLE: Option<(&str, &str)> = Some(("google_wallet", "android"));

    fn counted(record: &Value) -> Vec<(ChangeKind, &'static str, String)> {
        let Content::Changes(changes) = StreamRecord::from_json(record).unwrap().content else {
            panic!("expected changes")
        };
        let counted = changes.into_iter().map(|change| (change.kind, change.wallet.as_str(), change.day.to_string()));
        counted.collect()
    }

    #[test]
    fn what_changes_the_state_is_counted_on_the_day_it_happened() {
        let install = (ChangeKind::Install, "passbook", "2016-11-09".to_owned());
        let removed = (ChangeKind::Uninstall, "passbook", "2016-11-10".to_owned());
        let active = || Some(image(APPLE, "2016-11-09"));
        let tombstone = || Some(image(None, "2016-11-10"));

        assert_eq!(counted(&record(SK, None, active())), [install]);
        assert_eq!(counted(&record(SK, active(), tombstone())), std::slice::from_ref(&removed));
        let again = (ChangeKind::Install, "passbook", "2016-11-11".to_owned());
        assert_eq!(counted(&record(SK, tombstone(), Some(image(APPLE, "2016-11-11")))), [again]);
        let deleted = (ChangeKind::Uninstall, "passbook", "2016-11-09".to_owned());
        assert_eq!(counted(&record(SK, active(), None)), [deleted]);
        let other = (ChangeKind::Install, "google_wallet", "2016-11-10".to_owned());
        assert_eq!(counted(&record(SK, active(), Some(image(GOOGLE, "2016-11-10")))), [removed, other]);
    }

    #[rstest]
    #[case::repeated_install(SK, Some(image(APPLE, "2016-11-09")), Some(image(APPLE, "2016-11-10")))]
    #[case::uninstall_of_something_never_seen(SK, None, Some(image(None, "2016-11-09")))]
    #[case::end_of_a_tombstone(SK, Some(image(None, "2016-11-09")), None)]
    #[case::later_uninstall(SK, Some(image(None, "2016-11-09")), Some(image(None, "2016-11-10")))]
    #[case::pass("PASS#22d5b0ed-cc82-4743-a4fb-ee655d928037", None, Some(json!({})))]
    #[case::campaign_told_its_type("CAMPAIGN", Some(json!({})), Some(json!({})))]
    #[case::counts("COUNTS#2016-11-09", None, Some(json!({})))]
    fn anything_else_is_nothing(#[case] sk: &str, #[case] old: Option<Value>, #[case] new: Option<Value>) {
        assert_eq!(counted(&record(sk, old, new)), []);
    }

    #[test]
    fn a_claimed_campaign_is_counted_from_its_beginning() {
        let claimed = json!({"known_since": {"S": "2016-11-09T11:09:00.745Z"}, "account_id": {"S": "demo"}});
        let read = StreamRecord::from_json(&record("CAMPAIGN", None, Some(claimed))).unwrap();
        assert!(matches!(read.content, Content::Campaign { since, .. } if since.day().to_string() == "2016-11-09"));
    }

    #[rstest]
    #[case::no_instant(json!({"created_at": {"S": "x"}}), "last_event_at")]
    #[case::no_wallet(json!({"last_event_at": {"S": "2016-11-09T11:09:00.745Z"}, "created_at": {"S": "x"}}), "wallet")]
    #[case::unknown_wallet(image(Some(("apple", "ios")), "2016-11-09"), "wallet: expected one of passbook")]
    #[case::not_text(json!({"last_event_at": {"N": "1"}}), "S")]
    fn what_cannot_be_read_is_kept_whole(#[case] new: Value, #[case] expected: &str) {
        let record = record(SK, None, Some(new));
        let Content::Unreadable { record: kept, problem } = StreamRecord::from_json(&record).unwrap().content else {
            panic!("expected an unreadable record")
        };
        assert!(problem.contains(expected), "{problem}");
        assert_eq!(serde_json::from_str::<Value>(&kept).unwrap(), record);
    }

    #[test]
    fn sequence_numbers_are_numbers() {
        let number = |text: &str| SequenceNumber::read(text).unwrap();
        assert!(number("9") < number("10") && number("0099") < number("100"));
        assert!(number("4421584500000000017450439091") < number("4421584500000000017450439092"));
        assert!(number(&"9".repeat(39)) < number(&format!("1{}", "0".repeat(39))));
        assert!(StreamRecord::from_json(&json!({"dynamodb": {}})).is_err());
        assert!(StreamRecord::from_json(&json!({"dynamodb": {"SequenceNumber": "x"}})).is_err());
    }
}
