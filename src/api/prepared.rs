//! Answers that are the same for everybody: made once, plain and folded. However many peers have not taken theirs yet,
//! they share the bytes.

use async_compression::tokio::write::GzipEncoder;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;

/// Marks an answer that costs no memory of its own, however long it stays unread.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shared;

/// One such answer.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    media_type: HeaderValue,
    plain: Bytes,
    folded: Bytes,
}

impl Prepared {
    pub(super) async fn new(media_type: HeaderValue, plain: Bytes) -> std::io::Result<Self> {
        let mut encoder = GzipEncoder::new(Vec::new());
        encoder.write_all(&plain).await?;
        encoder.shutdown().await?;
        Ok(Self { media_type, plain, folded: Bytes::from(encoder.into_inner()) })
    }

    /// For a request with these headers, of which `compress` has left no other coding than gzip.
    pub(super) fn answer(&self, asked: &HeaderMap) -> Response {
        let mut response = if asked.contains_key(ACCEPT_ENCODING) {
            let gzip = [(CONTENT_ENCODING, HeaderValue::from_static("gzip"))];
            (gzip, self.folded.clone()).into_response()
        } else {
            self.plain.clone().into_response()
        };
        response.headers_mut().insert(CONTENT_TYPE, self.media_type.clone());
        response.extensions_mut().insert(Shared);
        response
    }
}
