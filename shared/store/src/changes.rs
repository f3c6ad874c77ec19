//! The table's stream: parses the records that Lambda delivers.
//!
//! A record of a registration becomes a [`RegistrationChange`] with the state before and after, which the tally counts.
//! A record of a new campaign has the instant since which its counts are complete. Other records are ignored. A record
//! whose item is malformed is not lost: the tally stores up to 390,000 bytes of it for an operator, with the reason.

use std::borrow::Cow;

use domain::{
    id::{CampaignId, PassId, RegistrationId},
    time::Timestamp,
    wallet::{DeviceOs, Wallet},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::keys;

/// A record of the table's stream.
///
/// Shape: AWS Lambda developer guide, "Using AWS Lambda with Amazon DynamoDB", with new and old images.
#[derive(Debug, Clone)]
pub struct StreamRecord {
    pub(crate) sequence_number: SequenceNumber,
    pub(crate) content: Content,
}

/// The content of a record.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// A registration was written or deleted.
    Registration(RegistrationChange),
    /// A campaign was claimed at this instant. From here on the stream has every change of it, so its counts are
    /// complete.
    CampaignClaimed { campaign: CampaignId, at: Timestamp },
    /// A change that no reader needs.
    Other,
    /// The keys or the attributes of the item are malformed.
    Unreadable { record: String, problem: String },
}

/// One change of one registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegistrationChange {
    /// The campaign.
    pub campaign: CampaignId,
    /// The pass.
    pub pass: PassId,
    /// The registration.
    pub registration: RegistrationId,
    /// The instant of the event that caused the change. If the item was deleted, the instant at which its state began.
    pub at: Timestamp,
    /// The state before, or `None` if the registration was not active.
    pub before: Option<RegistrationState>,
    /// The state after, or `None` if the registration is not active.
    pub after: Option<RegistrationState>,
}

/// The state of an active registration, reduced to the attributes that the stream's readers need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegistrationState {
    /// The wallet.
    pub wallet: Wallet,
    /// The operating system of the device.
    pub device_os: DeviceOs,
}

/// The position of a record in its shard: a whole number of up to 40 digits, which is too long for any integer type.
///
/// Leading zeros are cut, so the longer text is the greater number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SequenceNumber(String);

/// The error for a record without a valid sequence number, so not one of the table's stream.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected a record of the table's stream: {0}")]
pub struct NotAStreamRecord(String);

impl StreamRecord {
    /// Parses a record as Lambda delivers it. A record whose item is malformed is kept as unreadable.
    ///
    /// # Errors
    ///
    /// If the record has no valid sequence number.
    pub fn from_json(record: &str) -> Result<Self, NotAStreamRecord> {
        let read = serde_json::from_str::<Record<'_>>(record);
        let Record { dynamodb } = read.map_err(|error| NotAStreamRecord(error.to_string()))?;
        let sequence_number = SequenceNumber::parse(&dynamodb.sequence_number).map_err(NotAStreamRecord)?;
        let content =
            Content::of(&dynamodb).unwrap_or_else(|problem| Content::Unreadable { record: record.to_owned(), problem });
        Ok(Self { sequence_number, content })
    }
}

impl SequenceNumber {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let digits = || text.trim_start_matches('0').to_owned();
        is_number.then(|| Self(digits())).ok_or_else(|| "expected a sequence number in digits".to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
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

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    dynamodb: Change<'a>,
}

/// A change of an item. Its parts are not parsed yet, so that a record with a malformed item still has its sequence
/// number.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Change<'a> {
    #[serde(borrow)]
    sequence_number: Cow<'a, str>,
    #[serde(borrow)]
    keys: Option<&'a RawValue>,
    #[serde(borrow)]
    old_image: Option<&'a RawValue>,
    #[serde(borrow)]
    new_image: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Keys<'a> {
    #[serde(borrow)]
    pk: Text<'a>,
    #[serde(borrow)]
    sk: Text<'a>,
}

/// An attribute that is a string.
#[derive(Deserialize)]
struct Text<'a> {
    #[serde(rename = "S", borrow)]
    text: Cow<'a, str>,
}

