//! gzip, both ways.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use genesys_purge::app::Role;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, VARY};
use reqwest::{Client, Method, StatusCode};
use serde_json::json;
use uuid::Uuid;

use super::desk;
use crate::support::problem::refused;
use crate::support::spool::SpoolDir;
use crate::support::{Setup, TestService};

fn folded(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn upload(test: &TestService, media_type: &str, body: Vec<u8>) -> reqwest::RequestBuilder {
    test.upload(media_type, "", body).header(CONTENT_ENCODING, "gzip")
}

#[tokio::test]
async fn folded_bodies_of_every_format_are_taken_for_what_they_unfold_to() {
    let test = desk().await;
    let ids: Vec<Uuid> = (0..3000).map(Uuid::from_u128).collect();
    let lines: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    for (media_type, text) in [
        ("text/csv", lines.join("\n")),
        ("application/x-ndjson", lines.iter().flat_map(|id| ["\"", id, "\"\n"]).collect()),
        ("application/json", json!({ "conversationIds": ids }).to_string()),
    ] {
        let response = upload(&test, media_type, folded(text.as_bytes())).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::ACCEPTED, "{media_type}");
        let purge: serde_json::Value = response.json().await.unwrap();
        assert_eq!(purge["counts"]["total"], 3000, "{media_type}");
    }
}

#[tokio::test]
async fn what_is_no_whole_gzip_or_unfolds_too_far_leaves_nothing() {
    let spool = SpoolDir::new();
    let test = Setup::new()
        .role(Role::Api)
        .env("PURGE__INTAKE__SPOOL_DIR", spool.path())
        .env("PURGE__INTAKE__MAX_IDS", "1000")
        .start()
        .await;
    let whole = folded(format!("{}\n", Uuid::nil()).repeat(200).as_bytes());
    for media_type in ["text/csv", "application/x-ndjson", "application/json"] {
        refused(upload(&test, media_type, whole[..whole.len() - 4].to_vec()), 400, "broken_body").await;
        refused(upload(&test, media_type, b"plain text".to_vec()), 400, "broken_body").await;
        let trailed = [whole.as_slice(), b"and more"].concat();
        let status = upload(&test, media_type, trailed).send().await.unwrap().status();
        assert!(status.is_client_error(), "{media_type}: {status}");
    }
    let comments = folded(&b"conversationId,x\n".repeat(1_000_000));
    assert!(upload(&test, "text/csv", comments).send().await.unwrap().status().is_client_error());
    spool.until(false).await;
    assert_eq!(test.number("select count(*) from purges").await, 0);
}

#[tokio::test]
async fn large_answers_are_folded_for_those_who_take_it() {
    let mut test = desk().await;
    let ids: Vec<Uuid> = (0..5000).map(Uuid::from_u128).collect();
    let purge = test.purge(&ids).await;
    // One that shows what comes over the wire.
    test.client = Client::builder().tls_certs_only([]).no_proxy().no_gzip().build().unwrap();
    for path in [
        "/openapi.yaml".to_owned(),
        "/openapi.json".to_owned(),
        format!("/purges/{purge}/conversations?limit=1000"),
        format!("/purges/{purge}/report"),
    ] {
        let plain = test.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(plain.headers().get(CONTENT_ENCODING), None, "{path}");
        let varies = |response: &reqwest::Response| {
            let mut all = response.headers().get_all(VARY).iter();
            all.any(|value| value.to_str().unwrap().eq_ignore_ascii_case("accept-encoding"))
        };
        assert!(varies(&plain), "{path}");
        let plain = plain.bytes().await.unwrap();
        for (accept, is_folded) in
            [("gzip", true), ("br;q=1, gzip;q=0.1", true), ("*", true), ("gzip;q=0", false), ("br", false)]
        {
            let response =
                test.request(Method::GET, &path).header(ACCEPT_ENCODING, accept).send().await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            assert!(varies(&response), "{path}");
            let told =
                response.headers().get(CONTENT_ENCODING).map(|coding| coding.to_str().unwrap().to_owned());
            assert_eq!(told.as_deref(), is_folded.then_some("gzip"), "{path} for {accept}");
            let bytes = response.bytes().await.unwrap();
            if is_folded {
                assert!(bytes.len() * 2 < plain.len(), "{path}: {} of {}", bytes.len(), plain.len());
                let mut unfolded = Vec::new();
                GzDecoder::new(bytes.as_ref()).read_to_end(&mut unfolded).unwrap();
                assert!(unfolded == plain, "{path}");
            } else {
                assert!(bytes == plain, "{path}");
            }
        }
    }
    let small =
        test.request(Method::GET, "/health/live").header(ACCEPT_ENCODING, "gzip").send().await.unwrap();
    assert_eq!(small.headers().get(CONTENT_ENCODING), None, "too small to be worth it");
    let request = test.request(Method::GET, "/nowhere").header(ACCEPT_ENCODING, "gzip");
    let problem = refused(request, 404, "no_such_path").await;
    assert_ne!(problem["requestId"], "");
}
