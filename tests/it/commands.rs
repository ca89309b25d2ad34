//! The program itself, as operators run it: its commands, its exit codes, its signals, and what it leaves behind.

mod demo;
mod home;
mod operator;
mod refusals;
mod serve;
