//! Holds answers against the rules.

use http::{
    StatusCode,
    header::{CONTENT_TYPE, LAST_MODIFIED},
};
use hyper::body::Bytes;
use serde_json::Value;

use super::{
    behaviour::{REFUSALS, SentSigns},
    exchange::Check,
    rules::Rule,
};

/// The content type of a pass.
const PKPASS: &str = "application/vnd.apple.pkpass";
/// How a ZIP archive begins (PKWARE, APPNOTE.TXT, local file header).
const ZIP_SIGNATURE: &[u8] = b"PK\x03\x04";
/// The statuses that passd takes for success of a registration and of an unregistration (its class
/// `PDRegistrationTask`).
const REGISTERED: &[StatusCode] = &[StatusCode::OK, StatusCode::CREATED];

/// Returns the signs with which the wallet repeats a refused call, if it does so.
pub(super) fn fallback(check: &mut Check<'_>, signs: &SentSigns) -> Option<&'static SentSigns> {
    let fallback = signs.fallback.filter(|_| REFUSALS.contains(&check.answer.status().as_u16()));
    if fallback.is_some() {
        check.note(format!("{} is refused, so the wallet behaves as PassWallet", signs.registration_scheme));
    }
    fallback
}

/// Checks the first registration, and returns whether the wallet takes the pass for registered.
pub(super) fn registration(check: &mut Check<'_>) -> bool {
    let is_registered = check.succeeds(REGISTERED, Rule::RegisterStatus);
    if !is_registered {
        check.note("the pass is not registered, so the visit ends here");
    }
    is_registered
}

/// Checks a registration of what is registered.
pub(super) fn repeated_registration(check: &mut Check<'_>) {
    if check.answer.status() != StatusCode::OK {
        check.breaks(Rule::RegisterAgain, check.status());
    }
}

/// Checks the first unregistration, and returns its status.
pub(super) fn unregistration(check: &mut Check<'_>) -> StatusCode {
    check.succeeds(REGISTERED, Rule::UnregisterStatus);
    check.answer.status()
}

/// Checks an unregistration of what is not registered. `first` is the status of the first one.
pub(super) fn repeated_unregistration(check: &mut Check<'_>, first: Option<StatusCode>) {
    if !check.is_success(REGISTERED) && Some(check.answer.status()) != first {
        check.breaks(Rule::UnregisterAgain, check.status());
    }
}

/// Checks the answer to a log.
pub(super) fn log(check: &mut Check<'_>) {
    check.succeeds(&[StatusCode::OK], Rule::LogStatus);
}

/// Checks the answer to a wrong token.
pub(super) fn refusal(check: &mut Check<'_>, wrong_token: &str) {
    let answer = check.answer;
    if answer.status() != StatusCode::UNAUTHORIZED {
        check.breaks(Rule::WrongToken, check.status());
    }
    let has_token = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(wrong_token);
    if has_token(answer.body()) {
        check.breaks(Rule::TokenEcho, "the token in the body");
    } else if let Some((name, _)) = answer.headers().iter().find(|(_, value)| has_token(value.as_bytes())) {
        check.breaks(Rule::TokenEcho, format!("the token in the header {name}"));
    }
}

/// A pass, and its `Last-Modified`.
pub(super) type FetchedPass = (Bytes, Option<String>);

/// Checks the answer with a pass.
pub(super) fn pass(check: &mut Check<'_>, expects_pass: bool) -> Option<FetchedPass> {
    let answer = check.answer;
    if answer.status() == StatusCode::NOT_FOUND && !expects_pass {
        check.note("no pass is served here");
        return None;
    }
    if answer.status() != StatusCode::OK {
        check.breaks(Rule::PassStatus, check.status());
        return None;
    }
    let content_type = check.header(&CONTENT_TYPE).unwrap_or("no content type");
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case(PKPASS) {
        check.breaks(Rule::PassType, content_type);
    }
    if !answer.body().starts_with(ZIP_SIGNATURE) {
        check.breaks(Rule::PassData, format!("{} bytes that are no ZIP archive", answer.body().len()));
    }
    let last_modified = check.header(&LAST_MODIFIED).map(str::to_owned);
    if last_modified.is_none() {
        check.breaks(Rule::PassLastModified, "a pass without it");
    }
    Some((answer.body().clone(), last_modified))
}

/// Checks the answer to a request with `If-Modified-Since`, after `pass` was fetched.
pub(super) fn pass_since(check: &mut Check<'_>, pass: &Bytes) {
    if check.answer.status() == StatusCode::NOT_MODIFIED {
        return;
    }
    if let Some((same, _)) = self::pass(check, true)
        && same == *pass
    {
        check.breaks(Rule::PassUnchanged, "200 with the same pass");
    }
}

/// Checks a list that must have a pass, and returns its tag.
pub(super) fn list_with(check: &mut Check<'_>, serial_number: &str) -> Option<String> {
    if check.answer.status() == StatusCode::NO_CONTENT {
        check.breaks(Rule::ListRegistered, check.status());
    }
    let list = List::read(check)?;
    if !list.has(serial_number) {
        check.breaks(Rule::ListRegistered, format!("a list without {serial_number}"));
    }
    list.tag
}

/// Checks a list that must not have a pass.
pub(super) fn list_without(check: &mut Check<'_>, serial_number: &str) {
    if List::read(check).is_some_and(|list| list.has(serial_number)) {
        check.breaks(Rule::ListUnregistered, format!("a list with {serial_number}"));
    }
}

/// Checks a list of what changed since `tag`.
pub(super) fn list_since(check: &mut Check<'_>, tag: &str) {
    if List::read(check).is_some_and(|list| list.tag.as_deref() == Some(tag)) {
        check.breaks(Rule::TagUnchanged, format!("{tag} again"));
    }
}

/// Checks the list for a device that was never registered.
pub(super) fn list_for_unknown_device(check: &mut Check<'_>) {
    if check.answer.status() != StatusCode::NO_CONTENT {
        check.breaks(Rule::ListUnknownDevice, check.status());
    }
}

/// The body of a list.
struct List {
    serial_numbers: Vec<String>,
    /// Absent if the list is empty or the tag breaks a rule.
    tag: Option<String>,
}

impl List {
    fn has(&self, serial_number: &str) -> bool {
        self.serial_numbers.iter().any(|listed| listed == serial_number)
    }

    /// Checks a list, and returns it, or `None` if the answer is 204 or not a list.
    fn read(check: &mut Check<'_>) -> Option<Self> {
        let answer = check.answer;
        let succeeds = check.succeeds(&[StatusCode::OK, StatusCode::NO_CONTENT], Rule::ListStatus);
        if !succeeds || answer.status() == StatusCode::NO_CONTENT {
            return None;
        }
        let body: Value = match serde_json::from_slice(answer.body()) {
            Ok(body) => body,
            Err(error) => {
                check.breaks(Rule::ListBody, error.to_string());
                return None;
            }
        };
        let listed = &body["serialNumbers"];
        let serial_numbers = listed.as_array().and_then(|listed| {
            listed.iter().map(|value| value.as_str().map(str::to_owned)).collect::<Option<Vec<String>>>()
        });
        let Some(serial_numbers) = serial_numbers else {
            check.breaks(Rule::ListBody, format!("serialNumbers are {listed}"));
            return None;
        };
        if serial_numbers.is_empty() {
            check.breaks(Rule::ListEmpty, format!("{} with an empty list", answer.status()));
            return Some(Self { serial_numbers, tag: None });
        }
        let tag = match &body["lastUpdated"] {
            Value::String(tag) => Some(tag.clone()),
            Value::Null => {
                check.breaks(Rule::TagMissing, "a list without it");
                None
            }
            other => {
                check.breaks(Rule::TagText, other.to_string());
                None
            }
        };
        Some(Self { serial_numbers, tag })
    }
}
