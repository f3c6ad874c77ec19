//! Parses the Passworks webhook body (Passworks API v2, "Webhooks") and the additions of this project. The body comes
//! from a queue message, an HTTP body or a sample file.
//!
//! Also parses the body that registers a pass over HTTP, which has the same fields under other names.

use serde_json::Value;
use strum::{EnumString, VariantNames};

use super::{
    Change, CreatedSerialNumber, Creation, Event, FailedAddress, Installation, InstantFrom, MAX_LEAD, Subject,
};
use crate::{
    device::DeviceLibraryIdentifier,
    fields::{FieldErrors, Fields},
    id::{AccountId, PassId, RegistrationId},
    names::UnknownName,
    pass::{SerialNumber, TypedSerialNumber},
    time::Timestamp,
    wallet::{DeviceOs, Wallet},
};

/// The source of an event, which determines its account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A queue message, which must name its account.
    Queue,
    /// An HTTP request. The account is the caller's, and an event that names another account is refused.
    Caller(AccountId),
}

/// A parsed body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The wallet that the body names, even if the rest is invalid, or `None` if it names no known wallet.
    pub wallet: Option<Wallet>,
    /// The event. `Ok(None)` if it has no effect here (`downloaded`, `fetched`, `redeemed`). `Err` with every field
    /// that is missing or wrong.
    pub event: Result<Option<Event>, FieldErrors>,
}

impl Parsed {
    /// Parses a body that was received at `now`.
    #[must_use]
    pub fn from_json(body: &Value, source: &Source, now: Timestamp) -> Self {
        let mut errors = FieldErrors::default();
        let event = parse_event(&mut Fields::of(body, "event", &mut errors), source, now);
        Self { wallet: named_wallet(body), event: if errors.is_empty() { Ok(event) } else { Err(errors) } }
    }
}

/// Returns the wallet that a body names, for metrics.
fn named_wallet(body: &Value) -> Option<Wallet> {
    let text = |name: &str| body.get("event_extra")?.get(name)?.as_str();
    match text("device_app_vendor") {
        Some(wallet) => wallet.parse().ok(),
        None => text("wallet_type")?.parse().ok().map(WalletType::wallet),
    }
}

/// Parses the body that registers a pass over HTTP:
/// `{"wallet","device_os","id"?,"device_library_identifier"?,"push_token"?,"push_service_url"?,"pass_type_identifier"?,
/// "serial_number"?,"created_at"?}`. Returns the instant of the registration too: `created_at`, or `now` if it is
/// absent.
///
/// # Errors
///
/// If any field is missing or wrong. The error lists all such fields, each with the expected value.
pub fn installation_from_json(
    body: &Value,
    pass_id: PassId,
    now: Timestamp,
) -> Result<(Installation, Timestamp), FieldErrors> {
    let mut errors = FieldErrors::default();
    let mut fields = Fields::of(body, "body", &mut errors);
    let at = parse_instant(&mut fields, "created_at", now, Presence::Optional);
    let serial_number = parse_typed_serial_number(&mut fields);
    let installation = parse_installation(fields, &Names::BODY, Some(pass_id), serial_number);
    match installation {
        Some(installation) if errors.is_empty() => Ok((installation, at.unwrap_or(now))),
        _ => Err(errors),
    }
}

/// Returns `None` if the event has no effect. If an error was added, ignore the result.
fn parse_event(fields: &mut Fields<'_>, source: &Source, now: Timestamp) -> Option<Event> {
    let kind: Option<EventKind> = fields.required("event");
    let account_id = parse_account(fields, source);
    if kind.is_some_and(|kind| !kind.has_effect()) {
        return None;
    }
    let campaign_id = fields.required("campaign_id");
    let campaign_type = fields.optional("campaign_type");
    // Without a pass, `updated` concerns every pass of the campaign.
    let pass_id =
        if kind == Some(EventKind::Updated) { fields.optional("pass_id") } else { fields.required("pass_id") };
    let at = parse_event_at(fields, kind, source, now);
    let change = match kind? {
        EventKind::Created => Some(Change::Created(parse_creation(fields))),
        EventKind::Installed => {
            let serial_number = parse_typed_serial_number(fields);
            let extra = fields.nested("event_extra", "event_extra.");
            parse_installation(extra, &Names::EVENT, pass_id, serial_number).map(Change::Installed)
        }
        EventKind::Uninstalled => {
            let extra = fields.nested("event_extra", "event_extra.");
            parse_uninstalled(extra, pass_id).map(|registration_id| Change::Uninstalled { registration_id })
        }
        EventKind::Updated if fields.has("event_at") => Some(Change::Updated(InstantFrom::Sender)),
        EventKind::Updated => Some(Change::Updated(InstantFrom::Receipt)),
        EventKind::PushFailed => {
            let extra = fields.nested("event_extra", "event_extra.");
            parse_failed_address(extra).map(Change::PushFailed)
        }
        EventKind::Downloaded | EventKind::Fetched | EventKind::Redeemed => None,
    };
    let subject = match (pass_id, change?) {
        (Some(pass_id), change) => Subject::Pass { pass_id, change },
        (None, Change::Updated(instant)) => Subject::EveryPass(instant),
        (None, Change::Created(_) | Change::Installed(_) | Change::Uninstalled { .. } | Change::PushFailed(_)) => {
            return None;
        }
    };
    Some(Event { account_id: account_id?, campaign_id: campaign_id?, campaign_type, at: at?, subject })
}

