//! A client of Server-Sent Events, as the standard describes one.

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tokio::time::timeout;

/// So long that only a real failure takes longer.
const LONG: Duration = Duration::from_secs(30);

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub id: Option<String>,
    pub kind: String,
    pub data: Value,
}

impl Message {
    /// Its id, which is a number.
    pub fn no(&self) -> i64 {
        self.id.as_ref().unwrap().parse().unwrap()
    }
}

/// An open stream.
pub struct Stream {
    response: Response,
    unread: String,
    /// The comments that came: each says that the stream lives.
    pub comments: usize,
}

impl Stream {
    /// Opens one, after the event with this id.
    pub async fn open(request: RequestBuilder, last: Option<&str>) -> Self {
        let mut request = request.header(ACCEPT, "text/event-stream").timeout(LONG * 4);
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        let response = request.send().await.unwrap();
        let (status, media_type) = (response.status(), response.headers().get(CONTENT_TYPE).cloned());
        assert_eq!(status, StatusCode::OK, "{media_type:?}");
        assert_eq!(media_type.unwrap(), "text/event-stream");
        Self { response, unread: String::new(), comments: 0 }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name).map(|value| value.to_str().unwrap())
    }

    /// The next message; none where the stream has ended, or broke off.
    pub async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.take() {
                return Some(message);
            }
            let chunk = timeout(LONG, self.response.chunk()).await.expect("nothing more is told");
            self.unread.push_str(std::str::from_utf8(&chunk.ok()??).unwrap());
        }
    }

    /// Waits for a comment.
    pub async fn comment(&mut self) {
        let before = self.comments;
        while self.comments == before {
            let chunk = timeout(LONG, self.response.chunk()).await.expect("no comment").unwrap().unwrap();
            self.unread.push_str(std::str::from_utf8(&chunk).unwrap());
            assert_eq!(self.take(), None);
        }
    }

    /// All messages up to the first like this.
    pub async fn until(&mut self, is_so: impl Fn(&Message) -> bool) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            let message = self.next().await.unwrap_or_else(|| panic!("it ended: {messages:#?}"));
            let is_last = is_so(&message);
            messages.push(message);
            if is_last {
                return messages;
            }
        }
    }

    /// All messages until it ends.
    pub async fn rest(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        while let Some(message) = self.next().await {
            messages.push(message);
        }
        messages
    }

    /// A message that has come whole.
    fn take(&mut self) -> Option<Message> {
        while let Some(end) = self.unread.find("\n\n") {
            let block: String = self.unread.drain(..end + 2).collect();
            let (mut id, mut kind, mut data) = (None, "message".to_owned(), String::new());
            for line in block.lines().filter(|line| !line.is_empty()) {
                let (name, value) = line.split_once(':').unwrap_or((line, ""));
                let value = value.strip_prefix(' ').unwrap_or(value);
                match name {
                    "" => self.comments += 1,
                    "id" => id = Some(value.to_owned()),
                    "event" => value.clone_into(&mut kind),
                    "data" => data.push_str(value),
                    other => panic!("a field {other:?} in {block:?}"),
                }
            }
            if !data.is_empty() {
                return Some(Message { id, kind, data: serde_json::from_str(&data).unwrap() });
            }
        }
        None
    }
}
