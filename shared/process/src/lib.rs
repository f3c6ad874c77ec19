//! What every Lambda process needs, whatever triggers it.
//!
//! [`config`] reads the environment once at start, [`log`] writes one JSON object a line, [`intake`] is the one way in for events of
//! every source, and [`event_metrics`] counts their outcomes by wallet.

pub mod config;
pub mod event_metrics;
pub mod intake;
pub mod log;
