//! Programs that are fetched: from a server on this machine, with archives good and bad.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::postgres::archive::all_cached;

const HASTE: Haste = Haste { connect: LONG, silence: LONG, whole: LONG };

/// What the server does with everybody who asks.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Good,
    /// It closes the connection half way.
    Breaks,
    /// It says that half of it is all.
    Half,
    Missing,
    /// It sends half and then nothing, for as long as the other side waits.
    Stalls,
}

struct Host {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Host {
    fn of(archive: &'static [u8], manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                count.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || answer(stream.unwrap(), archive, manner));
            }
        });
        Self { address, asked }
    }

    fn archive(&self, content: &[u8]) -> Archive {
        Archive {
            url: format!("http://user:hunter2@{}/postgres.tgz", self.address),
            sha256: Sha256::digest(content).into(),
        }
    }

    fn times_asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn answer(mut stream: TcpStream, archive: &[u8], manner: Manner) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let half = &archive[..archive.len() / 2];
    let (told, sent) = match manner {
        Manner::Good => (archive.len(), archive),
        Manner::Half => (half.len(), half),
        Manner::Breaks | Manner::Stalls => (archive.len(), half),
        Manner::Missing => (0, &[][..]),
    };
    let status = if manner == Manner::Missing { "404 Not Found" } else { "200 OK" };
    let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {told}\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(sent);
    if manner == Manner::Stalls {
        // The end of the other side's patience.
        let _ = stream.read(&mut byte);
    }
}

/// The programs of this machine, below the folders that they are built for.
fn good() -> &'static [u8] {
    static GOOD: OnceLock<Vec<u8>> = OnceLock::new();
    GOOD.get_or_init(|| {
        let bin = binaries().best().to_owned();
        let told = Command::new(bin.join("pg_config")).args(["--sharedir", "--pkglibdir"]).output();
        let told = String::from_utf8(told.unwrap().stdout).unwrap();
        let folders = told.lines().map(PathBuf::from).chain([bin]);
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        tar.follow_symlinks(true);
        for folder in folders {
            for entry in fs::read_dir(&folder).unwrap().flatten() {
                let path = entry.path();
                let name = path.strip_prefix("/").unwrap();
                let skipped = ["bitcode", "man", "pgxs"].iter().any(|skipped| path.ends_with(skipped));
                if path.is_dir() && !skipped {
                    tar.append_dir_all(name, &path).unwrap();
                } else if path.is_file() {
                    tar.append_path_with_name(&path, name).unwrap();
                }
            }
        }
        tar.into_inner().unwrap().finish().unwrap()
    })
}

/// An archive of text files and links, by `(path, content, or where it leads to)`.
fn made(entries: &[(&str, Result<&str, &str>)]) -> &'static [u8] {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, what) in entries {
        let mut header = tar::Header::new_gnu();
        // Written as they are: the builder refuses what an attacker would not.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_mode(0o6755);
        let content = match what {
            Ok(content) => content,
            Err(to) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.as_old_mut().linkname[..to.len()].copy_from_slice(to.as_bytes());
                ""
            }
        };
        header.set_size(content.len() as u64);
        header.set_cksum();
        tar.append(&header, content.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap().leak()
}

async fn fetch(archive: &Archive, cache: &Path, haste: Haste) -> Result<PathBuf, ArchiveError> {
    archive.fetch(cache, haste).await
}

/// What is in the cache, but for the lock.
fn left_in(cache: &Path) -> Vec<String> {
    let entries = fs::read_dir(cache.join("postgres")).unwrap().flatten();
    entries
        .map(|entry| entry.file_name().into_string().unwrap())
        .filter(|name| name != "fetch.lock")
        .collect()
}

#[tokio::test]
async fn a_server_runs_from_programs_that_two_processes_fetched_at_once() {
    let (host, folder) = (Host::of(good(), Manner::Good), passable_folder());
    let (archive, cache) = (host.archive(good()), folder.path().join("cache"));

    let both = tokio::join!(fetch(&archive, &cache, HASTE), fetch(&archive, &cache, HASTE));

    let (one, other) = (both.0.unwrap(), both.1.unwrap());
    assert_eq!((one.as_path(), host.times_asked()), (other.as_path(), 1));
    assert_eq!(left_in(&cache), [hex::encode(archive.sha256)]);
    let binaries = Binaries { folders: vec![one], search_path: "/usr/bin:/bin".into() };
    let server = Server::start(&binaries, Storage::Temporary, Durability::None).await.unwrap();
    assert_eq!(ask(server.address(), "select 6 * 7"), "42");
    server.stop().await.unwrap();

    let again = Binaries::at_hand(None, Some(&archive), &cache).unwrap();
    assert_eq!(again.folders.last(), Some(&all_cached(&cache)[0]), "the machine's own go first");
    assert_eq!(host.times_asked(), 1);
}

