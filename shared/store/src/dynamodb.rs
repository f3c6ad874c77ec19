//! The client, its limits, the conversion of items, and the calls that this crate itself may have to repeat.

pub(crate) mod batch_get;
mod calls;
#[cfg(test)]
pub(crate) mod canned;
mod client;
mod clock;
pub(crate) mod codec;
pub(crate) mod conditional_put;
pub mod limits;
mod signer;
pub(crate) mod transaction;

pub(crate) use self::client::Client;
pub use self::client::Connection;
pub use aws_sdk_dynamodb::config::Credentials;
