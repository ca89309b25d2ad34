//! What admins ask: who did what and why, which hold protects, which purges there were, and what is paused.

mod acts;
mod held;
mod lists;
mod refused;
