//! All keys of the table, each built in only one place, and the list of all items.
//!
//! A campaign, its passes, its registrations and its counts share a partition, and their sort keys group them.
//!
//! | item | `pk` | `sk` | attributes | written by |
//! |---|---|---|---|---|
//! | campaign | `CAMPAIGN#<campaign_id>` | `CAMPAIGN` | `account_id`, `campaign_type` if known, `known_since`, `pinned_since` if a name points to it | `registration-writes`, `registration-ingest`, `account-admin` |
//! | pass | `CAMPAIGN#<campaign_id>` | `PASS#<pass_id>` | `serial_number`, `known_since` | `registration-writes`, `registration-ingest` |
//! | registration, active | `CAMPAIGN#<campaign_id>` | `PASS#<pass_id>#<registration_id>` | `wallet`, `device_os`, `created_at`, `last_event_at`, `received_at`, `tie`, `pass`, and if known `device`, `pass_type`, `serial_number`, `push_token`, `push_token_at`, `push_service_url`; `callback_order` and `callback_nonce` if a callback wrote it | `registration-writes`, `registration-ingest`, `wallet-web-service`, `google-wallet-callback` |
//! | registration, removed | as above | as above | `last_event_at`, `expires_at`; `callback_order` and `callback_nonce` if a callback wrote it | `registration-writes`, `registration-ingest`, `wallet-web-service`, `google-wallet-callback` |
//! | update of a pass | `CAMPAIGN#<campaign_id>` | `UPDATED#<pass_id>` | `updated_at` | `registration-writes`, `registration-ingest` |
//! | update of all passes | `CAMPAIGN#<campaign_id>` | `UPDATED` | `updated_at` | `registration-writes`, `registration-ingest` |
//! | serial number | `SERIAL#<account_id>#<pass_type>#<serial_number>` | `SERIAL` | `campaign_id`, `pass_id`, and if known `token_hash`, `token_at` | `registration-writes`, `registration-ingest` |
//! | Google object | `OBJECT#<account_id>#<object_id>` | `OBJECT` | `campaign_id`, `pass_id` | `registration-writes`, `registration-ingest` |
//! | counts of a day | `CAMPAIGN#<campaign_id>` | `COUNTS#<day>` | `installs`, `uninstalls`, and each by wallet and system: `installs_passbook`, `uninstalls_ios`, … | `registration-tally`, `campaign-recount` |
//! | totals | `CAMPAIGN#<campaign_id>` | `COUNTS#TOTALS` | the same, and `counted_since` if they cover the whole campaign | `registration-tally`, `campaign-recount` |
//! | recount | `CAMPAIGN#<campaign_id>` | `RECOUNT` | `started_at`, `revision`, `written_by`, `running_until` while an invocation runs, `ended_at` once it has ended, `installs`, `uninstalls`, `items_read`, `position`, `last_received_at`, `places`, `days`, `expires_at` | `campaign-recount` |
//! | checkpoint of the tally | `TALLY#<shard>` | `TALLY` | `last_sequence_number`, `expires_at` | `registration-tally` |
//! | unreadable record | `TALLY#UNREADABLE` | `<shard>#<sequence number>` | `problem`, `record`, `received_at`, `expires_at` | `registration-tally` |
//! | account | `ACCOUNT#<account_id>` | `ACCOUNT` | `user_name`, `known_since`, `key_ids` | `account-admin` |
//! | API key | `API_KEY#<sha256>` | `API_KEY` | `account_id`, `user_name`, `access`, `issued_at`, `last_four`, `revoked_at` | `account-admin` |
//! | Google issuers of an account | `ISSUER#<account_id>` | `ISSUER` | `issuer_ids` | `account-admin` |
//! | Google's root keys | `GOOGLE_KEYS` | `GOOGLE_KEYS` | `key_set` as Google publishes it, `keys_url`, `fresh_until` | `google-wallet-callback` |
//! | bookmark | `BOOKMARK#<key and listing>` | `PAGE#<page>` | `cursor`, `expires_at` | `campaign-registrations`, `pass-registrations` |
//!
//! `api-contract`, `campaign-reports`, `push-targets` and `unmatched-route` write nothing. `local export` copies all items
//! except bookmarks, recounts, checkpoints, unreadable records, Google's root keys and the key `demo`.
//!
//! | index | hash | range | contains |
//! |---|---|---|---|
//! | `by-campaign` | `pk` | `created_at` | a campaign's active registrations |
//! | `by-pass` | `pass`, `<campaign_id>#<pass_id>` | `created_at` | a pass's active registrations |
//! | `by-device` | `device`, `<account_id>#<digest of the device library identifier>` | `sk` | a device's active registrations in campaigns of one account |
//!
//! Only active registrations have `created_at` or `device`, so only they are in an index.

