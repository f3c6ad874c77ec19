//! Complaints: what devices report about this web service in `POST /v1/log`.
//!
//! A line names the device and the pass, so no line is kept. It is only sorted into one of the kinds here, and the kinds
//! are counted. Apple documents no line. The texts are those of the iOS wallet daemon (`PDWebServicesCoordinator` and
//! its tasks, decompiled), and agree with what web services have received from devices
//! (<https://stackoverflow.com/questions/15581586>, develatio/django-walletpass, passportxyz).

use std::collections::BTreeMap;

use domain::pass::PassTypeIdentifier;
use serde_json::Value;
use strum::{IntoStaticStr, VariantArray};

/// How many lines of one call are counted. A device sends up to about fifty.
const MAX_LINES: usize = 50;

/// What is known of a line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Complaint {
    /// The kind.
    pub(crate) kind: Kind,
    /// The pass type that the line names, if it has the form of one.
    pub(crate) pass_type: Option<PassTypeIdentifier>,
}

/// The kind of a complaint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Kind {
    /// Registering failed with 401.
    RegisterUnauthorized,
    /// Registering failed with another status.
    RegisterStatus,
    /// Registering failed otherwise.
    RegisterFailed,
    /// Unregistering failed with 401.
    UnregisterUnauthorized,
    /// Unregistering failed with another status.
    UnregisterStatus,
    /// Unregistering failed otherwise.
    UnregisterFailed,
    /// The list of changed passes failed with a status.
    ListStatus,
    /// The list of changed passes could not be read.
    ListMalformed,
    /// The list of changed passes failed otherwise.
    ListFailed,
    /// The latest contents of a pass failed with 401.
    PassUnauthorized,
    /// The latest contents of a pass failed with another status.
    PassStatus,
    /// The latest contents of a pass could not be read.
    PassMalformed,
    /// The latest contents of a pass failed otherwise.
    PassFailed,
    /// The list had a pass that the device has not registered.
    UnregisteredPass,
    /// A push was followed by an empty list.
    SpuriousPush,
    /// The list had no tag.
    TagMissing,
    /// The list had passes, but the tag that the device had sent.
    TagUnchanged,
    /// The list had a pass whose contents were the same as before.
    PassUnchanged,
    /// A pass was sent although it was not modified since the instant that the device sent.
    IfModifiedSinceIgnored,
    /// A pass was sent without `Last-Modified`.
    LastModifiedMissing,
    /// None of these.
    Unknown,
}

impl Kind {
    /// Returns the name in logs and metrics.
    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        self.into()
    }

    /// Returns the kind of a line.
    #[must_use]
    pub(crate) fn of(line: &str) -> Self {
        // A line may begin with its time in brackets.
        let line = match line.strip_prefix('[') {
            Some(rest) => rest.split_once(']').map_or(line, |(_, rest)| rest.trim_start()),
            None => line,
        };
        if line.starts_with("Web service error for ") {
            return Self::of_web_service_error(line);
        }
        let Some((task, error)) = line.split_once(" encountered error: ") else { return Self::Unknown };
        let [unauthorized, status, malformed, failed] = if task.starts_with("Register task ") {
            [Self::RegisterUnauthorized, Self::RegisterStatus, Self::RegisterFailed, Self::RegisterFailed]
        } else if task.starts_with("Unregister task ") {
            [Self::UnregisterUnauthorized, Self::UnregisterStatus, Self::UnregisterFailed, Self::UnregisterFailed]
        } else if task.starts_with("Get serial #s task ") {
            // The list needs no authorization.
            [Self::ListStatus, Self::ListStatus, Self::ListMalformed, Self::ListFailed]
        } else if task.starts_with("Get pass task ") {
            [Self::PassUnauthorized, Self::PassStatus, Self::PassMalformed, Self::PassFailed]
        } else {
            return Self::Unknown;
        };
        if error.starts_with("Authentication failure") {
            unauthorized
        } else if error.starts_with("Unexpected response code") {
            status
        } else if error.starts_with("Server response was malformed") {
            malformed
        } else {
            failed
        }
    }

    fn of_web_service_error(line: &str) -> Self {
        // The URL of the web service, in parentheses, may contain anything, so only what follows it is compared.
        let Some((_, error)) = line.split_once("): ") else { return Self::Unknown };
        let begins = |text: &str| error.starts_with(text);
        if begins("Update requested for unregistered serial number") {
            Self::UnregisteredPass
        } else if begins("Device received spurious push") {
            Self::SpuriousPush
        } else if begins("Response to 'What changed?' request") && error.contains("omitted a lastUpdated tag") {
            Self::TagMissing
        } else if begins("Response to 'What changed?' request") && error.ends_with("remained the same.") {
            Self::TagUnchanged
        } else if begins("Server requested update to serial number") {
            Self::PassUnchanged
        } else if begins("Server ignored the 'if-modified-since' header") {
            Self::IfModifiedSinceIgnored
        } else if begins("Server returned the pass data for serial number") {
            Self::LastModifiedMissing
        } else {
            Self::Unknown
        }
    }
}

