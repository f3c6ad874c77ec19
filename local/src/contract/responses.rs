//! Builds the responses of the contract: one for each error code, with an example that the API's own code writes.

use std::collections::BTreeMap;

use api::{
    body::MAX_BODY_BYTES,
    error::{ApiError, ErrorBody, ErrorCode, FunctionError as _},
    listing::{MAX_EXAMINED, MAX_SORTED},
};
use domain::{campaign::CampaignType, fields::FieldErrors, names::UnknownName, time::Timestamp};
use http::header::CONTENT_TYPE;
use serde::de::Error as _;
use serde_json::Value;
use store::StoreError;
use utoipa::{
    PartialSchema as _,
    openapi::{
        ContentBuilder, HeaderBuilder, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder,
        example::ExampleBuilder,
        header::Header,
        schema::{AllOfBuilder, Schema, Type},
    },
};

use super::schemas::{self, any_of, named};

const JSON: &str = "application/json";

/// Builds a response without a body.
pub(super) fn empty(description: &str) -> Response {
    Response::new(description)
}

/// Builds a response with a JSON body and an example of that body.
pub(super) fn json(description: &str, schema: impl Into<RefOr<Schema>>, example: Option<Value>) -> ResponseBuilder {
    let content = ContentBuilder::new().schema(Some(schema)).example(example).build();
    ResponseBuilder::new().description(description).content(JSON, content)
}

/// Builds a response header.
pub(super) fn header(description: &str, schema: impl Into<RefOr<Schema>>, example: impl Into<Value>) -> Header {
    HeaderBuilder::new().schema(Some(schema)).description(Some(description)).example(Some(example.into())).build()
}

/// The errors that only the gateway sends: status, name and description.
const GATEWAYS: [(u16, &str, &str); 2] = [
    (429, "too_many_requests", "Sent by the gateway: there are too many requests. Wait, then try again."),
    (
        431,
        "headers_too_large",
        "Sent by the gateway: the request line and the headers together are larger than 10,240 bytes.",
    ),
];

/// Returns every named response: one for each error code and one for each error that only the gateway sends.
pub(super) fn named_responses() -> impl Iterator<Item = (&'static str, Response)> {
    let ours = ErrorCode::ALL.iter().map(|code| (code.as_str(), error(code.status().as_u16(), &[*code])));
    let gateways = GATEWAYS.into_iter().map(|(_, name, why)| (name, json(why, named("GatewayError"), None).build()));
    ours.chain(gateways)
}

/// Returns the error responses of an operation, by status: for these codes, and for the errors that every operation can
/// have.
pub(super) fn errors(codes: &[ErrorCode]) -> Vec<(String, RefOr<Response>)> {
    let mut by_status: BTreeMap<u16, Vec<ErrorCode>> = BTreeMap::new();
    for code in codes.iter().copied().chain([ErrorCode::InternalError, ErrorCode::Unavailable]) {
        by_status.entry(code.status().as_u16()).or_default().push(code);
    }
    let ours = by_status.into_iter().map(|(status, codes)| match codes.as_slice() {
        [code] => (status, Ref::from_response_name(code.as_str()).into()),
        several => (status, error(status, several).into()),
    });
    let gateways = GATEWAYS.into_iter().map(|(status, name, _)| (status, Ref::from_response_name(name).into()));
    ours.chain(gateways).map(|(status, response)| (status.to_string(), response)).collect()
}

