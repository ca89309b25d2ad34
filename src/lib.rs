//! Permanently deletes Genesys Cloud conversation archives for other systems, and proves what it did.

pub mod domain;
