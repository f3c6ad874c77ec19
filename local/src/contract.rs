//! The public contract of the HTTP API, as an OpenAPI 3.1 document.
//!
//! The document is generated from the routes, types, limits and errors in the code, so it cannot promise anything else.
//! `functions/api-contract` serves a copy of the generated file; a test fails if the copy is out of date.
//!
//! - `operations` builds one operation for each route.
//! - `wallets` builds the operations that wallets and Google call.
//! - `schemas` builds the schemas of bodies and parameters.
//! - `responses` builds the error responses.

mod operations;
mod responses;
mod schemas;
mod wallets;

use std::{fs, io, path::PathBuf};

use api::route::Route;
use domain::{
    event::{
        Change, Event, Subject,
        passworks::{Parsed, Source},
    },
    registration::Registration,
    time,
};
use serde_json::Value;
use thiserror::Error;
use utoipa::openapi::{
    Components, Info, License, OpenApi, OpenApiBuilder, Server, Tag,
    path::{HttpMethod, Paths},
    security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    tag::TagBuilder,
};

use crate::{
    samples::{self, SampleError},
    template::Template,
};

const DESCRIPTION: &str = "\
Shows which passes are in which wallets right now. This is the registrations part of the Passworks API v2.

**Errors.** A request is checked in this order, and the first check that fails determines the response: the route \
exists (404, 405); the API key is valid (401); the key permits the operation (403); the ids in the path are well-formed \
(400); the campaign and the pass are known (404); the query (400) or the body (415, 413, 400, 422) is valid; the state \
of the registration allows the operation (404, 409). There are two exceptions: registering a pass makes an unknown \
campaign or pass known, and the campaign of an event is checked after the body. An account sees only its own campaigns: \
the response for another account's campaign is the same as for an unknown one.

**Paths and methods.** A path that ends in `/` is answered with 308 and the path without it in `Location`. Every `GET` \
operation also answers `HEAD`, with the same status and headers and without a body.

**Formats.** Timestamps in responses are in UTC with milliseconds. Maximum lengths of strings are in bytes of UTF-8.

**Consistency.** A listing of registrations comes from an index that may lag a few milliseconds behind a write. A \
list of push targets does not lag.

**Wallets.** For the operations with the tag `Wallets`, none of the above holds: a request is refused only as its \
operation says, other paths and methods are answered with 404, and responses have no body unless a schema is given.

**Gateway.** The gateway in front of this API sends 429 and 431, and in some cases 400, 413, 500 and 503. These \
responses have the schema `GatewayError`. It decodes a path, cuts it at a `?`, decodes it again, and answers 400 if \
that is not possible. Every other response has the headers `Cache-Control`, `X-Content-Type-Options: nosniff` and \
`Strict-Transport-Security`. Every response has the header `apigw-requestid`. Quote its value when you report a \
problem: it identifies the request in the log.";

/// The security schemes of the API. A request needs one of them.
const SCHEMES: [&str; 3] = ["basic", "bearer", "key"];

/// The values in the contract's examples. They come from the sample events.
struct Examples {
    /// The three installs of `events/sqs/source-document.json`.
    registrations: Vec<Registration>,
    campaign_id: String,
    /// The webhook body that Passworks documents, `events/webhook/installed.json`.
    webhook: Value,
}

