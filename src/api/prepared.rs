//! Answers that are the same for everybody: made once, plain and gzipped, and shared by all connections.

use async_compression::tokio::write::GzipEncoder;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;

use super::etag;

/// One such answer.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    media_type: HeaderValue,
    /// That of both codings.
    tag: HeaderValue,
    plain: Bytes,
    folded: Bytes,
}

impl Prepared {
    pub(crate) async fn new(media_type: HeaderValue, plain: Bytes) -> std::io::Result<Self> {
        let mut encoder = GzipEncoder::new(Vec::new());
        encoder.write_all(&plain).await?;
        encoder.shutdown().await?;
        let tag = HeaderValue::from_str(&etag::of(&plain)).map_err(std::io::Error::other)?;
        Ok(Self { media_type, tag, plain, folded: Bytes::from(encoder.into_inner()) })
    }

    /// For a request with these headers, in which `compress` has left no coding but gzip.
    pub(crate) fn answer(&self, asked: &HeaderMap) -> Response {
        let mut response = if asked.contains_key(ACCEPT_ENCODING) {
            let gzip = [(CONTENT_ENCODING, HeaderValue::from_static("gzip"))];
            (gzip, self.folded.clone()).into_response()
        } else {
            self.plain.clone().into_response()
        };
        response.headers_mut().insert(CONTENT_TYPE, self.media_type.clone());
        response.headers_mut().insert(ETAG, self.tag.clone());
        response
    }
}
