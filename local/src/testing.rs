//! What tests and measurements need: a table of their own, and proxies and processes around it.

pub mod campaigns;
pub mod faults;
pub mod recorder;
pub mod runtime_api;
pub mod sandbox;
