//! Deliveries to real listeners.

use axum::http::{HeaderMap, HeaderName};
use standardwebhooks::Webhook;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use super::*;
use crate::webhooks::new_secret;

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

async fn send_to(url: &str, timeout: Duration) -> Result<u16, SendError> {
    let url = Url::parse(url).unwrap();
    Sender::new().unwrap().send(&url, &secret(), "0190-event", now(), PAYLOAD, timeout).await
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

#[tokio::test]
async fn only_a_2xx_is_delivered() {
    for status in [200, 201, 202, 204, 299] {
        let server = receiver(ResponseTemplate::new(status)).await;
        assert_eq!(send_to(&server.uri(), PATIENT).await, Ok(status));
    }
    for status in [304, 400, 404, 429, 500, 503] {
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
    assert_eq!(error.to_string(), "the receiver answered 308");
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
    let sender = Sender::new().unwrap();
    let ftp = Url::parse("ftp://127.0.0.1/x").unwrap();
    let error = sender.send(&ftp, &secret(), "id", now(), PAYLOAD, PATIENT).await.unwrap_err();
    assert!(matches!(error, SendError::Unsendable(_)), "{error:?}");
    let http = Url::parse("http://127.0.0.1:9/").unwrap();
    let error = sender.send(&http, &secret(), "a\nb", now(), PAYLOAD, PATIENT).await.unwrap_err();
    assert!(matches!(error, SendError::Unsendable(_)), "{error:?}");
}
