//! Reading files, and what is wrong with those that can't be read.
//!
//! Invariant: no line of a file gets into an error, since the parsers' own messages quote lines that hold secrets; and
//! `.env` never gets into the environment of the process.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{ConfigError, Environment};

/// The text of a file; none where it does not exist. `name` is what errors call it.
pub(super) fn read_file(path: &Path, name: &str) -> Result<Option<String>, ConfigError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ConfigError::source(name, format!("can't be read: {error}"))),
    }
}

/// Whether others may read a file, or change it: everybody, or an owner who is neither root nor this process.
pub(super) fn is_exposed(path: &Path) -> bool {
    let own = nix::unistd::geteuid().as_raw();
    std::fs::metadata(path).is_ok_and(|found| found.mode() & 0o006 != 0 || ![0, own].contains(&found.uid()))
}

/// The variables of the `.env` file in `dir`; none where it does not exist.
pub(super) fn read_dotenv(dir: &Path) -> Result<Environment, ConfigError> {
    let Some(text) = read_file(&dir.join(".env"), ".env")? else { return Ok(Environment::default()) };
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let pairs = dotenvy::from_read_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
    let pairs = pairs.map_err(|error| ConfigError::source(".env", dotenv_problem(text, &error)))?;
    Ok(pairs.into_iter().collect())
}

/// The parser's own message quotes the line, which may hold a secret: the line's number tells as much.
fn dotenv_problem(text: &str, error: &dotenvy::Error) -> String {
    let expected = "expected NAME=value, with values in quotes if they contain spaces";
    let dotenvy::Error::LineParse(bad, _) = error else { return expected.to_owned() };
    let first = bad.lines().next().unwrap_or_default();
    match text.lines().position(|line| line == first) {
        Some(index) => format!("line {} can't be read: {expected}", index + 1),
        None => expected.to_owned(),
    }
}

/// The parser's own message quotes the line, which may hold a secret: its first and last lines say where and what.
pub(super) fn toml_problem(error: &::config::ConfigError) -> String {
    let ::config::ConfigError::FileParse { cause, .. } = error else { return error.to_string() };
    let text = cause.to_string();
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    match lines.as_slice() {
        [place, .., problem] if place.starts_with("TOML parse error") => format!("{place}: {problem}"),
        _ => "is not valid TOML".to_owned(),
    }
}