/// The kinds of events: those that Passworks documents, and `updated` and `push_failed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "snake_case", parse_err_ty = UnknownName, parse_err_fn = UnknownName::of::<EventKind>)]
enum EventKind {
    Installed,
    Uninstalled,
    Created,
    Updated,
    PushFailed,
    Downloaded,
    Fetched,
    Redeemed,
}

impl EventKind {
    fn has_effect(self) -> bool {
        match self {
            Self::Installed | Self::Uninstalled | Self::Created | Self::Updated | Self::PushFailed => true,
            Self::Downloaded | Self::Fetched | Self::Redeemed => false,
        }
    }
}

/// The wallets that `wallet_type` names (Passworks API v2, "Webhooks").
#[derive(Debug, Clone, Copy, EnumString, VariantNames)]
#[strum(
    serialize_all = "snake_case",
    ascii_case_insensitive,
    parse_err_ty = UnknownName,
    parse_err_fn = UnknownName::of::<WalletType>
)]
pub enum WalletType {
    /// `apple_wallet`
    AppleWallet,
    /// `google_wallet`
    GoogleWallet,
}

impl WalletType {
    /// Returns the wallet.
    #[must_use]
    pub fn wallet(self) -> Wallet {
        match self {
            Self::AppleWallet => Wallet::Passbook,
            Self::GoogleWallet => Wallet::GoogleWallet,
        }
    }
}

/// The names of fields that differ between an event and a POST body.
struct Names {
    registration: &'static str,
    wallet: &'static str,
    /// The field that names the wallet if the field above is absent.
    wallet_type: Option<&'static str>,
}

impl Names {
    const EVENT: Self =
        Self { registration: "registration_id", wallet: "device_app_vendor", wallet_type: Some("wallet_type") };
    const BODY: Self = Self { registration: "id", wallet: "wallet", wallet_type: None };
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Required,
    Optional,
}

fn parse_account(fields: &mut Fields<'_>, source: &Source) -> Option<AccountId> {
    match source {
        Source::Queue => fields.required("account_id"),
        Source::Caller(caller) => {
            let named: Option<AccountId> = fields.optional("account_id");
            if named.is_some_and(|named| named != *caller) {
                fields.refuse("account_id", "expected the caller's own account, or none");
            }
            Some(caller.clone())
        }
    }
}

fn parse_instant(fields: &mut Fields<'_>, name: &str, now: Timestamp, presence: Presence) -> Option<Timestamp> {
    let instant = match presence {
        Presence::Required => fields.required(name),
        Presence::Optional => fields.optional(name),
    };
    if instant.is_some_and(|instant| instant > now.plus(MAX_LEAD)) {
        fields.refuse(name, format_args!("expected an instant at most five minutes ahead of {now}"));
    }
    instant
}

/// Parses when an event happened. `event_at` may be null or absent, as Passworks documents it; a `created` event then
/// happened at `created_at`, and an `updated` event over HTTP now. A message may be delivered twice, so in a message the
/// instant must not depend on the delivery.
fn parse_event_at(
    fields: &mut Fields<'_>,
    kind: Option<EventKind>,
    source: &Source,
    now: Timestamp,
) -> Option<Timestamp> {
    if kind == Some(EventKind::Created) && !fields.has("event_at") && fields.has("created_at") {
        return parse_instant(fields, "created_at", now, Presence::Required);
    }
    match (kind, source) {
        (Some(EventKind::Updated), Source::Caller(_)) if !fields.has("event_at") => Some(now),
        _ => parse_instant(fields, "event_at", now, Presence::Required),
    }
}

