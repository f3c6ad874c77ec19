//! What the operations answer: the errors by their codes, with examples in the shape that the code gives them.

use std::collections::BTreeMap;

use http::header::CONTENT_TYPE;
use serde_json::Value;
use shared::{
    api::error::{ApiError, ErrorBody, ErrorCode},
    field::FieldErrors,
    store::StoreError,
};
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

/// A response without a body.
pub(super) fn empty(description: &str) -> Response {
    Response::new(description)
}

/// A response with a body, and an example of it.
pub(super) fn json(description: &str, schema: impl Into<RefOr<Schema>>, example: Option<Value>) -> ResponseBuilder {
    let content = ContentBuilder::new().schema(Some(schema)).example(example).build();
    ResponseBuilder::new().description(description).content(JSON, content)
}

/// A header of a response.
pub(super) fn header(description: &str, schema: impl Into<RefOr<Schema>>, example: impl Into<Value>) -> Header {
    HeaderBuilder::new().schema(Some(schema)).description(Some(description)).example(Some(example.into())).build()
}

/// What only the gateway answers: the status, a name, why.
const GATEWAYS: [(u16, &str, &str); 2] = [
    (429, "too_many_requests", "The gateway: too many requests at a time."),
    (431, "headers_too_large", "The gateway: headers of more than 10,240 bytes."),
];

/// Every response that has a name: one for each error, and the gateway's.
pub(super) fn named_responses() -> impl Iterator<Item = (&'static str, Response)> {
    let ours = ErrorCode::ALL.into_iter().map(|code| (code.as_str(), error(code.status().as_u16(), &[code])));
    let gateways = GATEWAYS.into_iter().map(|(_, name, why)| (name, json(why, named("GatewayError"), None).build()));
    ours.chain(gateways)
}

/// The responses for these errors and for those that every operation may answer with, by status.
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

/// The response for the errors that have this status.
fn error(status: u16, codes: &[ErrorCode]) -> Response {
    let meanings: Vec<String> = codes.iter().map(|code| format!("`{}`: {}.", code.as_str(), meaning(*code))).collect();
    let narrowed = ObjectBuilder::new()
        .property("status_code", ObjectBuilder::new().schema_type(Type::Integer).enum_values(Some([status])))
        .property(
            "error_code",
            ObjectBuilder::new().schema_type(Type::String).enum_values(Some(codes.iter().map(|code| code.as_str()))),
        );
    let ours = Schema::from(AllOfBuilder::new().item(schemas::of::<ErrorBody<'_>>()).item(narrowed).build());
    let schema = if matches!(status, 413 | 500 | 503) { any_of([ours.into(), named("GatewayError")]) } else { ours };
    let mut content = ContentBuilder::new().schema(Some(schema));
    let mut response = ResponseBuilder::new().description(meanings.join("\n\n"));
    for code in codes {
        let answer = example(*code).into_response();
        for (name, value) in answer.headers().iter().filter(|(name, _)| *name != CONTENT_TYPE) {
            let value = value.to_str().unwrap_or_default();
            response = response.header(name.as_str(), header("", String::schema(), value));
        }
        let body: Value = serde_json::from_str(answer.body()).unwrap_or_default();
        content = content.examples_from_iter([(code.as_str(), ExampleBuilder::new().value(Some(body)).build())]);
    }
    response.content(JSON, content.build()).build()
}

/// What an error means, for whoever reads the contract.
fn meaning(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::InvalidParameter => "a part of the path or the query is not what was expected",
        ErrorCode::InvalidCursor => "the cursor was altered or belongs to another listing",
        ErrorCode::PageTooFar => "a page that far can be reached by following `Link` only",
        ErrorCode::TooManyToSort => "too many registrations to order by anything but `created_at`",
        ErrorCode::InvalidJson => "the body is not JSON, or says the same twice",
        ErrorCode::Unauthorized => "no key, or none that is good",
        ErrorCode::Forbidden => "the key may only read",
        ErrorCode::RouteNotFound => "there is no such path, as where the type of the campaign is none",
        ErrorCode::CampaignNotFound => "the campaign is not known, under this type and to this account",
        ErrorCode::PassNotFound => "nobody ever heard of the pass",
        ErrorCode::RegistrationNotFound => "nobody ever heard of the registration",
        ErrorCode::MethodNotAllowed => "the path takes other methods, those in `Allow`",
        ErrorCode::RegistrationRemoved => "the registration was removed later than it is said to have been created",
        ErrorCode::BodyTooLarge => "the body is larger than 1 MiB",
        ErrorCode::UnsupportedMediaType => "the body is not declared as JSON",
        ErrorCode::InvalidBody => "the body is JSON, but not what was expected",
        ErrorCode::InternalError => "our fault; the log knows why",
        ErrorCode::Unavailable => "the table does not answer; sending the same again is safe",
    }
}

/// An error with this code, such as callers meet.
fn example(code: ErrorCode) -> ApiError {
    let of = |field: &str, expected: &str| {
        ApiError::with_fields(code, format!("{field}: {expected}"), FieldErrors::of(field, expected))
    };
    match code {
        ErrorCode::InvalidParameter => ApiError::parameter("per_page", "expected a number from 1 to 1000"),
        ErrorCode::InvalidCursor => of("cursor", "expected a cursor from a Link of this very listing"),
        ErrorCode::PageTooFar => {
            of("page", "expected a page among the first 10000 registrations, or a walk along Link")
        }
        ErrorCode::TooManyToSort => of("q[s]", "expected created_at for more than 5000 registrations"),
        ErrorCode::InvalidJson => of("body", "expected JSON: EOF while parsing a value at line 1 column 0"),
        ErrorCode::Unauthorized => ApiError::unauthorized(),
        ErrorCode::Forbidden => ApiError::new(code, "the key may only read"),
        ErrorCode::RouteNotFound => {
            of("campaign_type", "expected one of coupons, event_tickets, boarding_passes, generics, store_cards")
        }
        ErrorCode::CampaignNotFound => ApiError::campaign_not_found(),
        ErrorCode::PassNotFound => of("pass_id", "is not known"),
        ErrorCode::RegistrationNotFound => of("registration_id", "is not known"),
        ErrorCode::MethodNotAllowed => ApiError::method_not_allowed("GET"),
        ErrorCode::RegistrationRemoved => {
            of("created_at", "expected an instant after the removal at 2016-11-10T08:00:00.000Z")
        }
        ErrorCode::BodyTooLarge => of("body", "expected at most 1048576 bytes"),
        ErrorCode::UnsupportedMediaType => of("Content-Type", "expected application/json"),
        ErrorCode::InvalidBody => ApiError::body(FieldErrors::of("wallet", "is required")),
        ErrorCode::InternalError => ApiError::internal(""),
        ErrorCode::Unavailable => StoreError::Unavailable(String::new()).into(),
    }
}