impl Complaint {
    /// Returns what is known of a line.
    #[must_use]
    pub(crate) fn of(line: &str) -> Self {
        let after = |text: &str| line.split_once(text).map(|(_, rest)| rest);
        let named = after("Web service error for ").or_else(|| after(", pass type ")).or_else(|| after("(pass type "));
        let pass_type = named.and_then(|rest| rest.split([' ', ',', ';']).next()?.parse().ok());
        Self { kind: Kind::of(line), pass_type }
    }

    /// Returns the complaints in a body, as far as it can be read: an object with `logs`, which devices send, or only
    /// the list, or only a text.
    #[must_use]
    pub(crate) fn all_in(body: &str) -> Vec<Self> {
        let Ok(body) = serde_json::from_str::<Value>(body) else { return Vec::new() };
        let logs = match &body {
            Value::Object(body) => body.get("logs"),
            body => Some(body),
        };
        let lines = match logs {
            Some(Value::Array(lines)) => lines.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(line)) => vec![line.as_str()],
            _ => Vec::new(),
        };
        lines.into_iter().take(MAX_LINES).map(Self::of).collect()
    }
}

/// Returns how many complaints there are of each kind, and the pass type if all of the kind name the same one.
pub(crate) fn by_kind(complaints: &[Complaint]) -> BTreeMap<Kind, (usize, Option<&PassTypeIdentifier>)> {
    let mut kinds = BTreeMap::new();
    for Complaint { kind, pass_type } in complaints {
        let (count, named) = kinds.entry(*kind).or_insert((0, pass_type.as_ref()));
        *count += 1;
        *named = named.filter(|named| Some(*named) == pass_type.as_ref());
    }
    kinds
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    const REGISTER: &str = "Register task (for device 19121d6b570b31a3fa56dbd45411c933, pass type pass.com.example, \
        serial number 1; with web service url https://example.org/wallet/acme)";
    const UNREGISTER: &str = "Unregister task (for device ceed8761e584e814ed4fe73cbb334ee9, pass type pass.com.example, \
        serial number 1; with web service url https://example.org/wallet/acme)";
    const LIST: &str = "Get serial #s task (for device b33e3a3dccb3030333e3333da33333a3, pass type pass.com.example, \
        last updated (null); with web service url https://example.org/wallet/acme)";
    const PASS: &str = "Get pass task (pass type pass.com.example, serial number 1, if-modified-since Tue, 09 Aug 2016 \
        21:57:32 GMT; with web service url https://example.org/wallet/acme)";
    const ABOUT: &str = "Web service error for pass.com.example (https://example.org/wallet/acme):";
    const UNAUTHORIZED: &str = "Authentication failure";
    const STATUS: &str = "Unexpected response code 500";
    const MALFORMED: &str = "Server response was malformed (Missing response data)";
    const OTHERWISE: &str = "The request timed out.";

    fn failed(task: &str, error: &str) -> String {
        format!("[2016-08-28 20:44:25 +0700] {task} encountered error: {error}")
    }

    fn complained(error: &str) -> String {
        format!("[2024-07-08 10:22:35 AM +0200] {ABOUT} {error}")
    }

    /// Lines as devices send them, and their kinds.
    fn lines() -> Vec<(String, Kind)> {
        vec![
            (failed(REGISTER, UNAUTHORIZED), Kind::RegisterUnauthorized),
            (failed(REGISTER, STATUS), Kind::RegisterStatus),
            (failed(REGISTER, MALFORMED), Kind::RegisterFailed),
            (failed(REGISTER, OTHERWISE), Kind::RegisterFailed),
            (failed(UNREGISTER, UNAUTHORIZED), Kind::UnregisterUnauthorized),
            (failed(UNREGISTER, STATUS), Kind::UnregisterStatus),
            (failed(UNREGISTER, OTHERWISE), Kind::UnregisterFailed),
            (failed(LIST, UNAUTHORIZED), Kind::ListStatus),
            (failed(LIST, STATUS), Kind::ListStatus),
            (failed(LIST, MALFORMED), Kind::ListMalformed),
            (failed(LIST, OTHERWISE), Kind::ListFailed),
            (failed(PASS, UNAUTHORIZED), Kind::PassUnauthorized),
            (failed(PASS, STATUS), Kind::PassStatus),
            (failed(PASS, MALFORMED), Kind::PassMalformed),
            (failed(PASS, OTHERWISE), Kind::PassFailed),
            (complained("Update requested for unregistered serial number 8C6772F099D51AA3"), Kind::UnregisteredPass),
            (
                complained(
                    "Device received spurious push. Request for passesUpdatedSince '1.aaaaa' returned no serial numbers. \
                     (Device = 19121d6b570b31a3fa56dbd45411c933)",
                ),
                Kind::SpuriousPush,
            ),
            (
                complained(
                    "Response to 'What changed?' request included 1 serial numbers but omitted a lastUpdated tag.",
                ),
                Kind::TagMissing,
            ),
            (
                complained(
                    "Response to 'What changed?' request included 1 serial numbers but the lastUpdated tag (1.aaaaa) \
                     remained the same.",
                ),
                Kind::TagUnchanged,
            ),
            (
                complained("Server requested update to serial number '12345', but the pass was unchanged."),
                Kind::PassUnchanged,
            ),
            (
                complained(
                    "Server ignored the 'if-modified-since' header (Tue, 23 Aug 2016 16:54:10 GMT) and returned the full \
                     unchanged pass data for serial number '8C6771F89ED51DAA'.",
                ),
                Kind::IfModifiedSinceIgnored,
            ),
            (
                complained(
                    "Server returned the pass data for serial number '1' but did not provide a 'last-modified' header.",
                ),
                Kind::LastModifiedMissing,
            ),
            (complained("Something new"), Kind::Unknown),
            ("hello".to_owned(), Kind::Unknown),
        ]
    }

    #[test]
    fn each_line_of_a_device_has_its_kind() {
        for (line, expected) in lines() {
            assert_eq!(Kind::of(&line), expected, "{line}");
            let without_time = line.split_once("] ").map_or(line.as_str(), |(_, line)| line);
            assert_eq!(Kind::of(without_time), expected, "{line}");
        }
        let seen: HashSet<_> = lines().into_iter().map(|(_, kind)| kind).collect();
        assert_eq!(seen.len(), Kind::VARIANTS.len(), "a kind has no line");
    }

    #[test]
    fn a_line_names_its_pass_type() {
        for (line, kind) in lines() {
            let expected = (line != "hello").then(|| "pass.com.example".parse().unwrap());
            assert_eq!(Complaint::of(&line), Complaint { kind, pass_type: expected }, "{line}");
        }
        let strange = failed("Register task (for device 1, pass type secret, serial number 1; with)", STATUS);
        assert_eq!(Complaint::of(&strange), Complaint { kind: Kind::RegisterStatus, pass_type: None });
    }

    #[rstest]
    #[case::as_devices_send_it(json!({"logs": ["hello", "hello"]}).to_string(), 2)]
    #[case::a_bare_list(json!(["hello"]).to_string(), 1)]
    #[case::a_bare_text(json!({"logs": "hello"}).to_string(), 1)]
    #[case::lines_of_other_types(json!({"logs": [1, null, "hello", {}]}).to_string(), 1)]
    #[case::too_many(json!({"logs": vec!["hello"; 60]}).to_string(), 50)]
    #[case::no_logs(json!({"log": ["hello"]}).to_string(), 0)]
    #[case::no_json("hello".to_owned(), 0)]
    #[case::empty(String::new(), 0)]
    fn what_can_be_read_is_counted(#[case] body: String, #[case] expected: usize) {
        assert_eq!(Complaint::all_in(&body).len(), expected);
    }

    #[test]
    fn complaints_are_counted_by_kind_and_have_a_pass_type_if_all_of_the_kind_agree() {
        let of_type = |kind, pass_type: Option<&str>| Complaint {
            kind,
            pass_type: pass_type.map(|pass_type| pass_type.parse().unwrap()),
        };
        let complaints = [
            of_type(Kind::PassStatus, Some("pass.a")),
            of_type(Kind::ListStatus, Some("pass.a")),
            of_type(Kind::ListStatus, Some("pass.b")),
            of_type(Kind::ListStatus, Some("pass.a")),
            of_type(Kind::PassStatus, Some("pass.a")),
            of_type(Kind::Unknown, Some("pass.a")),
            of_type(Kind::Unknown, None),
            of_type(Kind::TagMissing, None),
        ];
        let counted: Vec<_> = by_kind(&complaints)
            .into_iter()
            .map(|(kind, (count, pass_type))| (kind, count, pass_type.map(PassTypeIdentifier::as_str)))
            .collect();
        let expected = [
            (Kind::ListStatus, 3, None),
            (Kind::PassStatus, 2, Some("pass.a")),
            (Kind::TagMissing, 1, None),
            (Kind::Unknown, 2, None),
        ];
        assert_eq!(counted, expected);
    }

    proptest! {
        #[test]
        fn no_line_makes_the_parser_panic(
            time in "(\\[.{0,9}\\]? ?)?",
            task in "(Register|Unregister|Get serial #s|Get pass) task |Web service error for |.{0,9}",
            about in "(pass\\.[a-z]{0,3}|, pass type |\\(pass type |[ ,;]|.{0,3}){0,6}",
            separator in " encountered error: |\\): |.{0,3}",
            error in "(Authentication failure|Unexpected response code|Server |Response to 'What changed\\?' request|.{0,9}){0,3}",
        ) {
            let line = format!("{time}{task}{about}{separator}{error}");
            prop_assert_eq!(Complaint::all_in(&json!({"logs": [&line]}).to_string()), [Complaint::of(&line)]);
        }
    }
}
