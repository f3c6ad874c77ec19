//! Instructions and sizes of the functions: prints them as tables, records them, and guards them against growth.

use std::{collections::BTreeMap, fs, path::PathBuf};

use local::testing::sandbox::Sandbox;

use crate::{
    events,
    measure::{self, Binary, Measured},
    stage,
};

/// The file with the recorded values, with which the guard compares.
const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/performance/recorded.json");
/// How far a count may exceed its recorded value, in per cent. With another libc or processor it differs slightly.
const ALLOWANCE: u64 = 5;
/// The function that lists a campaign.
pub(crate) const LISTER: &str = "campaign-registrations";

/// The instructions of a binary that lists a campaign.
pub(crate) struct ListingInstructions {
    pub(crate) until_ready: u64,
    pub(crate) first_page: u64,
    pub(crate) next_page: u64,
    pub(crate) page_of_1000: u64,
}

impl ListingInstructions {
    pub(crate) async fn of(binary: &Binary) -> Measured<Self> {
        let (page, page_of_1000) = (stage::page(50)?, stage::page(1_000)?);
        let next_page = stage::next_page(&page, &binary.answer(&page).await?)?;
        let until_ready = binary.instructions_until_ready().await?;
        let first_page = binary.instructions_per_invoke(|_| page.clone()).await?;
        let next_page = binary.instructions_per_invoke(|_| next_page.clone()).await?;
        let page_of_1000 = binary.instructions_per_invoke(|_| page_of_1000.clone()).await?;
        Ok(Self { until_ready, first_page, next_page, page_of_1000 })
    }

    /// Returns the instructions for each registration beyond a page of 50. They vary more than the page, so the guard
    /// compares the page.
    pub(crate) fn each_registration(&self) -> u64 {
        (self.page_of_1000 - self.first_page) / 950
    }
}

/// Returns the binary of a function and its variables in the sandbox.
pub(crate) fn binary(function: &str, binaries: &BTreeMap<String, PathBuf>, sandbox: &Sandbox) -> Measured<Binary> {
    let path = binaries.get(function).ok_or_else(|| format!("there is no binary of {function}"))?.clone();
    Ok(Binary { path, variables: sandbox.variables(function), limit: None })
}

/// Measures instructions, and sizes in bytes, by name. Without valgrind it measures sizes only. The instructions of two
/// runs differ by a fraction of a per cent.
async fn counts(binaries: BTreeMap<String, PathBuf>) -> Measured<BTreeMap<String, u64>> {
    let mut counts = BTreeMap::new();
    for (function, path) in &binaries {
        counts.insert(format!("{function}: bytes"), fs::metadata(path)?.len());
    }
    if !measure::has_valgrind() {
        eprintln!("VALGRIND IS NOT INSTALLED: INSTRUCTIONS ARE NOT COUNTED");
        return Ok(counts);
    }
    let sandbox = stage::build().await?;
    let ListingInstructions { until_ready, first_page, next_page, page_of_1000 } =
        ListingInstructions::of(&binary(LISTER, &binaries, &sandbox)?).await?;
    for (name, count) in [
        ("until the first request", until_ready),
        ("for a page of 50", first_page),
        ("for a page of 50 by Link", next_page),
        ("for a page of 1,000", page_of_1000),
    ] {
        counts.insert(format!("{LISTER}: instructions {name}"), count);
    }
    for (function, name, count) in event_counts(&binaries, &sandbox).await? {
        counts.insert(format!("{function}: instructions for {name}"), count);
    }
    Ok(counts)
}

/// Counts the instructions for events, by function and name.
async fn event_counts(
    binaries: &BTreeMap<String, PathBuf>,
    sandbox: &Sandbox,
) -> Measured<Vec<(&'static str, &'static str, u64)>> {
    let (events, google) = events::all(sandbox).await?;
    let mut counts = Vec::new();
    for events::Events { function, name, parts, event } in events {
        let mut binary = binary(function, binaries, sandbox)?;
        if let Some(url) = binary.variables.get_mut("GOOGLE_KEYS_URL") {
            *url = google.url();
        }
        counts.push((function, name, binary.instructions_per_invoke(event).await? / parts));
    }
    Ok(counts)
}

/// Fails if a count exceeds its recorded value by more than [`ALLOWANCE`], or has no recorded value.
pub(crate) async fn guard(functions: BTreeMap<String, PathBuf>) -> Measured<()> {
    let recorded: BTreeMap<String, u64> = serde_json::from_str(&fs::read_to_string(RECORDED)?)?;
    let counts = counts(functions).await?;
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
pub(crate) async fn record(functions: BTreeMap<String, PathBuf>) -> Measured<()> {
    fs::write(RECORDED, serde_json::to_string_pretty(&counts(functions).await?)? + "\n")?;
    Ok(())
}

/// Prints the instructions for events.
pub(crate) async fn print_events(functions: &BTreeMap<String, PathBuf>) -> Measured<()> {
    if !measure::has_valgrind() {
        return Ok(());
    }
    println!("\n| function | event | instructions |\n|---|---|--:|");
    let sandbox = stage::build().await?;
    for (function, name, count) in event_counts(functions, &sandbox).await? {
        println!("| {function} | {name} | {} |", millions(count));
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "it is shown with two digits")]
fn millions(count: u64) -> String {
    format!("{:.2} M", count as f64 / 1e6)
}

#[expect(clippy::cast_precision_loss, reason = "it is shown with one digit")]
fn percent_more(count: u64, before: u64) -> f64 {
    (count as f64 / before as f64 - 1.0) * 100.0
}
