//! The operations, one for each route.

use serde_json::{Value, json};
use shared::{
    api::{
        error::ErrorCode::{
            self, BodyTooLarge, CampaignNotFound, Forbidden, InvalidBody, InvalidCursor, InvalidJson, InvalidParameter,
            PageTooFar, PassNotFound, RegistrationNotFound, RegistrationRemoved, RouteNotFound, TooManyToSort,
            Unauthorized, UnsupportedMediaType,
        },
        format::{Format, MAX_EXPORT},
        listing::{MAX_EXAMINED, MAX_SORTED},
        page::{DEFAULT_PER_PAGE, MAX_OFFSET, MAX_PER_PAGE},
        report::{MAX_DAYS, Report, TotalsReport},
        route::{self, Route},
    },
    id::{CampaignId, PassId, RegistrationId},
    registration::{DeviceOs, Registration, Wallet},
};
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

/// What a route does.
pub(super) fn operation(route: Route, examples: &Examples) -> Operation {
    match route {
        route::LIST_CAMPAIGN => list_campaign(examples),
        route::LIST_PASS => list_pass(examples),
        route::REGISTER => register(examples),
        route::UNREGISTER => unregister(examples),
        route::EVENTS => take_events(examples),
        route::REPORT => report(examples),
        route::TOTALS => totals(examples),
        route::CONTRACT => contract(),
        // A test wants every route to have an operation that says something.
        Route { .. } => Operation::new(),
    }
}

fn list_campaign(examples: &Examples) -> Operation {
    let operation = OperationBuilder::new()
        .operation_id(Some("listCampaignRegistrations"))
        .summary(Some("The active registrations of a campaign"));
    let operation = parameters(operation, campaign_parameters(examples));
    listing(operation, &examples.registrations, &[])
}

fn list_pass(examples: &Examples) -> Operation {
    let operation = OperationBuilder::new()
        .operation_id(Some("listPassRegistrations"))
        .summary(Some("The active registrations of a pass"));
    let operation = parameters(operation, pass_parameters(examples));
    let pass = examples.registration().map(|registration| registration.pass_id);
    let mut registrations = examples.registrations.clone();
    registrations.retain(|registration| Some(registration.pass_id) == pass);
    listing(operation, &registrations, &[PassNotFound])
}

