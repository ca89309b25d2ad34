//! HTTP manners: what any client, proxy or tracing system may expect of a good server.

mod connections;
mod folding;
mod negotiating;
mod protocols;
mod tags;

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
struct Wire(TcpStream);

impl Wire {
    async fn open(test: &TestService) -> Self {
        Self(TcpStream::connect(test.url.trim_start_matches("http://")).await.unwrap())
    }

    async fn send(&mut self, text: &str) {
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
    async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        // A reset is an end, too.
        let _ = timeout(LONG, self.0.read_to_end(&mut rest)).await.expect("the connection was never closed");
        String::from_utf8_lossy(&rest).into_owned()
    }

    /// Reads until this text has come.
    async fn until(&mut self, text: &str) -> String {
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
