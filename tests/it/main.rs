//! The service as its callers and operators meet it, against a real Postgres and a simulated Genesys over real sockets.

#![expect(unreachable_pub, reason = "nobody imports a test; `pub` marks what tests share")]

mod main_job;
mod paused;
mod support;
mod tidy;
