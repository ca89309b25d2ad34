//! genesys-purge: reads the command line and calls the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    genesys_purge::cli::run()
}
