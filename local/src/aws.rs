//! Stand-ins for the AWS services that the stack uses.

pub mod dynamodb;
pub mod front;
pub mod gateway;
pub mod lambda;
pub mod local_only;
pub mod log_limit;
mod origin;
pub mod queue;
pub mod sqs;
pub mod stream;
