//! The domain of wallet registrations, independent of AWS and of HTTP.
//!
//! A wallet *registers* a pass when a person adds the pass to it, and the registration ends when the pass is removed.
//! An [`event`] reports either. It concerns a [`registration`], its [`campaign`], [`pass`], [`wallet`] and [`device`].
//! [`google`] is what Google Wallet reports. [`id`] has a type for each kind of id, and [`text`] the error for texts
//! that are too long or malformed. [`account`] defines the accounts that own campaigns, and [`counts`] defines how installs
//! and uninstalls are counted. [`time`] defines how instants and days are written, and [`names`] the error for unknown
//! enum names. [`json`] and [`fields`] parse untrusted JSON.

pub mod account;
pub mod campaign;
pub mod counts;
pub mod device;
pub mod event;
pub mod fields;
pub mod google;
pub mod id;
pub mod json;
pub mod names;
pub mod pass;
pub mod push_target;
pub mod registration;
pub mod text;
pub mod time;
pub mod wallet;
