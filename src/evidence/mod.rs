//! Renders documents for others from given rows: the report of a purge, and the list of purges.
//!
//! Invariant: evidence never queries the database, never knows HTTP, and never changes values, only their form.

mod csv;
pub mod purges;
pub mod report;
