//! The service as its callers and operators meet it, against a real Postgres and a simulated Genesys over real sockets.

#![expect(unreachable_pub, reason = "nobody imports a test; `pub` marks what tests share")]

mod accepting;
mod blocked;
mod books;
mod commands;
mod conflicts;
mod crash;
mod database;
mod deadlines;
mod docs_page;
mod dry_run;
mod holds;
mod in_doubt;
mod incomplete;
mod keys;
mod learned;
mod limits;
mod lost_rows;
mod main_job;
mod manners;
mod metrics;
mod openapi;
mod overlap;
mod packing;
mod parked;
mod paused;
mod plans;
mod polling;
mod reading;
mod refusing;
mod repeats;
mod retained;
mod retention_rules;
mod silence;
mod steering;
mod support;
mod tidy;
mod together;
mod turns;
mod unbuilt;
mod upgrade;
mod upstream_status;
mod verifying;
mod waking;
mod webhooks;
