//! The whole stack on one machine, without a cloud account, and the tools that tests use to drive it.
//!
//! The idea: one process stands in for the AWS services. It is configured by the same `template.yaml` and calls the
//! same handlers as on AWS. It is as strict as AWS, because a more lenient stand-in would hide bugs.
//!
//! - [`template`] reads `template.yaml`, [`functions`] calls the handlers, and [`stack`] puts everything together.
//! - [`aws`] stands in for the services, [`pages`] has the HTML pages, and [`contract`] generates the OpenAPI document.
//! - [`samples`] reads the sample events, and [`export`] copies the data to AWS. [`progress`] tells how far it is.
//! - [`simulated_wallet`] simulates a wallet against any web service for passes. [`client`] sends requests to one
//!   server.
//! - [`testing`] has tools for tests and measurements.

pub mod aws;
pub mod client;
pub mod contract;
pub mod export;
pub mod functions;
pub mod pages;
pub mod progress;
pub mod samples;
pub mod simulated_wallet;
pub mod stack;
pub mod template;
pub mod testing;
