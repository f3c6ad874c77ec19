//! The whole stack on one machine, and what tests need of it.
//!
//! [`template`] reads `template.yaml`; [`engine`] is the table, [`gateway`] and [`front`] are API Gateway, [`queue`] and
//! [`queue_front`] are SQS, [`lambda_front`] is Lambda; [`stream`] feeds the function that counts; [`contract`] and [`docs`] tell
//! what the API promises, [`start`] where to begin; [`export`] takes the data elsewhere; [`functions`] calls the handlers that Lambda runs; [`stack`] puts them together. [`runtime_api`],
//! [`sandbox`], [`recorder`], [`faults`] and [`crowd`] serve tests.

pub mod contract;
pub mod crowd;
pub mod docs;
pub mod engine;
pub mod export;
pub mod faults;
pub mod front;
pub mod functions;
pub mod gateway;
pub mod lambda_front;
pub mod queue;
pub mod queue_front;
pub mod recorder;
pub mod runtime_api;
pub mod samples;
pub mod sandbox;
pub mod stack;
pub mod start;
pub mod stream;
pub mod template;
