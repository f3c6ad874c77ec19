//! The mechanics below the access patterns: the client, and the calls that need more than one attempt.

pub(crate) mod batch_get;
mod client;
pub(crate) mod codec;
pub mod limits;
pub(crate) mod transaction;

pub use self::client::Connection;
pub use aws_sdk_dynamodb::config::Credentials;