use domain::{
    account::KeyId,
    device::DeviceLibraryIdentifier,
    google::GoogleObjectId,
    id::{AccountId, CampaignId, ID_LENGTH, PassId, RegistrationId},
    pass::TypedSerialNumber,
    time::Day,
};

/// The table's partition key.
pub const PK: &str = "pk";
/// The table's sort key.
pub const SK: &str = "sk";
/// The attribute with the instant at which an active registration was created: the range key of [`BY_CAMPAIGN`] and
/// [`BY_PASS`].
pub const CREATED_AT: &str = "created_at";
/// The attribute with the campaign and the pass of an active registration: the hash key of [`BY_PASS`].
pub const PASS: &str = "pass";
/// The attribute with the account and the device of an active registration: the hash key of [`BY_DEVICE`].
pub const DEVICE: &str = "device";
/// The attribute with the pass type of an active registration.
pub const PASS_TYPE: &str = "pass_type";
/// The attribute with the serial number of an active registration or of a pass.
pub const SERIAL_NUMBER: &str = "serial_number";
/// The attribute with the wallet of an active registration.
pub const WALLET: &str = "wallet";
/// The attribute with the operating system of an active registration.
pub const DEVICE_OS: &str = "device_os";
/// The attribute with the time at which DynamoDB may delete the item, in seconds since 1970: the table's time to live.
pub const EXPIRES_AT: &str = "expires_at";

/// The index that lists the registrations of a campaign.
pub const BY_CAMPAIGN: &str = "by-campaign";
/// The index that lists the registrations of a pass.
pub const BY_PASS: &str = "by-pass";

/// The index that lists the registrations of a device.
pub const BY_DEVICE: &str = "by-device";

/// The prefix of the partition keys of campaigns.
pub const CAMPAIGN_PREFIX: &str = "CAMPAIGN#";
/// The partition key of no campaign: the prefix without an id. Reading it only opens a connection.
pub const NO_CAMPAIGN: &str = CAMPAIGN_PREFIX;

/// The sort key of a campaign's own item.
pub const CAMPAIGN_SK: &str = "CAMPAIGN";

/// The prefix of the sort keys of a campaign's passes and registrations.
pub const PASSES_PREFIX: &str = "PASS#";

/// The sort key of the update of all passes of a campaign, and the prefix of the sort keys of all its updates.
pub const UPDATED_SK: &str = "UPDATED";

/// The prefix of the sort keys of a campaign's counts.
pub const COUNTS_PREFIX: &str = "COUNTS#";
/// The sort key of a campaign's totals. It sorts after the counts of all days.
pub const TOTALS_SK: &str = "COUNTS#TOTALS";
/// The sort key of the progress of a campaign's recount.
pub const RECOUNT_SK: &str = "RECOUNT";
/// The prefix of the partition keys of the tally's own items.
pub const TALLY_PREFIX: &str = "TALLY#";
/// The sort key of a checkpoint.
pub const TALLY_SK: &str = "TALLY";
/// The partition key of the unreadable records.
pub const UNREADABLE_PK: &str = "TALLY#UNREADABLE";

/// The prefix of the partition keys of serial numbers.
pub const SERIAL_NUMBER_PREFIX: &str = "SERIAL#";
/// The sort key of a serial number.
pub const SERIAL_NUMBER_SK: &str = "SERIAL";
/// The prefix of the partition keys of Google objects.
pub const GOOGLE_OBJECT_PREFIX: &str = "OBJECT#";
/// The sort key of a Google object.
pub const GOOGLE_OBJECT_SK: &str = "OBJECT";

/// The sort key of the Google issuers of an account.
pub const GOOGLE_ISSUERS_SK: &str = "ISSUER";
/// The partition key and the sort key of Google's root keys.
pub const GOOGLE_KEYS: &str = "GOOGLE_KEYS";

