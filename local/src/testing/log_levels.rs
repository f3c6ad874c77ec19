//! Runs a real binary at every log level that the template allows, and checks that Lambda can filter what it writes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    runtime_api::{LambdaProcess, log_lines},
    sandbox::{Sandbox, SandboxError},
};
use crate::template::{LogMetric, Template};

/// The levels from the most detailed one on, as Lambda orders them.
const LEVELS: [&str; 5] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"];
/// The place of the level INFO in [`LEVELS`].
const INFO: usize = 2;
/// Parts of the sample events that no line may contain: the key in its header, a device identifier, a push token and the
/// authentication token of a pass.
const SECRETS: [&str; 4] = ["ZGVtbzpkZW1v", "0f1e2d3c4b5a", "c0ffee00c0ffee", "c0ffee314159"];

/// Runs the binary of `function` once for each value of the parameter `LogLevel`: with `events`, with an event that is
/// invalid, without a working table and without its variables. Returns the metrics that its lines count at the most
/// detailed level.
///
/// # Errors
///
/// If a line is not an object with a `timestamp` and a `level`, has a lower level than the parameter says, repeats its
/// span in a list at INFO or above, or contains a secret. Also if a line of INFO or above is missing at a level that
/// should have it, or a metric does not count at each level what the parameter's description promises.
pub async fn expect_filterable_log(
    function: &str,
    binary: &str,
    events: &[Value],
) -> Result<BTreeSet<String>, SandboxError> {
    let template = Template::read(&Template::default_path())?;
    let mut lines_of_level = BTreeMap::new();
    for level in &template.log_levels {
        lines_of_level.insert(rank(level)?, lines(function, binary, events, level).await?);
    }
    let Some((_, most_detailed)) = lines_of_level.first_key_value() else {
        return Err("the parameter LogLevel has no values".into());
    };
    for (lowest, lines) in &lines_of_level {
        let repeating = lines.iter().find(|line| line.get("spans").is_some());
        if let Some(line) = repeating.filter(|_| *lowest >= INFO) {
            return Err(format!("{function} repeats the span: {line}").into());
        }
        // What dependencies log at DEBUG depends on timing.
        let from = (*lowest).max(INFO);
        let (expected, found) = (summary(most_detailed, from)?, summary(lines, from)?);
        if expected != found || lines.iter().any(|line| rank_of(line).is_ok_and(|rank| rank < *lowest)) {
            return Err(format!("{function} at {}: expected {expected:?}, found {lines:?}", LEVELS[*lowest]).into());
        }
        for metric in &template.log_metrics {
            let counts = |lines: &[Value]| lines.iter().filter(|line| counts_for(line, metric)).count();
            let is_promised = !metric.is_divided || *lowest <= INFO;
            let expected = if is_promised { counts(most_detailed) } else { 0 };
            if counts(lines) != expected {
                return Err(format!("{function} at {}: {} counts other lines", LEVELS[*lowest], metric.name).into());
            }
        }
    }
    let counted =
        template.log_metrics.iter().filter(|metric| most_detailed.iter().any(|line| counts_for(line, metric)));
    Ok(counted.map(|metric| metric.name.clone()).collect())
}

/// Returns what the binary writes at a level.
async fn lines(function: &str, binary: &str, events: &[Value], level: &str) -> Result<Vec<Value>, SandboxError> {
    let sandbox = Sandbox::with_first_events().await?;
    let mut variables = sandbox.variables(function);
    variables.insert("AWS_LAMBDA_LOG_LEVEL".to_owned(), level.to_owned());
    let mut process = LambdaProcess::start(binary, variables.clone()).await?;
    for event in events.iter().chain([&Value::Null]) {
        // Whether the function accepts the event is not the question here.
        let _ = process.invoke(event).await?;
    }
    let mut output = process.stop().await?;
    if variables.contains_key("TABLE_NAME") {
        let mut without_table = variables.clone();
        without_table.insert("TABLE_NAME".to_owned(), "another-table".to_owned());
        let mut process = LambdaProcess::start(binary, without_table).await?;
        for event in events {
            let _ = process.invoke(event).await?;
        }
        output += &process.stop().await?;
        variables.remove("TABLE_NAME");
        output += &LambdaProcess::start(binary, variables).await?.ended().await?;
    }
    if let Some(secret) = SECRETS.iter().find(|secret| output.contains(**secret)) {
        return Err(format!("{function} at {level} logs {secret}").into());
    }
    Ok(log_lines(&output)?)
}

fn rank(level: &str) -> Result<usize, String> {
    let known = LEVELS.iter().position(|known| *known == level);
    known.ok_or_else(|| format!("Lambda has no log level {level}"))
}

fn rank_of(line: &Value) -> Result<usize, String> {
    rank(line["level"].as_str().unwrap_or_default())
}

/// Returns level and message of each line that has at least the level `from`.
fn summary(lines: &[Value], from: usize) -> Result<Vec<(usize, &str)>, String> {
    let all = lines.iter().map(|line| Ok((rank_of(line)?, line["fields"]["message"].as_str().unwrap_or_default())));
    let all = all.collect::<Result<Vec<_>, String>>()?;
    Ok(all.into_iter().filter(|(rank, _)| *rank >= from).collect())
}

fn counts_for(line: &Value, metric: &LogMetric) -> bool {
    line["fields"][&metric.field].as_i64().is_some_and(|number| number >= metric.at_least)
}
