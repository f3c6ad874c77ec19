//! Builds the operations of the contract: one for each route, with its parameters, body, responses and examples.

use api::{
    error::ErrorCode::{
        self, BodyTooLarge, CampaignNotFound, Forbidden, InvalidBody, InvalidCursor, InvalidJson, InvalidParameter,
        PageTooFar, PassNotFound, RegistrationNotFound, RegistrationRemoved, RouteNotFound, TooManyToSort,
        Unauthorized, UnsupportedMediaType,
    },
    listing::{
        MAX_EXAMINED, MAX_SORTED,
        filter::Attribute,
        format::{DEFAULT_PER_PAGE, Format, MAX_EXPORT, MAX_PER_PAGE},
        query::{MAX_FILTER_LENGTH, MAX_OFFSET},
    },
    route::Route,
};
use campaign_reports::{
    MAX_DAYS,
    report::{Report, TotalsReport},
};
use domain::{
    id::{CampaignId, PassId, RegistrationId},
    registration::Registration,
    wallet::{DeviceOs, Wallet},
};
use serde_json::{Value, json};
use utoipa::openapi::{
    ContentBuilder, RefOr, Required,
    link::Link,
    path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, ParameterStyle},
    request_body::{RequestBody, RequestBodyBuilder},
    response::{Response, ResponseBuilder},
    schema::Schema,
    security::SecurityRequirement,
};

use super::{
    Examples,
    responses::{self, header},
    schemas::{self, array, named, number, of, text},
};

/// Builds the operation of a route.
pub(super) fn operation(route: Route, examples: &Examples) -> Operation {
    match route {
        Route::ListCampaign => list_campaign(examples),
        Route::ListPass => list_pass(examples),
        Route::CampaignPushTargets => campaign_push_targets(examples),
        Route::PassPushTargets => pass_push_targets(examples),
        Route::Register => register(examples),
        Route::Unregister => unregister(examples),
        Route::Events => report_events(examples),
        Route::Report => report(examples),
        Route::Totals => totals(examples),
        Route::Contract => contract(),
    }
}

fn list_campaign(examples: &Examples) -> Operation {
    let operation = OperationBuilder::new()
        .operation_id(Some("listCampaignRegistrations"))
        .summary(Some("List the active registrations of a campaign"));
    let operation = parameters(operation, campaign_parameters(examples));
    listing(operation, &examples.registrations, &[])
}

fn list_pass(examples: &Examples) -> Operation {
    let operation = OperationBuilder::new()
        .operation_id(Some("listPassRegistrations"))
        .summary(Some("List the active registrations of a pass"));
    let operation = parameters(operation, pass_parameters(examples));
    let pass = examples.registration().map(|registration| registration.pass_id);
    let mut registrations = examples.registrations.clone();
    registrations.retain(|registration| Some(registration.pass_id) == pass);
    listing(operation, &registrations, &[PassNotFound])
}

/// Builds the parts that both listings share.
fn listing(operation: OperationBuilder, example: &[Registration], errors: &[ErrorCode]) -> Operation {
    let description = format!(
        "Returns one page of registrations, oldest first unless `q[s]` gives another order.\n\n\
         **Paging.** Follow the `next` link in the `Link` header, or request `page=1`, `page=2`, `page=3` and so on in \
         turn. Either way, a page takes the same time at any depth. A request that jumps to a page must skip the \
         registrations before it. It may skip at most {MAX_EXAMINED}; beyond that the error is `page_too_far`.\n\n\
         **Filters.** To find a page, the API examines at most {MAX_EXAMINED} registrations beyond those that it \
         returns. If few of them match, the page may be short or empty although more matches follow. Continue as long \
         as `Link` has a `next` link.\n\n\
         **Export.** With `Accept: text/csv` or `application/x-ndjson`, the response is CSV or NDJSON, in parts of \
         {MAX_EXPORT} registrations unless `per_page` is smaller. The `next` link leads to the next part.",
    );
    let listed = responses::json("One page of registrations.", array(of::<Registration>()), value(&example));
    let exports = [Format::Csv, Format::Ndjson].into_iter().filter_map(|format| {
        let text = Value::from(format.write(example).ok()?.text().ok()?);
        let content = ContentBuilder::new().schema(Some(schemas::text(None))).example(Some(text)).build();
        Some((format.media_type(), content))
    });
    let listed = exports.fold(listed, |listed, (media_type, content)| listed.content(media_type, content));
    let listed = page_headers(listed, example.len());
    let codes = [
        &[InvalidParameter, InvalidCursor, PageTooFar, TooManyToSort, Unauthorized, RouteNotFound, CampaignNotFound],
        errors,
    ];
    let operation = operation.tag("Registrations").description(Some(description));
    answers(parameters(operation, page_parameters()), [("200", listed.build())], &codes.concat())
}