/// The attribute read from the image of a campaign.
#[derive(Deserialize)]
struct CampaignImage<'a> {
    #[serde(borrow)]
    known_since: Text<'a>,
}

/// The attributes read from an image of a registration.
#[derive(Deserialize)]
struct RegistrationImage<'a> {
    #[serde(borrow)]
    last_event_at: Text<'a>,
    #[serde(borrow)]
    created_at: Option<Text<'a>>,
    #[serde(borrow)]
    wallet: Option<Text<'a>>,
    #[serde(borrow)]
    device_os: Option<Text<'a>>,
}

impl Content {
    fn of(change: &Change<'_>) -> Result<Self, String> {
        let Change { sequence_number: _, keys, old_image, new_image } = *change;
        let Keys { pk, sk } = parse("Keys", keys.ok_or("Keys: is missing")?)?;
        let Some(campaign) = keys::parse_campaign_pk(&pk.text) else { return Ok(Self::Other) };
        if sk.text == keys::CAMPAIGN_SK {
            return match (old_image, new_image) {
                (None, Some(new)) => {
                    let CampaignImage { known_since } = parse("NewImage", new)?;
                    let at = known_since.text.parse().map_err(|error| format!("known_since: {error}"))?;
                    Ok(Self::CampaignClaimed { campaign, at })
                }
                _ => Ok(Self::Other),
            };
        }
        let Some((pass, registration)) = keys::parse_registration_sk(&sk.text) else { return Ok(Self::Other) };
        let old = old_image.map(|image| read_image("OldImage", image)).transpose()?;
        let new = new_image.map(|image| read_image("NewImage", image)).transpose()?;
        let Some((at, _)) = new.or(old) else { return Ok(Self::Other) };
        let state = |image: Option<(Timestamp, Option<RegistrationState>)>| image.and_then(|(_, state)| state);
        let (before, after) = (state(old), state(new));
        Ok(Self::Registration(RegistrationChange { campaign, pass, registration, at, before, after }))
    }
}

/// Returns the instant at which the registration got the state in this image, and the state if the registration is
/// active. A registration is active since `created_at`: wallets that confirm it move only `last_event_at`.
fn read_image(name: &str, image: &RawValue) -> Result<(Timestamp, Option<RegistrationState>), String> {
    let RegistrationImage { last_event_at, created_at, wallet, device_os } = parse(name, image)?;
    let at = last_event_at.text.parse().map_err(|error| format!("last_event_at: {error}"))?;
    match (created_at, wallet, device_os) {
        (None, _, _) => Ok((at, None)),
        (Some(created_at), Some(wallet), Some(device_os)) => {
            let state = RegistrationState {
                wallet: wallet.text.parse().map_err(|error| format!("wallet: {error}"))?,
                device_os: device_os.text.parse().map_err(|error| format!("device_os: {error}"))?,
            };
            Ok((created_at.text.parse().map_err(|error| format!("created_at: {error}"))?, Some(state)))
        }
        (Some(_), _, _) => Err("an active registration has a wallet and a device_os".to_owned()),
    }
}

