//! The AWS services that the stack uses, as they behave on one machine.

pub mod dynamodb;
pub mod front;
pub mod gateway;
pub mod lambda;
pub mod queue;
pub mod sqs;
pub mod stream;
