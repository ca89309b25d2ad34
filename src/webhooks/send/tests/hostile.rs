//! Receivers that answer as they should not: each costs its own delivery, and no more than its time.

use std::io::Write as _;
use std::time::Instant;

use futures_util::future::join_all;
use tokio::net::TcpStream;

use super::*;

/// Short enough to wait for, long enough for what has to be done before it is over.
const BRIEF: Duration = Duration::from_millis(700);

/// Serves the first connection like this, once its request begins to come.
async fn listener<F>(serve: impl FnOnce(TcpStream) -> F + Send + 'static) -> String
where
    F: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_exact(&mut [0]).await.unwrap();
        serve(stream).await;
    });
    url
}

/// Answers with this, and then says nothing more.
async fn answering(answer: &'static [u8]) -> String {
    listener(move |mut stream| async move {
        stream.write_all(answer).await.unwrap();
        std::future::pending::<()>().await;
    })
    .await
}

/// Answers with this, and then with that again and again.
async fn repeating(head: &'static str, piece: &'static [u8], pause: Duration) -> String {
    listener(move |mut stream| async move {
        let mut sent = stream.write_all(head.as_bytes()).await;
        while sent.is_ok() {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            sent = stream.write_all(piece).await;
        }
    })
    .await
}

async fn error_of(url: &str, timeout: Duration) -> SendError {
    send_to(url, timeout).await.unwrap_err()
}

#[tokio::test]
async fn headers_without_end_are_given_up_long_before_the_time_is() {
    static LINE: [u8; 4096] = [b'a'; 4096];
    for (head, piece) in [
        ("HTTP/1.1 200 OK\r\n", b"x-more: and more\r\n".as_slice()),
        ("HTTP/1.1 200 OK\r\nx-long: ", &LINE),
        ("", &LINE),
    ] {
        let url = repeating(head, piece, Duration::ZERO).await;
        let error = error_of(&url, PATIENT).await;
        assert!(matches!(error, SendError::Transport(_)), "{head:?}: {error:?}");
    }
}

#[tokio::test]
async fn interim_answers_without_end_are_no_answer() {
    let url = repeating("", b"HTTP/1.1 102 Processing\r\n\r\n", Duration::from_millis(1)).await;
    assert_eq!(error_of(&url, BRIEF).await, SendError::Timeout(BRIEF));
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_no_answer() {
    let url = repeating("HTTP/1.1 200 OK\r\nx-slow: ", b"a", Duration::from_millis(50)).await;
    assert_eq!(error_of(&url, BRIEF).await, SendError::Timeout(BRIEF));
}

#[tokio::test]
async fn a_body_that_comes_byte_by_byte_is_read_until_the_time_is_over() {
    let pause = Duration::from_millis(50);
    let url = repeating("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", b"a", pause).await;
    let began = Instant::now();
    let sent = sent_to(&url, BRIEF).await;
    assert!(began.elapsed() < Duration::from_secs(20));
    assert_eq!(sent.taken, Ok(200));
    let body = sent.answer.unwrap().body;
    assert!((1..1000).contains(&body.len()) && body.bytes().all(|byte| byte == b'a'), "{body}");
}

#[tokio::test]
async fn a_reset_is_said_in_one_line() {
    // Closed with a request that was not read, a connection is reset.
    let url = listener(async |stream| drop(stream)).await;
    let SendError::Transport(line) = error_of(&url, PATIENT).await else { panic!("no transport") };
    assert!(line.contains("reset"), "{line}");
}

#[tokio::test]
async fn what_is_no_http_is_no_answer() {
    for answer in [
        b"SSH-2.0-OpenSSH_9.6\r\n".as_slice(),
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"HTTP/1.1 999999 What\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\x00b\r\n\r\n",
    ] {
        let error = error_of(&answering(answer).await, PATIENT).await;
        assert!(matches!(error, SendError::Transport(_)), "{answer:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_or_lies_leaves_its_status() {
    for answer in [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n".as_slice(),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000000\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\xff\xff\xff\xff",
    ] {
        assert_eq!(send_to(&answering(answer).await, BRIEF).await, Ok(200), "{answer:?}");
    }
}

#[tokio::test]
async fn a_packed_answer_is_asked_for_by_nobody_and_unpacked_by_nobody() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..100 {
        packed.write_all(&vec![b'x'; 1 << 20]).unwrap();
    }
    let packed = packed.finish().unwrap();
    assert!(packed.len() > 32 << 10, "it fills what is kept of it many times over");
    let answer = ResponseTemplate::new(500).insert_header("content-encoding", "gzip").set_body_bytes(packed);
    let server = receiver(answer).await;
    let body = sent_to(&server.uri(), PATIENT).await.answer.unwrap().body;
    assert!(body.starts_with("\u{1f}\u{fffd}"), "as it came: {body:?}");
    assert!(!body.contains("xxxxxxxx"));
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests[0].headers.get("accept-encoding"), None);
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_gets_no_payload() {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key =
        tokio_rustls::rustls::pki_types::PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
    let terms = tokio_rustls::rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(terms));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    let serving =
        tokio::spawn(async move { acceptor.accept(listener.accept().await.unwrap().0).await.is_ok() });
    let SendError::Transport(line) = error_of(&url, PATIENT).await else { panic!("no transport") };
    assert!(line.contains("certificate"), "{line}");
    assert!(!serving.await.unwrap(), "the handshake ended before anything was sent");
}

#[tokio::test]
async fn a_dozen_of_them_hold_up_nobody_else() {
    let good = receiver(ResponseTemplate::new(204)).await;
    let mut hostile = Vec::new();
    for _ in 0..4 {
        hostile.push(answering(b"").await);
        hostile.push(repeating("HTTP/1.1 200 OK\r\nx-slow: ", b"a", Duration::from_millis(50)).await);
        hostile.push(repeating("", b"HTTP/1.1 102 Processing\r\n\r\n", Duration::from_millis(1)).await);
    }
    let sender = Sender::new(AddressRules::default()).unwrap();
    let send = async |url: String, timeout| {
        sender.send(&destination(&url, timeout), Message::new("0190-event", PAYLOAD), now()).await.taken
    };
    let held_up = join_all(hostile.into_iter().map(|url| send(url, PATIENT)));
    let delivered = join_all((0..50).map(|_| send(good.uri(), PATIENT)));
    tokio::select! {
        taken = held_up => panic!("none of them ever answers: {taken:?}"),
        taken = delivered => assert!(taken.iter().all(|taken| *taken == Ok(204)), "{taken:?}"),
    }
}
