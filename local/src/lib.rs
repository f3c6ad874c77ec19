//! The whole stack on one machine, without a cloud account, and the tools with which tests drive it.
//!
//! The idea: one process stands in for the AWS services, configured by the same `template.yaml` and calling the same handlers as on AWS.
//! It is as strict as AWS, because a more lenient stand-in would hide bugs.
//!
//! - [`template`] reads `template.yaml`, [`functions`] calls the handlers, [`stack`] puts everything together.
//! - [`aws`] stands in for the services, [`pages`] are for people, [`contract`] generates the contract of the API.
//! - [`samples`] reads the sample events, [`export`] copies the data to AWS.
//! - [`testing`] is for tests and measurements.

pub mod aws;
pub mod contract;
pub mod export;
pub mod functions;
pub mod pages;
pub mod samples;
pub mod stack;
pub mod template;
pub mod testing;
