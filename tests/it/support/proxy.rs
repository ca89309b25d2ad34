//! A way to the database that a test can close: cut it, or have it swallow what is sent.

use std::path::PathBuf;
use std::sync::Arc;

use genesys_purge::store::Place;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::postgres::TestDatabase;

/// How the way to the database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Open,
    /// Connections are cut, and new ones end at once.
    Cut,
    /// Connections are taken, and what is sent on them is swallowed: on those that there were, and on new ones. None of
    /// them ever answers again, also when the way is open for others.
    Silent,
}

/// The way, as a server of its own.
pub struct Proxy {
    way: watch::Sender<Turn>,
    port: u16,
    user: String,
    database: String,
}

/// The way, and how often it was set: a connection that was silenced stays so.
#[derive(Debug, Clone, Copy)]
struct Turn {
    way: Way,
    number: u32,
}

/// What it does with how a session begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Greeting {
    Passed,
    /// The settings that come with it are left out, as some poolers do.
    Stripped,
    /// It is passed, and later no notification is.
    Deaf,
}

impl Proxy {
    /// An open one.
    pub async fn to(database: &TestDatabase) -> Self {
        Self::with(Greeting::Passed, database).await
    }

    /// An open one that leaves out the settings with which sessions begin.
    pub async fn stripping(database: &TestDatabase) -> Self {
        Self::with(Greeting::Stripped, database).await
    }

    /// An open one that passes no notifications on.
    pub async fn deaf(database: &TestDatabase) -> Self {
        Self::with(Greeting::Deaf, database).await
    }

    async fn with(greeting: Greeting, database: &TestDatabase) -> Self {
        let Place::Socket { directory, port, user, database } = database.place() else {
            panic!("it leads to a socket alone")
        };
        let target = Arc::new(directory.join(format!(".s.PGSQL.{port}")));
        let (way, told) = watch::channel(Turn { way: Way::Open, number: 0 });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(carry(stream, Arc::clone(&target), greeting, told.clone()));
            }
        });
        Self { way, port, user, database }
    }

    /// Where a command finds it.
    pub fn url(&self) -> String {
        let Self { port, user, database, .. } = self;
        format!("postgres://{user}@127.0.0.1:{port}/{database}?sslmode=disable")
    }

    /// Where the service finds it.
    pub fn place(&self) -> Place {
        Place::Url(self.url().into())
    }

    /// From now on new connections are so; those that there are go silent, or are cut.
    pub fn set(&self, way: Way) {
        self.way.send_modify(|turn| *turn = Turn { way, number: turn.number + 1 });
    }
}

async fn carry(
    mut here: TcpStream,
    target: Arc<PathBuf>,
    greeting: Greeting,
    mut way: watch::Receiver<Turn>,
) {
    let at_first = *way.borrow_and_update();
    let mut there = None;
    if at_first.way == Way::Open {
        let there = there.insert(UnixStream::connect(&*target).await.unwrap());
        if greeting == Greeting::Stripped && strip(&mut here, there).await.is_err() {
            return;
        }
        let passing = async {
            match greeting {
                Greeting::Deaf => drop(pass_without_notifications(&mut here, there).await),
                _ => drop(copy_bidirectional(&mut here, there).await),
            }
        };
        tokio::select! {
            () = passing => return,
            _ = way.wait_for(|turn| turn.number > at_first.number) => {}
        }
    }
    // Neither the service nor the server hears anything of it.
    tokio::select! {
        () = swallow(here) => {}
        _ = way.wait_for(|turn| turn.way == Way::Cut) => {}
    }
    let _ = way.wait_for(|turn| turn.way == Way::Cut).await;
    drop(there);
}

/// Passes on what both say, but for notifications. What the server says is a letter, a length, and as much.
async fn pass_without_notifications(here: &mut TcpStream, there: &mut UnixStream) -> std::io::Result<()> {
    let ((mut from_here, to_here), (from_there, mut to_there)) = (here.split(), there.split());
    tokio::select! {
        passed = copy(&mut from_here, &mut to_there) => passed.map(drop),
        broken = pass_back(from_there, to_here) => broken,
    }
}

async fn pass_back(
    mut from: tokio::net::unix::ReadHalf<'_>,
    mut to: tokio::net::tcp::WriteHalf<'_>,
) -> std::io::Result<()> {
    const LENGTH: usize = 4;
    loop {
        let mut head = [0; 1 + LENGTH];
        from.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let mut rest = vec![0; length as usize - LENGTH];
        from.read_exact(&mut rest).await?;
        if head[0] != b'A' {
            to.write_all(&[&head[..], &rest].concat()).await?;
        }
    }
}

/// Takes what comes, until the other side closes.
async fn swallow(mut here: TcpStream) {
    let mut bytes = [0; 8192];
    while here.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
}

/// Passes on the first message: its length, the version of the protocol, and names and values, each ended by a zero; but
/// for `options`.
async fn strip(here: &mut TcpStream, there: &mut UnixStream) -> std::io::Result<()> {
    const HEAD: usize = 8;
    let mut head = [0; HEAD];
    here.read_exact(&mut head).await?;
    let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
    let mut texts = vec![0; length as usize - HEAD];
    here.read_exact(&mut texts).await?;
    let texts: Vec<&[u8]> = texts.split(|byte| *byte == 0).collect();
    let kept = texts.chunks_exact(2).filter(|pair| pair[0] != b"options" && !pair[0].is_empty());
    let mut kept: Vec<u8> = kept.flat_map(|pair| [pair[0], b"\0", pair[1], b"\0"].concat()).collect();
    kept.push(0);
    let length = u32::try_from(HEAD + kept.len()).unwrap();
    there.write_all(&[&length.to_be_bytes(), &head[4..], &kept].concat()).await
}
