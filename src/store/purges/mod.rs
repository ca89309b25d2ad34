//! Purges: accepted, counted, ended.

pub mod accept;
pub(super) mod finish;
pub mod load;
pub(super) mod start;
