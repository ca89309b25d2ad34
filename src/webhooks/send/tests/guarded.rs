//! Receivers that callers named: what their names stand for is checked, and nothing else is connected to.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::webhooks::{Addresses, Lookup};

/// A listener that counts who comes, and answers each request with this.
struct Listener {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Listener {
    async fn at(address: &str, answer: String) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    let _ = stream.read(&mut request).await;
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        Self { address, connections }
    }

    async fn friendly(address: &str) -> Self {
        Self::at(address, "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_owned()).await
    }

    /// How many connections came, but for our own: one that is made after all others, and seen.
    async fn connections(&self) -> usize {
        let mut stream = tokio::net::TcpStream::connect(self.address).await.unwrap();
        stream.write_all(b"x").await.unwrap();
        let _ = stream.read(&mut [0; 16]).await;
        self.connections.fetch_sub(1, Ordering::SeqCst) - 1
    }
}

/// Gives out these answers, one after the other, and counts the questions.
#[derive(Default)]
struct Turning {
    answers: Mutex<Vec<Vec<IpAddr>>>,
    questions: AtomicUsize,
}

impl Turning {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let answer = |texts: &&[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let answers = answers.iter().rev().map(answer).collect();
        Arc::new(Self { answers: Mutex::new(answers), questions: AtomicUsize::new(0) })
    }
}

impl Lookup for Turning {
    fn addresses(&self, name: String) -> Addresses {
        assert_eq!(name, "receiver.example");
        self.questions.fetch_add(1, Ordering::SeqCst);
        let answer = self.answers.lock().unwrap().pop();
        Box::pin(async { answer.ok_or_else(|| io::Error::other("no such name")) })
    }
}

fn rules(networks: &[&str]) -> AddressRules {
    let networks = networks.iter().map(|network| network.parse().unwrap()).collect();
    AddressRules::new(vec![1..=u16::MAX], networks)
}

async fn deliver(sender: &Sender, url: &str) -> Result<u16, SendError> {
    let to = Destination::of_caller(Url::parse(url).unwrap(), vec![secret()], PATIENT);
    sender.send(&to, Message::new("0190-event", PAYLOAD), now()).await.taken
}

#[tokio::test]
async fn the_connection_goes_to_the_address_that_was_checked_and_a_changed_answer_is_checked_anew() {
    let inside = Listener::friendly("127.0.0.1:0").await;
    let port = inside.address.port();
    let outside = Listener::friendly(&format!("127.0.0.2:{port}")).await;
    let lookup = Turning::new(&[&["127.0.0.2"], &["127.0.0.1"], &["127.0.0.2"]]);
    let sender = Sender::with_lookup(rules(&["127.0.0.2/32"]), lookup.clone()).unwrap();
    let url = format!("http://receiver.example:{port}/hooks");

    assert_eq!(deliver(&sender, &url).await, Ok(204));
    assert_eq!(lookup.questions.load(Ordering::SeqCst), 1, "one look-up, which was checked");
    assert_eq!(deliver(&sender, &url).await, Err(SendError::NotAllowed));
    assert_eq!(inside.connections().await, 0);
    assert_eq!(deliver(&sender, &url).await, Ok(204));
    assert_eq!(outside.connections().await, 2);
}

#[tokio::test]
async fn one_address_that_is_not_allowed_refuses_the_name() {
    let inside = Listener::friendly("127.0.0.1:0").await;
    let port = inside.address.port();
    let outside = Listener::friendly(&format!("127.0.0.2:{port}")).await;
    let answers: [&[&str]; 4] = [
        &["127.0.0.2", "127.0.0.1"],
        &["127.0.0.1", "127.0.0.2"],
        &["127.0.0.2", "::1"],
        &["::ffff:127.0.0.2"],
    ];
    let sender = Sender::with_lookup(rules(&["127.0.0.2/32"]), Turning::new(&answers)).unwrap();
    for answer in answers {
        let url = format!("http://receiver.example:{port}/");
        assert_eq!(deliver(&sender, &url).await, Err(SendError::NotAllowed), "{answer:?}");
    }
    assert_eq!((inside.connections().await, outside.connections().await), (0, 0));
}

#[tokio::test]
async fn what_a_name_stands_for_is_in_no_error() {
    let gone = std::net::TcpListener::bind(("127.0.0.2", 0)).unwrap().local_addr().unwrap();
    let lookup = Turning::new(&[&["127.0.0.2"], &["127.0.0.1"]]);
    let sender = Sender::with_lookup(rules(&["127.0.0.2/32"]), lookup).unwrap();
    let url = format!("http://receiver.example:{}/secret-path", gone.port());
    for expected in ["onnection refused", "the address is not allowed", "no such name"] {
        let error = deliver(&sender, &url).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("127.0.0") && !shown.contains("secret-path"), "{shown}");
    }
    assert_eq!(SendError::NotAllowed.to_string(), "the address is not allowed");
}

