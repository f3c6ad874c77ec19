//! What became of an event.

use domain::event::Refusal;

use crate::StoreError;

/// What became of one event, whatever its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It changed an item.
    Applied,
    /// It is older than the stored state, a repetition, or an event that has no effect here.
    Unchanged,
    /// It is wrong, and sending it again does not help.
    Refused(Refusal),
    /// The table did not answer, so the same event may succeed later.
    Failed(StoreError),
}
