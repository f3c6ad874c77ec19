//! What the functions of wallet registrations have in common.
//!
//! A wallet *registers* a pass when somebody adds it and *unregisters* it when the pass is removed. The modules follow the
//! way of a request from the inside out: [`id`] and [`registration`] are the domain, [`event`] is what reaches us, [`store`]
//! is the table, [`api`] is HTTP. Dependencies run in that direction only.

pub mod account;
pub mod api;
pub mod campaign;
pub mod clock;
pub mod config;
pub mod counts;
pub mod device;
pub mod event;
pub mod event_counts;
pub mod field;
pub mod id;
pub mod json;
pub mod log;
pub mod registration;
pub mod store;