#[tokio::test]
async fn the_names_of_the_system_are_checked_too() {
    let listener = Listener::friendly("127.0.0.1:0").await;
    let url = format!("http://localhost:{}/", listener.address.port());
    assert_eq!(deliver(&Sender::new(rules(&[])).unwrap(), &url).await, Err(SendError::NotAllowed));
    assert_eq!(listener.connections().await, 0);
    let allowing = Sender::new(rules(&["127.0.0.0/8", "::1/128"])).unwrap();
    assert_eq!(deliver(&allowing, &url).await, Ok(204));
    assert_eq!(listener.connections().await, 1);
    let unknown = deliver(&allowing, "http://no-such-host.invalid/").await.unwrap_err();
    assert!(matches!(unknown, SendError::Transport(_)), "{unknown}");
}

/// The client looks up no address that stands in a URL, in whatever form.
#[tokio::test]
async fn an_address_that_stands_in_the_url_is_not_reached_either() {
    let listener = Listener::friendly("127.0.0.1:0").await;
    let port = listener.address.port();
    let sender = Sender::with_lookup(rules(&[]), Turning::new(&[])).unwrap();
    for host in [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "0",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "017700000001",
        "127%2e0.0.1",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "receiver.example@127.0.0.1",
        "user:secret@receiver.example",
    ] {
        let taken = deliver(&sender, &format!("http://{host}:{port}/")).await;
        assert_eq!(taken, Err(SendError::NotAllowed), "{host}");
    }
    assert_eq!(listener.connections().await, 0);
    for url in ["ftp://receiver.example/", "https://receiver.example/#part"] {
        assert_eq!(deliver(&sender, url).await, Err(SendError::NotAllowed), "{url}");
    }
    let ports = AddressRules::new(vec![443..=443], vec!["127.0.0.0/8".parse().unwrap()]);
    let taken = deliver(&Sender::new(ports).unwrap(), &format!("http://127.0.0.1:{port}/")).await;
    assert_eq!(taken, Err(SendError::NotAllowed), "another port than it was registered with");
    assert_eq!(listener.connections().await, 0);
}

#[tokio::test]
async fn a_redirect_to_what_is_not_allowed_goes_nowhere() {
    let inside = Listener::friendly("127.0.0.1:0").await;
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"] {
        let location = format!("http://{}/", inside.address);
        let answer = format!("HTTP/1.1 {status}\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let outside = Listener::at("127.0.0.2:0", answer).await;
        let lookup = Turning::new(&[&["127.0.0.2"]]);
        let sender = Sender::with_lookup(rules(&["127.0.0.2/32"]), lookup).unwrap();
        let taken = deliver(&sender, &format!("http://receiver.example:{}/", outside.address.port())).await;
        assert!(matches!(taken, Err(SendError::Status { status: 300..400, .. })), "{taken:?}");
    }
    assert_eq!(inside.connections().await, 0);
}

#[tokio::test]
async fn the_operators_own_receiver_may_be_anywhere() {
    let listener = Listener::friendly("127.0.0.1:0").await;
    let sender = Sender::with_lookup(AddressRules::default(), Turning::new(&[])).unwrap();
    for host in ["127.0.0.1", "localhost"] {
        let url = Url::parse(&format!("http://me:secret@{host}:{}/", listener.address.port())).unwrap();
        let to = Destination::of_operator(url, vec![secret()], PATIENT);
        assert_eq!(sender.send(&to, Message::new("0190-event", PAYLOAD), now()).await.taken, Ok(204));
    }
}