/// Why the contract cannot be generated or written.
#[derive(Debug, Error)]
pub enum ContractError {
    /// The sample events, from which the examples come, cannot be used.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// The document cannot be written as JSON.
    #[error("the contract cannot be written as JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    /// The file cannot be written.
    #[error("{path} cannot be written: {cause}")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

/// Writes the contract to the file that `api-contract` serves, and returns the path of that file.
pub fn write() -> Result<PathBuf, ContractError> {
    let path = Template::default_path().with_file_name("functions/api-contract/openapi.json");
    fs::write(&path, json()?).map_err(|cause| ContractError::Unwritable { path: path.clone(), cause })?;
    Ok(path)
}

/// Generates the contract as JSON, exactly as [`write()`] writes it.
pub fn json() -> Result<String, ContractError> {
    Ok(openapi()?.to_pretty_json()? + "\n")
}

/// Generates the contract as an OpenAPI document.
pub fn openapi() -> Result<OpenApi, SampleError> {
    let examples = Examples::read()?;
    let mut paths = Paths::new();
    for route in Route::ALL.iter().copied() {
        let operation = operations::operation(route, &examples);
        paths.add_path_operation(route.path(), vec![method(route.method())], operation);
    }
    for (method, path, operation) in wallets::operations() {
        paths.add_path_operation(path, vec![method], operation);
    }
    let mut info = Info::new("Wallet registrations", env!("CARGO_PKG_VERSION"));
    info.description = Some(DESCRIPTION.to_owned());
    info.license = Some(License::new(env!("CARGO_PKG_LICENSE")));
    Ok(OpenApiBuilder::new()
        .info(info)
        .servers(Some([Server::new("/")]))
        .tags(Some([
            tag("Registrations", "List active registrations, create one, or end one."),
            tag("Pushes", "List where pushes reach the wallets."),
            tag("Events", "Report events in the shape of the Passworks webhook body."),
            tag("Reports", "Get counts of installs, uninstalls and active registrations."),
            tag("Contract", "Get this OpenAPI document."),
            tag(wallets::TAG, "What wallets and Google Wallet call. They send what they send, and get bare statuses."),
        ]))
        .security(Some(SCHEMES.map(|scheme| SecurityRequirement::new(scheme, [""; 0]))))
        .paths(paths)
        .components(Some(components()))
        .build())
}

impl Examples {
    fn read() -> Result<Self, SampleError> {
        let webhook = samples::read(&samples::folder().join("webhook/installed.json"))?;
        let events = samples::read(&samples::folder().join(samples::FIRST_EVENTS))?;
        let records = events["Records"].as_array().map(Vec::as_slice).unwrap_or_default();
        let events: Vec<Event> = records.iter().filter_map(event).collect();
        let campaign_id = events.first().map(|event| event.campaign_id.to_string()).unwrap_or_default();
        Ok(Self { registrations: events.into_iter().filter_map(registration).collect(), campaign_id, webhook })
    }

    fn registration(&self) -> Option<&Registration> {
        self.registrations.last()
    }
}

fn event(record: &Value) -> Option<Event> {
    let body = serde_json::from_str(record["body"].as_str()?).ok()?;
    Parsed::from_json(&body, &Source::Queue, time::now()).event.ok()?
}

fn registration(event: Event) -> Option<Registration> {
    let Subject::Pass { pass_id, change: Change::Installed(installation) } = event.subject else { return None };
    Some(Registration {
        id: installation.registration_id,
        pass_id,
        wallet: installation.wallet,
        device_os: installation.device_os,
        created_at: event.at,
    })
}

fn components() -> Components {
    let [basic, bearer, key] = SCHEMES;
    let mut components = schemas::components().responses_from_iter(responses::named_responses()).build();
    let http = |scheme, description: &str| {
        SecurityScheme::Http(HttpBuilder::new().scheme(scheme).description(Some(description)).build())
    };
    let bare =
        ApiKeyValue::with_description("Authorization", "An API key without a scheme, as Passworks webhooks send it.");
    components.add_security_scheme(
        basic,
        http(HttpAuthScheme::Basic, "The account's user name or id, with an API key as the password."),
    );
    components.add_security_scheme(bearer, http(HttpAuthScheme::Bearer, "An API key as the bearer token."));
    components.add_security_scheme(key, SecurityScheme::ApiKey(ApiKey::Header(bare)));
    let token = "The authentication token of the pass after any scheme, such as `ApplePass <token>`.";
    let token = ApiKeyValue::with_description("Authorization", token);
    components.add_security_scheme(wallets::PASS_TOKEN, SecurityScheme::ApiKey(ApiKey::Header(token)));
    components
}

fn tag(name: &str, description: &str) -> Tag {
    TagBuilder::new().name(name).description(Some(description)).build()
}

fn method(method: &str) -> HttpMethod {
    match method {
        "POST" => HttpMethod::Post,
        "PUT" => HttpMethod::Put,
        "DELETE" => HttpMethod::Delete,
        "PATCH" => HttpMethod::Patch,
        _ => HttpMethod::Get,
    }
}
