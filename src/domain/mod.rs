//! The decisions: what an answer of upstream, a rule or an act means for a conversation, a job or a purge.
//!
//! Everything here is a total function over plain values, tested by tables.
//!
//! Invariant: domain never waits, never reads a clock, never does IO, and names no other folder of this crate.

pub mod facts;
