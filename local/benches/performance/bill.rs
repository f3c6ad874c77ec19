//! The monthly cost of a stack, computed from the request units and bytes that are measured here and from AWS's prices.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use domain::wallet::Wallet;
use http::Method;
use local::{
    template::Index,
    testing::{recorder::Call, sandbox::Sandbox},
};
use serde_json::Value;
use store::keys;

use crate::{
    measure::Measured,
    operations::{self, event},
    stage::{self, CAMPAIGN},
};

/// The sizes of a stack, in active registrations.
const SIZES: [(&str, f64); 3] = [("10 thousand", 1e4), ("10 million", 1e7), ("1 billion", 1e9)];

/// Installs per month and active registration.
const INSTALLS: f64 = 0.1;
/// Uninstalls per month and active registration.
const UNINSTALLS: f64 = 0.05;
/// How often each active registration is listed per month.
const LISTED: f64 = 10.0;
/// Reports per month and active registration: one a day for every thousand registrations.
const REPORTS: f64 = 30.0 / 1e3;
/// How long the item of a removed registration is kept, in months.
const TOMBSTONE_MONTHS: f64 = 3.0;

/// Prices in US dollars in us-east-1, without the free tier. `docs/costs.md` says where they are published.
mod price {
    pub(super) const WRITE_UNIT: f64 = 0.625e-6;
    pub(super) const READ_UNIT: f64 = 0.125e-6;
    /// A gigabyte in the table for a month, and in its continuous backups of 35 days.
    pub(super) const GIGABYTE_MONTH: f64 = 0.25 + 0.20;
    pub(super) const INVOCATION: f64 = 0.20e-6;
    pub(super) const GIGABYTE_SECOND: f64 = 0.000_013_333_4;
    pub(super) const API_REQUEST: f64 = 1.00e-6;
    pub(super) const QUEUE_REQUEST: f64 = 0.40e-6;
    pub(super) const LOG_GIGABYTE: f64 = 0.50;
    pub(super) const ALARM_METRIC: f64 = 0.10;
    pub(super) const METRIC: f64 = 0.30;
    pub(super) const DASHBOARD: f64 = 3.00;
    pub(super) const KMS_KEY: f64 = 1.00;
}

const GIGABYTE: f64 = 1e9;
/// The seconds in a month.
const SECONDS: f64 = 30.0 * 24.0 * 3600.0;
/// How long a function on AWS runs for each request. The estimate is higher than the times that this benchmark
/// measures.
const REQUEST_SECONDS: f64 = 0.02;
/// How long a function on AWS runs for each batch. The estimate is higher than the times that this benchmark measures.
const BATCH_SECONDS: f64 = 0.05;
/// Bytes that the function and the API log per request.
const REQUEST_LOG: f64 = 750.0;
/// Bytes that the function logs per batch.
const BATCH_LOG: f64 = 400.0;
/// Write units of the tally for a change that comes alone, which is the maximum: one transaction writes the checkpoint,
/// the day and the totals, for two units each.
const TALLY_WRITES: f64 = 6.0;
/// Read units of the tally for a change that comes alone, which is the maximum: it reads the checkpoint.
const TALLY_READS: f64 = 1.0;
/// Bytes of an item or index entry in addition to its attributes (Amazon DynamoDB, "Table size and capacity").
const ITEM_OVERHEAD: f64 = 100.0;
/// Requests to an idle queue per month, estimated: Lambda starts with five concurrent polls (AWS Lambda developer guide,
/// "Configuring scaling behavior for SQS event source mappings"), and a poll waits at most 20 seconds (Amazon SQS
/// developer guide, "Amazon SQS short and long polling").
const IDLE_QUEUE_REQUESTS: f64 = 5.0 * SECONDS / 20.0;

/// The request units and bytes measured on one table.
struct Units {
    /// Write units of an install in a function that has just started: the campaign's claim and the registration.
    install: f64,
    /// Write units of an uninstall, measured in the same way.
    uninstall: f64,
    page_of_50: f64,
    report: f64,
    /// The bytes of the item and of its entries in the indexes.
    active_bytes: f64,
    removed_bytes: f64,
}

