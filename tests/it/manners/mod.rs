//! HTTP manners: what any client, proxy or tracing system may expect of a good server.

mod connections;
mod crowded;
mod folding;
mod head;
mod http2;
mod negotiating;
mod protocols;
mod tags;
mod waiting;

use std::time::Duration;

use genesys_purge::app::Role;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Setup, TestService};

/// So long that only a real failure takes longer.
const LONG: Duration = Duration::from_secs(30);

/// A service that only takes requests.
async fn desk() -> TestService {
    Setup::new().role(Role::Api).start().await
}

/// A connection of the test's own, byte by byte.
pub struct Wire(TcpStream);

impl Wire {
    pub async fn open(test: &TestService) -> Self {
        Self(TcpStream::connect(test.url.trim_start_matches("http://")).await.unwrap())
    }

    /// The client's port.
    fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    pub async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// The head of a request, with the key and these lines.
    async fn send_head(&mut self, test: &TestService, request: &str, lines: &[&str]) {
        let lines: String = lines.iter().flat_map(|line| [line, "\r\n"]).collect();
        let key = &test.key;
        self.send(&format!(
            "{request} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n{lines}\r\n"
        ))
        .await;
    }

    /// Everything until the service closes the connection.
    pub async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        // A reset is an end, too.
        let _ = timeout(LONG, self.0.read_to_end(&mut rest)).await.expect("the connection was never closed");
        String::from_utf8_lossy(&rest).into_owned()
    }

    /// Reads until this text has come.
    pub async fn until(&mut self, text: &str) -> String {
        let mut read = Vec::new();
        while !String::from_utf8_lossy(&read).contains(text) {
            let byte = timeout(LONG, self.0.read_u8()).await;
            let byte =
                byte.unwrap_or_else(|_| panic!("{text} never came: {}", String::from_utf8_lossy(&read)));
            read.push(
                byte.unwrap_or_else(|_| panic!("{text} did not come: {}", String::from_utf8_lossy(&read))),
            );
        }
        String::from_utf8_lossy(&read).into_owned()
    }
}

/// Whether the service holds its end of the connection from that port, or from any; it does even where the client has
/// closed its own.
fn is_held(test: &TestService, port: Option<u16>) -> bool {
    ends(test).any(|remote| port.is_none_or(|port| remote.ends_with(&format!(":{port:04X}"))))
}

/// How many connections the service holds.
fn held(test: &TestService) -> usize {
    ends(test).count()
}

/// The other ends of the service's connections, as the kernel lists them: open ones, and those that wait for the service
/// to close them.
fn ends(test: &TestService) -> impl Iterator<Item = String> {
    let own: u16 = test.url.rsplit(':').next().unwrap().parse().unwrap();
    let own = format!("0100007F:{own:04X}");
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let rows: Vec<Vec<String>> =
        table.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect();
    rows.into_iter()
        .filter(move |row| row[1] == own && ["01", "08"].contains(&&*row[3]))
        .map(|row| row[2].clone())
}
