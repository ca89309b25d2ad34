//! Accepting: every format of the ids makes the same purge.

use bytes::Bytes;
use genesys_purge::app::Role;
use genesys_purge::domain::keys::Scope;
use genesys_purge::sandbox::Kind;
use reqwest::{Body, Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::problem::{pointers, refused};
use crate::support::service::read;
use crate::support::spool::SpoolDir;
use crate::support::{Setup, TestService};

/// How people and their tools write three ids; `#1` to `#3` are the ids, `#A` to `#C` the same in capital letters.
const WRITINGS: &[(&str, &str, &str)] = &[
    ("json", "application/json", r##"{"conversationIds": ["#1", "#2", "#3"]}"##),
    ("json in capitals", "application/json; charset=utf-8", r##"{"conversationIds":["#A","#B","#C"]}"##),
    ("csv", "text/csv", "conversationId\n#1\n#2\n#3\n"),
    ("crlf", "text/csv", "conversationId\r\n#1\r\n#2\r\n#3\r\n"),
    ("cr alone", "text/csv", "conversationId\r#1\r#2\r#3\r"),
    ("media type in capitals", "Text/CSV; charset=UTF-8; header=present", "conversationId\n#1\n#2\n#3\n"),
    ("byte-order mark", "text/csv", "\u{feff}conversationId\n#1\n#2\n#3\n"),
    (
        "byte-order mark and quotes",
        "text/csv",
        "\u{feff}\"conversationId\"\r\n\"#1\"\r\n\"#2\"\r\n\"#3\"\r\n",
    ),
    ("byte-order mark, no header", "text/csv", "\u{feff}#1\n#2\n#3\n"),
    ("semicolons", "text/csv", "name;conversationId;queue\na;#1;x\nb;#2;y\nc;#3;z\n"),
    ("tabs", "text/csv", "name\tconversationId\na\t#1\nb\t#2\nc\t#3\n"),
    ("id first", "text/csv", "conversationId,name\n#1,a\n#2,b\n#3,c\n"),
    ("id last", "text/csv", "name,queue,conversationId\na,x,#1\nb,y,#2\nc,z,#3\n"),
    ("quoted neighbours", "text/csv", "note,conversationId\n\"a, \"\"b\"\"\nand on\",#1\n\"\",#2\n,#3\n"),
    ("no header", "text/csv", "#1\n#2\n#3\n"),
    ("no header, several columns", "text/csv", "a;#1;2024\nb;#2;2024\nc;#3;2024\n"),
    ("no end of the last line", "text/csv", "conversationId\n#1\n#2\n#3"),
    ("blank lines", "text/csv", "\nconversationId\n#1\n\n#2\n#3\n\n\n"),
    ("blank last line with a space", "text/csv", "conversationId\r\n#1\r\n#2\r\n#3\r\n \r\n"),
    ("header with a space", "text/csv", "Conversation ID,x\n#1,1\n#2,2\n#3,3\n"),
    ("header in snake case", "text/csv", "CONVERSATION_ID\n#A\n#B\n#C\n"),
    ("header id alone", "text/csv", "id\n#1\n#2\n#3\n"),
    ("spaces around", "text/csv", "x, conversationId\n1, #1 \n2, #2 \n3, #3 \n"),
    ("ndjson strings", "application/x-ndjson", "\"#1\"\n\"#2\"\n\"#3\"\n"),
    ("ndjson in capitals", "application/x-ndjson", "\"#A\"\r\n\"#B\"\r\n\"#C\""),
    (
        "ndjson objects",
        "application/x-ndjson",
        "{\"conversationId\":\"#1\"}\n{\"conversationId\":\"#2\"}\n{\"conversationId\":\"#3\"}\n",
    ),
    (
        "ndjson of an export",
        "application/x-ndjson",
        "\u{feff}{\"a\":[{\"conversationId\":\"x\"}],\"conversationId\":\"#1\"}\n\n\"#2\"\n{\"conversationId\":\"#C\",\"b\":null}\n",
    ),
];

fn written(text: &str, ids: &[Uuid]) -> String {
    let names = [("#1", "#A"), ("#2", "#B"), ("#3", "#C")];
    names.iter().zip(ids).fold(text.to_owned(), |text, ((small, large), id)| {
        text.replace(small, &id.to_string()).replace(large, &id.to_string().to_uppercase())
    })
}

fn ids_in(rows: &[Value]) -> Vec<Uuid> {
    rows.iter().map(|row| row["conversationId"].as_str().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn every_way_to_write_ids_leads_to_the_same_purge() {
    let test = TestService::start().await;
    let mut ids = test.ids_of(Kind::Eligible);
    // Never in their own order, so that an order which is kept shows.
    ids.sort_unstable_by(|a, b| b.cmp(a));
    let mut purges = Vec::new();
    for ((name, media_type, text), ids) in WRITINGS.iter().zip(ids.chunks_exact(3)) {
        let response = test.upload(media_type, "", written(text, ids)).send().await.unwrap();
        let location = response.headers().get("location").map(|place| place.to_str().unwrap().to_owned());
        let (status, body) = read(response).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{name}: {body}");
        let id: Uuid = body["id"].as_str().unwrap().parse().unwrap();
        assert_eq!(id.get_version_num(), 7);
        assert_eq!(location, Some(format!("/purges/{id}")), "{name}");
        assert_eq!(
            (&body["counts"]["total"], &body["counts"]["duplicates"]),
            (&json!(3), &json!(0)),
            "{name}"
        );
        assert_eq!(body["run"], 1);
        purges.push((name, id, ids));
    }
    assert_eq!(purges.len(), WRITINGS.len(), "each had ids of its own");
    for (name, purge, ids) in purges {
        let body = test.finished(purge).await;
        assert_eq!(body["state"], "completed", "{name}: {body}");
        assert_eq!(body["counts"]["purged"], 3, "{name}: {body}");
        assert_eq!(ids_in(&test.conversations(purge).await), ids, "{name}");
        for id in ids {
            let truth = test.sandbox.sandbox().conversation(*id).unwrap();
            assert!(truth.deleted_at.is_some(), "{name}: {truth:?}");
        }
    }
    test.assert_no_breach();
}

#[tokio::test]
async fn repeats_count_once_and_every_id_keeps_its_first_place() {
    let test = Setup::new().role(Role::Api).start().await;
    let ids = test.ids_of(Kind::Eligible);
    let (small, large) = (|n: usize| ids[n].to_string(), |n: usize| ids[n].to_string().to_uppercase());
    let sent = [small(2), small(0), large(2), small(1), large(0), small(2)];
    let bodies = [
        ("application/json", json!({ "conversationIds": sent, "expectedCount": 6 }).to_string(), ""),
        ("text/csv", format!("id\n{}\n", sent.join("\n")), "?expectedCount=6"),
        ("application/x-ndjson", format!("\"{}\"\n", sent.join("\"\n\"")), "?expectedCount=6"),
    ];
    for (media_type, body, query) in bodies {
        let (status, body) = read(test.upload(media_type, query, body).send().await.unwrap()).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{media_type}: {body}");
        assert_eq!(body["counts"]["total"], 3, "{media_type}: {body}");
        assert_eq!(body["counts"]["duplicates"], 3, "{media_type}: {body}");
        assert_eq!(body["counts"]["pending"], 3, "{media_type}: {body}");
        let rows = test.conversations(body["id"].as_str().unwrap().parse().unwrap()).await;
        assert_eq!(ids_in(&rows), [ids[2], ids[0], ids[1]], "{media_type}");
    }
}

#[tokio::test]
async fn the_query_string_of_an_upload_says_what_the_fields_of_json_say() {
    let test = Setup::new().role(Role::Api).start().await;
    let id = test.ids_of(Kind::Eligible)[0];
    let in_json = json!({
        "conversationIds": [id], "org": "default", "reason": "GDPR Art. 17 & more", "reference": "CASE/7",
        "labels": { "team": "a:b", "batch": "", "größe": "ü" }, "dryRun": true, "permanentDelete": true, "expectedCount": 1,
    });
    let query = "?org=default&reason=GDPR+Art.+17%20%26%20more&reference=CASE/7&label=team:a:b&label=batch:\
                 &label=gr%C3%B6%C3%9Fe:%C3%BC&dryRun=true&permanentDelete=true&expectedCount=1";
    let requests = [
        test.request(Method::POST, "/purges").json(&in_json),
        test.upload("text/csv", query, id.to_string()),
        test.upload("application/x-ndjson", query, format!("\"{id}\"")),
    ];
    for request in requests {
        let (status, body) = read(request.send().await.unwrap()).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{body}");
        assert_eq!(body["org"], "default");
        assert_eq!(body["reason"], "GDPR Art. 17 & more");
        assert_eq!(body["reference"], "CASE/7");
        assert_eq!(body["labels"], in_json["labels"]);
        assert_eq!(body["dryRun"], true);
        assert_eq!(body["requestedBy"], "tester");
        assert_eq!(body["state"], "queued");
        let read_later = test.get(&format!("/purges/{}", body["id"].as_str().unwrap())).await;
        assert_eq!(read_later, body, "what was answered is what stands there");
    }
}

#[tokio::test]
async fn what_is_left_out_has_its_default() {
    let test = Setup::new().role(Role::Api).start().await;
    let id = test.ids_of(Kind::Eligible)[0];
    let nothing = json!({
        "conversationIds": [id], "org": null, "reason": null, "permanentDelete": null, "expectedCount": null, "webhookUrl": null
    });
    for body in [json!({ "conversationIds": [id] }), nothing] {
        let (status, body) = test.post("/purges", &body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{body}");
        assert_eq!(
            (&body["org"], &body["dryRun"], &body["labels"]),
            (&json!("default"), &json!(false), &json!({}))
        );
        assert_eq!((&body["reason"], &body["reference"]), (&Value::Null, &Value::Null));
    }
}

#[tokio::test]
async fn a_key_for_one_org_chooses_it_and_a_key_for_several_has_to_say_which() {
    let test = Setup::new().second_org().role(Role::Api).start().await;
    let id = test.ids_of(Kind::Eligible)[0];
    let eu = test.make_key(&[Scope::PurgesWrite], Some(&["eu"])).await;
    let gone = test.make_key(&[Scope::PurgesWrite], Some(&["elsewhere"])).await;
    let ask = |key: &str, org: Option<&str>| {
        let mut body = json!({ "conversationIds": [id] });
        if let Some(org) = org {
            body["org"] = json!(org);
        }
        test.request_as(key, Method::POST, "/purges").json(&body)
    };
    for (key, org, chosen) in
        [(&eu, None, "eu"), (&eu, Some("eu"), "eu"), (&test.key, Some("default"), "default")]
    {
        let (status, body) = read(ask(key, org).send().await.unwrap()).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{body}");
        assert_eq!(body["org"], chosen);
    }
    for (key, org) in [(&test.key, None), (&test.key, Some("us")), (&eu, Some("default")), (&eu, Some("EU"))]
    {
        let problem = refused(ask(key, org), 422, "invalid_request").await;
        assert_eq!(pointers(&problem), ["/org"], "{problem}");
    }
    refused(ask(&gone, None), 403, "no_org").await;
}

#[tokio::test]
async fn a_hundred_thousand_ids_that_trickle_in_are_one_purge_in_their_order() {
    const IDS: u128 = 100_000;
    let spool = SpoolDir::new();
    let test = Setup::new().role(Role::Api).env("PURGE__INTAKE__SPOOL_DIR", spool.path()).start().await;
    let id = |number: u128| Uuid::from_u128(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
    let file: String = std::iter::once("queue;conversationId\r\n".to_owned())
        .chain((1..=IDS).map(|number| format!("q{};{}\r\n", number % 7, id(number))))
        .collect();
    // A size that cuts lines everywhere.
    let chunks: Vec<Result<Bytes, std::io::Error>> =
        file.as_bytes().chunks(997).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    let body = Body::wrap_stream(futures_util::stream::iter(chunks));
    let (status, purge) =
        read(test.upload("text/csv", "?expectedCount=100000", body).send().await.unwrap()).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{purge}");
    assert_eq!(purge["counts"]["total"], 100_000);
    assert_eq!(purge["counts"]["pending"], 100_000);
    assert_eq!(purge["counts"]["duplicates"], 0);
    let rows = ids_in(&test.conversations(purge["id"].as_str().unwrap().parse().unwrap()).await);
    assert_eq!(rows.len(), 100_000);
    assert!(rows.iter().zip(1..).all(|(row, number)| *row == id(number)), "the order is the request's");
    spool.until(false).await;
}
