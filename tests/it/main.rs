//! The service as its callers and operators meet it, against a real Postgres and a simulated Genesys over real sockets.

#![expect(unreachable_pub, reason = "nobody imports a test; `pub` marks what tests share")]

mod accepting;
mod books;
mod commands;
mod dry_run;
mod holds;
mod keys;
mod main_job;
mod openapi;
mod overlap;
mod packing;
mod paused;
mod reading;
mod refusing;
mod support;
mod tidy;
mod unbuilt;
mod webhooks;
