//! An upstream for tests that speaks raw TCP, so that it can break off wherever it likes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// How much of a request is read before it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// Nothing: the script sees an empty request.
    Nothing,
    FirstByte,
    Head,
    Whole,
}

/// What becomes of a connection.
#[derive(Debug, Clone)]
pub(super) enum Act {
    /// Writes this and waits for another request.
    Answer(Vec<u8>),
    /// Writes this and hangs up.
    AnswerAndClose(Vec<u8>),
    /// Writes this and neither writes nor hangs up ever after.
    AnswerAndHang(Vec<u8>),
}

/// A request as far as it was read.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// Counted from 0, in the order of accepting.
    pub(super) connection: usize,
    /// Counted from 0, on this connection.
    pub(super) nth: usize,
    /// `POST /path`.
    pub(super) line: String,
    /// By lower-case name.
    pub(super) headers: HashMap<String, String>,
    pub(super) body: String,
}

type Script = Box<dyn FnMut(&Seen) -> Act + Send>;

/// A listener on loopback that does as its script says, and remembers what it saw.
pub(super) struct RawUpstream {
    pub(super) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    accepting: JoinHandle<()>,
}

impl Drop for RawUpstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl RawUpstream {
    /// Reads whole requests.
    pub(super) async fn start(script: impl FnMut(&Seen) -> Act + Send + 'static) -> Self {
        Self::reading(|_, _| Read::Whole, script).await
    }

    /// Reads as much of the nth request of a connection as it is told.
    pub(super) async fn reading(
        read: impl Fn(usize, usize) -> Read + Send + Sync + 'static,
        script: impl FnMut(&Seen) -> Act + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Box::new(script)));
        let read = Arc::new(read);
        let log = Arc::clone(&seen);
        let accepting = tokio::spawn(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let (read, script, log) = (Arc::clone(&read), Arc::clone(&script), Arc::clone(&log));
                tokio::spawn(async move { serve(stream, connection, &*read, &script, &log).await });
            }
        });
        Self { url, seen, accepting }
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap()
    }

    /// The requests with this line.
    pub(super) fn seen_by(&self, line: &str) -> Vec<Seen> {
        self.seen().iter().filter(|seen| seen.line == line).cloned().collect()
    }
}

async fn serve(
    mut stream: TcpStream,
    connection: usize,
    read: &(impl Fn(usize, usize) -> Read + Send + Sync),
    script: &Mutex<Script>,
    log: &Mutex<Vec<Seen>>,
) {
    for nth in 0.. {
        let Some(seen) = read_request(&mut stream, connection, nth, read(connection, nth)).await else {
            return;
        };
        log.lock().unwrap().push(seen.clone());
        let act = (script.lock().unwrap())(&seen);
        match act {
            Act::Answer(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Act::AnswerAndClose(bytes) => {
                let _ = stream.write_all(&bytes).await;
                return;
            }
            Act::AnswerAndHang(bytes) => {
                let _ = stream.write_all(&bytes).await;
                return std::future::pending().await;
            }
        }
    }
}

/// `None` once the peer has hung up.
async fn read_request(stream: &mut TcpStream, connection: usize, nth: usize, read: Read) -> Option<Seen> {
    let mut seen =
        Seen { connection, nth, line: String::new(), headers: HashMap::new(), body: String::new() };
    if read == Read::Nothing {
        return Some(seen);
    }
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
        if read == Read::FirstByte {
            return Some(seen);
        }
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    seen.line = lines.next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
    for line in lines {
        if let Some((name, value)) = line.split_once(':') {
            seen.headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    if read == Read::Whole {
        let length = seen.headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        seen.body = String::from_utf8(body).unwrap();
    }
    Some(seen)
}

/// A whole answer.
pub(super) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head += name;
        head += ": ";
        head += value;
        head += "\r\n";
    }
    format!("{head}\r\n{body}").into_bytes()
}