fn campaign_push_targets(examples: &Examples) -> Operation {
    let operation = OperationBuilder::new()
        .operation_id(Some("listCampaignPushTargets"))
        .summary(Some("List the push targets of a campaign"));
    push_targets(parameters(operation, campaign_parameters(examples)), &[])
}

fn pass_push_targets(examples: &Examples) -> Operation {
    let operation = OperationBuilder::new()
        .operation_id(Some("listPassPushTargets"))
        .summary(Some("List the push targets of a pass"));
    push_targets(parameters(operation, pass_parameters(examples)), &[PassNotFound])
}

/// Builds the parts that both lists of push targets share.
fn push_targets(operation: OperationBuilder, errors: &[ErrorCode]) -> Operation {
    let (per_page, max_per_page) = push_targets::format::Format::Json.per_page();
    let description = format!(
        "Returns the active registrations that have a push token, ordered by the ids of the pass and of the \
         registration. Needs a `read_write` key.\n\n\
         **Paging.** Follow the `next` link in the `Link` header. A page may be short or empty although more targets \
         follow, because the API examines a limited number of registrations without a push token and of removed ones. \
         Continue as long as `Link` has a `next` link.\n\n\
         **Export.** With `Accept: application/x-ndjson`, the response is NDJSON, in parts of {} push targets unless \
         `per_page` is smaller.",
        push_targets::format::MAX_EXPORT,
    );
    let lines = ContentBuilder::new().schema(Some(schemas::text(None))).build();
    let link = "</v2/coupons/bd69162b-8995-4c89-bdca-898fae6050d0/push_targets?per_page=25>; rel=\"first\"";
    let listed = responses::json("One page of push targets.", array(named("PushTarget")), None)
        .content("application/x-ndjson", lines)
        .header("Vary", header("The format of the response depends on `Accept`.", text(None), "accept"))
        .header(
            "Link",
            header("Links to the `next` and `first` pages (RFC 8288), relative to the API.", text(None), link),
        );
    let per_page = number(1, Some(max_per_page), Some(per_page));
    let operation = operation.tag("Pushes").description(Some(description)).parameter(query_parameter(
        "per_page",
        "The number of push targets per page.",
        per_page,
    ));
    let cursor = "The position of a page, taken from a link in `Link`.";
    let operation = operation.parameter(query_parameter("cursor", cursor, text(None)));
    let codes = [
        &[InvalidParameter, InvalidCursor, Unauthorized, Forbidden, RouteNotFound, CampaignNotFound] as &[ErrorCode],
        errors,
    ];
    answers(operation, [("200", listed.build())], &codes.concat())
}

fn register(examples: &Examples) -> Operation {
    let example = json!({
        "wallet": Wallet::GoogleWallet,
        "device_os": DeviceOs::Android,
        "id": "5f0c1d6e-6f1c-4d8a-9d4c-0c6f3f3c1b2a",
        "created_at": "2016-11-09T15:00:00.000Z",
    });
    let created = examples.registration().and_then(|registration| {
        Some(json!({
            "id": example.get("id")?, "pass_id": registration.pass_id, "wallet": example.get("wallet")?,
            "device_os": example.get("device_os")?, "created_at": example.get("created_at")?,
        }))
    });
    let location = created.as_ref().and_then(|created| {
        let (pass, id) = (created["pass_id"].as_str()?, created["id"].as_str()?);
        Some(format!("/v2/coupons/{}/passes/{pass}/registrations/{id}", examples.campaign_id))
    });
    let made = responses::json("The registration was created.", of::<Registration>(), created).header(
        "Location",
        header("The path of the registration. Send a `DELETE` to it to end the registration.", text(None), location),
    );
    let known = responses::json(
        "The registration was already active and is returned unchanged. If the push token is new, it is stored.",
        of::<Registration>(),
        None,
    );
    let operation = OperationBuilder::new()
        .operation_id(Some("registerPass"))
        .summary(Some("Register a pass that was added to a wallet"))
        .description(Some(
            "Creates a registration, which counts as an install at `created_at`, or now if that is absent. Makes the \
             campaign and the pass known if they were unknown.",
        ))
        .tag("Registrations")
        .request_body(Some(body(named("NewRegistration"), example)));
    let codes = [
        InvalidParameter,
        InvalidJson,
        Unauthorized,
        Forbidden,
        RouteNotFound,
        CampaignNotFound,
        RegistrationRemoved,
        BodyTooLarge,
        UnsupportedMediaType,
        InvalidBody,
    ];
    let responses = [("200", links(known).build()), ("201", links(made).build())];
    answers(parameters(operation, pass_parameters(examples)), responses, &codes)
}

