//! Logs: one JSON object per line if Lambda's log format is JSON, otherwise text.
//!
//! Lambda filters the lines itself by `level`, but treats every line without a valid `timestamp` as INFO (AWS Lambda
//! developer guide, "Log-level filtering"). So each line has both at its top level.

use std::{error::Error, fmt, panic, process::ExitCode};

use domain::time;
use tracing::{error, level_filters::LevelFilter};
use tracing_subscriber::fmt::{format::Writer, time::FormatTime};

use crate::config::environment;

/// The clock of the log: UTC with milliseconds.
struct Clock;

impl FormatTime for Clock {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{}", time::now())
    }
}

/// Starts logging.
///
/// The format is JSON if `AWS_LAMBDA_LOG_FORMAT` is `JSON`, otherwise text. The level is `AWS_LAMBDA_LOG_LEVEL`, or
/// `RUST_LOG` if that is not set. It is INFO if neither is set or the value is invalid. A release build logs at most
/// DEBUG. A panic is logged as an error instead of being printed as text.
pub fn init() {
    let level = environment("AWS_LAMBDA_LOG_LEVEL").or_else(|| environment("RUST_LOG"));
    let level: LevelFilter = level.and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    let is_json = environment("AWS_LAMBDA_LOG_FORMAT").is_some_and(|format| format.eq_ignore_ascii_case("json"));
    let lines = tracing_subscriber::fmt().with_target(false).with_timer(Clock).with_max_level(level);
    if is_json {
        // At INFO and above the only span is the runtime's, with the request id. `span` has it, and `spans` would repeat
        // it, which costs a fifth of the line.
        lines.json().with_span_list(level > LevelFilter::INFO).init();
    } else {
        lines.init();
    }
    panic::set_hook(Box::new(|panic| error!(%panic, "the process panicked")));
}

/// Logs the error with which a function ended, if there is one, and returns the exit code of its process. An error that
/// `main` returned would be printed as text.
#[must_use]
pub fn exit_code(result: Result<(), Box<dyn Error + Send + Sync>>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(%error, "the function does not run");
            ExitCode::FAILURE
        }
    }
}
