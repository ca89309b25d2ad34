//! Periodic tasks, a file each: no input but the store or the meters, safe to repeat, safe to run in every replica at once.
//!
//! Invariant: upkeep only finds what somebody else left, or what became of the database; no purge needs it while everybody
//! lives.

pub mod ahead;
pub mod ground;
pub mod leases;
pub mod meters;
pub mod repeats;
pub mod rules;
pub mod uses;
pub mod workers;