fn unregister(examples: &Examples) -> Operation {
    let registration = examples.registration().and_then(|registration| value(&registration.id));
    let operation = OperationBuilder::new()
        .operation_id(Some("unregisterPass"))
        .summary(Some("End the registration of a pass that was removed from a wallet"))
        .description(Some(
            "Counts as an uninstall now, or at the time of the registration's latest event if that is in the future. It \
             is safe to repeat the request.",
        ))
        .tag("Registrations");
    let operation = parameters(operation, pass_parameters(examples)).parameter(path_parameter(
        "registration_id",
        "The id of the registration.",
        of::<RegistrationId>(),
        registration,
    ));
    let codes = [InvalidParameter, Unauthorized, Forbidden, RouteNotFound, CampaignNotFound, RegistrationNotFound];
    answers(
        operation,
        [("204", responses::empty("The registration has ended, with this request or before it."))],
        &codes,
    )
}

fn report_events(examples: &Examples) -> Operation {
    let result = named("EventResult");
    let results = schemas::any_of([result.clone(), array(result).into()]);
    let done = responses::json(
        "The result of the event. For an array of events, an array with one result per event, in the same order; a \
         refused event does not affect the others.",
        results,
        Some(json!({"result": "applied"})),
    );
    let operation = OperationBuilder::new()
        .operation_id(Some("takeEvents"))
        .summary(Some("Report one event or an array of events"))
        .description(Some(
            "Events may arrive in any order and more than once; the resulting registrations are the same. There is one \
             exception: an install that arrives more than 90 days after a later uninstall can make the registration \
             active again. If the database stops responding midway, the whole request fails with 503. It is safe to \
             send it again.",
        ))
        .tag("Events")
        .request_body(Some(body(schemas::events(), examples.webhook.clone())));
    let codes = [
        InvalidParameter,
        InvalidJson,
        Unauthorized,
        Forbidden,
        CampaignNotFound,
        BodyTooLarge,
        UnsupportedMediaType,
        InvalidBody,
    ];
    answers(operation, [("200", done.build())], &codes)
}

fn report(examples: &Examples) -> Operation {
    let date = |name: &str, description: &str, example: &str| {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Query)
            .required(Required::False)
            .description(Some(description))
            .schema(Some(schemas::date()))
            .example(Some(json!(example)))
            .build()
    };
    let operation = OperationBuilder::new()
        .operation_id(Some("getCampaignReport"))
        .summary(Some("Get installs, uninstalls and active registrations per day"))
        .description(Some(format!(
            "Covers at most {MAX_DAYS} days (UTC). Each change counts on the day on which it happened: as an install \
             when a registration becomes active, as an uninstall when it ends, and as both when an active registration \
             changes its wallet or operating system. Counts lag a few seconds behind the registrations. With `Accept: \
             text/html`, the response is a page with charts."
        )))
        .tag("Reports");
    let operation = parameters(operation, campaign_parameters(examples))
        .parameter(date("start_date", "The first day. Default: one month before `end_date`.", "2016-11-08"))
        .parameter(date("end_date", "The last day. Default: today (UTC).", "2016-11-10"));
    let codes = [InvalidParameter, Unauthorized, RouteNotFound, CampaignNotFound];
    let page = ContentBuilder::new()
        .schema(Some(text(None)))
        .description(Some("The same report as a page with charts."))
        .build();
    let report = responses::json("The counts of each day.", of::<Report>(), None)
        .content("text/html", page)
        .header("Vary", header("The format of the response depends on `Accept`.", text(None), "accept"))
        .header(
            "Content-Security-Policy",
            header("The page loads nothing from other servers.", text(None), "default-src 'none'"),
        );
    answers(operation, [("200", report.build())], &codes)
}

