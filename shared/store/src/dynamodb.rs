//! The client, its limits, the conversion of items, and the calls that this crate itself may have to repeat.

pub(crate) mod batch_get;
mod client;
pub(crate) mod codec;
pub mod limits;
pub(crate) mod transaction;

pub use self::client::Connection;
pub use aws_sdk_dynamodb::config::Credentials;