/// The sort key of an account.
pub const ACCOUNT_SK: &str = "ACCOUNT";
/// The sort key of an API key.
pub const API_KEY_SK: &str = "API_KEY";
/// The prefix of the partition keys of API keys.
pub const API_KEY_PREFIX: &str = "API_KEY#";

/// The prefix of the partition keys of bookmarks, the only items that the listing functions may write.
pub const BOOKMARK_PREFIX: &str = "BOOKMARK#";

/// Returns the partition key of a campaign, its passes, its registrations and its counts.
#[must_use]
pub fn campaign_pk(campaign: CampaignId) -> String {
    format!("{CAMPAIGN_PREFIX}{campaign}")
}

/// Returns the sort key of a pass. The keys of all passes have the same length, so it is a prefix of the sort keys of
/// this pass's registrations and of no other pass's.
#[must_use]
pub fn pass_sk(pass: PassId) -> String {
    format!("{PASSES_PREFIX}{pass}")
}

/// Returns the sort key of a registration.
#[must_use]
pub fn registration_sk(pass: PassId, registration: RegistrationId) -> String {
    format!("{PASSES_PREFIX}{pass}#{registration}")
}

/// Returns the sort key of the update of a pass, or of all passes of the campaign if that is `None`.
#[must_use]
pub fn updated_sk(pass: Option<PassId>) -> String {
    pass.map_or_else(|| UPDATED_SK.to_owned(), |pass| format!("{UPDATED_SK}#{pass}"))
}

/// Returns the campaign with this partition key, or `None` if it is not a campaign's key.
#[must_use]
pub fn parse_campaign_pk(pk: &str) -> Option<CampaignId> {
    pk.strip_prefix(CAMPAIGN_PREFIX)?.parse().ok()
}

/// Returns the sort key of a campaign's counts of a day.
#[must_use]
pub fn day_sk(day: Day) -> String {
    format!("{COUNTS_PREFIX}{day}")
}

/// Returns the day of the counts with this sort key, or `None` if it is not the key of a day's counts.
#[must_use]
pub fn parse_day_sk(sk: &str) -> Option<Day> {
    sk.strip_prefix(COUNTS_PREFIX)?.parse().ok()
}

/// Returns the partition key of a shard's checkpoint.
#[must_use]
pub fn tally_pk(shard: &str) -> String {
    format!("{TALLY_PREFIX}{shard}")
}

/// Returns the sort key of an unreadable record.
#[must_use]
pub fn unreadable_sk(shard: &str, sequence_number: &str) -> String {
    format!("{shard}#{sequence_number}")
}

/// Returns the pass with this sort key, or `None` if it is not a pass's key.
#[must_use]
pub fn parse_pass_sk(sk: &str) -> Option<PassId> {
    sk.strip_prefix(PASSES_PREFIX)?.parse().ok()
}

/// Returns the pass and the registration with this sort key, or `None` if it is not a registration's key.
#[must_use]
pub fn parse_registration_sk(sk: &str) -> Option<(PassId, RegistrationId)> {
    let (pass, registration) = sk.strip_prefix(PASSES_PREFIX)?.split_at_checked(ID_LENGTH)?;
    Some((pass.parse().ok()?, registration.strip_prefix('#')?.parse().ok()?))
}

/// Returns the hash key of a pass in [`BY_PASS`]. It includes the campaign, so that registrations of another campaign
/// cannot appear in the listing.
#[must_use]
pub fn by_pass_hash(campaign: CampaignId, pass: PassId) -> String {
    format!("{campaign}#{pass}")
}

/// Returns the hash key of a device in [`BY_DEVICE`]. It includes the account, because a device has another identifier
/// for the web service of each account.
#[must_use]
pub fn by_device_hash(account: &AccountId, device: &DeviceLibraryIdentifier) -> String {
    format!("{account}#{}", device.digest())
}

/// Returns the partition key of a serial number. Neither an account nor a pass type has a `#`, so different serial
/// numbers have different keys.
#[must_use]
pub fn serial_number_pk(account: &AccountId, serial_number: &TypedSerialNumber) -> String {
    let TypedSerialNumber { pass_type, serial_number } = serial_number;
    format!("{SERIAL_NUMBER_PREFIX}{account}#{}#{}", pass_type.as_str(), serial_number.as_str())
}