fn totals(examples: &Examples) -> Operation {
    let operation = OperationBuilder::new()
        .operation_id(Some("getCampaignTotals"))
        .summary(Some("Get the total installs, uninstalls and active registrations"))
        .tag("Reports");
    let operation = parameters(operation, campaign_parameters(examples));
    let codes = [InvalidParameter, Unauthorized, RouteNotFound, CampaignNotFound];
    answers(
        operation,
        [(
            "200",
            responses::json("The counts over the whole life of the campaign.", of::<TotalsReport>(), None).build(),
        )],
        &codes,
    )
}

fn contract() -> Operation {
    let document = schemas::object();
    let operation = OperationBuilder::new()
        .operation_id(Some("getContract"))
        .summary(Some("Get this OpenAPI document"))
        .description(Some("Needs no API key."))
        .tag("Contract")
        .security(SecurityRequirement::default());
    let document = responses::json("The OpenAPI 3.1 document.", document, None).build();
    answers(operation, [("200", document)], &[InvalidParameter])
}

fn answers<const N: usize>(
    operation: OperationBuilder,
    answers: [(&str, Response); N],
    errors: &[ErrorCode],
) -> Operation {
    let answers = answers.into_iter().map(|(status, response)| (status.to_owned(), RefOr::from(response)));
    answers
        .chain(responses::errors(errors))
        .fold(operation, |operation, (status, response)| operation.response(status, response))
        .build()
}

/// Adds parameters to an operation.
pub(super) fn parameters(
    operation: OperationBuilder,
    parameters: impl IntoIterator<Item = Parameter>,
) -> OperationBuilder {
    parameters.into_iter().fold(operation, OperationBuilder::parameter)
}

fn campaign_parameters(examples: &Examples) -> Vec<Parameter> {
    let campaign = Some(json!(examples.campaign_id));
    vec![
        path_parameter("campaign_type", "The type of the campaign.", named("CampaignType"), Some(json!("coupons"))),
        path_parameter("campaign_id", "The id of the campaign.", of::<CampaignId>(), campaign),
    ]
}

fn pass_parameters(examples: &Examples) -> Vec<Parameter> {
    let pass = examples.registration().and_then(|registration| value(&registration.pass_id));
    let mut parameters = campaign_parameters(examples);
    parameters.push(path_parameter("pass_id", "The id of the pass.", of::<PassId>(), pass));
    parameters
}

/// Builds a parameter of the path.
pub(super) fn path_parameter(
    name: &str,
    description: &str,
    schema: RefOr<Schema>,
    example: Option<Value>,
) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(description))
        .schema(Some(schema))
        .example(example)
        .build()
}

/// Builds a parameter of the query.
pub(super) fn query_parameter(name: &str, description: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}

