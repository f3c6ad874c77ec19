//! Registrations: applying events to them, and listing those that are active.

pub(crate) mod apply;
mod batch;
pub(crate) mod items;
mod list;
mod page_reader;

pub use self::{
    apply::{Registered, Unregistered},
    list::{Collection, CreatedAtRange, Direction, Stretch},
    page_reader::Segment,
};
