//! Turns the callbacks of Google Wallet into installs and uninstalls.

pub mod published_keys;
pub mod verification;
