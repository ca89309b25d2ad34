//! Deliveries to real listeners.

mod guarded;
mod hostile;

use axum::http::{HeaderMap, HeaderName};
use standardwebhooks::Webhook;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use super::*;
use crate::webhooks::{new_private_key, new_secret};

const PAYLOAD: &str = r#"{"event": "purge_completed",  "note": "bytes as stored: é"}"#;

fn secret() -> SigningSecret {
    SigningSecret::parse(&new_secret([7; 32])).unwrap()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the library that verifies signatures knows the real time alone"
)]
fn now() -> Timestamp {
    Timestamp::now()
}

fn destination(url: &str, timeout: Duration) -> Destination {
    Destination::of_operator(Url::parse(url).unwrap(), vec![secret()], timeout)
}

async fn sent_to(url: &str, timeout: Duration) -> Sent {
    Sender::new(AddressRules::default())
        .unwrap()
        .send(&destination(url, timeout), Message::new("0190-event", PAYLOAD), now())
        .await
}

async fn send_to(url: &str, timeout: Duration) -> Result<u16, SendError> {
    sent_to(url, timeout).await.taken
}

async fn receiver(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

const PATIENT: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_delivery_carries_the_stored_bytes_and_a_signature_that_verifies() {
    let server = receiver(ResponseTemplate::new(204)).await;
    assert_eq!(send_to(&format!("{}/hook?x=1", server.uri()), PATIENT).await, Ok(204));

    let requests = server.received_requests().await.unwrap();
    let [request] = &requests[..] else { panic!("one request") };
    assert_eq!(
        (request.method.as_str(), request.url.path(), request.url.query()),
        ("POST", "/hook", Some("x=1"))
    );
    assert_eq!(request.body, PAYLOAD.as_bytes());
    assert_eq!(request.headers["content-type"], "application/json");
    assert_eq!(request.headers["user-agent"], concat!("genesys-purge/", env!("CARGO_PKG_VERSION")));
    assert_eq!(request.headers["webhook-id"], "0190-event");

    let verifier = Webhook::new(&new_secret([7; 32])).unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        headers.insert(HeaderName::from_bytes(name.as_str().as_bytes()).unwrap(), value.clone());
    }
    verifier.verify(&request.body, &headers).unwrap();
    assert!(verifier.verify(b"{}", &headers).is_err(), "another payload");
    assert!(
        Webhook::new(&new_secret([8; 32])).unwrap().verify(&request.body, &headers).is_err(),
        "another secret"
    );
}

/// While a receiver changes its secret it may know one or the other, of either kind.
#[tokio::test]
async fn every_secret_signs() {
    let server = receiver(ResponseTemplate::new(204)).await;
    let (old, new, private) = (new_secret([7; 32]), new_secret([8; 32]), new_private_key([9; 32]));
    let secrets = [&old, &new, &private].map(|text| SigningSecret::parse(text).unwrap()).to_vec();
    let to = Destination::of_operator(Url::parse(&server.uri()).unwrap(), secrets.clone(), PATIENT);
    let at = now();
    let sender = Sender::new(AddressRules::default()).unwrap();
    assert_eq!(sender.send(&to, Message::new("0190-event", PAYLOAD), at).await.taken, Ok(204));

    let requests = server.received_requests().await.unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in &requests[0].headers {
        headers.insert(HeaderName::from_bytes(name.as_str().as_bytes()).unwrap(), value.clone());
    }
    for secret in [&old, &new] {
        Webhook::new(secret).unwrap().verify(&requests[0].body, &headers).unwrap();
    }
    let signatures: Vec<&str> = headers["webhook-signature"].to_str().unwrap().split(' ').collect();
    assert_eq!(signatures.len(), 3);
    assert_eq!(signatures[2], secrets[2].sign("0190-event", at, PAYLOAD));

    let nobody = Destination::of_operator(Url::parse(&server.uri()).unwrap(), vec![], PATIENT);
    let taken = sender.send(&nobody, Message::new("0190-event", PAYLOAD), at).await.taken;
    assert!(matches!(taken, Err(SendError::Unsendable(_))), "{taken:?}");
    assert_eq!(server.received_requests().await.unwrap().len(), 1, "nothing goes out unsigned");
}

