//! The domain of wallet registrations, free of AWS and of HTTP.
//!
//! A wallet *registers* a pass when a person adds the pass to it, and the registration ends when the pass is removed. [`event`] is
//! what reports both. [`registration`], [`campaign`], [`wallet`] and [`device`] are what an event is about, each with an id of its own
//! type in [`id`]. [`account`] is who owns campaigns, [`counts`] is how installs and uninstalls are counted. [`time`] has the one form
//! of an instant and of a day, [`fields`] reads untrusted JSON.

pub mod account;
pub mod campaign;
pub mod counts;
pub mod device;
pub mod event;
pub mod fields;
pub mod id;
pub mod json;
pub mod names;
pub mod registration;
pub mod time;
pub mod wallet;
