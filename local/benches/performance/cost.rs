//! Times, instructions and sizes: prints them as tables, records them, and guards them against growth.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use local::{samples, testing::sandbox::Sandbox};
use serde_json::{Value, json};

use crate::{
    measure::{self, Binary, Measured, Warm},
    stage,
    tls::{self, Tls},
};

/// The file with the recorded values, with which the guard compares.
const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/performance/recorded.json");
/// How far a count may exceed its recorded value, in per cent. With another libc or processor it differs slightly.
const ALLOWANCE: u64 = 5;
const LISTER: &str = "campaign-registrations";

/// The sample events that cost the same however often they are sent.
const REPEATABLE: [(&str, &str); 7] = [
    ("pass-registrations", "http/list-pass.json"),
    ("push-targets", "http/list-pass-push-targets.json"),
    ("registration-writes", "http/register.json"),
    ("registration-ingest", "sqs/source-document.json"),
    ("campaign-reports", "http/report.json"),
    ("registration-tally", "dynamodb/source-document.json"),
    ("api-contract", "http/api-contract.json"),
];

/// Measures instructions, and sizes in bytes, by name. Without valgrind it measures sizes only. The instructions of two
/// runs differ by a fraction of a per cent.
async fn counts(binaries: BTreeMap<String, PathBuf>) -> Measured<BTreeMap<String, u64>> {
    let sandbox = stage::build().await?;
    let binary = |function: &str| Binary { path: binaries[function].clone(), variables: sandbox.variables(function) };
    let mut counts = BTreeMap::new();
    for (function, path) in &binaries {
        counts.insert(format!("{function}: bytes"), fs::metadata(path)?.len());
    }
    if !measure::has_valgrind() {
        eprintln!("VALGRIND IS NOT INSTALLED: INSTRUCTIONS ARE NOT COUNTED");
        return Ok(counts);
    }
    // The page sizes are far apart, so that differences between runs hardly matter.
    let (page, long_page) = (stage::page(50)?, stage::page(550)?);
    let lister = binary(LISTER);
    counts.insert(format!("{LISTER}: instructions until the first request"), lister.instructions(&page, 0).await?);
    let fifty = lister.instructions_per_invoke(&page).await?;
    let long = lister.instructions_per_invoke(&long_page).await?;
    counts.insert(format!("{LISTER}: instructions for a page of 50"), fifty);
    counts.insert(format!("{LISTER}: instructions for each further registration"), (long - fifty) / 500);
    for (function, sample) in REPEATABLE {
        let event = samples::read(&samples::folder().join(sample))?;
        let cost = binary(function).instructions_per_invoke(&event).await?;
        counts.insert(format!("{function}: instructions for {sample}"), cost);
    }
    Ok(counts)
}

/// Fails if a count exceeds its recorded value by more than [`ALLOWANCE`], or has no recorded value. Measures the
/// binaries that `sam build` left in `folder`, or builds the binaries if there is no `folder`.
pub(crate) async fn guard(folder: Option<&Path>) -> Measured<()> {
    let binaries = folder.map_or_else(measure::build, measure::built)?;
    let recorded: BTreeMap<String, u64> = serde_json::from_str(&fs::read_to_string(RECORDED)?)?;
    let counts = counts(binaries).await?;
    let mut worse = Vec::new();
    for (name, count) in &counts {
        let Some(before) = recorded.get(name) else {
            worse.push(format!("{name}: {count}, without a recorded value"));
            continue;
        };
        println!("{count:>12}  {:>+6.1} %  {name}", percent_more(*count, *before));
        if count * 100 > before * (100 + ALLOWANCE) {
            worse.push(format!("{name}: {count}, recorded {before}"));
        }
    }
    if worse.is_empty() { Ok(()) } else { Err(format!("more than was recorded:\n{}", worse.join("\n")).into()) }
}

/// Records the values that the guard compares with.
pub(crate) async fn record(folder: Option<&Path>) -> Measured<()> {
    let binaries = folder.map_or_else(measure::build, measure::built)?;
    fs::write(RECORDED, serde_json::to_string_pretty(&counts(binaries).await?)? + "\n")?;
    Ok(())
}

/// Prints instructions and sizes.
pub(crate) async fn print_counts() -> Measured<()> {
    println!("\n| count | |\n|---|--:|");
    for (name, count) in counts(measure::build()?).await? {
        println!("| {name} | {count} |");
    }
    Ok(())
}

/// Prints times, memory and sizes next to those of the raw copy.
pub(crate) async fn print_times() -> Measured<()> {
    let binaries = measure::build()?;
    let sandbox = stage::build().await?;
    let folder = tempfile::tempdir()?;
    let event = stage::page(50)?;
    let lister = Binary { path: binaries[LISTER].clone(), variables: sandbox.variables(LISTER) };
    let raw = Binary { path: measure::build_raw_copy(folder.path())?, variables: raw_variables(&sandbox) };
    let tls = Tls::in_front_of(&lister.variables["AWS_ENDPOINT_URL_DYNAMODB"]).await?;
    let mut over_tls = lister.clone();
    over_tls.variables.insert("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), tls.endpoint);
    over_tls.variables.insert("SSL_CERT_FILE".to_owned(), tls::CERTIFICATE.to_owned());

    println!("| a page of 50 | {LISTER} | over TLS | raw copy |\n|---|--:|--:|--:|");
    let starts =
        [lister.start_times(&event).await?, over_tls.start_times(&event).await?, raw.start_times(&event).await?];
    let milliseconds = |time: std::time::Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
    row("start until the first request", &starts.map(|(ready, _)| milliseconds(ready)));
    row("start until the first answer", &starts.map(|(_, answered)| milliseconds(answered)));
    let warm = [lister.warm(&event).await?, over_tls.warm(&event).await?, raw.warm(&event).await?];
    let each = |of: fn(&Warm) -> String| warm.iter().map(of).collect::<Vec<_>>();
    row("warm, median", &each(|warm| format!("{:.2} ms", warm.median.as_secs_f64() * 1e3)));
    row("warm, 99 of 100", &each(|warm| format!("{:.2} ms", warm.slowest_percent.as_secs_f64() * 1e3)));
    row("processor time of an invoke", &each(|warm| format!("{:.0} µs", warm.cpu.as_secs_f64() * 1e6)));
    row("peak memory", &each(|warm| mebibytes(warm.peak_bytes)));
    let sizes = [lister.size()?, over_tls.size()?, raw.size()?];
    row("binary", &sizes.map(mebibytes));
    Ok(())
}

fn row(name: &str, values: &[String]) {
    println!("| {name} | {} |", values.join(" | "));
}

/// Returns the variables of the raw copy. They include a query for the same page that the listing function returns.
fn raw_variables(sandbox: &Sandbox) -> BTreeMap<String, String> {
    let query: Value = json!({
        "TableName": sandbox.template.table.name,
        "IndexName": "by-campaign",
        "KeyConditionExpression": "pk = :hash",
        "ExpressionAttributeValues": {":hash": {"S": format!("CAMPAIGN#{}", stage::CAMPAIGN)}},
        "ProjectionExpression": "sk, wallet, device_os, created_at",
        "Limit": 51,
    });
    let mut variables = sandbox.table_variables();
    variables.insert("RAW_QUERY".to_owned(), query.to_string());
    variables
}

#[expect(clippy::cast_precision_loss, reason = "it is shown with one digit")]
fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / 1024.0 / 1024.0)
}

#[expect(clippy::cast_precision_loss, reason = "it is shown with one digit")]
fn percent_more(count: u64, before: u64) -> f64 {
    (count as f64 / before as f64 - 1.0) * 100.0
}
