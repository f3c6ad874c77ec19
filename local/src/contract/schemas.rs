//! Builds the schemas of the contract: the shapes of bodies and parameters.

use api::{
    error::{ErrorBody, ErrorCode},
    listing::filter::{Attribute, MAX_IN, Predicate},
};
use campaign_reports::report::{
    BySystem, ByWallet, DayReport, Report, SystemTotals, Totals, TotalsReport, WalletReport,
};
use domain::{
    campaign::CampaignType,
    device::{DeviceLibraryIdentifier, PushServiceUrl, PushToken},
    event::passworks::WalletType,
    fields::FieldErrors,
    google::GoogleObjectId,
    id::{CampaignId, PassId, RegistrationId},
    pass::{PassTypeIdentifier, SerialNumber, TokenHash},
    registration::Registration,
    time::{Day, Timestamp},
    wallet::{DeviceOs, Wallet},
};
use registration_writes::{EventResult, MAX_EVENTS};
use serde_json::json;
use strum::VariantNames;
use utoipa::{
    ToSchema,
    openapi::{
        ComponentsBuilder, Object, ObjectBuilder, Ref, RefOr,
        schema::{
            AdditionalProperties, AllOfBuilder, AnyOfBuilder, ArrayBuilder, Discriminator, KnownFormat, OneOfBuilder,
            Schema, SchemaFormat, SchemaType, Type,
        },
    },
};

/// Returns every named schema.
pub(super) fn components() -> ComponentsBuilder {
    ComponentsBuilder::new()
        .schema_from::<CampaignId>()
        .schema_from::<PassId>()
        .schema_from::<RegistrationId>()
        .schema_from::<Wallet>()
        .schema_from::<DeviceOs>()
        .schema_from::<Registration>()
        .schema_from::<Timestamp>()
        .schema_from::<Report>()
        .schema_from::<DayReport>()
        .schema_from::<TotalsReport>()
        .schema_from::<Totals>()
        .schema_from::<SystemTotals>()
        .schema_from::<BySystem>()
        .schema_from::<ByWallet>()
        .schema_from::<WalletReport>()
        .schema_from::<Day>()
        .schema_from::<ErrorBody<'_>>()
        .schema_from::<ErrorCode>()
        .schema_from::<FieldErrors>()
        .schema_from::<EventResult>()
        .schema("CampaignType", campaign_type())
        .schema("Filter", filter())
        .schema("Instant", instant())
        .schema("NewRegistration", new_registration())
        .schema("PushTarget", push_target())
        .schema("Event", event())
        .schema("InstalledEvent", installed_event())
        .schema("UninstalledEvent", uninstalled_event())
        .schema("CreatedEvent", created_event())
        .schema("UpdatedEvent", updated_event())
        .schema("PushFailedEvent", push_failed_event())
        .schema("OtherEvent", other_event())
        .schema("GatewayError", gateway_error())
}

/// Returns a reference to the schema of `T`.
pub(super) fn of<T: ToSchema>() -> RefOr<Schema> {
    named(&T::name())
}

/// Returns a reference to the schema `name`.
pub(super) fn named(name: &str) -> RefOr<Schema> {
    Ref::from_schema_name(name).into()
}

/// Returns the schema of an array of `item`.
pub(super) fn array(item: RefOr<Schema>) -> Schema {
    ArrayBuilder::new().items(item).build().into()
}

/// Returns the schema of a day.
pub(super) fn date() -> Object {
    text(None).format(Some(SchemaFormat::KnownFormat(KnownFormat::Date))).build()
}

/// Returns the schema of any object.
pub(super) fn object() -> Object {
    ObjectBuilder::new().build()
}

/// Returns the schema of a value that matches at least one of `items`.
pub(super) fn any_of(items: impl IntoIterator<Item = RefOr<Schema>>) -> Schema {
    items.into_iter().fold(AnyOfBuilder::new(), AnyOfBuilder::item).build().into()
}

/// Returns the schema of a whole number from `min` to `max`, both included.
pub(super) fn number(min: usize, max: Option<usize>, default: Option<usize>) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(min))
        .maximum(max)
        .default(default.map(Into::into))
        .build()
}

