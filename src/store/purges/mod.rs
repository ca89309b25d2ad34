//! Purges: accepted, counted, ended.

pub mod accept;
pub(super) mod canceling;
pub(super) mod finish;
mod first;
mod index;
pub mod list;
pub mod load;
mod open;
mod repair;
pub mod repeat;
pub(super) mod start;
pub mod steer;
mod sweep;
mod tags;
pub(super) mod together;
pub(super) mod turns;
mod wake;
