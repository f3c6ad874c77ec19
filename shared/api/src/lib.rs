//! HTTP: turns an API Gateway event into a typed request, and a result or an error into a response.
//!
//! [`lambda`] runs a handler as a Lambda function. A handler finds its [`route`], parses its request with [`path`],
//! [`query`] and [`body`], checks with [`access`] that the caller may do this, and answers with [`listing`] or
//! [`json`]. A failure is an [`error::ApiError`], except in the functions for wallets and for Google's callbacks, whose
//! callers expect other answers: each has its own [`error::FunctionError`]. [`request_log`] writes one line for each
//! request.

pub mod accept;
pub mod access;
pub mod body;
pub mod error;
pub mod lambda;
pub mod listing;
pub mod path;
pub mod query;
pub mod request_log;
mod response;
pub mod route;

pub use self::response::{Body, Response, bare, json};