/// Parses a part of a record. The column in the error counts from the beginning of the part.
fn parse<'a, T: Deserialize<'a>>(name: &str, part: &'a RawValue) -> Result<T, String> {
    serde_json::from_str(part.get()).map_err(|error| format!("{name}: {error}"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn image(state: Option<(&str, &str)>, day: &str) -> Value {
        let at = format!("{day}T10:00:00.000Z");
        let mut image = json!({"last_event_at": {"S": at}, "expires_at": {"N": "1"}});
        if let Some((wallet, device_os)) = state {
            image["created_at"] = json!({"S": at});
            image["wallet"] = json!({"S": wallet});
            image["device_os"] = json!({"S": device_os});
        }
        image
    }

    /// Returns the image of a registration that its wallet confirmed later, as a copy brings it.
    fn confirmed(mut image: Value) -> Value {
        image["last_event_at"] = json!({"S": "2016-11-12T10:00:00.000Z"});
        image
    }

    fn record(sk: &str, old: Option<Value>, new: Option<Value>) -> String {
        let pk = "CAMPAIGN#bd69162b-8995-4c89-bdca-898fae6050d0";
        let mut record = json!({"dynamodb": {"Keys": {"pk": {"S": pk}, "sk": {"S": sk}}, "SequenceNumber": "100"}});
        for (name, image) in [("OldImage", old), ("NewImage", new)] {
            if let Some(image) = image {
                record["dynamodb"][name] = image;
            }
        }
        record.to_string()
    }

    const SK: &str = "PASS#22d5b0ed-cc82-4743-a4fb-ee655d928037#ed2951b4-1127-4a96-a2b1-8a73adb4b2db";
    const APPLE: Option<(&str, &str)> = Some(("passbook", "ios"));
    const GOOGLE: Option<(&str, &str)> = Some(("google_wallet", "android"));
    const APPLE_STATE: RegistrationState = RegistrationState { wallet: Wallet::Passbook, device_os: DeviceOs::Ios };
    const GOOGLE_STATE: RegistrationState =
        RegistrationState { wallet: Wallet::GoogleWallet, device_os: DeviceOs::Android };

    #[rstest]
    #[case::install(None, Some(image(APPLE, "2016-11-09")), None, Some(APPLE_STATE), "2016-11-09")]
    #[case::removal(
        Some(image(APPLE, "2016-11-09")),
        Some(image(None, "2016-11-10")),
        Some(APPLE_STATE),
        None,
        "2016-11-10"
    )]
    #[case::second_install(
        Some(image(None, "2016-11-10")),
        Some(image(APPLE, "2016-11-11")),
        None,
        Some(APPLE_STATE),
        "2016-11-11"
    )]
    #[case::another_wallet(
        Some(image(APPLE, "2016-11-09")),
        Some(image(GOOGLE, "2016-11-10")),
        Some(APPLE_STATE),
        Some(GOOGLE_STATE),
        "2016-11-10"
    )]
    #[case::confirmed_later(None, Some(confirmed(image(APPLE, "2016-11-09"))), None, Some(APPLE_STATE), "2016-11-09")]
    #[case::deletion_by_hand(Some(image(APPLE, "2016-11-09")), None, Some(APPLE_STATE), None, "2016-11-09")]
    #[case::end_of_a_tombstone(Some(image(None, "2016-11-09")), None, None, None, "2016-11-09")]
    fn a_record_of_a_registration_is_a_change_with_its_ids(
        #[case] old: Option<Value>,
        #[case] new: Option<Value>,
        #[case] before: Option<RegistrationState>,
        #[case] after: Option<RegistrationState>,
        #[case] day: &str,
    ) {
        let Content::Registration(change) = StreamRecord::from_json(&record(SK, old, new)).unwrap().content else {
            panic!("expected a change of a registration")
        };
        assert_eq!((change.before, change.after), (before, after));
        assert_eq!(change.at.day().to_string(), day);
        assert_eq!(keys::registration_sk(change.pass, change.registration), SK);
        assert_eq!(change.campaign.to_string(), "bd69162b-8995-4c89-bdca-898fae6050d0");
    }

    #[rstest]
    #[case::pass("PASS#22d5b0ed-cc82-4743-a4fb-ee655d928037", None, Some(json!({})))]
    #[case::campaign_that_got_its_type("CAMPAIGN", Some(json!({})), Some(json!({})))]
    #[case::counts("COUNTS#2016-11-09", None, Some(json!({})))]
    #[case::update_of_a_pass("UPDATED#22d5b0ed-cc82-4743-a4fb-ee655d928037", None, Some(json!({})))]
    #[case::update_of_all_passes("UPDATED", None, Some(json!({})))]
    fn changes_that_no_reader_needs_are_ignored(
        #[case] sk: &str,
        #[case] old: Option<Value>,
        #[case] new: Option<Value>,
    ) {
        let content = StreamRecord::from_json(&record(sk, old, new)).unwrap().content;
        assert!(matches!(content, Content::Other), "{content:?}");
    }

    #[test]
    fn escapes_blanks_and_null_mean_the_same_as_in_any_json() {
        let new = image(APPLE, "2016-11-09");
        let plain = record(SK, None, Some(new.clone()));
        let mut other: Value = serde_json::from_str(&plain).unwrap();
        other["dynamodb"]["OldImage"] = Value::Null;
        let other = serde_json::to_string_pretty(&other).unwrap();
        let other =
            other.replace("PASS#", r"PASS\u0023").replace("passbook", r"pass\u0062ook").replace("100", r"\u003100");
        let [plain, other] = [plain, other].map(|record| StreamRecord::from_json(&record).unwrap());
        let (Content::Registration(plain_change), Content::Registration(change)) = (plain.content, other.content)
        else {
            panic!("expected changes of registrations")
        };
        assert_eq!((other.sequence_number, change), (plain.sequence_number, plain_change));
    }

    #[test]
    fn a_new_campaign_is_a_claim_at_its_instant() {
        let claimed = json!({"known_since": {"S": "2016-11-09T11:09:00.745Z"}, "account_id": {"S": "demo"}});
        let read = StreamRecord::from_json(&record("CAMPAIGN", None, Some(claimed))).unwrap();
        assert!(matches!(read.content, Content::CampaignClaimed { at, .. } if at.day().to_string() == "2016-11-09"));
    }

    #[rstest]
    #[case::no_instant(json!({"created_at": {"S": "x"}}), "last_event_at")]
    #[case::no_wallet(json!({"last_event_at": {"S": "2016-11-09T11:09:00.745Z"}, "created_at": {"S": "x"}}), "wallet")]
    #[case::unknown_wallet(image(Some(("apple", "ios")), "2016-11-09"), "wallet: expected one of passbook")]
    #[case::not_text(json!({"last_event_at": {"N": "1"}}), "S")]
    fn an_unreadable_record_is_kept_whole(#[case] new: Value, #[case] expected: &str) {
        // With blanks, as nothing here would write it.
        let record = record(SK, None, Some(new)).replace("\":", "\": ");
        let Content::Unreadable { record: kept, problem } = StreamRecord::from_json(&record).unwrap().content else {
            panic!("expected an unreadable record")
        };
        assert!(problem.contains(expected), "{problem}");
        assert_eq!(kept, record);
    }

    #[rstest]
    #[case::no_keys(json!({"SequenceNumber": "1"}), "Keys: is missing")]
    #[case::key_of_another_type(json!({"SequenceNumber": "1", "Keys": {"pk": {"N": "1"}, "sk": {"S": "é"}}}), "Keys: missing field `S`")]
    #[case::campaign_without_its_instant(
        json!({
            "SequenceNumber": "1",
            "Keys": {"pk": {"S": "CAMPAIGN#bd69162b-8995-4c89-bdca-898fae6050d0"}, "sk": {"S": "CAMPAIGN"}},
            "NewImage": {},
        }),
        "NewImage: missing field `known_since`"
    )]
    fn an_unreadable_part_is_named(#[case] change: Value, #[case] expected: &str) {
        let record = json!({"dynamodb": change}).to_string();
        let content = StreamRecord::from_json(&record).unwrap().content;
        let Content::Unreadable { problem, .. } = content else { panic!("expected an unreadable record") };
        assert!(problem.starts_with(expected), "{problem}");
    }

    #[test]
    fn sequence_numbers_are_ordered_as_numbers() {
        let number = |text: &str| SequenceNumber::parse(text).unwrap();
        assert!(number("9") < number("10") && number("0099") < number("100"));
        assert!(number("4421584500000000017450439091") < number("4421584500000000017450439092"));
        assert!(number(&"9".repeat(39)) < number(&format!("1{}", "0".repeat(39))));
    }

    #[rstest]
    #[case(json!({}), "dynamodb")]
    #[case(json!({"dynamodb": {}}), "SequenceNumber")]
    #[case(json!({"dynamodb": {"SequenceNumber": "x"}}), "expected a sequence number in digits")]
    #[case(json!({"dynamodb": {"SequenceNumber": 1}}), "expected a string")]
    fn a_record_without_a_sequence_number_is_refused(#[case] record: Value, #[case] expected: &str) {
        let error = StreamRecord::from_json(&record.to_string()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