/// Prints the bill.
pub(crate) async fn print() -> Measured<()> {
    let units = Units::measure().await?;
    let template = std::fs::read_to_string(local::template::Template::default_path())?;
    // AWS charges for each metric of an alarm.
    let alarm_metrics = template.matches("MetricStat:").count() + template.matches("\n      MetricName:").count();
    let alarm_metrics = f64::from(u32::try_from(alarm_metrics)?);
    let megabytes = template.split_once("MemorySize: ").and_then(|(_, rest)| rest.split_whitespace().next());
    let gigabytes = megabytes.ok_or("the template names no memory")?.parse::<f64>()? / 1_024.0;
    println!("| US dollars a month | {} |", SIZES.map(|(name, _)| name).join(" | "));
    println!("|---|{}", "--:|".repeat(SIZES.len()));
    let bills = SIZES.map(|(_, size)| units.bill(size, alarm_metrics, gigabytes));
    for row in 0..bills[0].len() {
        println!("| {} | {} |", bills[0][row].0, bills.each_ref().map(|bill| dollars(bill[row].1)).join(" | "));
    }
    let total = bills.map(|bill| bill.iter().map(|(_, cost)| cost).sum::<f64>());
    println!("| **together** | {} |", total.map(|cost| format!("**{}**", dollars(cost))).join(" | "));
    let per_million = std::array::from_fn::<_, 3, _>(|at| dollars(total[at] / SIZES[at].1 * 1e6));
    println!("| for each million registrations | {} |", per_million.join(" | "));
    let Units { install, uninstall, page_of_50, report, active_bytes, removed_bytes } = units;
    println!(
        "\nMeasured: an install takes {install} write units and an uninstall {uninstall}; a page of 50 takes {page_of_50} \
         read units and a report {report}. An active registration takes {active_bytes} bytes, and a removed registration \
         {removed_bytes}."
    );
    Ok(())
}

impl Units {
    async fn measure() -> Measured<Self> {
        let sandbox = stage::build().await?;
        let recorder = sandbox.recorder().await?;
        let front = sandbox.recorded_front(&recorder)?;
        // A wallet names its device and the pass.
        let whole = |number| {
            let mut event = event(number);
            event["pass_type_identifier"] = "pass.com.example.coupon".into();
            event["serial_number"] = "9c05fa25-199b-4c5b-9242-4b42103138a7".into();
            event["event_extra"]["device_library_identifier"] = "d".repeat(32).into();
            event
        };
        let mut removal = whole(1);
        removal["event"] = "uninstalled".into();
        removal["event_at"] = "2026-01-03T00:00:00Z".into();
        let events = "/v2/registration_events";
        let listing = format!("/v2/coupons/{CAMPAIGN}/registrations?per_page=50");
        let report = format!("/v2/coupons/{CAMPAIGN}/reports");
        operations::ask(&front, Method::POST, events, &whole(0)).await?;
        operations::ask(&front, Method::GET, &listing, &Value::Null).await?;
        let mut units = Vec::new();
        for (method, path, body, is_write) in [
            (Method::POST, events, whole(1), true),
            (Method::POST, events, removal, true),
            (Method::GET, &listing, Value::Null, false),
            (Method::GET, &report, Value::Null, false),
        ] {
            recorder.take().clear();
            // Writes go to functions that have just started, reads to warm functions.
            let fresh = sandbox.recorded_front(&recorder)?;
            operations::ask(if is_write { &fresh } else { &front }, method, path, &body).await?;
            let writes = |call: &Call| ["PutItem", "UpdateItem"].contains(&call.operation.as_str());
            units.push(recorder.take().iter().filter(|call| writes(call) == is_write).map(|call| call.units).sum());
        }
        let [install, uninstall, page_of_50, report] = units[..] else {
            return Err("expected four measurements".into());
        };
        Ok(Self {
            install,
            uninstall,
            page_of_50,
            report,
            active_bytes: stored(&sandbox, &operations::registration_sk(0)).await?,
            removed_bytes: stored(&sandbox, &operations::registration_sk(1)).await?,
        })
    }

