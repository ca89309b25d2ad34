//! `completions` and `man`: what a shell and `man` know of this program.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap_complete::Shell;
use clap_mangen::Man;

use super::output;

#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// Write a page for each command to this folder, which must be there. Left out: the page of the program itself goes to
    /// standard output.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints what the shell loads.
pub(super) fn completions(mut command: clap::Command, args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    output::bytes(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints a page, or writes all.
pub(super) fn man(command: clap::Command, args: &ManArgs) -> anyhow::Result<ExitCode> {
    if let Some(folder) = &args.out {
        clap_mangen::generate_to(command, folder).with_context(|| folder.display().to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    output::bytes(&page)?;
    Ok(ExitCode::SUCCESS)
}
