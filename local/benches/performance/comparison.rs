//! The function that lists a campaign compared with the peer, in one run: `peer/` is the same listing written the usual
//! way. The raw copy is the lower bound.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use local::testing::sandbox::Sandbox;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    binaries,
    cost::{self, LISTER, ListingInstructions},
    measure::{self, Binary, Measured, Subject},
    stage,
    tls::{self, Tls},
};

/// The function and the peer over one table.
pub(crate) struct Pair {
    pub(crate) peer: Binary,
    pub(crate) here: Binary,
    /// Keeps the files with the roots.
    _folder: Option<TempDir>,
}

/// How a figure is shown.
#[derive(Clone, Copy)]
enum Unit {
    Milliseconds,
    Microseconds,
    Mebibytes,
    Millions,
    Thousands,
}

/// A row of the table: a figure of the peer, of the function and, if it has one, of the raw copy.
struct Row {
    name: &'static str,
    unit: Unit,
    peer: f64,
    here: f64,
    floor: Option<f64>,
    goal: &'static str,
}

impl Pair {
    /// Returns both, with a connection to the engine without TLS.
    pub(crate) fn plain(binaries: &BTreeMap<String, PathBuf>, sandbox: &Sandbox) -> Measured<Self> {
        let here = cost::binary(LISTER, binaries, sandbox)?;
        let peer = Binary { path: binaries::build_peer()?, ..here.clone() };
        Ok(Self { peer, here, _folder: None })
    }

