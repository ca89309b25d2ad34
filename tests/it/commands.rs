//! The program itself, as operators run it: its commands, its exit codes, its signals, and what it leaves behind.

mod demo;
mod doctor;
mod fake;
pub mod home;
mod listen;
mod logs;
mod memory;
mod newer;
mod operator;
mod purge;
mod refusals;
mod serve;
mod shell;
mod unsure;
mod watching;
mod webhooks;
