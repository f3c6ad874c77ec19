//! The outcome of an event.

use domain::event::Refusal;

use crate::StoreError;

/// The outcome of an event, whatever its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The event changed an item.
    Applied,
    /// The event changed nothing: it is a repetition, the stored event takes precedence, or this kind has no effect
    /// here.
    Unchanged,
    /// The event was refused, and sending it again does not help.
    Refused(Refusal),
    /// A call to the table failed. The same event may succeed later.
    Failed(StoreError),
    /// The event took effect, but the type that it names could not be stored for its campaign. The same event must come
    /// again to store it.
    TypeNotStored {
        /// Whether the event changed an item.
        is_applied: bool,
        /// Why the type could not be stored.
        error: StoreError,
    },
}
