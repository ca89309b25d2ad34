//! Jobs: one batch each, from the packing to the knowledge of every id's fate.

pub mod claim;
pub mod expire;
mod facts;
mod finish;
pub mod intend;
mod intend_checks;
mod lease;
pub mod pack;
mod parts;
pub mod polled;
pub mod rechecked;
mod reserve;
pub mod settle;
mod settle_decide;
mod settle_write;
mod split;
pub mod submitted;
pub(super) mod withdraw;

pub use lease::JobLease;
pub(super) use lease::MISSES;
