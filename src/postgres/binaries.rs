//! Finds the server binaries of Postgres on this machine.
//!
//! Invariant: finds and asks programs for their version, never starts a server; missing ones are fetched by
//! [`super::archive`], and only on request.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::account::Account;
use super::archive::{Archive, Haste, all_cached};
use super::error::PostgresError;
use super::install;

/// The installations of Postgres on this machine, best first: folders that hold both `postgres` and `initdb`.
#[derive(Debug, Clone)]
pub struct Binaries {
    pub(super) folders: Vec<PathBuf>,
    pub(super) search_path: OsString,
}

impl Binaries {
    /// Looks in `PATH` (its value is handed in), asks `pg_config`, then goes through the places where Debian
    /// and Homebrew put what they leave out of `PATH`, newest version first.
    pub fn find(path_variable: Option<&OsStr>) -> Result<Binaries, PostgresError> {
        let path_variable = path_variable.unwrap_or_default();
        let mut folders = Vec::new();
        let candidates = std::env::split_paths(path_variable)
            .filter_map(|folder| real_parent(&folder.join("postgres")))
            .chain(folder_told_by_pg_config(path_variable))
            .chain(versions_newest_first(Path::new("/usr/lib/postgresql"), ""))
            .chain(versions_newest_first(Path::new("/opt/homebrew/opt"), "postgresql"))
            .chain(versions_newest_first(Path::new("/usr/local/opt"), "postgresql"));
        for folder in candidates {
            if has_both_programs(&folder) && !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        if folders.is_empty() {
            let os_release = fs::read_to_string("/etc/os-release").unwrap_or_default();
            return Err(PostgresError::NotInstalled {
                advice: install::advice(std::env::consts::OS, &os_release),
            });
        }
        Ok(Binaries { folders, search_path: with_standard_folders(path_variable) })
    }

    /// The same, and what was fetched before; where there is neither, the archive is fetched.
    pub async fn find_or_fetch(
        path_variable: Option<&OsStr>,
        archive: Option<&Archive>,
        cache: &Path,
        haste: Haste,
    ) -> Result<Binaries, PostgresError> {
        match Binaries::at_hand(path_variable, archive, cache) {
            Err(PostgresError::NotInstalled { advice }) => {
                let Some(archive) = archive else { return Err(PostgresError::NotInstalled { advice }) };
                match archive.fetch(cache, haste).await {
                    Ok(folder) => Ok(Binaries {
                        folders: vec![folder],
                        search_path: with_standard_folders(path_variable.unwrap_or_default()),
                    }),
                    Err(why) => Err(PostgresError::NotFetched { why, advice }),
                }
            }
            found => found,
        }
    }

    /// What is on the machine, and what was fetched before.
    pub fn at_hand(
        path_variable: Option<&OsStr>,
        archive: Option<&Archive>,
        cache: &Path,
    ) -> Result<Binaries, PostgresError> {
        let mut fetched: Vec<PathBuf> =
            archive.and_then(|archive| archive.cached(cache)).into_iter().collect();
        fetched.extend(
            all_cached(cache).into_iter().filter(|folder| !fetched.contains(folder)).collect::<Vec<_>>(),
        );
        match Binaries::find(path_variable) {
            Ok(mut binaries) => {
                binaries.folders.extend(fetched);
                Ok(binaries)
            }
            Err(PostgresError::NotInstalled { .. }) if !fetched.is_empty() => Ok(Binaries {
                folders: fetched,
                search_path: with_standard_folders(path_variable.unwrap_or_default()),
            }),
            Err(error) => Err(error),
        }
    }

    /// The folder of the one that is tried first.
    pub fn best(&self) -> &Path {
        self.folders.first().map_or(Path::new(""), PathBuf::as_path)
    }

    /// The best installation that `account` can run and that understands data made by the major version
    /// `made_by`: a newer Postgres installed beside the old one must not lock the service out of its data.
    pub(super) fn choose(
        &self,
        account: &Account,
        data_dir: &Path,
        made_by: Option<&str>,
    ) -> Result<&Path, PostgresError> {
        let mut unreachable = None;
        let mut other_versions = Vec::new();
        for folder in &self.folders {
            if let Some(barrier) = account.barrier_to(&folder.join("postgres"))? {
                unreachable.get_or_insert((folder, barrier));
                continue;
            }
            let Some(made_by) = made_by else { return Ok(folder) };
            match major_version(folder) {
                Some(version) if version == made_by => return Ok(folder),
                Some(version) => other_versions.push(version),
                None => {}
            }
        }
        Err(match (unreachable, made_by) {
            (Some((folder, barrier)), _) if other_versions.is_empty() => PostgresError::ProgramsUnreachable {
                programs: folder.clone(),
                account: account.name().to_owned(),
                barrier,
            },
            (_, made_by) => PostgresError::WrongVersion {
                data_dir: data_dir.to_owned(),
                made_by: made_by.unwrap_or_default().to_owned(),
                found: other_versions.join(", "),
            },
        })
    }

    /// The `PATH` for a shell that needs the system's own small programs.
    pub(super) fn search_path(&self) -> &OsStr {
        &self.search_path
    }
}

/// The folder that a program is really in: what stands in `PATH` may be a link to it.
fn real_parent(program: &Path) -> Option<PathBuf> {
    fs::canonicalize(program).ok()?.parent().map(Path::to_owned)
}

pub(super) fn has_both_programs(folder: &Path) -> bool {
    folder.join("postgres").is_file() && folder.join("initdb").is_file()
}

fn folder_told_by_pg_config(path_variable: &OsStr) -> Option<PathBuf> {
    let program = std::env::split_paths(path_variable)
        .map(|folder| folder.join("pg_config"))
        .find(|file| file.is_file())?;
    first_line_of(Command::new(program).arg("--bindir")).map(PathBuf::from)
}

/// The `bin` folders below `root` whose version folder's name starts with `prefix`, by version number: as text
/// "9" would be newer than "15".
fn versions_newest_first(root: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root) else { return Vec::new() };
    let mut versions: Vec<(Vec<u32>, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let version = name.to_str()?.strip_prefix(prefix)?.trim_start_matches('@');
            let numbers = version.split('.').map_while(|part| part.parse().ok()).collect();
            Some((numbers, entry.path().join("bin")))
        })
        .collect();
    versions.sort_by(|left, right| right.cmp(left));
    versions.into_iter().map(|(_, folder)| folder).collect()
}