/// Returns the schema of a string of at most `max_length` characters, or of any length if that is `None`.
pub(super) fn text(max_length: Option<usize>) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).max_length(max_length)
}

/// Returns the schema of `q`: a property for each attribute and predicate, and `s` for the order.
fn filter() -> Object {
    let attributes = <Attribute as VariantNames>::VARIANTS.join("|");
    let order = text(None)
        .pattern(Some(format!("^( *({attributes})( +([Aa][Ss][Cc]|[Dd][Ee][Ss][Cc]))? *)?$")))
        .default(Some("created_at asc".into()))
        .description(Some(
            "The sort order: an attribute, then `asc` (the default) or `desc`. Empty means the default.",
        ));
    let single = Predicate::ALL.iter().filter(|predicate| **predicate != Predicate::In);
    let properties = single.flat_map(|predicate| {
        Attribute::ALL.iter().map(move |attribute| {
            (format!("{}_{}", attribute.as_str(), predicate.as_str()), condition_value(*attribute, *predicate))
        })
    });
    properties
        .fold(ObjectBuilder::new().property("s", order), |object, (name, value)| object.property(name, value))
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
        .build()
}

/// Returns the schema of the values of the condition `q[<attribute>_in][]`.
pub(super) fn condition_values(attribute: Attribute) -> Schema {
    ArrayBuilder::new()
        .items(condition_value(attribute, Predicate::In))
        .min_items(Some(1))
        .max_items(Some(MAX_IN))
        .build()
        .into()
}

/// Returns the schema of the value of a condition.
fn condition_value(attribute: Attribute, predicate: Predicate) -> RefOr<Schema> {
    let date_time = || text(None).format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
    match (attribute, predicate) {
        (_, Predicate::Match | Predicate::Cont) => text(None).into(),
        (Attribute::Id, _) => of::<RegistrationId>(),
        (Attribute::PassId, _) => of::<PassId>(),
        (Attribute::Wallet, _) => of::<Wallet>(),
        (Attribute::DeviceOs, _) => of::<DeviceOs>(),
        (Attribute::CreatedAt, Predicate::Gteq | Predicate::Lt) => any_of([date_time().into(), date().into()]).into(),
        (Attribute::CreatedAt, _) => date_time().into(),
    }
}

/// Returns the schema of the body of `POST /v2/registration_events`.
pub(super) fn events() -> Schema {
    let several = ArrayBuilder::new().items(named("Event")).max_items(Some(MAX_EVENTS)).build();
    OneOfBuilder::new().item(named("Event")).item(Schema::from(several)).build().into()
}

fn campaign_type() -> Object {
    let known = CampaignType::ALL.iter().map(|campaign_type| campaign_type.as_str());
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(known.chain(["event_tickers"])))
        .description(Some("The type of a campaign. `event_tickers` means the same as `event_tickets`."))
        .build()
}

fn instant() -> Object {
    text(None)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .description(Some(
            "A timestamp (RFC 3339, any offset) from 1970 to five minutes in the future. It is truncated to \
             milliseconds.",
        ))
        .build()
}

fn new_registration() -> Schema {
    let object = required(["wallet", "device_os"])
        .property("wallet", of::<Wallet>())
        .property("device_os", of::<DeviceOs>())
        .property("id", or_null(of::<RegistrationId>()))
        .property("device_library_identifier", device_library_identifier())
        .property("push_token", push_token())
        .property("push_service_url", push_service_url())
        .property("pass_type_identifier", or_null(pass_type()))
        .property("serial_number", serial_number_of_a_type())
        .property("created_at", or_null(named("Instant")))
        .description(Some(
            "A registration to create. It needs an `id` or a `device_library_identifier`. If `id` is absent, the id is \
             the UUIDv5 of `<pass_id>/<wallet>/<device_library_identifier>` in the namespace \
             `38094546-e4ad-49f8-8eec-0d03a2a40ca6`. The default of `created_at` is the current time.",
        ))
        .build();
    naming_the_pass(having(object, [&["id"], &["device_library_identifier"]]))
}