/// Builds the response for the errors with this status.
fn error(status: u16, codes: &[ErrorCode]) -> Response {
    let meanings: Vec<String> = codes.iter().map(|code| format!("`{}`: {}.", code.as_str(), meaning(*code))).collect();
    let narrowed = ObjectBuilder::new()
        .property("status_code", ObjectBuilder::new().schema_type(Type::Integer).enum_values(Some([status])))
        .property(
            "error_code",
            ObjectBuilder::new().schema_type(Type::Integer).enum_values(Some(codes.iter().map(|code| code.number()))),
        )
        .property(
            "error",
            ObjectBuilder::new().schema_type(Type::String).enum_values(Some(codes.iter().map(|code| code.as_str()))),
        );
    let ours = Schema::from(AllOfBuilder::new().item(schemas::of::<ErrorBody<'_>>()).item(narrowed).build());
    let schema =
        if matches!(status, 400 | 413 | 500 | 503) { any_of([ours.into(), named("GatewayError")]) } else { ours };
    let mut content = ContentBuilder::new().schema(Some(schema));
    let mut response = ResponseBuilder::new().description(meanings.join("\n\n"));
    for code in codes {
        let answer = example(*code).into_response();
        for (name, value) in answer.headers().iter().filter(|(name, _)| *name != CONTENT_TYPE) {
            let value = value.to_str().unwrap_or_default();
            response = response.header(name.as_str(), header("", String::schema(), value));
        }
        let body = answer.body().text().and_then(|text| serde_json::from_str::<Value>(&text)).unwrap_or_default();
        content = content.examples_from_iter([(code.as_str(), ExampleBuilder::new().value(Some(body)).build())]);
    }
    response.content(JSON, content.build()).build()
}

/// Returns the meaning of an error, which the contract shows.
fn meaning(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::InvalidParameter => {
            "a parameter of the path or the query is invalid, or a parameter of the query is unknown"
        }
        ErrorCode::InvalidCursor => "the cursor was altered, or belongs to another listing",
        ErrorCode::PageTooFar => "the page is too far to jump to; follow `Link` instead",
        ErrorCode::TooManyToSort => "there are too many registrations to sort by anything but `created_at`",
        ErrorCode::InvalidJson => {
            "the body is not valid JSON, repeats a key in an object, is nested too deeply, or is not the gzip that \
             `Content-Encoding` promises"
        }
        ErrorCode::Unauthorized => "the API key is missing or not valid",
        ErrorCode::Forbidden => "the API key is read-only",
        ErrorCode::RouteNotFound => "the path does not exist, for example because the campaign type is unknown",
        ErrorCode::CampaignNotFound => "this account has no such campaign of this type",
        ErrorCode::PassNotFound => "no such pass is known in the campaign",
        ErrorCode::RegistrationNotFound => "the pass has no such registration, or it was removed long ago",
        ErrorCode::MethodNotAllowed => "the path does not support this method; `Allow` lists the methods it supports",
        ErrorCode::RegistrationRemoved => "the registration was removed at or after the given `created_at`",
        ErrorCode::BodyTooLarge => "the body is larger than 1 MiB",
        ErrorCode::UnsupportedMediaType => {
            "`Content-Type` is missing, is not JSON or names another charset than UTF-8, or `Content-Encoding` is not \
             supported"
        }
        ErrorCode::InvalidBody => {
            "the body is JSON, but it is not valid for this operation, for example because a required field is missing"
        }
        ErrorCode::InternalError => "an internal error of the API, which is recorded in its log",
        ErrorCode::Unavailable => "the database did not respond in time; it is safe to send the same request again",
    }
}

/// Returns an error with this code, as a handler would return it.
fn example(code: ErrorCode) -> ApiError {
    match code {
        ErrorCode::InvalidParameter => ApiError::parameter("per_page", "expected a number from 1 to 1000"),
        ErrorCode::InvalidCursor => ApiError::invalid_cursor(),
        ErrorCode::PageTooFar => ApiError::page_too_far(MAX_EXAMINED),
        ErrorCode::TooManyToSort => ApiError::too_many_to_sort(MAX_SORTED),
        ErrorCode::InvalidJson => {
            ApiError::invalid_json(&serde_json::Error::custom("EOF while parsing a value at line 1 column 0"))
        }
        ErrorCode::Unauthorized => ApiError::unauthorized(),
        ErrorCode::Forbidden => ApiError::forbidden(),
        ErrorCode::RouteNotFound => ApiError::unknown_campaign_type(UnknownName::of::<CampaignType>("tickets")),
        ErrorCode::CampaignNotFound => ApiError::campaign_not_found(),
        ErrorCode::PassNotFound => ApiError::pass_not_found(),
        ErrorCode::RegistrationNotFound => ApiError::registration_not_found(),
        ErrorCode::MethodNotAllowed => ApiError::method_not_allowed("GET, HEAD"),
        ErrorCode::RegistrationRemoved => ApiError::registration_removed(removal()),
        ErrorCode::BodyTooLarge => ApiError::body_too_large(MAX_BODY_BYTES),
        ErrorCode::UnsupportedMediaType => ApiError::unsupported_media_type(),
        ErrorCode::InvalidBody => ApiError::invalid_body(FieldErrors::of("wallet", "is required")),
        ErrorCode::InternalError => ApiError::internal(""),
        ErrorCode::Unavailable => StoreError::Unavailable(String::new()).into(),
    }
}

#[expect(clippy::expect_used, reason = "a constant that every test of the contract reads")]
fn removal() -> Timestamp {
    "2016-11-10T08:00:00Z".parse().expect("an instant")
}
