//! Connections that break while a body is being sent.

use genesys_purge::sandbox::Kind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use uuid::Uuid;

use super::Desk;

/// Sends the head of a request and the beginning of its body, with nothing in between that would make it whole.
async fn begin(desk: &Desk, media_type: &str, framing: &str, beginning: &str) -> TcpStream {
    let mut stream = TcpStream::connect(desk.test.url.trim_start_matches("http://")).await.unwrap();
    let head = format!(
        "POST /purges HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Type: {media_type}\r\n\
         {framing}\r\n\r\n{beginning}",
        desk.test.key
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    stream
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let desk = Desk::open().await;
    let ids = desk.test.ids_of(Kind::Eligible);
    let lines = ids[..50].iter().map(Uuid::to_string).collect::<Vec<_>>().join("\n");
    let chunk = format!("{:x}\r\n{lines}\r\n", lines.len());
    let uploads = [
        ("text/csv", "Transfer-Encoding: chunked".to_owned(), chunk.as_str()),
        ("text/csv", format!("Content-Length: {}", lines.len() + 1), lines.as_str()),
    ];
    for (media_type, framing, beginning) in &uploads {
        let stream = begin(&desk, media_type, framing, beginning).await;
        desk.spool.until(true).await;
        drop(stream);
        desk.spool.until(false).await;
        desk.assert_left_nothing().await;
    }
}

#[tokio::test]
async fn a_client_that_closes_only_its_own_side_is_told_that_nothing_was_accepted() {
    let desk = Desk::open().await;
    let id = desk.test.ids_of(Kind::Eligible)[0];
    let json = format!("{{\"conversationIds\": [\"{id}\"]}}");
    let bodies = [
        ("text/csv", format!("{id}\n")),
        ("application/x-ndjson", format!("\"{id}\"\n")),
        ("application/json", json),
    ];
    for (media_type, body) in bodies {
        let mut stream =
            begin(&desk, media_type, &format!("Content-Length: {}", body.len() + 1), &body).await;
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 ") || answer.is_empty(), "{media_type}: {answer}");
        assert!(answer.is_empty() || answer.contains("\"code\":\"broken_body\""), "{media_type}: {answer}");
        desk.assert_left_nothing().await;
    }
}

#[tokio::test]
async fn chunks_that_are_malformed_leave_nothing() {
    let desk = Desk::open().await;
    let id = desk.test.ids_of(Kind::Eligible)[0];
    let mut stream =
        begin(&desk, "text/csv", "Transfer-Encoding: chunked", &format!("25\r\n{id}\n\r\nzz\r\nnot a chunk"))
            .await;
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    desk.assert_left_nothing().await;
}
