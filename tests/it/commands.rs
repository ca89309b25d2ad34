//! The program itself, as operators run it: its commands, its exit codes, its signals, and what it leaves behind.

mod asking;
mod demo;
mod dev;
mod doctor;
mod fake;
pub mod home;
mod keys;
mod listen;
mod logs;
mod memory;
mod newer;
mod operator;
mod purge;
mod refusals;
mod serve;
mod shell;
mod terminal;
mod unsure;
mod verbs;
mod watching;
mod webhooks;