fn parse_wallet(fields: &mut Fields<'_>, names: &Names, presence: Presence) -> Option<Wallet> {
    if let Some(wallet_type) = names.wallet_type.filter(|name| !fields.has(names.wallet) && fields.has(name)) {
        return fields.optional(wallet_type).map(WalletType::wallet);
    }
    match presence {
        Presence::Required => fields.required(names.wallet),
        Presence::Optional => fields.optional(names.wallet),
    }
}

fn parse_installation(
    mut fields: Fields<'_>,
    names: &Names,
    pass_id: Option<PassId>,
    serial_number: Option<TypedSerialNumber>,
) -> Option<Installation> {
    let wallet = parse_wallet(&mut fields, names, Presence::Required);
    let device_os = fields.required("device_os");
    let device_library_identifier = fields.optional("device_library_identifier");
    let push_token = fields.optional("push_token");
    let push_service_url = fields.optional("push_service_url");
    let registration_id =
        parse_registration_id(&mut fields, names, pass_id, wallet, device_library_identifier.as_ref());
    Some(Installation {
        registration_id: registration_id?,
        wallet: wallet?,
        device_os: device_os?,
        device_library_identifier,
        push_token,
        push_service_url,
        serial_number,
    })
}

/// Parses the names of a created pass. A token needs a pass type, and a pass type a serial number.
fn parse_creation(fields: &mut Fields<'_>) -> Creation {
    let pass_type = if fields.has("authentication_token") {
        fields.required("pass_type_identifier")
    } else {
        fields.optional("pass_type_identifier")
    };
    let serial_number: Option<SerialNumber> = if fields.has("pass_type_identifier") {
        fields.required("serial_number")
    } else {
        fields.optional("serial_number")
    };
    let token = fields.optional("authentication_token");
    let serial_number = serial_number.map(|serial_number| match pass_type {
        None => CreatedSerialNumber::Untyped(serial_number),
        Some(pass_type) => {
            CreatedSerialNumber::Typed { serial_number: TypedSerialNumber { pass_type, serial_number }, token }
        }
    });
    Creation { serial_number, google_object_id: fields.optional("google_object_id") }
}

/// Parses the serial number of a registered pass. It is ignored if its pass type is absent, because every webhook body
/// has a serial number.
fn parse_typed_serial_number(fields: &mut Fields<'_>) -> Option<TypedSerialNumber> {
    if !fields.has("pass_type_identifier") {
        return None;
    }
    let pass_type = fields.optional("pass_type_identifier");
    let serial_number = fields.required("serial_number");
    Some(TypedSerialNumber { pass_type: pass_type?, serial_number: serial_number? })
}

fn parse_uninstalled(mut fields: Fields<'_>, pass_id: Option<PassId>) -> Option<RegistrationId> {
    const NAMES: Names = Names::EVENT;
    let device: Option<DeviceLibraryIdentifier> = fields.optional("device_library_identifier");
    // The wallet is needed only to derive the registration's id, but an unknown wallet is always refused.
    let is_derived = device.is_some() && !fields.has(NAMES.registration);
    let wallet = parse_wallet(&mut fields, &NAMES, if is_derived { Presence::Required } else { Presence::Optional });
    fields.optional::<DeviceOs>("device_os");
    parse_registration_id(&mut fields, &NAMES, pass_id, wallet, device.as_ref())
}

fn parse_failed_address(mut fields: Fields<'_>) -> Option<FailedAddress> {
    let push_token = fields.optional("push_token");
    if fields.has("registration_id") {
        let registration_id = fields.optional("registration_id")?;
        return Some(FailedAddress::OfRegistration { registration_id, push_token });
    }
    if !fields.is_malformed() && !fields.has("push_token") {
        fields.refuse("registration_id", "expected a registration_id or a push_token");
    }
    push_token.map(FailedAddress::PushToken)
}