    /// Returns the same with a connection over TLS. Each loads as many roots as on AWS.
    pub(crate) async fn over_tls(&self) -> Measured<Self> {
        let folder = tempfile::tempdir()?;
        let tls = Tls::in_front_of(&self.here.variables["AWS_ENDPOINT_URL_DYNAMODB"]).await?;
        let [mut peer, mut here] = [self.peer.clone(), self.here.clone()];
        let roots = [tls::write_system_roots(folder.path())?, tls::write_amazon_roots(folder.path())?];
        for (binary, roots) in [&mut peer, &mut here].into_iter().zip(roots) {
            binary.variables.insert("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), tls.endpoint.clone());
            binary.variables.insert("SSL_CERT_FILE".to_owned(), roots.display().to_string());
        }
        Ok(Self { peer, here, _folder: Some(folder) })
    }

    /// Returns both with the event for a page.
    pub(crate) fn subjects(&self, page: &Value) -> Vec<Subject> {
        let both = [&self.peer, &self.here];
        both.map(|binary| Subject { binary: binary.clone(), event: page.clone() }).into()
    }

    /// Returns both with the event for the page to which each one's `Link` leads.
    pub(crate) async fn next_subjects(&self, page: &Value) -> Measured<Vec<Subject>> {
        let mut subjects = self.subjects(page);
        for Subject { binary, event } in &mut subjects {
            *event = stage::next_page(page, &binary.answer(page).await?)?;
        }
        Ok(subjects)
    }

    /// Fails unless both give the same answers to the requests that are measured, and to the last page.
    pub(crate) async fn expect_same_answers(&self) -> Measured<()> {
        for per_page in [50, 1_000] {
            let page = stage::page(per_page)?;
            for subjects in [self.subjects(&page), self.next_subjects(&page).await?] {
                let [peer, here] = &subjects[..] else { return Err("expected two subjects".into()) };
                let peer = comparable(&peer.binary.answer(&peer.event).await?);
                let here = comparable(&here.binary.answer(&here.event).await?);
                for part in ["statusCode", "headers", "body"] {
                    if peer[part] != here[part] {
                        let [peer, here] = [&peer[part], &here[part]].map(ToString::to_string);
                        return Err(format!("{part}: the peer answered {peer:.1000}, the function {here:.1000}").into());
                    }
                }
            }
        }
        Ok(())
    }
}

/// Returns the parts of an answer that must be the same. A cursor is opaque, so it may have another value.
fn comparable(answer: &Value) -> Value {
    let mut headers = answer["headers"].clone();
    if let Some(Value::String(link)) = headers.get_mut("link") {
        let masked = link.split("cursor=").enumerate().map(|(place, part)| match (place, part.split_once('>')) {
            (1.., Some((_, rest))) => format!("cursor=…>{rest}"),
            _ => part.to_owned(),
        });
        *link = masked.collect();
    }
    json!({"statusCode": answer["statusCode"], "headers": headers, "body": answer["body"]})
}

/// Prints the table.
pub(crate) async fn print(functions: &BTreeMap<String, PathBuf>) -> Measured<()> {
    let sandbox = stage::build().await?;
    let plain = Pair::plain(functions, &sandbox)?;
    plain.expect_same_answers().await?;
    let over_tls = plain.over_tls().await?;
    let folder = tempfile::tempdir()?;
    let path = binaries::build_raw_copy(folder.path())?;
    let raw_copy = |per_page| Subject {
        binary: Binary { path: path.clone(), variables: raw_variables(&sandbox, per_page), limit: None },
        // It does not read its event.
        event: Value::Null,
    };

    let page = stage::page(50)?;
    let mut rows = Vec::new();
    let mut of_50 = over_tls.subjects(&page);
    of_50.push(raw_copy(50));
    let starts = measure::starts(&of_50).await?;
    let each = |of: fn(&measure::Start) -> Duration| starts.iter().map(of).map(milliseconds).collect::<Vec<_>>();
    rows.push(Row::new("start until the first request", Unit::Milliseconds, &each(|start| start.ready), ""));
    let answered = each(|start| start.answered);
    rows.push(Row::new("start until the first answer", Unit::Milliseconds, &answered, "≤ 0.12 × peer"));

    let warm = measure::warm(&of_50).await?;
    let each = |of: fn(&measure::Warm) -> f64| warm.iter().map(of).collect::<Vec<_>>();
    rows.push(Row::new("first page of 50, median", Unit::Milliseconds, &each(|warm| milliseconds(warm.median)), ""));
    let slowest = each(|warm| milliseconds(warm.slowest_percent));
    rows.push(Row::new("first page of 50, 99 of 100", Unit::Milliseconds, &slowest, ""));
    let next = measure::warm(&over_tls.next_subjects(&page).await?).await?;
    let mut of_1000 = over_tls.subjects(&stage::page(1_000)?);
    of_1000.push(raw_copy(1_000));
    let long = measure::warm(&of_1000).await?;
    for (name, warm, goal) in [
        ("processor time, first page of 50", &warm, "≤ 0.45 × peer"),
        ("processor time, a further page by `Link`", &next, "≤ 0.30 × peer"),
        ("processor time, page of 1,000", &long, "≤ 0.15 × peer"),
    ] {
        let cpu: Vec<_> = warm.iter().map(|warm| milliseconds(warm.cpu) * 1e3).collect();
        rows.push(Row::new(name, Unit::Microseconds, &cpu, goal));
    }
    let bytes = each(|warm| number(warm.peak_bytes));
    rows.push(Row::new("peak memory", Unit::Mebibytes, &bytes, "≤ 7.5 MiB"));
    let sizes = [over_tls.peer.size()?, over_tls.here.size()?, raw_copy(50).binary.size()?].map(number);
    rows.push(Row::new("binary (x86-64)", Unit::Mebibytes, &sizes, "≤ 5.5 MiB"));
    if measure::has_valgrind() {
        let peer = ListingInstructions::of(&plain.peer).await?;
        let here = ListingInstructions::of(&plain.here).await?;
        let both = |of: fn(&ListingInstructions) -> u64| [of(&peer), of(&here)].map(number);
        let (ready, first) = (both(|all| all.until_ready), both(|all| all.first_page));
        rows.push(Row::new("instructions until the first request", Unit::Millions, &ready, "≤ 1.5 M"));
        rows.push(Row::new("instructions, first page of 50", Unit::Millions, &first, "≤ 1.2 M"));
        let next = both(|all| all.next_page);
        rows.push(Row::new("instructions, a further page by `Link`", Unit::Millions, &next, "≤ 0.8 M"));
        let each = both(ListingInstructions::each_registration);
        rows.push(Row::new("instructions, each further registration", Unit::Thousands, &each, "≤ 4 k"));
    }

    println!("| over TLS | peer | here | ÷ peer | raw copy, without TLS | goal |\n|---|--:|--:|--:|--:|--:|");
    for Row { name, unit, peer, here, floor, goal } in rows {
        let floor = floor.map_or_else(String::new, |floor| unit.show(floor));
        println!("| {name} | {} | {} | {:.2} | {floor} | {goal} |", unit.show(peer), unit.show(here), here / peer);
    }
    Ok(())
}

impl Row {
    /// Returns a row with the figures of the peer, of the function and, if there are three, of the raw copy.
    fn new(name: &'static str, unit: Unit, figures: &[f64], goal: &'static str) -> Self {
        Self { name, unit, peer: figures[0], here: figures[1], floor: figures.get(2).copied(), goal }
    }
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Self::Milliseconds => format!("{value:.2} ms"),
            Self::Microseconds => format!("{value:.0} µs"),
            Self::Mebibytes => format!("{:.1} MiB", value / 1024.0 / 1024.0),
            Self::Millions => format!("{:.2} M", value / 1e6),
            Self::Thousands => format!("{:.1} k", value / 1e3),
        }
    }
}

/// Returns the variables of the raw copy. They include a query for the same page that the listing function returns.
fn raw_variables(sandbox: &Sandbox, per_page: usize) -> BTreeMap<String, String> {
    let query: Value = json!({
        "TableName": sandbox.template.table.name,
        "IndexName": "by-campaign",
        "KeyConditionExpression": "pk = :hash",
        "ExpressionAttributeValues": {":hash": {"S": format!("CAMPAIGN#{}", stage::CAMPAIGN)}},
        "ProjectionExpression": "sk, wallet, device_os, created_at",
        "Limit": per_page + 1,
    });
    let mut variables = sandbox.table_variables();
    variables.insert("RAW_QUERY".to_owned(), query.to_string());
    variables
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[expect(clippy::cast_precision_loss, reason = "it is shown with two digits")]
fn number(count: u64) -> f64 {
    count as f64
}
