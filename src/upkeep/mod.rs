//! Periodic tasks, one file each: no input but the store or the meters, safe to repeat, safe to run in every replica
//! at once.
//!
//! Invariant: upkeep only finds work that others left behind, or a database that went back in time; no purge needs it
//! while every process lives.

pub mod ahead;
pub mod ground;
pub mod leases;
pub mod meters;
pub mod repeats;
pub mod rules;
pub mod uses;
pub mod workers;
