//! Logs: lines of JSON on AWS, of text elsewhere, at the level that Lambda's logging controls set.

use tracing::error;

use crate::config::ConfigError;

/// Starts logging for a function's process.
pub fn init() {
    lambda_http::tracing::init_default_subscriber();
}

/// Says why a function does not start.
pub fn not_started(error: &ConfigError) {
    error!(%error, "the function does not start");
}