/// Returns the account and the serial number with this partition key, or `None` if it is not a serial number's key.
#[must_use]
pub fn parse_serial_number_pk(pk: &str) -> Option<(AccountId, TypedSerialNumber)> {
    let (account, name) = pk.strip_prefix(SERIAL_NUMBER_PREFIX)?.split_once('#')?;
    let (pass_type, serial_number) = name.split_once('#')?;
    let serial_number =
        TypedSerialNumber { pass_type: pass_type.parse().ok()?, serial_number: serial_number.parse().ok()? };
    Some((account.parse().ok()?, serial_number))
}

/// Returns the account and the Google object with this partition key, or `None` if it is not a Google object's key.
#[must_use]
pub fn parse_google_object_pk(pk: &str) -> Option<(AccountId, GoogleObjectId)> {
    let (account, object) = pk.strip_prefix(GOOGLE_OBJECT_PREFIX)?.split_once('#')?;
    Some((account.parse().ok()?, object.parse().ok()?))
}

/// Returns the partition key of a Google object.
#[must_use]
pub fn google_object_pk(account: &AccountId, object: &GoogleObjectId) -> String {
    format!("{GOOGLE_OBJECT_PREFIX}{account}#{}", object.as_str())
}

/// Returns the partition key of the Google issuers of an account.
#[must_use]
pub fn google_issuers_pk(account: &AccountId) -> String {
    format!("ISSUER#{account}")
}

/// Returns the partition key of an account.
#[must_use]
pub fn account_pk(account: &AccountId) -> String {
    format!("ACCOUNT#{account}")
}

/// Returns the account with this partition key, or `None` if it is not an account's key.
#[must_use]
pub fn parse_account_pk(pk: &str) -> Option<AccountId> {
    pk.strip_prefix("ACCOUNT#")?.parse().ok()
}

/// Returns the partition key of an API key.
#[must_use]
pub fn api_key_pk(id: KeyId) -> String {
    format!("{API_KEY_PREFIX}{id}")
}

/// Returns the id of the API key with this partition key, or `None` if it is not an API key's.
#[must_use]
pub fn parse_api_key_pk(pk: &str) -> Option<KeyId> {
    pk.strip_prefix(API_KEY_PREFIX)?.parse().ok()
}

/// Returns the partition key of a listing's bookmarks.
#[must_use]
pub fn bookmark_pk(listing: &str) -> String {
    format!("{BOOKMARK_PREFIX}{listing}")
}

/// Returns the sort key of the bookmark of `page`.
#[must_use]
pub fn bookmark_sk(page: u32) -> String {
    format!("PAGE#{page}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_is_read_back_from_its_sort_key() {
        let pass = "22d5b0ed-cc82-4743-a4fb-ee655d928037".parse().unwrap();
        let registration = "ed2951b4-1127-4a96-a2b1-8a73adb4b2db".parse().unwrap();
        let sk = registration_sk(pass, registration);

        assert!(sk.starts_with(&pass_sk(pass)));
        assert_eq!(parse_registration_sk(&sk), Some((pass, registration)));
        assert_eq!((parse_pass_sk(&pass_sk(pass)), parse_pass_sk(&sk)), (Some(pass), None));
        for other in [CAMPAIGN_SK, &pass_sk(pass), "PASS#x#y", ""] {
            assert_eq!(parse_registration_sk(other), None);
        }
    }

    #[test]
    fn a_name_is_read_back_from_its_partition_key() {
        let account: AccountId = "demo".parse().unwrap();
        let serial_number = TypedSerialNumber {
            pass_type: "pass.com.example".parse().unwrap(),
            serial_number: "a#b/c".parse().unwrap(),
        };
        let pk = serial_number_pk(&account, &serial_number);
        assert_eq!(parse_serial_number_pk(&pk), Some((account.clone(), serial_number)));
        assert_eq!(parse_google_object_pk(&pk), None);

        let object = "1.x".parse().unwrap();
        let pk = google_object_pk(&account, &object);
        assert_eq!(parse_google_object_pk(&pk), Some((account, object)));
        assert_eq!(parse_serial_number_pk(&pk), None);
    }
}