fn push_target() -> Object {
    required(["registration_id", "pass_id", "wallet", "pass_type_identifier", "push_token", "push_service_url"])
        .property("registration_id", of::<RegistrationId>())
        .property("pass_id", of::<PassId>())
        .property("wallet", of::<Wallet>())
        .property("pass_type_identifier", or_null(pass_type()))
        .property("push_token", bounded(PushToken::MAX_LENGTH, "The token to which push notifications are sent."))
        .property("push_service_url", push_service_url())
        .description(Some("An active registration with a push token. A value that is not known is `null`."))
        .examples([json!({
            "registration_id": "ed2951b4-1127-4a96-a2b1-8a73adb4b2db",
            "pass_id": "22d5b0ed-cc82-4743-a4fb-ee655d928037",
            "wallet": Wallet::Passbook,
            "pass_type_identifier": "pass.com.example.coupon",
            "push_token": "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
            "push_service_url": null,
        })])
        .build()
}

fn event() -> Schema {
    let kinds = [
        ("installed", "InstalledEvent"),
        ("uninstalled", "UninstalledEvent"),
        ("created", "CreatedEvent"),
        ("updated", "UpdatedEvent"),
        ("push_failed", "PushFailedEvent"),
        ("downloaded", "OtherEvent"),
        ("fetched", "OtherEvent"),
        ("redeemed", "OtherEvent"),
    ];
    let mapping = kinds.map(|(kind, name)| (kind, format!("#/components/schemas/{name}")));
    ["InstalledEvent", "UninstalledEvent", "CreatedEvent", "UpdatedEvent", "PushFailedEvent", "OtherEvent"]
        .into_iter()
        .fold(OneOfBuilder::new(), |schema, name| schema.item(named(name)))
        .discriminator(Some(Discriminator::with_mapping("event", mapping)))
        .description(Some(
            "An event of a pass, in the shape of the Passworks webhook body. Unknown fields are ignored. The event with \
             the latest `event_at` determines the state of a registration; at the same instant, an uninstall wins over \
             an install.",
        ))
        .build()
        .into()
}

fn installed_event() -> Schema {
    let extra = required(["device_os"])
        .property("registration_id", or_null(of::<RegistrationId>()))
        .property("device_app_vendor", or_null(of::<Wallet>()))
        .property("wallet_type", wallet_type())
        .property("device_os", of::<DeviceOs>())
        .property("device_library_identifier", device_library_identifier())
        .property("push_token", push_token())
        .property("push_service_url", push_service_url())
        .build();
    let extra = having(extra, [&["registration_id"], &["device_library_identifier"]]);
    let event = event_of_a_pass("installed", "The pass was added to a wallet.")
        .required("event_at")
        .property("pass_type_identifier", or_null(pass_type()))
        .property("serial_number", serial_number_of_a_type())
        .property("event_extra", naming_the_wallet(extra, true))
        .required("event_extra")
        .build();
    naming_the_pass(event.into())
}

fn serial_number_of_a_type() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::AnyValue).description(Some(
        "The serial number of the pass. It counts only with a `pass_type_identifier`, which needs it.",
    ))
}

/// Extends a schema so that a pass type needs a serial number.
fn naming_the_pass(schema: Schema) -> Schema {
    let untyped = ObjectBuilder::new().property("pass_type_identifier", null());
    let typed = required(["pass_type_identifier", "serial_number"])
        .property("pass_type_identifier", pass_type())
        .property("serial_number", serial_number());
    let alternatives = [untyped, typed].map(|alternative| Schema::from(alternative.build()).into());
    AllOfBuilder::new().item(schema).item(any_of(alternatives)).build().into()
}

fn uninstalled_event() -> Object {
    let extra = ObjectBuilder::new()
        .property("registration_id", or_null(of::<RegistrationId>()))
        .property("device_app_vendor", or_null(of::<Wallet>()))
        .property("wallet_type", wallet_type())
        .property("device_os", or_null(of::<DeviceOs>()))
        .property("device_library_identifier", device_library_identifier())
        .build();
    let groups: [&[&str]; 3] = [
        &["registration_id"],
        &["device_library_identifier", "device_app_vendor"],
        &["device_library_identifier", "wallet_type"],
    ];
    let extra = having(extra, groups);
    event_of_a_pass("uninstalled", "The pass was removed from a wallet.")
        .required("event_at")
        .property("event_extra", naming_the_wallet(extra, false))
        .required("event_extra")
        .build()
}

