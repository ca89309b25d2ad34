//! What is handed to others as evidence, rendered from rows that are given: today the report of a purge, and the list of purges.
//!
//! Invariant: evidence never asks the database, never knows HTTP, and never changes what it is told but for the form.

mod csv;
pub mod purges;
pub mod report;
