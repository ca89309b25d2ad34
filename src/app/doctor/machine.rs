//! This machine: the user, the folder of uploads and the address to listen on.

use std::io::{ErrorKind, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use nix::sys::statvfs::statvfs;
use nix::unistd::geteuid;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::finding::Finding;
use super::{LONGEST, too_long};
use crate::config::Settings;

/// What an id takes in a spool.
const SPOOLED_ID: u64 = 40;
const MIB: u64 = 1024 * 1024;

pub(super) async fn examine(settings: &Settings) -> Vec<Finding> {
    let (folder, largest) = (settings.intake.spool_dir.clone(), settings.intake.max_ids * SPOOLED_ID);
    // A folder on a network may hang.
    let looked = tokio::task::spawn_blocking(move || spool(&folder, largest));
    let spool = match tokio::time::timeout(LONGEST, looked).await {
        Ok(Ok(finding)) => finding,
        Ok(Err(error)) => Finding::fail("spool", error, SPOOL_REMEDY),
        Err(_) => Finding::fail("spool", too_long(), SPOOL_REMEDY),
    };
    let user = user(geteuid().is_root(), settings.database.url.is_none());
    vec![user, spool, bind(settings.server.bind).await]
}

/// Whoever gets into a process of root has the machine.
fn user(is_root: bool, is_embedded: bool) -> Finding {
    match (is_root, is_embedded) {
        (false, _) => Finding::ok("user", "not root"),
        (true, true) => Finding::warn(
            "user",
            "root: the embedded Postgres runs as another user, the service itself does not, since only root can start \
             that server anew as that user",
            "start it as a user of its own (systemd: User=); the embedded Postgres then runs as the same",
        ),
        (true, false) => Finding::warn(
            "user",
            "root, which nothing that the service does needs",
            "start it as a user of its own (systemd: User=; Docker: --user)",
        ),
    }
}

const SPOOL_REMEDY: &str = "set intake.spool_dir to a folder on a disk that the service may write to";

fn spool(folder: &Path, largest: u64) -> Finding {
    let name = folder.display();
    // It has no name, and is gone with its handle.
    let written = tempfile::tempfile_in(folder).and_then(|mut file| file.write_all(&[0; 4096]));
    if let Err(error) = written {
        return Finding::fail("spool", format_args!("{name} can't be written to: {error}"), SPOOL_REMEDY);
    }
    let free = match statvfs(folder) {
        #[expect(clippy::useless_conversion, reason = "the widths differ between systems")]
        Ok(stat) => u64::from(stat.blocks_available()).saturating_mul(u64::from(stat.fragment_size())),
        Err(error) => return Finding::fail("spool", format_args!("{name}: {error}"), SPOOL_REMEDY),
    };
    let told = format!("{name} is writable, {} MiB are free", free / MIB);
    if is_memory(folder) {
        let detail = format!("{told}, but it is memory: large uploads eat what spooling is there to save");
        return Finding::warn("spool", detail, SPOOL_REMEDY);
    }
    if free < largest {
        let detail = format!("{told}; the largest purge (intake.max_ids) takes {} MiB", largest / MIB);
        return Finding::warn("spool", detail, "make room, or lower intake.max_ids");
    }
    Finding::ok("spool", told)
}

#[cfg(target_os = "linux")]
fn is_memory(folder: &Path) -> bool {
    use nix::sys::statfs::{FsType, TMPFS_MAGIC, statfs};
    /// `RAMFS_MAGIC` of the kernel's magic.h.
    const RAMFS: FsType = FsType(0x8584_58f6);
    statfs(folder).is_ok_and(|found| [TMPFS_MAGIC, RAMFS].contains(&found.filesystem_type()))
}

#[cfg(not(target_os = "linux"))]
fn is_memory(_: &Path) -> bool {
    false
}

/// Takes the address for a moment; where somebody has it, asks whether that is a service of ours.
async fn bind(address: SocketAddr) -> Finding {
    match TcpListener::bind(address).await {
        Ok(_) => Finding::ok("address", format_args!("{address} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            let asked = tokio::time::timeout(Duration::from_secs(2), is_ours(address)).await;
            if matches!(asked, Ok(Ok(true))) {
                return Finding::ok("address", format_args!("{address}: a genesys-purge answers there"));
            }
            let detail = format!("{address} is taken by something else: `serve` can't start");
            Finding::warn("address", detail, "choose another server.bind")
        }
        Err(error) => {
            Finding::fail("address", format_args!("{address}: {error}"), "choose another server.bind")
        }
    }
}

/// The service says that it lives, in these words.
async fn is_ours(mut address: SocketAddr) -> std::io::Result<bool> {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /health/live HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(8 * 1024).read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    Ok(answer.starts_with("HTTP/1.1 200") && answer.contains(r#"{"status":"ok"}"#))
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::user;

    #[test]
    fn root_is_warned_about_and_told_why_where_only_part_of_it_is_not() {
        assert_eq!(user(false, true).verdict, Verdict::Ok);
        let (embedded, other) = (user(true, true), user(true, false));
        assert_eq!((embedded.verdict, other.verdict), (Verdict::Warn, Verdict::Warn));
        assert!(embedded.detail.contains("Postgres runs as another user"), "{}", embedded.detail);
        assert!(!other.detail.contains("Postgres"), "{}", other.detail);
    }
}