#[tokio::test]
async fn only_a_2xx_is_delivered() {
    for status in [200, 201, 202, 204, 299] {
        let server = receiver(ResponseTemplate::new(status)).await;
        assert_eq!(send_to(&server.uri(), PATIENT).await, Ok(status));
    }
    for status in [300, 304, 400, 404, 429, 500, 503] {
        let server = receiver(ResponseTemplate::new(status)).await;
        let expected = SendError::Status { status, excerpt: String::new() };
        assert_eq!(send_to(&server.uri(), PATIENT).await, Err(expected));
    }
    let server = receiver(ResponseTemplate::new(410).set_body_string("bye")).await;
    assert_eq!(send_to(&server.uri(), PATIENT).await, Err(SendError::Gone));
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_goes_nowhere() {
    let elsewhere = receiver(ResponseTemplate::new(200)).await;
    let answer = ResponseTemplate::new(308).insert_header("location", elsewhere.uri().as_str());
    let server = receiver(answer).await;
    let error = send_to(&server.uri(), PATIENT).await.unwrap_err();
    assert_eq!(error.to_string(), "the receiver answered 308: redirects are not followed");
    assert!(elsewhere.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_error_shows_the_beginning_of_an_answer_on_one_line() {
    let body = format!("line one\r\n\u{1b}[31mline two {}", "é".repeat(5000));
    let server = receiver(ResponseTemplate::new(500).set_body_string(body)).await;
    let error = send_to(&server.uri(), PATIENT).await.unwrap_err();
    let SendError::Status { status: 500, excerpt } = &error else { panic!("{error:?}") };
    assert!(excerpt.starts_with("line one [31mline two é"), "{excerpt}");
    assert_eq!(excerpt.chars().count(), MAX_EXCERPT);
    assert!(error.to_string().starts_with("the receiver answered 500: line one"));
}

#[tokio::test]
async fn no_answer_in_time_is_a_timeout() {
    let server = receiver(ResponseTemplate::new(200).set_delay(PATIENT)).await;
    let timeout = Duration::from_millis(300);
    let error = send_to(&server.uri(), timeout).await.unwrap_err();
    assert_eq!(error, SendError::Timeout(timeout));
    assert_eq!(error.to_string(), "no answer within 0.3 s");
}

#[tokio::test]
async fn no_connection_is_said_in_one_short_line() {
    let gone = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let error = send_to(&format!("http://{gone}/secret-path"), PATIENT).await.unwrap_err();
    let line = error.to_string();
    assert!(line.starts_with("no answer: ") && line.contains("onnection refused"), "{line}");
    assert!(!line.contains("secret-path") && !line.contains('\n'), "{line}");
}

#[tokio::test]
async fn a_delivery_that_is_cut_off_is_made_once() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let mut requests = 0;
        // Two connections: the first is cut off once the request came, the second ends the count.
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut first = [0; 4];
            stream.read_exact(&mut first).await.unwrap();
            if &first == b"STOP" {
                return requests;
            }
            requests += 1;
        }
        requests
    });
    let error = send_to(&url, PATIENT).await.unwrap_err();
    assert!(matches!(error, SendError::Transport(_)), "{error:?}");
    let mut stop = tokio::net::TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
    stop.write_all(b"STOP").await.unwrap();
    assert_eq!(serving.await.unwrap(), 1);
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_before_anything_is_written() {
    let sender = Sender::new(AddressRules::default()).unwrap();
    for (url, id) in [("ftp://127.0.0.1/x", "id"), ("http://127.0.0.1:9/", "a\nb")] {
        let sent = sender.send(&destination(url, PATIENT), Message::new(id, PAYLOAD), now()).await;
        assert!(matches!(sent.taken, Err(SendError::Unsendable(_))), "{sent:?}");
        assert_eq!(sent.answer, None);
    }
}

#[tokio::test]
async fn an_answer_is_kept_up_to_4_kib_as_text_that_can_be_stored() {
    let body = [b"a\0b\xff".as_slice(), "é".repeat(5000).as_bytes()].concat();
    for status in [200, 500] {
        let server = receiver(ResponseTemplate::new(status).set_body_bytes(body.clone())).await;
        let answer = sent_to(&server.uri(), PATIENT).await.answer.unwrap();
        assert_eq!(answer.status, status);
        assert!(answer.body.starts_with("a\u{fffd}b\u{fffd}éé"), "{}", answer.body);
        assert!((MAX_BODY - 3..=MAX_BODY).contains(&answer.body.len()), "{}", answer.body.len());
    }
}

