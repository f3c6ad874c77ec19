//! Tools for tests and measurements: a table of their own, proxies in front of it, and the functions' real processes.

pub mod campaigns;
pub mod faults;
pub mod google;
pub mod log_levels;
mod permissions;
pub mod recorder;
pub mod runtime_api;
pub mod sandbox;
pub mod stream_events;
