//! Who the server runs as: Postgres refuses to run as root.
//!
//! Invariant: nothing here changes the identity of this process, only of the children that it starts.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, User, fchown, geteuid};

use super::error::PostgresError;

/// Prints the first of its arguments that the account may not enter (a folder) or execute (a file). Asking the
/// kernel as that account is right where permission bits alone mislead, as with access control lists.
const FIND_BARRIER: &str = r#"for step; do [ -x "$step" ] || { printf %s "$step"; exit 1; }; done"#;

/// The user that the server and its data belong to.
#[derive(Debug, Clone)]
pub(super) struct Account {
    name: String,
    uid: Uid,
    gid: Gid,
    is_someone_else: bool,
}

impl Account {
    /// The current user; as root the owner of the data that are already there, else `postgres`, else `nobody`.
    pub(super) fn choose(data_dir: &Path, owner_of_data: Option<u32>) -> Result<Account, PostgresError> {
        let me = geteuid();
        if !me.is_root() {
            let user = by_uid(me)?.ok_or(PostgresError::NoPasswdEntry { uid: me.as_raw() })?;
            return match owner_of_data {
                Some(owner) if owner != me.as_raw() => {
                    Err(PostgresError::WrongOwner { data_dir: data_dir.to_owned(), owner })
                }
                _ => Ok(Account::of(user, false)),
            };
        }
        // A folder that is still root's is one that a start which was killed had no time to hand over.
        if let Some(owner) = owner_of_data.filter(|uid| *uid != 0) {
            let user = by_uid(Uid::from_raw(owner))?.ok_or(PostgresError::NoPasswdEntry { uid: owner })?;
            return Ok(Account::of(user, true));
        }
        for name in ["postgres", "nobody"] {
            let user = User::from_name(name).map_err(lookup_failed)?;
            if let Some(user) = user.filter(|user| !user.uid.is_root()) {
                return Ok(Account::of(user, true));
            }
        }
        Err(PostgresError::NoAccount)
    }

    fn of(user: User, is_someone_else: bool) -> Account {
        Account { name: user.name, uid: user.uid, gid: user.gid, is_someone_else }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether this process has to drop its privileges for it.
    pub(super) fn is_someone_else(&self) -> bool {
        self.is_someone_else
    }

    /// A command that will run as this account.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        if self.is_someone_else {
            // The standard library drops root's supplementary groups together with the user id.
            command.uid(self.uid.as_raw()).gid(self.gid.as_raw());
        }
        command
    }

    /// Hands a folder over to this account: the one that has this name, never one that a link leads to.
    pub(super) fn give(&self, folder: &Path) -> Result<(), PostgresError> {
        if !self.is_someone_else {
            return Ok(());
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let opened = match open(folder, flags, Mode::empty()) {
            Err(Errno::ENOTDIR | Errno::ELOOP) => {
                return Err(PostgresError::NotAFolder { path: folder.to_owned() });
            }
            opened => opened.map_err(|errno| PostgresError::io("open", folder)(errno.into()))?,
        };
        fchown(opened, Some(self.uid), Some(self.gid))
            .map_err(|errno| PostgresError::io("hand over", folder)(errno.into()))
    }

    /// The first step on the way to `path`, itself included, that this account may not enter or execute.
    /// Only asked of an account that is not our own: our own failures tell their path themselves.
    pub(super) fn barrier_to(&self, path: &Path) -> Result<Option<PathBuf>, PostgresError> {
        if !self.is_someone_else {
            return Ok(None);
        }
        let mut steps: Vec<&Path> = path.ancestors().collect();
        steps.reverse();
        let output = self
            .command("/bin/sh")
            .args(["-c", FIND_BARRIER, "sh"])
            .args(steps)
            .current_dir("/")
            .env_clear()
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .map_err(PostgresError::io("run", Path::new("/bin/sh")))?;
        Ok((!output.status.success()).then(|| PathBuf::from(OsString::from_vec(output.stdout))))
    }
}

/// The home folder of the user that this process runs as.
pub(super) fn home() -> Option<PathBuf> {
    User::from_uid(geteuid()).ok().flatten().map(|user| user.dir)
}

fn by_uid(uid: Uid) -> Result<Option<User>, PostgresError> {
    User::from_uid(uid).map_err(lookup_failed)
}

fn lookup_failed(errno: nix::Error) -> PostgresError {
    PostgresError::io("read", Path::new("/etc/passwd"))(errno.into())
}