#[tokio::test]
async fn an_archive_that_is_not_the_right_one_leaves_nothing_behind() {
    let good = good();
    let silence = Haste { silence: Duration::from_millis(300), ..HASTE };
    for (manner, content, told) in [
        (Manner::Breaks, good, ["127.0.0.1:", "end of file"]),
        (Manner::Half, good, ["the SHA-256 of what 127.0.0.1:", "nothing of it was unpacked"]),
        (Manner::Good, &good[1..], ["the SHA-256 of what 127.0.0.1:", "expected "]),
        (Manner::Missing, good, ["127.0.0.1:", "answered 404"]),
        (Manner::Stalls, good, ["127.0.0.1:", "timed out"]),
    ] {
        let (host, folder) = (Host::of(good, manner), passable_folder());
        let haste = if manner == Manner::Stalls { silence } else { HASTE };
        let error = fetch(&host.archive(content), folder.path(), haste).await.unwrap_err().to_string();
        for told in told {
            assert!(error.contains(told) && !error.contains("hunter2"), "{error}");
        }
        assert!(left_in(folder.path()).is_empty() && all_cached(folder.path()).is_empty(), "{error}");
    }
}

#[tokio::test]
async fn what_a_killed_process_left_is_never_taken_for_whole() {
    let (host, folder) = (Host::of(good(), Manner::Good), passable_folder());
    let (archive, root) = (host.archive(good()), folder.path().join("postgres"));
    let half = root.join("partial-abc/unpacked/bin");
    fs::create_dir_all(&half).unwrap();
    for program in ["postgres", "initdb"] {
        fs::write(half.join(program), "").unwrap();
    }
    assert!(all_cached(folder.path()).is_empty());

    fetch(&archive, folder.path(), HASTE).await.unwrap();

    assert_eq!(left_in(folder.path()), [hex::encode(archive.sha256)]);
}

#[tokio::test]
async fn an_archive_that_leads_out_of_its_folder_is_refused() {
    let file = |path| (path, Ok("x"));
    for (entries, told) in [
        (vec![file("../outside")], "leads out"),
        (vec![file("a/../../outside")], "leads out"),
        (vec![file("/tmp/outside")], "leads out"),
        (vec![("bin", Err("/usr/bin"))], "leads out"),
        (vec![("bin", Err("../../bin"))], "leads out"),
        (vec![("a", Err("nowhere"))], "leads out"),
        (vec![("a", Err("../..")), ("a/b", Err("a"))], "leads out"),
        (vec![file("a"), file("a")], "File exists"),
        (vec![file("a"), file("a/b")], "could not write"),
        (vec![file("bin/postgres")], "no folder with `postgres` and `initdb`"),
        (vec![file("bin/postgres"), file("bin/initdb")], "don't run on this machine"),
        (vec![("p/native/pg-symlinks.json", Ok(r#"[{"source": "a/b", "target": "../a/c"}]"#))], "leads out"),
    ] {
        let (archive, folder) = (made(&entries), passable_folder());
        let host = Host::of(archive, Manner::Good);
        let cache = folder.path().join("cache");
        let error = fetch(&host.archive(archive), &cache, HASTE).await.unwrap_err().to_string();
        assert!(error.contains(told), "{entries:?}: {error}");
        assert!(left_in(&cache).is_empty(), "{entries:?}");
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "{entries:?}: nothing is beside the cache"
        );
    }
}

#[tokio::test]
async fn links_are_made_and_rights_are_cut() {
    let shell = "#!/bin/sh\necho 'postgres (PostgreSQL) 17.10'\n";
    let archive = made(&[
        ("p/native/bin/postgres", Ok(shell)),
        ("p/native/bin/initdb", Err("postgres")),
        ("p/native/lib/libpq.so.5.17", Ok("x")),
        (
            "p/native/pg-symlinks.json",
            Ok(r#"[{"source": "native/lib/libpq.so.5.17", "target": "native/lib/libpq.so.5"}]"#),
        ),
    ]);
    let (host, folder) = (Host::of(archive, Manner::Good), passable_folder());
    let bin = fetch(&host.archive(archive), folder.path(), HASTE).await.unwrap();
    assert_eq!(fs::read_link(bin.join("../lib/libpq.so.5")).unwrap(), Path::new("libpq.so.5.17"));
    let mode = fs::metadata(bin.join("postgres")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755, "never with the rights of its owner");
}

#[test]
fn where_nothing_works_the_message_names_the_command() {
    let why = ArchiveError::Status { host: "mirror.internal".to_owned(), status: 404 };
    let advice = "Install it with: apt-get install -y postgresql".to_owned();
    let told = PostgresError::NotFetched { why, advice }.to_string();
    assert!(told.contains("mirror.internal answered 404. Install it with: apt-get install"), "{told}");
}
