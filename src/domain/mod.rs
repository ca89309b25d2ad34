//! The decisions: what an answer of upstream, a rule or an act means for a conversation, a job or a purge.
//!
//! Everything here is a total function over plain values, tested by tables.
//!
//! Invariant: domain never waits, never reads a clock, never does IO, and names no other folder of this crate.

pub mod act;
pub mod address;
pub mod ahead;
pub mod backoff;
pub mod breaker;
pub mod clocks;
pub mod counts;
pub mod doubt;
pub mod eligibility;
pub mod endpoints;
pub mod events;
pub mod facts;
pub mod findings;
pub mod intent;
pub mod keys;
pub mod limiter;
pub mod missing;
pub mod outcome;
pub mod pace;
pub mod packing;
pub mod pieces;
pub mod progress;
pub mod reason;
pub mod recent;
pub mod retention;
pub mod retry_after;
pub mod rewind;
pub mod search;
pub mod secrets;
pub mod sight;
pub mod state;
pub mod terms;
pub mod trace_context;
pub mod unreached;
pub mod verdict;
mod words;

/// How many conversations a slice holds: the unit in which outcomes are stored, and the default size of a batch.
pub const SLICE_SIZE: usize = 500;