    fn bill(&self, active: f64, alarm_metrics: f64, gigabytes: f64) -> [(&'static str, f64); 9] {
        let Self { install, uninstall, page_of_50, report, active_bytes, removed_bytes } = self;
        let (installs, uninstalls) = (active * INSTALLS, active * UNINSTALLS);
        let changes = installs + uninstalls;
        let (pages, reports) = (active * LISTED / 50.0, active * REPORTS);
        let requests = pages + reports;
        // The changes of one second form a batch, up to the template's batch size of 100.
        let batches = changes / (changes / SECONDS).clamp(1.0, 100.0);
        let lambda = |count, seconds| price_of_invocations(count, gigabytes, seconds);
        let stored = active * active_bytes + uninstalls * TOMBSTONE_MONTHS * removed_bytes;
        let tally = changes * (TALLY_WRITES * price::WRITE_UNIT + TALLY_READS * price::READ_UNIT);
        let logged = requests * REQUEST_LOG + 2.0 * batches * BATCH_LOG;
        // One metric counts failed requests. Three count applied, unchanged and refused events for each wallet, and
        // three more for events without a wallet.
        let metrics = 1.0 + Wallet::ALL.iter().map(|_| 3.0).sum::<f64>() + 3.0;
        [
            ("writing events", (installs * install + uninstalls * uninstall) * price::WRITE_UNIT),
            ("counting them, at most", tally),
            ("reading pages and reports", (pages * page_of_50 + reports * report) * price::READ_UNIT),
            ("keeping the items and their backups", stored / GIGABYTE * price::GIGABYTE_MONTH),
            ("API Gateway", requests * price::API_REQUEST),
            ("Lambda", lambda(requests, REQUEST_SECONDS) + lambda(2.0 * batches, BATCH_SECONDS)),
            ("SQS", (changes + 2.0 * batches + IDLE_QUEUE_REQUESTS) * price::QUEUE_REQUEST),
            ("logs", logged / GIGABYTE * price::LOG_GIGABYTE),
            (
                "alarms, metrics, dashboard, key",
                alarm_metrics * price::ALARM_METRIC + metrics * price::METRIC + price::DASHBOARD + price::KMS_KEY,
            ),
        ]
    }
}

/// Returns the price in US dollars of invocations of a function with this memory, each of which takes this time.
pub(crate) fn price_of_invocations(count: f64, gigabytes: f64, seconds: f64) -> f64 {
    count * (price::INVOCATION + gigabytes * seconds * price::GIGABYTE_SECOND)
}

/// Returns the size of an item and its index entries, in bytes.
async fn stored(sandbox: &Sandbox, sk: &str) -> Measured<f64> {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let item = sandbox
        .client()?
        .get_item()
        .table_name(&sandbox.template.table.name)
        .key(keys::PK, text(&format!("CAMPAIGN#{CAMPAIGN}")))
        .key(keys::SK, text(sk))
        .send()
        .await?;
    let item = item.item.ok_or_else(|| format!("there is no {sk}"))?;
    let entry = |index: &Index| {
        let key = [Some(index.key.hash.as_str()), index.key.range.as_deref()];
        let key: Vec<_> = key.into_iter().flatten().collect();
        if !key.iter().all(|name| item.contains_key(*name)) {
            return 0.0;
        }
        let projected = index.projected.iter().map(String::as_str).filter(|name| item.contains_key(*name));
        let names: BTreeSet<_> = [keys::PK, keys::SK].into_iter().chain(key).chain(projected).collect();
        ITEM_OVERHEAD + names.into_iter().map(|name| size(&item, name)).sum::<f64>()
    };
    let all: f64 = item.keys().map(|name| size(&item, name)).sum();
    let entries: f64 = sandbox.template.table.indexes.values().map(entry).sum();
    Ok(ITEM_OVERHEAD + all + entries)
}

/// Returns the size of an attribute in bytes: the length of its name plus the size of its value. A text has its length.
/// A number has one byte for every two digits, and one more.
fn size(item: &HashMap<String, AttributeValue>, name: &str) -> f64 {
    let value = match item.get(name) {
        Some(AttributeValue::S(text)) => text.len(),
        Some(AttributeValue::N(number)) => number.len().div_ceil(2) + 1,
        _ => 0,
    };
    f64::from(u32::try_from(name.len() + value).unwrap_or(u32::MAX))
}

fn dollars(amount: f64) -> String {
    match amount {
        amount if amount < 10.0 => format!("{amount:.2}"),
        amount => format!("{amount:.0}"),
    }
}