fn page_parameters() -> Vec<Parameter> {
    let query = |name: &str, description: &str, schema: RefOr<Schema>| {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Query)
            .required(Required::False)
            .description(Some(description))
            .schema(Some(schema))
    };
    let max_page = usize::try_from(u32::MAX).ok();
    let page = number(1, max_page, Some(1));
    let per_page = number(1, Some(MAX_PER_PAGE), Some(DEFAULT_PER_PAGE));
    let offset = number(0, Some(MAX_OFFSET), Some(0));
    let filter = format!(
        "Filters and sort order. A filter is `q[<attribute>_<predicate>]=<value>`. A registration must match all \
         filters. A filter with an empty value is ignored, except `in`. The order is `q[s]=<attribute> <asc|desc>`. Ids and names \
         match in any case. The value of `match`, or its synonym `matches`, is a pattern in which `%` stands for any \
         text; `cont` matches attributes that contain the value; both ignore the case of ASCII letters. `created_at` is \
         compared as an instant: the value is RFC 3339 with any offset and precision. With `gteq` and `lt` it may also \
         be the beginning of an instant in UTC, such as `2016-11` or `2016-11-09`. All filters together may have at \
         most {MAX_FILTER_LENGTH} bytes, percent-encoded. The schema lists the usual forms of the values; every form \
         above is accepted. Any number of registrations can be sorted by `created_at`, \
         but at most {MAX_SORTED} by another attribute.",
    );
    let mut parameters = vec![
        query("page", "The number of the page.", page.into()).build(),
        query("per_page", "The number of registrations per page.", per_page.into()).build(),
        query("offset", "The number of registrations to skip before page 1.", offset.into()).build(),
        query(
            "cursor",
            "The position of a page, taken from a link in `Link`. Cannot be combined with `page`.",
            text(None).into(),
        )
        .build(),
        query("q", &filter, named("Filter"))
            .style(Some(ParameterStyle::DeepObject))
            .explode(Some(true))
            .example(Some(json!({"device_os_eq": DeviceOs::Ios, "s": "created_at desc"})))
            .build(),
    ];
    parameters.extend(Attribute::ALL.iter().map(|attribute| {
        let name = format!("q[{}_in][]", attribute.as_str());
        query(&name, "Matches if the attribute is one of these values.", schemas::condition_values(*attribute).into())
            .explode(Some(true))
            .build()
    }));
    parameters
}

fn page_headers(response: ResponseBuilder, total: usize) -> ResponseBuilder {
    let count = |description: &str, example: usize| header(description, number(0, None, None), example);
    let page = |description: &str, example: usize| header(description, number(1, None, None), example);
    let total_description = format!(
        "The number of registrations, regardless of `offset`. For a whole campaign, or with `q[wallet_eq]` or \
         `q[device_os_eq]` as the only filter, the value usually comes from stored counts, which may lag a few seconds. \
         Otherwise the registrations are counted, and the header is absent if more than {MAX_EXAMINED} would have to be \
         read."
    );
    let link = "</v2/coupons/bd69162b-8995-4c89-bdca-898fae6050d0/registrations?per_page=25>; rel=\"first\"";
    response
        .header("X-Total", count(&total_description, total))
        .header("X-Total-Pages", count("The number of pages after `offset`. Absent if `X-Total` is absent.", 1))
        .header("X-Page", page("The number of this page.", 1))
        .header("X-Per-Page", page("The number of registrations per page.", DEFAULT_PER_PAGE))
        .header("X-Offset", count("The number of registrations that are skipped before page 1.", 0))
        .header("X-Next-Page", page("The number of the next page. Absent if there is none.", 2))
        .header("X-Prev-Page", page("The number of the previous page. Absent if there is none.", 1))
        .header("Vary", header("The format of the response depends on `Accept`.", text(None), "accept"))
        .header(
            "Link",
            header("Links to the `next`, `prev` and `first` pages (RFC 8288), relative to the API.", text(None), link),
        )
}

/// Adds links to the operations that a caller can use after registering a pass.
fn links(response: ResponseBuilder) -> ResponseBuilder {
    let of_the_pass = |operation: &str| {
        ["campaign_type", "campaign_id", "pass_id"]
            .into_iter()
            .fold(Link::builder().operation_id(operation), |link, name| {
                link.parameter(name, format!("$request.path.{name}"))
            })
    };
    let unregister = of_the_pass("unregisterPass").parameter("registration_id", "$response.body#/id");
    response.link("end", unregister.build()).link("list", of_the_pass("listPassRegistrations").build())
}

fn body(schema: impl Into<RefOr<Schema>>, example: Value) -> RequestBody {
    RequestBodyBuilder::new()
        .required(Some(Required::True))
        .description(Some(
            "JSON in UTF-8, of at most 1 MiB. With `Content-Encoding: gzip` the body is decompressed, if `Content-Type` is \
             a JSON type other than `application/json`, such as `application/vnd.api+json`: the gateway passes on \
             `application/json` as text. A field with the value `null` is treated as absent.",
        ))
        .content("application/json", ContentBuilder::new().schema(Some(schema)).example(Some(example)).build())
        .build()
}

fn value(value: &impl serde::Serialize) -> Option<Value> {
    serde_json::to_value(value).ok()
}
