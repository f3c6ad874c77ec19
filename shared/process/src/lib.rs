//! The parts that Lambda processes share, whatever triggers them.
//!
//! [`config`] reads the environment once at start. [`log`] sets up logging. [`intake`] applies parsed events, from the
//! queue and over HTTP, and [`event_metrics`] counts outcomes by wallet. [`deadline`] limits the time of an invocation.

pub mod config;
pub mod deadline;
pub mod event_metrics;
pub mod intake;
pub mod log;
