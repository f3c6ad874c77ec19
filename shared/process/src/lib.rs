//! The parts that Lambda processes share, whatever triggers them.
//!
//! [`config`] reads the environment once at start. [`log`] sets up logging. [`intake`] parses and applies events,
//! whatever their source, and [`event_metrics`] counts their outcomes by wallet. [`deadline`] limits the time of an
//! invocation.

pub mod config;
pub mod deadline;
pub mod event_metrics;
pub mod intake;
pub mod log;