/// What the two listings have in common.
fn listing(operation: OperationBuilder, example: &[Registration], errors: &[ErrorCode]) -> Operation {
    let description = format!(
        "Oldest first. A walk along `Link` costs the same at any depth, and so does one by `page=1,2,3…`; a jump reads at most \
         {MAX_EXAMINED} registrations and is `page_too_far` beyond. A filter that finds little examines at most {MAX_EXAMINED} \
         registrations per answer: the page may then be short, and `Link` goes on. With `Accept: text/csv` or \
         `application/x-ndjson` the same is an export, in parts of {MAX_EXPORT} unless `per_page` says less; `Link` leads to the \
         next part.",
    );
    let listed = responses::json("The registrations of the page.", array(of::<Registration>()), value(&example));
    let exports = [Format::Csv, Format::Ndjson].into_iter().filter_map(|format| {
        let text = Value::from(format.write(example).ok()?);
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
    let made = responses::json("The registration was made.", of::<Registration>(), created)
        .header("Location", header("Where it can be ended.", text(None), location));
    let known = responses::json(
        "It is active already, and answered as it is; a new push token is stored.",
        of::<Registration>(),
        None,
    );
    let operation = OperationBuilder::new()
        .operation_id(Some("registerPass"))
        .summary(Some("Registers a pass: it was added to a wallet"))
        .description(Some("An install at `created_at`, or now. It makes the campaign and the pass known."))
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
        .summary(Some("Ends a registration: the pass was removed from the wallet"))
        .description(Some("An uninstall now, or at the stored instant where that lies ahead."))
        .tag("Registrations");
    let operation = parameters(operation, pass_parameters(examples)).parameter(path_parameter(
        "registration_id",
        "The registration.",
        of::<RegistrationId>(),
        registration,
    ));
    let codes = [InvalidParameter, Unauthorized, Forbidden, RouteNotFound, CampaignNotFound, RegistrationNotFound];
    answers(operation, [("204", responses::empty("It is removed, now or already."))], &codes)
}

fn take_events(examples: &Examples) -> Operation {
    let result = named("EventResult");
    let results = schemas::any_of([result.clone(), array(result).into()]);
    let done = responses::json(
        "What became of the event; for an array, of each, in its order. Of an array each event is refused by itself.",
        results,
        Some(json!({"result": "applied"})),
    );
    let operation = OperationBuilder::new()
        .operation_id(Some("takeEvents"))
        .summary(Some("Takes what wallets report: one event, or an array"))
        .description(Some(
            "Every order and every repetition of the same events leaves the same registrations. Where the table stops answering \
             midway the answer is 503 for the whole, and sending it again is safe.",
        ))
        .tag("Events")
        .request_body(Some(body(schemas::events(), examples.webhook.clone())));
    let codes =
        [InvalidJson, Unauthorized, Forbidden, CampaignNotFound, BodyTooLarge, UnsupportedMediaType, InvalidBody];
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
        .summary(Some("Installs, uninstalls and what is active, day by day"))
        .description(Some(format!(
            "At most {MAX_DAYS} days. Counted are changes of state, on the day they happened: a registration that begins, one \
             that ends; one that changes its wallet or system is both. Counts follow the registrations by seconds. With `Accept: text/html` a page with charts."
        )))
        .tag("Reports");
    let operation = parameters(operation, campaign_parameters(examples))
        .parameter(date("start_date", "The first day; a month before the last where nobody says.", "2016-11-08"))
        .parameter(date("end_date", "The last day; today where nobody says.", "2016-11-10"));
    let codes = [InvalidParameter, Unauthorized, RouteNotFound, CampaignNotFound];
    let page =
        ContentBuilder::new().schema(Some(text(None))).description(Some("The same as a page with charts.")).build();
    let report = responses::json("The counts of each day.", of::<Report>(), None)
        .content("text/html", page)
        .header("Vary", header("The form depends on `Accept`.", text(None), "accept"))
        .header("Content-Security-Policy", header("The page loads nothing.", text(None), "default-src 'none'"));
    answers(operation, [("200", report.build())], &codes)
}

fn totals(examples: &Examples) -> Operation {
    let operation = OperationBuilder::new()
        .operation_id(Some("getCampaignTotals"))
        .summary(Some("Installs, uninstalls and what is active, in total"))
        .tag("Reports");
    let operation = parameters(operation, campaign_parameters(examples));
    let codes = [InvalidParameter, Unauthorized, RouteNotFound, CampaignNotFound];
    answers(operation, [("200", responses::json("The counts.", of::<TotalsReport>(), None).build())], &codes)
}

fn contract() -> Operation {
    let document = schemas::object();
    let operation = OperationBuilder::new()
        .operation_id(Some("getContract"))
        .summary(Some("This document"))
        .description(Some("Needs no key."))
        .tag("Contract")
        .security(SecurityRequirement::default());
    answers(operation, [("200", responses::json("OpenAPI 3.1.", document, None).build())], &[])
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

fn parameters(operation: OperationBuilder, parameters: impl IntoIterator<Item = Parameter>) -> OperationBuilder {
    parameters.into_iter().fold(operation, OperationBuilder::parameter)
}

fn campaign_parameters(examples: &Examples) -> Vec<Parameter> {
    let campaign = Some(json!(examples.campaign_id));
    vec![
        path_parameter("campaign_type", "The kind of the campaign.", named("CampaignType"), Some(json!("coupons"))),
        path_parameter("campaign_id", "The campaign.", of::<CampaignId>(), campaign),
    ]
}

fn pass_parameters(examples: &Examples) -> Vec<Parameter> {
    let pass = examples.registration().and_then(|registration| value(&registration.pass_id));
    let mut parameters = campaign_parameters(examples);
    parameters.push(path_parameter("pass_id", "The pass.", of::<PassId>(), pass));
    parameters
}

fn path_parameter(name: &str, description: &str, schema: RefOr<Schema>, example: Option<Value>) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(description))
        .schema(Some(schema))
        .example(example)
        .build()
}

fn page_parameters() -> [Parameter; 5] {
    let query = |name: &str, description: &str, schema: RefOr<Schema>| {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Query)
            .required(Required::False)
            .description(Some(description))
            .schema(Some(schema))
    };
    let most_page = usize::try_from(u32::MAX).ok();
    let page = number(1, most_page, Some(1));
    let per_page = number(1, Some(MAX_PER_PAGE), Some(DEFAULT_PER_PAGE));
    let offset = number(0, Some(MAX_OFFSET), Some(0));
    let filter = format!(
        "Filters, `q[<attribute>_<predicate>]=value`, all of which must hold, and the order, `q[s]=<attribute> <asc|desc>`. Texts are \
         compared, case-sensitively, byte by byte. `match` is LIKE, in which `%` stands for any text; `cont`: has the value in \
         it. By another attribute than `created_at` up to {MAX_SORTED} registrations can be ordered.",
    );
    [
        query("page", "Which page.", page.into()).build(),
        query("per_page", "How many registrations a page has.", per_page.into()).build(),
        query("offset", "How many registrations are passed over before page 1.", offset.into()).build(),
        query("cursor", "Where a page begins or ends: from a `Link`, never with `page`.", text(None).into()).build(),
        query("q", &filter, named("Filter"))
            .style(Some(ParameterStyle::DeepObject))
            .explode(Some(true))
            .example(Some(json!({"device_os_eq": DeviceOs::Ios, "s": "created_at desc"})))
            .build(),
    ]
}

fn page_headers(response: ResponseBuilder, total: usize) -> ResponseBuilder {
    let count = |description: &str, example: usize| header(description, number(0, None, None), example);
    let page = |description: &str, example: usize| header(description, number(1, None, None), example);
    let uncounted = format!(
        "Of a campaign, and of one wallet or system of it, from counts that may be seconds behind; else left out where counting would \
         read more than {MAX_EXAMINED}."
    );
    let link = "</v2/coupons/bd69162b-8995-4c89-bdca-898fae6050d0/registrations?per_page=25>; rel=\"first\"";
    response
        .header("X-Total", count(&format!("How many there are, whatever the offset. {uncounted}"), total))
        .header("X-Total-Pages", count(&format!("How many pages after the offset. {uncounted}"), 1))
        .header("X-Page", page("This page.", 1))
        .header("X-Per-Page", page("How many registrations a page has.", DEFAULT_PER_PAGE))
        .header("X-Offset", count("How many registrations are passed over before page 1.", 0))
        .header("X-Next-Page", page("The next page, where there is one.", 2))
        .header("X-Prev-Page", page("The page before, where there is one.", 1))
        .header("Vary", header("The form depends on `Accept`.", text(None), "accept"))
        .header("Link", header("`next`, `prev` and `first` (RFC 8288), relative to the API.", text(None), link))
}

/// What can be done with a registration that has been made.
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
        .description(Some("JSON of at most 1 MiB. A field that is `null` counts as absent."))
        .content("application/json", ContentBuilder::new().schema(Some(schema)).example(Some(example)).build())
        .build()
}

fn value(value: &impl serde::Serialize) -> Option<Value> {
    serde_json::to_value(value).ok()
}
