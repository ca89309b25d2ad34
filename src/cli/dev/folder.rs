//! The folder of a dev: beside the data of its Postgres, what makes the next start the same one.
//!
//! ```text
//! <folder>/dev.json      which organization is simulated; without it the folder is not a dev's
//! <folder>/key           the API key
//! <folder>/sandbox.json  what the simulated Genesys has deleted
//! ```

use std::fs::{self, DirBuilder};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::postgres::has_data;
use crate::sandbox::Memory;

const ABOUT: &str = "dev.json";
const KEY: &str = "key";
const MEMORY: &str = "sandbox.json";
const CONVERSATIONS: u32 = 10_000;
const SEED: u64 = 1;
/// The account of the database's server must be able to pass; every file is its owner's alone.
const MODE: u32 = 0o711;

#[derive(Debug, Clone)]
pub(super) struct Folder {
    path: PathBuf,
    about: About,
}

/// Which organization is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct About {
    conversations: u32,
    seed: u64,
}

impl Folder {
    /// The folder of before with what it says, or a new one. Data that no dev made are left alone.
    pub(super) fn open(path: PathBuf, conversations: Option<u32>, seed: Option<u64>) -> anyhow::Result<Self> {
        let before: Option<About> = match read(&path, ABOUT)? {
            Some(text) => {
                let file = path.join(ABOUT);
                Some(serde_json::from_str(&text).with_context(|| file.display().to_string())?)
            }
            None => None,
        };
        let Some(about) = before else {
            ensure!(
                !has_data(&path),
                "{} holds the data of a service, which `dev` leaves alone; name another folder with --data-dir",
                path.display()
            );
            DirBuilder::new()
                .recursive(true)
                .mode(MODE)
                .create(&path)
                .with_context(|| format!("{} can't be made", path.display()))?;
            let about =
                About { conversations: conversations.unwrap_or(CONVERSATIONS), seed: seed.unwrap_or(SEED) };
            let folder = Self { path, about };
            folder.write(ABOUT, &serde_json::to_string(&about)?)?;
            return Ok(folder);
        };
        let is_same = conversations.is_none_or(|wanted| wanted == about.conversations)
            && seed.is_none_or(|wanted| wanted == about.seed);
        ensure!(
            is_same,
            "the data in {} are of --conversations {} --seed {}; for another organization name another folder with \
             --data-dir",
            path.display(),
            about.conversations,
            about.seed
        );
        Ok(Self { path, about })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn conversations(&self) -> u32 {
        self.about.conversations
    }

    pub(super) const fn seed(&self) -> u64 {
        self.about.seed
    }

    /// The key of before.
    pub(super) fn key(&self) -> anyhow::Result<Option<String>> {
        Ok(read(&self.path, KEY)?.map(|key| key.trim().to_owned()))
    }

    pub(super) fn keep_key(&self, key: &str) -> anyhow::Result<()> {
        self.write(KEY, &format!("{key}\n"))
    }

    /// What the simulated Genesys of before had deleted.
    pub(super) fn memory(&self) -> anyhow::Result<Option<Memory>> {
        let Some(text) = read(&self.path, MEMORY)? else { return Ok(None) };
        let told =
            || format!("{}: remove it to have every conversation back", self.path.join(MEMORY).display());
        serde_json::from_str(&text).map(Some).with_context(told)
    }

    pub(super) fn remember(&self, memory: &Memory) -> anyhow::Result<()> {
        self.write(MEMORY, &serde_json::to_string(memory)?)
    }

    /// Whole or not at all; nobody but the owner reads it.
    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let file = self.path.join(name);
        let told = || file.display().to_string();
        let mut partial = NamedTempFile::new_in(&self.path).with_context(told)?;
        partial.write_all(text.as_bytes()).with_context(told)?;
        partial.persist(&file).with_context(told)?;
        Ok(())
    }
}

fn read(folder: &Path, name: &str) -> anyhow::Result<Option<String>> {
    let file = folder.join(name);
    match fs::read_to_string(&file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| file.display().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_stays_what_it_was_and_one_of_a_service_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a").join("b");
        let folder = Folder::open(path.clone(), Some(500), None).unwrap();
        assert_eq!((folder.conversations(), folder.seed(), folder.key().unwrap()), (500, SEED, None));
        folder.keep_key("gpk_x").unwrap();
        let again = Folder::open(path.clone(), None, Some(SEED)).unwrap();
        assert_eq!((again.conversations(), again.key().unwrap().as_deref()), (500, Some("gpk_x")));
        let other = Folder::open(path, Some(600), None).unwrap_err().to_string();
        assert!(other.contains("--conversations 500 --seed 1") && other.contains("--data-dir"), "{other}");

        let service = home.path().join("service");
        fs::create_dir_all(service.join("postgres")).unwrap();
        let refused = Folder::open(service.clone(), None, None).unwrap_err().to_string();
        assert!(refused.contains("holds the data of a service"), "{refused}");
        assert!(!service.join(ABOUT).exists());
    }
}
