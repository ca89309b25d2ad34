//! genesys-purge
fn main() {}
