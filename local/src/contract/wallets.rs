//! Builds the operations that wallets and Google call. `docs/wallets.md` has the same calls as a table.
//!
//! API Gateway has one route for the calls of wallets, so their paths are not in `api::route`. A test compares them
//! with how the function parses paths.

use api::route::{GOOGLE_CALLBACKS, WALLET_PREFIX};
use domain::{
    device::DeviceLibraryIdentifier,
    id::AccountId,
    pass::{PassTypeIdentifier, SerialNumber},
};
use serde_json::{Value, json};
use utoipa::openapi::{
    ContentBuilder, Object, ObjectBuilder, Ref, RefOr, Required,
    path::{HttpMethod, Operation, OperationBuilder, Parameter},
    request_body::{RequestBody, RequestBodyBuilder},
    response::Response,
    schema::{Schema, SchemaFormat},
    security::SecurityRequirement,
};

use super::{
    operations::{parameters, path_parameter, query_parameter},
    responses,
    schemas::{array, bounded, named, object, pass_type, push_service_url, push_token, required, serial_number, text},
};

/// The tag of these operations.
pub(super) const TAG: &str = "Wallets";
/// The security scheme of the calls that need the pass's authentication token.
pub(super) const PASS_TOKEN: &str = "pass_token";

/// The serial number's part of a path, and those before it.
const PASS: &str = "{pass_type_identifier}/{serial_number}";
const DEVICE: &str = "devices/{device_library_identifier}";

/// Returns the operations, each with its method and its path.
pub(super) fn operations() -> Vec<(HttpMethod, String, Operation)> {
    let below = |call: &str| format!("{WALLET_PREFIX}{{account_id}}/v1/{call}");
    let registration = below(&format!("{DEVICE}/registrations/{PASS}"));
    let at_attido = below(&format!("{DEVICE}/registrations_attido/{PASS}"));
    let pass = below(&format!("passes/{PASS}"));
    vec![
        (HttpMethod::Post, registration.clone(), register("registerPassOnDevice", "Register a pass on a device")),
        (HttpMethod::Delete, registration, unregister("unregisterPassOnDevice", "Unregister a pass on a device")),
        (HttpMethod::Post, at_attido.clone(), register("registerPassInPassWallet", "Register a pass in PassWallet")),
        (HttpMethod::Delete, at_attido, unregister("unregisterPassInPassWallet", "Unregister a pass in PassWallet")),
        (HttpMethod::Get, below(&format!("{DEVICE}/registrations/{{pass_type_identifier}}")), list()),
        (HttpMethod::Get, pass.clone(), latest()),
        (HttpMethod::Post, format!("{pass}/passLifecycleUpdate"), lifecycle_update()),
        (HttpMethod::Post, below("log"), log()),
        (HttpMethod::Post, GOOGLE_CALLBACKS.1.to_owned(), google_callback()),
    ]
}

fn register(id: &str, summary: &str) -> Operation {
    let body = ObjectBuilder::new()
        .property("pushToken", push_token())
        .property("pushServiceUrl", push_service_url())
        .description(Some("Other members are ignored. Without a body the pass is registered without a push token."))
        .build();
    let operation = operation(id, summary, registration_parameters())
        .description(Some(
            "The token is checked before anything else. A wrong token and an unknown pass have the same response. The \
             content type does not matter.",
        ))
        .security(pass_token())
        .request_body(Some(optional_body(body, json!({"pushToken": "0f1e2d3c4b5a69788796a5b4c3d2e1f0"}))));
    answers(
        operation,
        [
            ("200", "The pass was registered already. A new push token is stored."),
            ("201", "The registration is new."),
            ("400", "The body is not JSON or is larger than 64 KiB, or a value is beyond its limit."),
            ("401", "The authentication token is not that of the pass, or the pass is unknown."),
            TOO_LARGE,
        ],
    )
}

