//! The memory of the process stays bounded, whatever is sent.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use nix::sys::signal::Signal;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::{Body, Method};
use serde_json::Value;

use super::home::Home;

const FORMATS: &[&str] = &["application/json", "text/csv", "application/x-ndjson"];
const MEBIBYTE: usize = 1024 * 1024;

/// A gibibyte of this, in a megabyte or so: a thousand members of a mebibyte.
fn bomb(text: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&text.repeat(MEBIBYTE / text.len())).unwrap();
    encoder.finish().unwrap().repeat(1024).into()
}

/// The same of a quarter, in one member.
fn plain_bomb() -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..256 {
        encoder.write_all(&b"0".repeat(MEBIBYTE)).unwrap();
    }
    encoder.finish().unwrap().into()
}

/// So many MiB of one line, sent as they are asked for.
fn line(mebibytes: usize) -> Body {
    let pieces = (0..mebibytes * 128).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(&[b'7'; 8 * 1024])));
    Body::wrap_stream(futures_util::stream::iter(pieces))
}

#[tokio::test]
async fn neither_bombs_nor_lines_without_an_end_nor_depths_cost_memory() {
    // Of JSON, whose limit is memory, there is little.
    let mut home = Home::with_jobs_of(50).await;
    home.set("PURGE__INTAKE__MAX_JSON", "2 MiB");
    home.set("PURGE__INTAKE__MAX_IDS", "10000");
    let serving = home.serve().await;
    let key = home.key().await;
    let refuse = async |media_type: &str, coding: Option<&str>, body: Body, codes: &[&str]| {
        let request = serving.request(&key, Method::POST, "/purges").header(CONTENT_TYPE, media_type);
        let request =
            coding.iter().fold(request, |request, coding| request.header(CONTENT_ENCODING, *coding));
        let response = request.body(body).send().await;
        let response = response.unwrap_or_else(|error| panic!("{media_type}, {coding:?}: {error:?}"));
        let (status, problem) = (response.status(), response.json::<Value>().await.unwrap());
        let code = problem["code"].as_str().unwrap_or_default();
        assert!(status.is_client_error() && codes.contains(&code), "{media_type}, {coding:?}: {problem}");
    };
    refuse("application/json", None, "{}".into(), &["invalid_request"]).await;
    refuse("text/csv", None, "x".into(), &["invalid_file"]).await;
    // No end of a line, none but ends, and what each format begins with again and again.
    let texts = [b"0".as_slice(), b"\n", b"\0", b"[", b"{\"a\":", b"\"", b"\"x\"\n", b"a,b\n", b"\xff"];
    let bombs: Vec<Bytes> = texts.into_iter().map(bomb).chain([plain_bomb()]).collect();
    let before = serving.peak();
    for media_type in FORMATS {
        let codes = ["body_too_large", "invalid_lines", "invalid_file"];
        refuse(media_type, None, line(50), &codes).await;
        for bomb in &bombs {
            refuse(media_type, Some("gzip"), bomb.clone().into(), &codes).await;
        }
        let deep = "[".repeat(100_000);
        refuse(media_type, None, deep.into(), &[&codes[..], &["invalid_json"]].concat()).await;
    }
    let grown = serving.peak() - before;
    assert!(grown < 24.0, "it took {grown} MiB, from {before}");
    let purges = serving.get(&key, "/purges").await;
    assert_eq!(purges["items"].as_array().unwrap().len(), 0);
    assert_eq!(serving.end(Signal::SIGTERM).await, Some(0));
    home.until_no_database_runs().await;
}