fn parse_registration_id(
    fields: &mut Fields<'_>,
    names: &Names,
    pass_id: Option<PassId>,
    wallet: Option<Wallet>,
    device: Option<&DeviceLibraryIdentifier>,
) -> Option<RegistrationId> {
    if fields.has(names.registration) {
        return fields.optional(names.registration);
    }
    if !fields.is_malformed() && !fields.has("device_library_identifier") {
        let expected = format_args!("expected a {} or a device_library_identifier", names.registration);
        fields.refuse(names.registration, expected);
    }
    Some(RegistrationId::derived(pass_id?, wallet?, device?.as_str()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    /// The webhook body as documented.
    fn webhook() -> Value {
        json!({
            "event": "installed", "context": "pass",
            "campaign_id": "cbc3016c-4c55-4564-81e9-a21664817be2", "pass_id": "d91aef7c-a166-4694-bb91-569714f9c33e",
            "serial_number": "9c05fa25-199b-4c5b-9242-4b42103138a7",
            "created_at": "2016-08-10T11:29:08Z", "event_at": "2016-08-10T11:30:06Z",
            "event_extra": {
                "registration_id": "00f537be-f153-46ad-a980-bbddcb9002c3",
                "device_os": "ios", "device_app_vendor": "passbook",
            },
        })
    }

    /// The webhook body with the field at `pointer` replaced. `Value::Null` stands for its absence.
    fn webhook_with(pointer: &str, value: Value) -> Value {
        let mut body = webhook();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[name] = value;
        body
    }

    fn caller() -> Source {
        Source::Caller("demo".parse().unwrap())
    }

    fn now() -> Timestamp {
        "2016-08-10T11:31:00Z".parse().unwrap()
    }

    fn parse(body: &Value) -> Result<Option<Event>, FieldErrors> {
        Parsed::from_json(body, &caller(), now()).event
    }

    /// Returns the change of the pass of the webhook body.
    fn change_of(event: Event) -> Change {
        let Subject::Pass { pass_id, change } = event.subject else { panic!("expected a change of one pass") };
        assert_eq!(pass_id.to_string(), "d91aef7c-a166-4694-bb91-569714f9c33e");
        change
    }

    #[test]
    fn the_documented_webhook_body_is_an_event() {
        let event = parse(&webhook()).unwrap().unwrap();
        assert_eq!(event.account_id.as_str(), "demo");
        assert_eq!((event.campaign_type, event.at.to_string().as_str()), (None, "2016-08-10T11:30:06.000Z"));
        let Change::Installed(installation) = change_of(event) else { panic!("expected an install") };
        assert_eq!(installation.registration_id.to_string(), "00f537be-f153-46ad-a980-bbddcb9002c3");
        assert_eq!((installation.wallet, installation.device_os), (Wallet::Passbook, DeviceOs::Ios));
    }

    #[rstest]
    #[case::event_missing("/event", Value::Null, "event", "is required")]
    #[case::event_unknown("/event", json!("exploded"), "event", "expected one of installed, uninstalled")]
    #[case::event_number("/event", json!(1), "event", "expected a string")]
    #[case::campaign_missing("/campaign_id", Value::Null, "campaign_id", "is required")]
    #[case::campaign_malformed("/campaign_id", json!("x"), "campaign_id", "expected a UUID")]
    #[case::campaign_type_unknown("/campaign_type", json!("coupon"), "campaign_type", "expected one of coupons")]
    #[case::pass_malformed("/pass_id", json!("x"), "pass_id", "expected a UUID")]
    #[case::event_at_missing("/event_at", Value::Null, "event_at", "is required")]
    #[case::event_at_malformed("/event_at", json!("soon"), "event_at", "expected an instant")]
    #[case::event_at_ahead("/event_at", json!("2016-08-10T11:36:00.001Z"), "event_at", "at most five minutes ahead")]
    #[case::extra_not_an_object("/event_extra", json!([]), "event_extra", "expected a JSON object")]
    #[case::extra_missing("/event_extra", Value::Null, "event_extra.registration_id", "registration_id or a device")]
    #[case::wallet_unknown("/event_extra/device_app_vendor", json!("x"), "event_extra.device_app_vendor", "passbook,")]
    #[case::os_unknown("/event_extra/device_os", json!("beos"), "event_extra.device_os", "expected one of ios")]
    #[case::id_malformed("/event_extra/registration_id", json!("x"), "event_extra.registration_id", "a UUID")]
    #[case::token_too_long("/event_extra/push_token", json!("x".repeat(385)), "event_extra.push_token", "1 to 384")]
    #[case::service_not_http("/event_extra/push_service_url", json!("ftp://x"), "event_extra.push_service_url", "https")]
    #[case::pass_type_malformed("/pass_type_identifier", json!("com.x"), "pass_type_identifier", "`pass.`")]
    #[case::other_account("/account_id", json!("other"), "account_id", "the caller's own account")]
    fn a_wrong_field_is_named(
        #[case] pointer: &str,
        #[case] value: Value,
        #[case] field: &str,
        #[case] expected: &str,
    ) {
        let errors = parse(&webhook_with(pointer, value)).unwrap_err();
        let errors = serde_json::to_value(errors).unwrap();
        assert!(errors[field][0].as_str().is_some_and(|error| error.contains(expected)), "{errors}");
    }

    #[test]
    fn all_wrong_fields_are_named_at_once() {
        let errors = parse(&json!({"event": "installed", "pass_id": "x"})).unwrap_err();
        let expected = [
            "campaign_id",
            "event_at",
            "event_extra.device_app_vendor",
            "event_extra.device_os",
            "event_extra.registration_id",
            "pass_id",
        ];
        assert_eq!(errors.fields().collect::<Vec<_>>(), expected);
    }

    #[rstest]
    #[case(json!("text"))]
    #[case(json!([]))]
    #[case(Value::Null)]
    fn a_body_that_is_not_an_object_is_not_an_event(#[case] body: Value) {
        assert_eq!(parse(&body).unwrap_err().to_string(), "event: expected a JSON object");
    }

    #[rstest]
    #[case("downloaded")]
    #[case("fetched")]
    #[case("redeemed")]
    fn events_without_effect_are_accepted(#[case] name: &str) {
        assert_eq!(parse(&json!({"event": name})), Ok(None));
        assert!(
            Parsed::from_json(&json!({"event": name}), &Source::Queue, now()).event.is_err(),
            "a queue message must name its account"
        );
    }

    #[test]
    fn a_queue_message_names_its_account() {
        let errors = Parsed::from_json(&webhook(), &Source::Queue, now()).event.unwrap_err();
        assert_eq!(errors.to_string(), "account_id: is required");
        let parsed = Parsed::from_json(&webhook_with("/account_id", json!("acme")), &Source::Queue, now());
        assert_eq!(parsed.event.unwrap().unwrap().account_id.as_str(), "acme");
    }

    #[test]
    fn the_wallet_is_parsed_even_if_the_rest_is_invalid() {
        let parsed = |body: &Value| Parsed::from_json(body, &caller(), now());
        let invalid = parsed(&webhook_with("/pass_id", json!("x")));
        assert_eq!((invalid.wallet, invalid.event.is_err()), (Some(Wallet::Passbook), true));
        assert_eq!(parsed(&webhook_with("/event_extra/device_app_vendor", json!("abacus"))).wallet, None);
        assert_eq!(parsed(&json!([])).wallet, None);
    }

    #[test]
    fn a_device_stands_in_for_a_registration_id() {
        let mut body = webhook_with("/event_extra/registration_id", Value::Null);
        body["event_extra"]["device_library_identifier"] = json!("device-1");
        let Change::Installed(installation) = change_of(parse(&body).unwrap().unwrap()) else {
            panic!("expected an install");
        };
        let pass_id = body["pass_id"].as_str().unwrap().parse().unwrap();
        let derived = RegistrationId::derived(pass_id, Wallet::Passbook, "device-1");
        assert_eq!(installation.registration_id, derived);

        body["event"] = json!("uninstalled");
        body["event_at"] = json!("2016-08-10T11:36:00Z");
        let uninstalled = parse(&body).unwrap().unwrap();
        assert_eq!(change_of(uninstalled), Change::Uninstalled { registration_id: derived });

        body["event_extra"]["device_app_vendor"] = Value::Null;
        assert_eq!(parse(&body).unwrap_err().to_string(), "event_extra.device_app_vendor: is required");
    }

    #[rstest]
    #[case(json!("PassBook"), Value::Null, Ok(Wallet::Passbook))]
    #[case(json!("GOOGLE_WALLET"), json!("apple_wallet"), Ok(Wallet::GoogleWallet))]
    #[case(json!("pass2u"), json!("android"), Ok(Wallet::Pass2u))]
    #[case(Value::Null, json!("apple_wallet"), Ok(Wallet::Passbook))]
    #[case(Value::Null, json!("Google_Wallet"), Ok(Wallet::GoogleWallet))]
    #[case(json!("apple_wallet"), json!("apple_wallet"), Err("event_extra.device_app_vendor"))]
    #[case(Value::Null, json!("passbook"), Err("event_extra.wallet_type"))]
    #[case(Value::Null, json!(1), Err("event_extra.wallet_type"))]
    #[case(Value::Null, Value::Null, Err("event_extra.device_app_vendor"))]
    fn a_wallet_is_named_in_any_case_or_by_its_type(
        #[case] vendor: Value,
        #[case] wallet_type: Value,
        #[case] expected: Result<Wallet, &str>,
    ) {
        let mut body = webhook_with("/event_extra/device_app_vendor", vendor);
        body["event_extra"]["wallet_type"] = wallet_type;
        body["event_extra"]["device_os"] = json!("IOS");
        let parsed = Parsed::from_json(&body, &caller(), now());
        assert_eq!(parsed.wallet, expected.ok());
        let wallet = match parsed.event.map(|event| change_of(event.unwrap())) {
            Ok(Change::Installed(installation)) => Ok(installation.wallet),
            Ok(other) => panic!("expected an install, got {other:?}"),
            Err(errors) => Err(errors.fields().map(str::to_owned).collect::<Vec<_>>()),
        };
        assert_eq!(wallet, expected.map_err(|field| vec![field.to_owned()]));

        // An uninstall needs no wallet, unless its registration's id is derived from it.
        body["event"] = json!("uninstalled");
        body["event_extra"]["registration_id"] = Value::Null;
        body["event_extra"]["device_library_identifier"] = json!("device-1");
        let derived = expected.ok().map(|wallet| {
            let pass_id = "d91aef7c-a166-4694-bb91-569714f9c33e".parse().unwrap();
            Change::Uninstalled { registration_id: RegistrationId::derived(pass_id, wallet, "device-1") }
        });
        assert_eq!(parse(&body).ok().flatten().map(change_of), derived);
    }

    #[rstest]
    #[case(json!("2016-08-10T11:30:06Z"), json!("2016-08-10T11:29:08Z"), Ok("2016-08-10T11:30:06.000Z"))]
    #[case(json!("2016-08-10T11:30:06Z"), json!("soon"), Ok("2016-08-10T11:30:06.000Z"))]
    #[case(Value::Null, json!("2016-08-10T11:29:08Z"), Ok("2016-08-10T11:29:08.000Z"))]
    #[case(Value::Null, json!("2016-08-10T11:36:00.001Z"), Err("created_at"))]
    #[case(Value::Null, json!("soon"), Err("created_at"))]
    #[case(Value::Null, Value::Null, Err("event_at"))]
    fn a_pass_was_created_at_event_at_or_else_at_created_at(
        #[case] event_at: Value,
        #[case] created_at: Value,
        #[case] expected: Result<&str, &str>,
    ) {
        let mut body = webhook_with("/event", json!("created"));
        (body["event_at"], body["created_at"]) = (event_at, created_at);
        let at = parse(&body).map(|event| event.unwrap().at.to_string());
        let at = at.map_err(|errors| errors.fields().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(at, expected.map(str::to_owned).map_err(|field| vec![field.to_owned()]));
        // Only a pass has been created at its `created_at`.
        body["event"] = json!("installed");
        assert_eq!(parse(&body).is_ok(), !body["event_at"].is_null());
    }

    #[test]
    fn a_serial_number_counts_only_with_its_pass_type() {
        let serial_number_of = |body: &Value| match parse(body).map(|event| change_of(event.unwrap())) {
            Ok(Change::Installed(installation)) => Ok(installation.serial_number),
            Ok(other) => panic!("expected an install, got {other:?}"),
            Err(errors) => Err(errors.to_string()),
        };
        assert_eq!(serial_number_of(&webhook()), Ok(None));
        assert_eq!(serial_number_of(&webhook_with("/serial_number", json!(1))), Ok(None), "as before");

        let mut body = webhook_with("/pass_type_identifier", json!("pass.com.example"));
        let (pass_type, serial_number) = ("pass.com.example".parse().unwrap(), "1".parse().unwrap());
        body["serial_number"] = json!("1");
        assert_eq!(serial_number_of(&body), Ok(Some(TypedSerialNumber { pass_type, serial_number })));
        body["serial_number"] = Value::Null;
        assert_eq!(serial_number_of(&body), Err("serial_number: is required".to_owned()));
    }

    #[rstest]
    #[case(json!({"serial_number": "1"}), Ok("1"))]
    #[case(json!({"serial_number": "1", "pass_type_identifier": "pass.x"}), Ok("1 of pass.x"))]
    #[case(
        json!({"serial_number": "1", "pass_type_identifier": "pass.x", "authentication_token": "0123456789abcdef"}),
        Ok("1 of pass.x with a token")
    )]
    #[case(json!({"serial_number": null, "pass_type_identifier": "pass.x"}), Err("serial_number: is required"))]
    #[case(
        json!({"serial_number": "1", "authentication_token": "0123456789abcdef"}),
        Err("pass_type_identifier: is required")
    )]
    #[case(
        json!({"serial_number": "1", "pass_type_identifier": "pass.x", "authentication_token": "short"}),
        Err("authentication_token: expected 16 to 256 visible ASCII characters, with blanks only between them")
    )]
    #[case(json!({"google_object_id": "1.x"}), Ok("9c05fa25-199b-4c5b-9242-4b42103138a7 and 1.x"))]
    #[case(
        json!({"google_object_id": "x"}),
        Err("google_object_id: expected 1 to 256 bytes of digits, '.', and then letters, digits, '.', '_' or '-'")
    )]
    fn a_created_pass_has_the_names_that_its_event_has(#[case] names: Value, #[case] expected: Result<&str, &str>) {
        let mut body = webhook_with("/event", json!("created"));
        body.as_object_mut().unwrap().extend(names.as_object().unwrap().clone());
        let names = parse(&body).map(|event| {
            let Change::Created(creation) = change_of(event.unwrap()) else { panic!("expected a created pass") };
            let number = creation.serial_number().unwrap().as_str();
            let typed = match creation.serial_number.as_ref().unwrap() {
                CreatedSerialNumber::Untyped(_) => String::new(),
                CreatedSerialNumber::Typed { serial_number, token } => {
                    let with_token = if token.is_some() { " with a token" } else { "" };
                    format!(" of {}{with_token}", serial_number.pass_type.as_str())
                }
            };
            let object = creation.google_object_id.as_ref().map(|object| format!(" and {}", object.as_str()));
            format!("{number}{typed}{}", object.unwrap_or_default())
        });
        assert_eq!(names.map_err(|errors| errors.to_string()), expected.map(str::to_owned).map_err(str::to_owned));
    }

    #[test]
    fn a_push_failed_at_a_registration_or_at_a_push_token() {
        let mut body = webhook_with("/event", json!("push_failed"));
        let failed =
            |body: &Value| parse(body).map(|event| change_of(event.unwrap())).map_err(|errors| errors.to_string());
        let id = "00f537be-f153-46ad-a980-bbddcb9002c3".parse().unwrap();
        for push_token in [None, Some("token")] {
            body["event_extra"] = json!({"registration_id": id, "push_token": push_token});
            let push_token = push_token.map(|token| token.parse().unwrap());
            let address = FailedAddress::OfRegistration { registration_id: id, push_token };
            assert_eq!(failed(&body), Ok(Change::PushFailed(address)));
        }
        body["event_extra"] = json!({"push_token": "token"});
        let token = "token".parse().unwrap();
        assert_eq!(failed(&body), Ok(Change::PushFailed(FailedAddress::PushToken(token))));
        body["event_extra"] = Value::Null;
        let expected = "event_extra.registration_id: expected a registration_id or a push_token";
        assert_eq!(failed(&body), Err(expected.to_owned()));
        body["event_extra"] = json!({"push_token": "x".repeat(385)});
        assert!(failed(&body).unwrap_err().starts_with("event_extra.push_token: expected 1 to 384"));
        body["event_extra"] = json!({"push_token": "token"});
        body["pass_id"] = Value::Null;
        assert_eq!(failed(&body), Err("pass_id: is required".to_owned()));
    }

    #[test]
    fn an_update_concerns_one_pass_or_every_pass_of_a_campaign() {
        let event = |body: &Value| parse(body).unwrap().unwrap();
        let mut body = webhook_with("/event", json!("updated"));
        body["event_extra"] = Value::Null;
        assert_eq!(change_of(event(&body)), Change::Updated(InstantFrom::Sender));
        body["pass_id"] = json!("x");
        assert!(parse(&body).is_err());
        body["pass_id"] = Value::Null;
        assert_eq!(event(&body).subject, Subject::EveryPass(InstantFrom::Sender));
        body["campaign_id"] = Value::Null;
        assert_eq!(parse(&body).unwrap_err().to_string(), "campaign_id: is required");
    }

    #[test]
    fn only_over_http_is_an_update_without_an_instant_one_that_happened_now() {
        let mut body = webhook_with("/event", json!("updated"));
        body["account_id"] = json!("demo");
        assert_eq!(parse(&body).unwrap().unwrap().at.to_string(), "2016-08-10T11:30:06.000Z");
        body["event_at"] = Value::Null;
        let event = parse(&body).unwrap().unwrap();
        assert_eq!((event.at, change_of(event)), (now(), Change::Updated(InstantFrom::Receipt)));
        let from_the_queue = Parsed::from_json(&body, &Source::Queue, now()).event;
        assert_eq!(from_the_queue.unwrap_err().to_string(), "event_at: is required");
    }

    #[test]
    fn an_uninstall_needs_only_the_id_of_its_registration() {
        let mut body = webhook_with("/event", json!("uninstalled"));
        body["event_extra"] = json!({"registration_id": "00f537be-f153-46ad-a980-bbddcb9002c3"});
        assert!(matches!(change_of(parse(&body).unwrap().unwrap()), Change::Uninstalled { .. }));
        body["event_extra"]["device_os"] = json!("beos");
        assert_eq!(parse(&body).unwrap_err().to_string(), "event_extra.device_os: expected one of ios, android, wp");
    }

    #[test]
    fn a_pass_is_registered_now_unless_the_body_names_an_instant() {
        let pass_id = "d91aef7c-a166-4694-bb91-569714f9c33e".parse().unwrap();
        let mut body =
            json!({"wallet": "google_wallet", "device_os": "android", "device_library_identifier": "device-1"});
        let (installation, at) = installation_from_json(&body, pass_id, now()).unwrap();
        assert_eq!(at, now());
        assert_eq!(installation.registration_id, RegistrationId::derived(pass_id, Wallet::GoogleWallet, "device-1"));

        body["created_at"] = json!("2016-08-10T11:30:06Z");
        let (_, at) = installation_from_json(&body, pass_id, now()).unwrap();
        assert_eq!(at.to_string(), "2016-08-10T11:30:06.000Z");

        let errors = installation_from_json(&json!({"wallet": "x"}), pass_id, now()).unwrap_err();
        assert_eq!(errors.fields().collect::<Vec<_>>(), ["device_os", "id", "wallet"]);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,9}".prop_map(Value::from),
            "[0-9TZ:+. -]{0,30}".prop_map(Value::from),
            Just(json!("9".repeat(400))),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("[a-z_]{0,9}", inner), 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    /// The webhook body with one field, documented by Passworks or added by this project, replaced by any JSON.
    fn nearly_an_event() -> impl Strategy<Value = Value> {
        let names = prop::sample::select(vec![
            "/event",
            "/account_id",
            "/campaign_id",
            "/campaign_type",
            "/pass_id",
            "/serial_number",
            "/event_at",
            "/created_at",
            "/event_extra",
            "/event_extra/registration_id",
            "/event_extra/device_os",
            "/event_extra/device_app_vendor",
            "/event_extra/wallet_type",
            "/event_extra/device_library_identifier",
            "/event_extra/push_token",
            "/event_extra/push_service_url",
            "/pass_type_identifier",
            "/authentication_token",
            "/google_object_id",
        ]);
        let kinds =
            prop::sample::select(vec!["installed", "uninstalled", "created", "updated", "push_failed", "redeemed"]);
        (kinds, names, any_json(), any::<bool>()).prop_map(|(kind, name, value, has_event_at)| {
            let mut body = webhook_with("/event", json!(kind));
            if !has_event_at {
                body["event_at"] = Value::Null;
            }
            let (parent, name) = name.rsplit_once('/').unwrap();
            body.pointer_mut(parent).unwrap()[name] = value;
            body
        })
    }

    proptest! {
        #[test]
        fn no_json_panics_and_each_refusal_names_a_field(body in prop_oneof![any_json(), nearly_an_event()]) {
            match parse(&body) {
                Ok(event) => prop_assert!(event.is_none_or(|event| event.at <= now().plus(MAX_LEAD))),
                Err(errors) => prop_assert!(errors.fields().all(|field| !field.is_empty()) && !errors.is_empty()),
            }
        }

        #[test]
        fn no_authentication_token_appears_in_errors_or_debug_output(token in "<[^<>]{0,300}>") {
            let mut body = webhook_with("/event", json!("created"));
            body["authentication_token"] = json!(token);
            let refused = format!("{:?}", parse(&body));
            body["pass_type_identifier"] = json!("pass.x");
            let shown = format!("{refused} {:?}", parse(&body));
            prop_assert!(!shown.contains(&token), "{}", shown);
        }

        #[test]
        fn no_device_appears_in_errors_or_debug_output(device in "<[^<>]{1,500}>", token in "<[^<>]{1,500}>") {
            let mut body = webhook_with("/event_extra/device_library_identifier", json!(device));
            body["event_extra"]["push_token"] = json!(token);
            body["event_extra"]["device_os"] = json!("beos");
            let refused = format!("{:?}", parse(&body));
            body["event_extra"]["device_os"] = json!("ios");
            let shown = format!("{refused} {:?}", parse(&body));
            prop_assert!(!shown.contains(&device) && !shown.contains(&token), "{}", shown);
        }
    }
}
