//! A gzipped tar file, into a folder of its own.
//!
//! Invariant: nothing is written outside of that folder, nothing in it leads out of it, and nobody but its owner may write to it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};

use flate2::read::GzDecoder;
use serde::Deserialize;
use tar::{Archive, EntryType};

/// Bytes that an archive may unfold to.
const MOST_BYTES: u64 = 512 << 20;
const MOST_ENTRIES: usize = 20_000;
/// Packages of npm have no links: this file beside the programs lists them, by paths from the package's root.
const LINKS: &str = "pg-symlinks.json";

/// What is wrong with an archive.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    #[error("it is not a whole gzipped tar file: {0}")]
    Broken(#[source] io::Error),
    #[error("it has a path that leads out of it: {path:?}")]
    Escapes { path: String },
    #[error("it has {path:?}, which is neither a file nor a folder nor a link")]
    Kind { path: String },
    #[error("it unfolds to more than {} MiB or {MOST_ENTRIES} files", MOST_BYTES >> 20)]
    TooLarge,
    #[error("{LINKS} can't be read: {0}")]
    Links(#[source] serde_json::Error),
    #[error("could not write {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl UnpackError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    fn escapes(path: &Path) -> Self {
        Self::Escapes { path: path.display().to_string() }
    }
}

/// A link of [`LINKS`].
#[derive(Deserialize)]
struct Link {
    source: PathBuf,
    target: PathBuf,
}

/// Unpacks into a folder that it makes.
pub(super) fn into(archive: &File, folder: &Path) -> Result<(), UnpackError> {
    make(folder, folder)?;
    let mut archive = Archive::new(GzDecoder::new(archive).take(MOST_BYTES + 1));
    let (mut links, mut bytes) = (Vec::new(), 0);
    for (number, entry) in archive.entries().map_err(UnpackError::Broken)?.enumerate() {
        let mut entry = entry.map_err(UnpackError::Broken)?;
        bytes += entry.size();
        if number >= MOST_ENTRIES || bytes > MOST_BYTES {
            return Err(UnpackError::TooLarge);
        }
        let told = entry.path().map_err(UnpackError::Broken)?.into_owned();
        let path = inside(folder, &told)?;
        match entry.header().entry_type() {
            EntryType::XGlobalHeader => {}
            EntryType::Directory => make(folder, &path)?,
            EntryType::Regular | EntryType::Continuous => {
                let is_program = entry.header().mode().map_err(UnpackError::Broken)? & 0o111 != 0;
                write(folder, &path, is_program, &mut entry)?;
            }
            EntryType::Symlink => {
                let to = entry.link_name().map_err(UnpackError::Broken)?.unwrap_or_default().into_owned();
                links.push((path, to));
            }
            _ => return Err(UnpackError::Kind { path: told.display().to_string() }),
        }
    }
    links.extend(listed(folder)?);
    // After all files, so that none is written through a link.
    for (path, to) in &links {
        link(folder, path, to)?;
    }
    match links.iter().find(|(path, _)| !leads_into(folder, path)) {
        Some((_, to)) => Err(UnpackError::escapes(to)),
        None => Ok(()),
    }
}

/// Where a path of the archive is in the folder.
fn inside(folder: &Path, told: &Path) -> Result<PathBuf, UnpackError> {
    let mut path = folder.to_owned();
    for component in told.components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            _ => return Err(UnpackError::escapes(told)),
        }
    }
    Ok(path)
}

/// Makes a folder and those above it; passable for the account that runs the server, whatever the mask of this process.
fn make(root: &Path, folder: &Path) -> Result<(), UnpackError> {
    if folder != root {
        make(root, folder.parent().unwrap_or(root))?;
    }
    match DirBuilder::new().mode(0o755).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(UnpackError::io(folder)(error)),
        _ => permit(folder, 0o755),
    }
}

fn write(root: &Path, path: &Path, is_program: bool, content: &mut impl Read) -> Result<(), UnpackError> {
    make(root, path.parent().unwrap_or(root))?;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path);
    let mut file = file.map_err(UnpackError::io(path))?;
    io::copy(content, &mut file).map_err(UnpackError::Broken)?;
    permit(path, if is_program { 0o755 } else { 0o644 })
}

fn permit(path: &Path, mode: u32) -> Result<(), UnpackError> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(UnpackError::io(path))
}

/// A link is made in a folder that is really in the archive's, never in one that another link leads to.
fn link(root: &Path, path: &Path, to: &Path) -> Result<(), UnpackError> {
    let parent = path.parent().unwrap_or(root);
    if !leads_into(root, parent) {
        return Err(UnpackError::escapes(path));
    }
    symlink(to, path).map_err(UnpackError::io(path))
}

fn leads_into(root: &Path, path: &Path) -> bool {
    let real = (fs::canonicalize(root), fs::canonicalize(path));
    matches!(real, (Ok(root), Ok(path)) if path.starts_with(&root))
}

/// The links that a package of npm lists; each is beside the file that it leads to.
fn listed(folder: &Path) -> Result<Vec<(PathBuf, PathBuf)>, UnpackError> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut links = Vec::new();
    for package in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
        let Ok(text) = fs::read(package.join("native").join(LINKS)) else { continue };
        for Link { source, target } in
            serde_json::from_slice::<Vec<Link>>(&text).map_err(UnpackError::Links)?
        {
            match source.file_name() {
                Some(name) if source.parent() == target.parent() => {
                    links.push((inside(&package, &target)?, PathBuf::from(name)));
                }
                _ => return Err(UnpackError::escapes(&source)),
            }
        }
    }
    Ok(links)
}