fn unregister(id: &str, summary: &str) -> Operation {
    let operation = operation(id, summary, registration_parameters())
        .description(Some("Ends every registration of the pass on the device, in whichever wallet."))
        .security(pass_token());
    answers(
        operation,
        [
            ("200", "The pass is not registered on the device, with this request or before it."),
            ("401", "The authentication token is not that of the pass, or the pass is unknown."),
        ],
    )
}

fn list() -> Operation {
    let since = query_parameter("passesUpdatedSince", "The `lastUpdated` of the device's last list.", text(None));
    let operation = operation(
        "listChangedPasses",
        "List the passes on a device that have changed",
        [device(), type_()],
    )
    .description(Some(
        "Without a tag, or with one of another web service, every pass of the type on the device is listed. The \
             device identifier is the secret, so no token is needed.",
    ))
    .parameter(since)
    .security(SecurityRequirement::default());
    let body = required(["serialNumbers", "lastUpdated"])
        .property("serialNumbers", array(Schema::from(serial_number().build()).into()))
        .property("lastUpdated", text(None).description(Some("The tag to send next time.")))
        .build();
    let example = json!({"serialNumbers": ["1"], "lastUpdated": "1.TxYJa"});
    let changed = responses::json("The passes that have changed.", Schema::from(body), Some(example)).build();
    let unchanged = ("204", "No pass has changed, or the device, the pass type or the account is not known.");
    with("200", changed, answers(operation, [unchanged]))
}

/// The pass itself comes from its issuer. This is the only place of the contract that says so.
fn latest() -> Operation {
    let operation = operation("getLatestPass", "Get the latest contents of a pass", [type_(), serial_number_in_path()])
        .description(Some(
            "Not served by default. If the operator has set `PassOrigin`, the gateway passes the request on to that \
             server, which checks the authentication token and gives every response.",
        ))
        .security(pass_token());
    let passed_on = Response::new("The response of the issuer's server, if `PassOrigin` is set.");
    with("default", passed_on, answers(operation, [("404", "Passes are not served here.")]))
}

fn lifecycle_update() -> Operation {
    let operation =
        operation("updatePassLifecycle", "Report a change in the life of a pass", [type_(), serial_number_in_path()])
            .description(Some("Nothing is stored, whatever the body is."))
            .security(SecurityRequirement::default())
            .request_body(Some(optional_body(object(), json!({"passState": "voided"}))));
    answers(operation, [("200", "Received."), TOO_LARGE])
}

fn log() -> Operation {
    let logs = ObjectBuilder::new().property("logs", array(Schema::from(text(None).build()).into())).build();
    let example = json!({"logs": ["Register task encountered error: Authentication failure"]});
    let operation = operation("logMessages", "Report what went wrong on a device", [])
        .description(Some(
            "Any body is accepted. The first 50 lines of at most 64 KiB are counted by their kind and not kept.",
        ))
        .security(SecurityRequirement::default())
        .request_body(Some(optional_body(logs, example)));
    answers(operation, [("200", "Received."), TOO_LARGE])
}

fn google_callback() -> Operation {
    let key = required(["signedKey", "signatures"])
        .property("signedKey", text(None).description(Some("JSON with `keyValue` and `keyExpiration`.")))
        .property("signatures", array(Schema::from(text(None).build()).into()))
        .build();
    let body = required(["signature", "intermediateSigningKey", "protocolVersion", "signedMessage"])
        .property("signature", text(None))
        .property("intermediateSigningKey", key)
        .property("protocolVersion", text(None).enum_values(Some(["ECv2SigningOnly"])))
        .property("signedMessage", text(None).description(Some("JSON with `objectId`, `eventType` and more.")))
        .build();
    let body = RequestBodyBuilder::new()
        .required(Some(Required::True))
        .description(Some("The callback, of at most 64 KiB. Google signs it, and the content type does not matter."))
        .content("application/json", ContentBuilder::new().schema(Some(Schema::from(body))).build())
        .build();
    let operation = operation("receiveGoogleCallback", "Receive a callback of Google Wallet", [])
        .description(Some("Needs no key, because the message is signed for an issuer of the account."))
        .security(SecurityRequirement::default())
        .request_body(Some(body));
    answers(
        operation,
        [
            ("200", "The callback was applied, changed nothing, or has another type than `save` and `del`."),
            ("400", "The callback is malformed, has expired, or is not signed by Google for an issuer of the account."),
            ("404", "No `created` event has named the object, or the path has no valid account."),
            ("413", "The body is larger than 64 KiB."),
        ],
    )
}