#[tokio::test]
async fn what_a_receiver_sends_back_of_its_address_and_secret_is_struck_out() {
    let told = new_secret([7; 32]);
    let body = format!(
        "Cannot POST /hooks/T0KEN-0123456789?key=k3y-abcdefghijkl as me:passw0rd with {told}; {}",
        told.repeat(100)
    );
    let server = receiver(ResponseTemplate::new(404).set_body_string(body)).await;
    let url = server.uri().replace("http://", "http://me:passw0rd@");
    let sent = sent_to(&format!("{url}/hooks/T0KEN-0123456789?key=k3y-abcdefghijkl"), PATIENT).await;
    let kept = "Cannot POST /hooks/[REDACTED]?key=[REDACTED] as me:[REDACTED] with [REDACTED]; [REDACTED]";
    assert_eq!(sent.answer.unwrap().body, kept);
    let error = sent.taken.unwrap_err().to_string();
    assert_eq!(error, format!("the receiver answered 404: {kept}"));
}

#[tokio::test]
async fn a_wait_is_asked_for_in_seconds_or_by_a_date_of_the_receivers_clock() {
    const DAY: u64 = 24 * 3600;
    let now = "Sun, 01 Mar 2026 12:00:00 GMT";
    for (asked, expected) in [
        ("120", Some(120)),
        ("Sun, 01 Mar 2026 12:05:00 GMT", Some(300)),
        ("Sun, 01 Mar 2026 11:00:00 GMT", Some(1)),
        ("9999999", Some(DAY)),
        ("Thu, 01 Mar 2029 12:05:00 GMT", Some(DAY)),
        ("soon", None),
    ] {
        let answer =
            ResponseTemplate::new(503).insert_header("retry-after", asked).insert_header("date", now);
        let server = receiver(answer).await;
        let sent = sent_to(&server.uri(), PATIENT).await;
        let wait = sent.answer.unwrap().retry_after;
        assert_eq!(wait, expected.map(Duration::from_secs), "{asked}");
    }
}

/// Answers every request with this, and then with that again and again, until nobody reads any more; how much was written.
async fn dripping(head: &'static str, piece: &'static [u8]) -> (String, tokio::task::JoinHandle<usize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let writing = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut written = 0;
        while stream.write_all(piece).await.is_ok() {
            written += piece.len();
            if piece.is_empty() {
                // Nothing more comes: until the other side has had enough.
                let _ = stream.read(&mut request).await;
                break;
            }
        }
        written
    });
    (url, writing)
}

#[tokio::test]
async fn an_answer_without_end_is_read_so_far_and_no_further() {
    static PIECE: [u8; 1024] = [b'x'; 1024];
    for (head, expected) in [("HTTP/1.1 200 OK\r\n\r\n", true), ("HTTP/1.1 500 No\r\n\r\n", false)] {
        let (url, writing) = dripping(head, &PIECE).await;
        let sent = sent_to(&url, PATIENT).await;
        assert_eq!(sent.taken.is_ok(), expected, "{sent:?}");
        assert_eq!(sent.answer.unwrap().body.len(), MAX_BODY);
        // The rest is what the system holds of a connection.
        assert!(writing.await.unwrap() < 16 << 20);
    }
}

#[tokio::test]
async fn the_time_counts_to_the_last_byte_and_the_status_that_came_is_the_verdict() {
    let timeout = Duration::from_millis(300);
    for (head, expected) in [("HTTP/1.1 202 OK\r\n\r\n", Ok(202)), ("HTTP/1.1 500 No\r\n\r\n", Err(500))] {
        let (url, writing) = dripping(head, b"").await;
        let began = std::time::Instant::now();
        let sent = sent_to(&url, timeout).await;
        assert!(began.elapsed() < Duration::from_secs(20), "it waits for nothing more");
        let verdict = sent.taken.map_err(|error| match error {
            SendError::Status { status, .. } => status,
            error => panic!("{error}"),
        });
        assert_eq!(verdict, expected);
        writing.await.unwrap();
    }
}
