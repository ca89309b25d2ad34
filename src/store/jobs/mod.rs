//! Jobs: one batch each, from packing until the result of every id is known.

pub mod claim;
mod ended;
mod ending;
mod facts;
pub mod intend;
mod intend_checks;
pub mod lease;
pub mod looks;
pub mod lost;
pub mod pack;
mod pack_apart;
mod parts;
pub mod polled;
pub(super) mod reserve;
mod search;
mod split;
pub mod submitted;
pub(super) mod withdraw;

pub use lease::JobLease;
pub(super) use lease::MISSES;