/// The major version as the file `PG_VERSION` of a data directory spells it.
pub(super) fn major_version(folder: &Path) -> Option<String> {
    let line = first_line_of(Command::new(folder.join("postgres")).arg("--version"))?;
    parse_major_version(&line)
}

fn parse_major_version(line: &str) -> Option<String> {
    let version = line.strip_prefix("postgres (PostgreSQL) ")?;
    let major: String = version.chars().take_while(char::is_ascii_digit).collect();
    (!major.is_empty()).then_some(major)
}

fn first_line_of(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.lines().next()?.trim();
    (output.status.success() && !line.is_empty()).then(|| line.to_owned())
}

fn with_standard_folders(path_variable: &OsStr) -> OsString {
    let mut path = path_variable.to_owned();
    if !path.is_empty() {
        path.push(":");
    }
    path.push("/usr/bin:/bin");
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn install_into(folder: &Path, programs: &[&str]) {
        fs::create_dir_all(folder).unwrap();
        for program in programs {
            fs::write(folder.join(program), "").unwrap();
        }
    }

    #[test]
    fn versions_are_ordered_as_numbers() {
        let root = tempfile::tempdir().unwrap();
        for name in ["9.6", "15", "17", "9.5", "postgresql@14", "postgresql@16", "postgresql", "other"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        let names = |prefix| -> Vec<String> {
            versions_newest_first(root.path(), prefix)
                .iter()
                .map(|bin| bin.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(names("")[..4], ["17", "15", "9.6", "9.5"]);
        assert_eq!(names("postgresql"), ["postgresql@16", "postgresql@14", "postgresql"]);
        assert!(versions_newest_first(&root.path().join("absent"), "").is_empty());
    }

    #[test]
    fn a_link_in_path_leads_to_the_folder_with_initdb() {
        let root = tempfile::tempdir().unwrap();
        let real = fs::canonicalize(root.path()).unwrap().join("libexec/postgresql");
        let linked = root.path().join("bin");
        install_into(&real, &["postgres", "initdb"]);
        fs::create_dir(&linked).unwrap();
        std::os::unix::fs::symlink(real.join("postgres"), linked.join("postgres")).unwrap();

        let found = Binaries::find(Some(linked.as_os_str())).unwrap();

        assert_eq!(found.folders[0], real);
    }

    #[test]
    fn a_server_without_initdb_beside_it_is_passed_over() {
        let root = tempfile::tempdir().unwrap();
        let (half, whole) = (root.path().join("half"), root.path().join("whole"));
        install_into(&half, &["postgres"]);
        install_into(&whole, &["postgres", "initdb"]);
        let path = std::env::join_paths([&half, &whole]).unwrap();

        let found = Binaries::find(Some(&path)).unwrap();

        assert_eq!(found.folders[0], fs::canonicalize(&whole).unwrap());
    }

    #[test]
    fn the_major_version_is_read_as_data_directories_spell_it() {
        let cases = [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", Some("15")),
            ("postgres (PostgreSQL) 18beta2", Some("18")),
            ("postgres (PostgreSQL) ", None),
            ("something else 15", None),
        ];
        for (line, wanted) in cases {
            assert_eq!(parse_major_version(line).as_deref(), wanted, "{line}");
        }
    }
}