fn wallet_type() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::AnyValue)
        .description(Some("The wallet if `device_app_vendor` is absent: `apple_wallet` or `google_wallet`."))
}

/// Extends a schema so that `device_app_vendor` names the wallet, or `wallet_type` if that is absent.
fn naming_the_wallet(extra: Schema, is_required: bool) -> Schema {
    let known = Schema::from(text(None).enum_values(Some(WalletType::VARIANTS.iter().copied())).build());
    let by_vendor = required(["device_app_vendor"]).property("device_app_vendor", of::<Wallet>());
    let by_type = ObjectBuilder::new().property("device_app_vendor", null());
    let by_type = if is_required {
        by_type.property("wallet_type", known).required("wallet_type")
    } else {
        by_type.property("wallet_type", or_null(known))
    };
    let alternatives = [by_vendor, by_type].map(|alternative| Schema::from(alternative.build()).into());
    AllOfBuilder::new().item(extra).item(any_of(alternatives)).build().into()
}

fn created_event() -> Schema {
    let event = event_of_a_pass("created", "The pass was created. The event makes the campaign and the pass known.")
        .property("serial_number", or_null(serial_number()))
        .property("pass_type_identifier", or_null(pass_type()))
        .property("authentication_token", or_null(authentication_token()))
        .property("google_object_id", or_null(google_object_id()))
        .property("event_at", or_null(named("Instant")))
        .property(
            "created_at",
            ObjectBuilder::new()
                .schema_type(SchemaType::AnyValue)
                .description(Some("When the pass was created, if `event_at` is absent.")),
        )
        .build();
    let at_event_at = required(["event_at"]).property("event_at", named("Instant"));
    let at_created_at = required(["created_at"]).property("event_at", null()).property("created_at", named("Instant"));
    let alternatives = [at_event_at, at_created_at].map(|alternative| Schema::from(alternative.build()).into());
    let untyped =
        ObjectBuilder::new().property("pass_type_identifier", null()).property("authentication_token", null());
    let typed = required(["pass_type_identifier", "serial_number"])
        .property("pass_type_identifier", text(None))
        .property("serial_number", text(None));
    let names = [untyped, typed].map(|alternative| Schema::from(alternative.build()).into());
    AllOfBuilder::new().item(event).item(any_of(alternatives)).item(any_of(names)).build().into()
}

fn updated_event() -> Object {
    event_with_effect("updated", "The pass has new contents or, without `pass_id`, every pass of the campaign has.")
        .property("pass_id", or_null(of::<PassId>()))
        .property("event_at", or_null(named("Instant")))
        .build()
}

fn push_failed_event() -> Object {
    let extra = ObjectBuilder::new()
        .property("registration_id", or_null(of::<RegistrationId>()))
        .property("push_token", push_token())
        .build();
    event_of_a_pass("push_failed", "A push failed because its push token is no longer valid.")
        .required("event_at")
        .property("event_extra", having(extra, [&["registration_id"], &["push_token"]]))
        .required("event_extra")
        .build()
}

fn other_event() -> Object {
    required(["event"])
        .property("event", kinds(["downloaded", "fetched", "redeemed"]))
        .property("account_id", account_id())
        .description(Some("An event that is accepted but has no effect."))
        .build()
}

/// Builds a schema with the fields that all events with an effect share.
fn event_with_effect(kind: &'static str, description: &str) -> ObjectBuilder {
    required(["event", "campaign_id"])
        .property("event", kinds([kind]))
        .property("campaign_id", of::<CampaignId>())
        .property("campaign_type", or_null(named("CampaignType")))
        .property("account_id", account_id())
        .description(Some(description))
}

/// Builds a schema with the fields that all events of one pass share.
fn event_of_a_pass(kind: &'static str, description: &str) -> ObjectBuilder {
    event_with_effect(kind, description)
        .property("pass_id", of::<PassId>())
        .required("pass_id")
        .property("event_at", named("Instant"))
}

