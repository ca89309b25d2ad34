//! Purges: accepted, counted, ended.

pub mod accept;
pub(super) mod finish;
pub mod list;
pub mod load;
pub(super) mod start;
mod tags;
