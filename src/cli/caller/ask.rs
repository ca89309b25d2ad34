//! Asking a person before something that can't be undone. Where nobody is at a terminal, nobody is asked: scripts do as they did.

use std::fs::File;
use std::io::{BufRead as _, BufReader, IsTerminal as _, Read};

use anyhow::Context as _;

use super::output;

/// How a command ends whose question was answered with no.
pub(in crate::cli) const DECLINED: u8 = 1;

const TERMINAL: &str = "/dev/tty";
/// No answer is longer.
const LONGEST: u64 = 1024;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Consent {
    /// Don't ask. Without it a person at a terminal is asked first; a script is not.
    #[arg(long, short)]
    yes: bool,
}

impl Consent {
    /// Whether a question would reach a person; `reads_input`: the command reads standard input for something else.
    pub(in crate::cli) fn is_to_be_asked(&self, reads_input: bool) -> bool {
        !self.yes
            && std::io::stderr().is_terminal()
            && if reads_input { File::open(TERMINAL).is_ok() } else { std::io::stdin().is_terminal() }
    }

    /// Asks whether to go on, after these lines; no unless it is answered with yes.
    pub(in crate::cli) async fn asked(&self, lines: &[String], reads_input: bool) -> anyhow::Result<bool> {
        if !self.is_to_be_asked(reads_input) {
            return Ok(true);
        }
        for line in lines {
            output::note(line);
        }
        output::prompt("Type yes to go on: ");
        let (answer, told) = tokio::sync::oneshot::channel();
        // A thread of its own: the runtime would wait at its end for a read that never comes back.
        std::thread::Builder::new()
            .name("answer".to_owned())
            .spawn(move || answer.send(read(reads_input)))?;
        let answer = told.await.context("the answer could not be read")??;
        let is_yes = matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes");
        if !is_yes {
            output::note("Nothing was done.");
        }
        Ok(is_yes)
    }
}

fn read(reads_input: bool) -> std::io::Result<String> {
    let source: Box<dyn Read> =
        if reads_input { Box::new(File::open(TERMINAL)?) } else { Box::new(std::io::stdin()) };
    let mut answer = String::new();
    BufReader::new(source.take(LONGEST)).read_line(&mut answer)?;
    Ok(answer)
}
