//! The service as its callers and operators meet it, against a real Postgres and a simulated Genesys over real sockets.

#![expect(unreachable_pub, reason = "nobody imports a test; `pub` marks what tests share")]

mod blocked;
mod conflicts;
mod crash;
mod deadlines;
mod in_doubt;
mod limits;
mod main_job;
mod support;
mod upstream_status;
mod verifying;
