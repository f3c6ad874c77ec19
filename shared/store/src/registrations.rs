//! Registrations: applying events to them, and listing the active ones.

pub(crate) mod apply;
mod batch;
mod callback;
mod failed_push;
pub(crate) mod items;
mod list;
mod of_device;
mod page_reader;
mod push_targets;

pub use self::{
    apply::{Registered, RegisteredForWallet, Unregistered},
    list::{Collection, CreatedAtRange, Direction, Stretch},
    of_device::{DeviceRegistration, NamedRegistration},
    page_reader::Segment,
    push_targets::{PushTargets, TargetPosition},
};
