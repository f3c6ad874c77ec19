//! The log of a process that panics or ends with an error.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, ExitCode};

use local::testing::runtime_api::log_lines;
use process::log;

/// The variable with which the test below starts itself as a process that panics.
const PANICS: &str = "PROCESS_PANICS";

#[test]
fn a_panic_is_a_line_that_lambda_can_filter() {
    if std::env::var_os(PANICS).is_some() {
        log::init();
        panic!("for a test");
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "a_panic_is_a_line_that_lambda_can_filter", "--nocapture"]);
    command.envs([(PANICS, "yes"), ("AWS_LAMBDA_LOG_FORMAT", "JSON"), ("AWS_LAMBDA_LOG_LEVEL", "ERROR")]);
    let output = command.output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    // The other lines are those of the test harness.
    let lines: Vec<_> = output.lines().filter(|line| line.contains("for a test")).collect();
    let [line] = &log_lines(&lines.join("\n")).unwrap()[..] else { panic!("expected one line: {output}") };
    assert_eq!((&line["level"], &line["fields"]["message"]), (&"ERROR".into(), &"the process panicked".into()));
}

#[test]
fn a_function_that_ends_with_an_error_fails_its_process() {
    let code = |result| format!("{:?}", log::exit_code(result));
    assert_eq!(code(Err("for a test".into())), format!("{:?}", ExitCode::FAILURE));
    assert_eq!(code(Ok(())), format!("{:?}", ExitCode::SUCCESS));
}
