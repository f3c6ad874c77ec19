//! The listing of a campaign, written the usual way: with the crates that most functions use and their default
//! features, a `GetItem` for each item, and no state between two requests. `cargo bench -p local` compares the function
//! `campaign-registrations` with it, and checks that both answer the same.
//!
//! It answers an unfiltered listing in the order of `created_at`, from its beginning or a cursor. So it has less to
//! decide than the function that it is compared with.

use std::collections::HashMap;

use aws_config::BehaviorVersion;
use aws_sdk_dynamodb::{Client, types::AttributeValue};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use lambda_http::{
    Body, Error, Request, RequestExt as _, Response,
    http::{StatusCode, header},
    run, service_fn, tracing,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

const DEFAULT_PER_PAGE: usize = 25;
const MAX_PER_PAGE: usize = 1000;

#[derive(Deserialize)]
struct ApiKey {
    account_id: String,
    user_name: String,
    revoked_at: Option<String>,
}

#[derive(Deserialize)]
struct Campaign {
    account_id: String,
    campaign_type: Option<String>,
}

#[derive(Deserialize)]
struct Totals {
    #[serde(default)]
    installs: usize,
    #[serde(default)]
    uninstalls: usize,
    counted_since: Option<String>,
}

/// A registration as the index has it.
#[derive(Deserialize)]
struct Item {
    sk: String,
    wallet: String,
    device_os: String,
    created_at: String,
}

/// A registration as the API shows it.
#[derive(Clone, Serialize, Deserialize)]
struct Registration {
    id: Uuid,
    pass_id: Uuid,
    wallet: String,
    device_os: String,
    created_at: String,
}

/// Where a page begins, or where it ends if `is_before`.
#[derive(Serialize, Deserialize)]
struct Cursor {
    page: usize,
    is_before: bool,
    registration: Registration,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let client = Client::new(&config);
    let table = std::env::var("TABLE_NAME")?;
    run(service_fn(|request| list(&client, &table, request))).await
}

async fn list(client: &Client, table: &str, request: Request) -> Result<Response<Body>, Error> {
    let path = request.path_parameters();
    let campaign_type = path.first("campaign_type").unwrap_or_default();
    let Some(campaign_id) = path.first("campaign_id").and_then(|id| Uuid::parse_str(id).ok()) else {
        return refuse(StatusCode::NOT_FOUND, "campaign_not_found");
    };
    let Some((user_name, key)) = credentials(&request) else {
        return refuse(StatusCode::UNAUTHORIZED, "unauthorized");
    };
    let query = request.query_string_parameters();
    let per_page = query.first("per_page").map_or(Ok(DEFAULT_PER_PAGE), str::parse);
    let Some(per_page) = per_page.ok().filter(|per_page| (1..=MAX_PER_PAGE).contains(per_page)) else {
        return refuse(StatusCode::BAD_REQUEST, "invalid_per_page");
    };
    if query.first("page").is_some_and(|page| page != "1") {
        return refuse(StatusCode::BAD_REQUEST, "invalid_page");
    }
    let cursor = match query.first("cursor").map(decode) {
        Some(None) => return refuse(StatusCode::BAD_REQUEST, "invalid_cursor"),
        Some(cursor) => cursor,
        None => None,
    };

    let api_key_pk = format!("API_KEY#{}", hex::encode(Sha256::digest(key.as_bytes())));
    let campaign_pk = format!("CAMPAIGN#{campaign_id}");
    let (key, campaign, totals, mut items) = tokio::try_join!(
        get::<ApiKey>(client, table, &api_key_pk, "API_KEY"),
        get::<Campaign>(client, table, &campaign_pk, "CAMPAIGN"),
        get::<Totals>(client, table, &campaign_pk, "COUNTS#TOTALS"),
        page(client, table, &campaign_pk, per_page, cursor.as_ref()),
    )?;

    let Some(key) = key.filter(|key| key.revoked_at.is_none() && key.user_name == user_name) else {
        return refuse(StatusCode::UNAUTHORIZED, "unauthorized");
    };
    let is_seen = |campaign: &Campaign| {
        campaign.account_id == key.account_id
            && campaign.campaign_type.as_deref().is_none_or(|known| known == campaign_type)
    };
    if !campaign.as_ref().is_some_and(is_seen) {
        return refuse(StatusCode::NOT_FOUND, "campaign_not_found");
    }

    let is_before = cursor.as_ref().is_some_and(|cursor| cursor.is_before);
    let has_next = is_before || items.len() > per_page;
    items.truncate(per_page);
    if is_before {
        items.reverse();
    }
    let registrations = items.into_iter().map(Registration::from_item).collect::<Result<Vec<_>, _>>()?;
    let number = cursor.as_ref().map_or(1, |cursor| cursor.page);
    let total = totals
        .filter(|totals| totals.counted_since.is_some())
        .map(|totals| totals.installs.saturating_sub(totals.uninstalls));
    tracing::info!(account_id = key.account_id, registrations = registrations.len(), "listed");

    let mut response = Response::builder()
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::VARY, "accept")
        .header(header::CACHE_CONTROL, "private, no-store")
        .header(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000")
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header("x-page", number)
        .header("x-per-page", per_page)
        .header("x-offset", 0);
    if let Some(total) = total {
        response = response.header("x-total", total).header("x-total-pages", total.div_ceil(per_page));
    }
    let listing = format!("/v2/{campaign_type}/{campaign_id}/registrations?per_page={per_page}");
    let mut links = Vec::new();
    if let Some(last) = registrations.last().filter(|_| has_next) {
        let next = Cursor { page: number + 1, is_before: false, registration: last.clone() };
        links.push(format!("<{listing}&cursor={}>; rel=\"next\"", encode(&next)?));
        response = response.header("x-next-page", next.page);
    }
    if let Some(first) = registrations.first().filter(|_| number > 1) {
        let previous = Cursor { page: number - 1, is_before: true, registration: first.clone() };
        let start = if previous.page == 1 { "page=1".to_owned() } else { format!("cursor={}", encode(&previous)?) };
        links.push(format!("<{listing}&{start}>; rel=\"prev\""));
        response = response.header("x-prev-page", previous.page);
    }
    links.push(format!("<{listing}>; rel=\"first\""));
    Ok(response.header(header::LINK, links.join(", ")).body(serde_json::to_string(&registrations)?.into())?)
}

/// Returns the user name and the key of HTTP Basic.
fn credentials(request: &Request) -> Option<(String, String)> {
    let header = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let decoded = BASE64_STANDARD.decode(header.strip_prefix("Basic ")?).ok()?;
    let (user_name, key) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((user_name.to_owned(), key.to_owned()))
}

async fn get<T: DeserializeOwned>(client: &Client, table: &str, pk: &str, sk: &str) -> Result<Option<T>, Error> {
    let request = client.get_item().table_name(table).key("pk", text(pk)).key("sk", text(sk));
    let item = request.send().await?.item;
    Ok(item.map(serde_dynamo::from_item).transpose()?)
}

/// Reads the registrations of a page and one more, which shows whether there is a next page.
async fn page(
    client: &Client,
    table: &str,
    pk: &str,
    per_page: usize,
    cursor: Option<&Cursor>,
) -> Result<Vec<Item>, Error> {
    let start = cursor.map(|Cursor { registration, .. }| {
        let Registration { id, pass_id, created_at, .. } = registration;
        HashMap::from([
            ("pk".to_owned(), text(pk)),
            ("sk".to_owned(), text(&format!("PASS#{pass_id}#{id}"))),
            ("created_at".to_owned(), text(created_at)),
        ])
    });
    let response = client
        .query()
        .table_name(table)
        .index_name("by-campaign")
        .key_condition_expression("pk = :pk")
        .expression_attribute_values(":pk", text(pk))
        .projection_expression("sk, wallet, device_os, created_at")
        .scan_index_forward(!cursor.is_some_and(|cursor| cursor.is_before))
        .set_exclusive_start_key(start)
        .limit(i32::try_from(per_page)? + 1)
        .send()
        .await?;
    Ok(serde_dynamo::from_items(response.items.unwrap_or_default())?)
}

impl Registration {
    fn from_item(item: Item) -> Result<Self, Error> {
        let Item { sk, wallet, device_os, created_at } = item;
        let ids = sk.strip_prefix("PASS#").and_then(|ids| ids.split_once('#'));
        let (pass_id, id) = ids.ok_or_else(|| format!("{sk} is not the key of a registration"))?;
        Ok(Self { id: id.parse()?, pass_id: pass_id.parse()?, wallet, device_os, created_at })
    }
}

fn encode(cursor: &Cursor) -> Result<String, Error> {
    Ok(BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(cursor)?))
}

fn decode(text: &str) -> Option<Cursor> {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn refuse(status: StatusCode, error: &str) -> Result<Response<Body>, Error> {
    let body = json!({"status_code": status.as_u16(), "error": error});
    let response = Response::builder().status(status).header(header::CONTENT_TYPE, "application/json");
    Ok(response.body(body.to_string().into())?)
}
