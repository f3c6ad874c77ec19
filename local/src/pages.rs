//! The HTML pages that only the local stack has.

pub mod docs;
pub mod home;