/// What the gateway answers to a body of more than 10 MiB.
const TOO_LARGE: (&str, &str) = ("413", "Sent by the gateway: the request is too large.");

/// Adds responses without a body, and those that every call may have. If the gateway itself sends one of the latter, it
/// has a body.
fn answers<const N: usize>(operation: OperationBuilder, answers: [(&str, &str); N]) -> Operation {
    let of_gateway = |description: &str| responses::json(description, named("GatewayError"), None).build();
    let own = answers.map(|(status, description)| {
        let is_gateways_too = ["400", "413"].contains(&status);
        let response = if is_gateways_too { of_gateway(description) } else { responses::empty(description) };
        (status, RefOr::from(response))
    });
    let common = [
        ("400", of_gateway("Sent by the gateway: the path cannot be decoded twice.").into()),
        ("429", Ref::from_response_name("too_many_requests").into()),
        ("431", Ref::from_response_name("headers_too_large").into()),
        ("500", of_gateway("An internal error, which is recorded in the log.").into()),
        ("503", of_gateway("The database did not respond in time. Wallets repeat the request later.").into()),
    ];
    // A later response replaces one with the same status.
    let all = common.into_iter().chain(own);
    all.fold(operation, |operation, (status, response)| operation.response(status, response)).build()
}

fn with(status: &str, response: impl Into<RefOr<Response>>, mut operation: Operation) -> Operation {
    operation.responses.responses.insert(status.to_owned(), response.into());
    operation
}

fn operation(id: &str, summary: &str, more: impl IntoIterator<Item = Parameter>) -> OperationBuilder {
    let operation = OperationBuilder::new().operation_id(Some(id)).summary(Some(summary)).tag(TAG);
    parameters(operation.parameter(account()), more)
}

fn pass_token() -> SecurityRequirement {
    SecurityRequirement::new(PASS_TOKEN, [""; 0])
}

fn optional_body(schema: Object, example: Value) -> RequestBody {
    let content = ContentBuilder::new().schema(Some(Schema::from(schema))).example(Some(example)).build();
    RequestBodyBuilder::new().content("application/json", content).build()
}

fn account() -> Parameter {
    let schema = text(Some(AccountId::MAX_LENGTH)).format(Some(SchemaFormat::Custom("account-id".to_owned())));
    let schema = Schema::from(schema.build());
    path_parameter("account_id", "The account of the pass.", schema.into(), Some(json!("demo")))
}

fn registration_parameters() -> [Parameter; 3] {
    [device(), type_(), serial_number_in_path()]
}

fn device() -> Parameter {
    let schema = bounded(DeviceLibraryIdentifier::MAX_LENGTH, "1 to 128 bytes without control characters.");
    let example = json!("c0ffee00c0ffee00c0ffee00c0ffee00");
    let schema = Schema::from(schema.build());
    path_parameter("device_library_identifier", "The wallet's name for the device.", schema.into(), Some(example))
}

fn type_() -> Parameter {
    let (schema, example) = (Schema::from(pass_type().build()), json!("pass.com.example.coupon"));
    let description = format!("The pass type identifier, of at most {} bytes.", PassTypeIdentifier::MAX_LENGTH);
    path_parameter("pass_type_identifier", &description, schema.into(), Some(example))
}

fn serial_number_in_path() -> Parameter {
    let description = format!(
        "The serial number of the pass, of at most {} bytes. It may contain slashes, but not end in one. After the \
         gateway has decoded it twice, it is looked up as it came and, if there is no such pass, decoded once more.",
        SerialNumber::MAX_LENGTH
    );
    path_parameter("serial_number", &description, Schema::from(serial_number().build()).into(), Some(json!("1")))
}
