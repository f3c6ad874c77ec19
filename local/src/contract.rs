//! The contract of the HTTP API as OpenAPI 3.1, made from the routes, types, limits and errors of the code.
//!
//! `functions/api-contract` serves what is made here; a test fails where the two differ.

mod operations;
mod responses;
mod schemas;

use std::{fs, io, path::PathBuf};

use serde_json::Value;
use shared::{
    api::route,
    clock,
    event::{Change, Event, Source},
    registration::Registration,
};
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
Which passes are in which wallets now: the registrations part of the Passworks API v2.

What is wrong is told in this order: no such path (404), no good key (401), a key that may not do this (403), nothing known there \
(404), and only then what is wrong with the request (400, 415, 413, 422). An account sees its own campaigns only; those of others \
answer as unknown ones.

Instants are UTC with milliseconds. Texts are measured in bytes of UTF-8. A listing reads an index that may be some milliseconds \
behind a write.

429, 431 and some answers with 413, 500 and 503 come from the gateway before or after us, in a shape of its own: `GatewayError`. Every \
answer has `apigw-requestid`, by which whoever runs the API finds the request in the log.";

/// The schemes by which a caller says who it is; any one suffices.
const SCHEMES: [&str; 3] = ["basic", "bearer", "key"];

/// The values that the examples of the contract are about: the source document's own.
struct Examples {
    /// `events/sqs/source-document.json`: three installs.
    registrations: Vec<Registration>,
    campaign_id: String,
    /// `events/webhook/installed.json`: the documented webhook body.
    webhook: Value,
}

/// Why there is no contract.
#[derive(Debug, Error)]
pub enum ContractError {
    /// The sample events, which are its examples, cannot be used.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// It is no JSON.
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

/// Writes the contract to the file that `api-contract` serves, and tells which that is.
pub fn write() -> Result<PathBuf, ContractError> {
    let path = Template::default_path().with_file_name("functions/api-contract/openapi.json");
    fs::write(&path, json()?).map_err(|cause| ContractError::Unwritable { path: path.clone(), cause })?;
    Ok(path)
}

/// The contract as the text of that file.
pub fn json() -> Result<String, ContractError> {
    Ok(openapi()?.to_pretty_json()? + "\n")
}

/// The contract.
pub fn openapi() -> Result<OpenApi, SampleError> {
    let examples = Examples::read()?;
    let mut paths = Paths::new();
    for route in route::ALL {
        let operation = operations::operation(route, &examples);
        paths.add_path_operation(route.path, vec![method(route.method)], operation);
    }
    let mut info = Info::new("Wallet registrations", env!("CARGO_PKG_VERSION"));
    info.description = Some(DESCRIPTION.to_owned());
    info.license = Some(License::new(env!("CARGO_PKG_LICENSE")));
    Ok(OpenApiBuilder::new()
        .info(info)
        .servers(Some([Server::new("/")]))
        .tags(Some([
            tag("Registrations", "Which there are, and making and ending one."),
            tag("Events", "What wallets report: the Passworks webhook body."),
            tag("Reports", "How often passes were installed and uninstalled, and how many are active."),
            tag("Contract", "This document."),
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
    Event::from_json(&body, &Source::Queue, clock::now()).ok()?
}

fn registration(event: Event) -> Option<Registration> {
    let Change::Installed(installation) = event.change else { return None };
    Some(Registration {
        id: installation.registration_id,
        pass_id: event.pass_id,
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
    let bare = ApiKeyValue::with_description("Authorization", "The API key alone, as Passworks' webhooks send it.");
    components.add_security_scheme(basic, http(HttpAuthScheme::Basic, "The account's user name and an API key of it."));
    components.add_security_scheme(bearer, http(HttpAuthScheme::Bearer, "An API key."));
    components.add_security_scheme(key, SecurityScheme::ApiKey(ApiKey::Header(bare)));
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