fn account_id() -> Schema {
    let own = text(None)
        .format(Some(SchemaFormat::Custom("account-id".to_owned())))
        .description(Some("The account that the API key belongs to. Any other account is refused."));
    or_null(own)
}

fn device_library_identifier() -> Schema {
    or_null(bounded(DeviceLibraryIdentifier::MAX_LENGTH, "The identifier that the wallet uses for the device."))
}

/// Returns the schema of a push token, or of none.
pub(super) fn push_token() -> Schema {
    or_null(bounded(PushToken::MAX_LENGTH, "The token to which push notifications about changes to the pass are sent."))
}

/// Returns the schema of the URL of a push service, or of none.
pub(super) fn push_service_url() -> Schema {
    let url = text(Some(PushServiceUrl::MAX_LENGTH))
        .pattern(Some("^https?://[\\u0021\\u0022\\u0024-\\u002E\\u0030-\\u003E\\u0040-\\u007E][\\u0021-\\u007E]*$"))
        .description(Some("The server that passes push notifications on to the wallet, if there is one."));
    or_null(url)
}

/// Returns the schema of a serial number.
pub(super) fn serial_number() -> ObjectBuilder {
    bounded(SerialNumber::MAX_LENGTH, "The serial number of the pass.")
}

/// Returns the schema of a pass type identifier.
pub(super) fn pass_type() -> ObjectBuilder {
    text(Some(PassTypeIdentifier::MAX_LENGTH))
        .pattern(Some("^pass\\.[A-Za-z0-9.-]+$"))
        .description(Some("The pass type that Apple assigned to the issuer of the pass."))
}

fn authentication_token() -> ObjectBuilder {
    bounded(
        TokenHash::MAX_LENGTH,
        "The token that a wallet sends to prove that it has the pass. Its SHA-256 is stored.",
    )
    .min_length(Some(TokenHash::MIN_LENGTH))
    .pattern(Some("^[!-~][ -~]*[!-~]$"))
}

fn google_object_id() -> ObjectBuilder {
    text(Some(GoogleObjectId::MAX_LENGTH))
        .pattern(Some("^[0-9]+\\.[A-Za-z0-9._-]+$"))
        .description(Some("The id of the pass's object in Google Wallet, which begins with the id of its issuer."))
}

fn gateway_error() -> Object {
    required(["message"])
        .property("message", text(None))
        .description(Some("An error that the gateway reports. It has another shape than the errors of the API."))
        .build()
}

/// Returns the schema of an object that must have these members.
pub(super) fn required<const N: usize>(names: [&str; N]) -> ObjectBuilder {
    names.into_iter().fold(ObjectBuilder::new(), ObjectBuilder::required)
}

/// Extends the schema of an object so that all string fields of at least one of these groups must be present.
fn having<const N: usize>(object: Object, groups: [&[&str]; N]) -> Schema {
    let alternatives = groups.map(|names| {
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let alternative = |object: ObjectBuilder, name: &&str| object.property(*name, text()).required(*name);
        Schema::from(names.iter().fold(ObjectBuilder::new(), alternative).build()).into()
    });
    AllOfBuilder::new().item(object).item(any_of(alternatives)).build().into()
}

fn kinds<const N: usize>(names: [&'static str; N]) -> ObjectBuilder {
    text(None).enum_values(Some(names))
}

/// Returns the schema of a string of 1 to `max_length` characters without control characters. The API counts bytes
/// instead, which a schema cannot express.
pub(super) fn bounded(max_length: usize, description: &str) -> ObjectBuilder {
    text(Some(max_length))
        .min_length(Some(1))
        .pattern(Some("^[^\\u0000-\\u001F\\u007F-\\u009F]+$"))
        .description(Some(description))
}

fn or_null(schema: impl Into<RefOr<Schema>>) -> Schema {
    any_of([schema.into(), null()])
}

fn null() -> RefOr<Schema> {
    Schema::from(ObjectBuilder::new().schema_type(SchemaType::new(Type::Null)).build()).into()
}
