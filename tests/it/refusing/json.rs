//! Wrong JSON bodies, and fields that are not supported.

use genesys_purge::sandbox::Kind;
use reqwest::Method;
use serde_json::{Value, json};

use super::Desk;
use crate::support::problem::{pointers, refused};

const ID: &str = "1b4e28ba-2fa1-4d2b-883f-0016d3cca427";

#[tokio::test]
async fn what_is_no_json_is_refused_before_anything_is_understood() {
    let desk = Desk::open().await;
    for (path, first) in [("/purges", "\"dryRun\": true"), ("/holds", "\"matter\": \"M\"")] {
        let whole = format!("{{{first}, \"conversationIds\": [\"{ID}\"]}}");
        let bodies: [Vec<u8>; 9] = [
            Vec::new(),
            b"{".to_vec(),
            whole[..whole.len() - 1].into(),
            format!("{whole} {whole}").into(),
            format!("conversationIds={ID}").into(),
            whole.replace('"', "'").into(),
            whole.replace(ID, "\u{1}").into(),
            whole.replace(ID, "\\ud800").into(),
            [whole.as_bytes(), b"\xff"].concat(),
        ];
        for body in bodies {
            let shown = String::from_utf8_lossy(&body).into_owned();
            let request = desk.test.request(Method::POST, path).header("content-type", "application/json");
            let problem = refused(request.body(body), 400, "invalid_json").await;
            assert!(problem["detail"].as_str().unwrap().contains("not valid JSON"), "{shown}: {problem}");
        }
    }
    desk.assert_left_nothing().await;
}

#[tokio::test]
async fn a_wrong_field_is_named_and_nothing_is_accepted() {
    let desk = Desk::open().await;
    let with = |name: &str, value: Value| {
        let mut body = json!({ "conversationIds": [ID] });
        body[name] = value;
        body
    };
    let text = |length: usize| json!("ü".repeat(length));
    let many: serde_json::Map<String, Value> =
        (0..21).map(|number| (format!("label{number}"), json!("x"))).collect();
    let bodies = [
        (json!({}), "/conversationIds", "is missing"),
        (json!([[ID], null, null, null, true, null, null, {}, null]), "", "expected an object"),
        (json!("x"), "", "expected an object"),
        (json!(null), "", "expected an object"),
        (with("conversationIds", json!(null)), "/conversationIds", "null"),
        (with("conversationIds", json!(ID)), "/conversationIds", "must be a list"),
        (with("conversationIds", json!([])), "/conversationIds", "at least one conversation"),
        (with("conversationIds", json!([ID, 7])), "/conversationIds/1", "must be a text, not 7"),
        (with("conversationIds", json!([ID, null])), "/conversationIds/1", "null"),
        (with("conversationIds", json!([ID, ""])), "/conversationIds/1", "empty"),
        (with("conversationIds", json!([ID, "x"])), "/conversationIds/1", "\"x\" is not a conversation id"),
        (with("conversationIds", json!([ID, "\0"])), "/conversationIds/1", "not a conversation id"),
        (with("conversationIds", json!([ID, "y".repeat(100_000)])), "/conversationIds/1", "yyy"),
        (with("conversationIds", json!([ID, ID.replace('-', "")])), "/conversationIds/1", "write 1b4e28ba-"),
        (
            with("conversationIds", json!([{ "conversationId": ID }])),
            "/conversationIds/0",
            "must be a text, not an object",
        ),
        (
            with("conversationids", json!([ID])),
            "/conversationids",
            "is not known; known are conversationIds, org",
        ),
        (with("a/b~c", json!(1)), "/a~1b~0c", "is not known"),
        (with("dry_run", json!(true)), "/dry_run", "is not known"),
        (with("dryRun", json!("true")), "/dryRun", "must be true or false"),
        (with("dryRun", json!("t".repeat(100_000))), "/dryRun", "ttt"),
        (with("dryRun", json!(null)), "/dryRun", "must be true or false"),
        (with("permanentDelete", json!(false)), "/permanentDelete", "deletes permanently"),
        (with("permanentDelete", json!("false")), "/permanentDelete", "must be true or false, not \"false\""),
        (with("expectedCount", json!(-1)), "/expectedCount", "-1"),
        (with("expectedCount", json!("1")), "/expectedCount", "must be a whole number, not \"1\""),
        (with("expectedCount", json!(1.5)), "/expectedCount", "1.5"),
        (with("reason", json!(7)), "/reason", "must be a text, not 7"),
        (with("reason", json!("a\0b")), "/reason", "control characters"),
        (with("reason", text(1001)), "/reason", "1000 characters"),
        (with("reference", json!("a\u{1b}[2J")), "/reference", "control characters"),
        (with("reference", text(201)), "/reference", "200 characters"),
        (with("org", json!("no-such")), "/org", "no org"),
        (with("org", json!("\0")), "/org", "no org"),
        (with("org", json!("o".repeat(100_000))), "/org", "no org"),
        (with("labels", json!(["a"])), "/labels", "must be an object whose values are texts, not a list"),
        (with("labels", json!({ "team": 7 })), "/labels/team", "must be a text, not 7"),
        (with("labels", json!({ "": "x" })), "/labels", "empty"),
        (with("labels", json!({ "a:b": "x" })), "/labels", "colon"),
        (with("labels", json!({ "team": "a\0" })), "/labels", "control characters"),
        (with("labels", json!({ "te\0am": "a" })), "/labels", "control characters"),
        (with("labels", json!({ "team": text(101) })), "/labels", "100 characters"),
        (with("labels", json!({ "k".repeat(5000): "v" })), "/labels", "100 characters"),
        (with("labels", Value::Object(many)), "/labels", "at most 20"),
    ];
    for (body, pointer, told) in bodies {
        let problem =
            refused(desk.test.request(Method::POST, "/purges").json(&body), 422, "invalid_request").await;
        assert!(pointers(&problem).contains(&pointer), "expected {pointer:?}: {problem}");
        assert!(
            problem["errors"].to_string().contains(&told.replace('"', "\\\"")),
            "expected {told:?}: {problem}"
        );
    }
    desk.assert_left_nothing().await;
}

#[tokio::test]
async fn all_fields_that_are_wrong_are_told_at_once() {
    let desk = Desk::open().await;
    let body = json!({ "conversationIds": ID, "dryRun": "yes", "expectedCount": -1, "surprise": 1 });
    let problem =
        refused(desk.test.request(Method::POST, "/purges").json(&body), 422, "invalid_request").await;
    let mut told = pointers(&problem);
    told.sort_unstable();
    assert_eq!(told, ["/conversationIds", "/dryRun", "/expectedCount", "/surprise"], "{problem}");
    desk.assert_left_nothing().await;
}

#[tokio::test]
async fn a_field_that_is_said_twice_is_refused() {
    let desk = Desk::open().await;
    let bodies = [
        format!("{{\"conversationIds\": [\"{ID}\"], \"dryRun\": true, \"dryRun\": false}}"),
        format!("{{\"conversationIds\": [\"{ID}\"], \"conversationIds\": []}}"),
        format!("{{\"conversationIds\": [\"{ID}\"], \"labels\": {{\"team\": \"a\", \"team\": \"b\"}}}}"),
    ];
    for body in bodies {
        let request =
            desk.test.request(Method::POST, "/purges").header("content-type", "application/json").body(body);
        refused(request, 422, "invalid_request").await;
    }
    desk.assert_left_nothing().await;
}

#[tokio::test]
async fn every_wrong_field_and_up_to_twenty_wrong_ids_are_told_at_once() {
    let desk = Desk::open().await;
    let fields = json!({
        "conversationIds": [ID], "reason": "\0", "reference": "\0", "permanentDelete": false, "labels": { "a:b": "" }
    });
    let problem =
        refused(desk.test.request(Method::POST, "/purges").json(&fields), 422, "invalid_request").await;
    assert_eq!(pointers(&problem), ["/permanentDelete", "/reason", "/reference", "/labels"], "{problem}");

    let ids: Vec<String> =
        (0..60).map(|n| if n % 2 == 0 { ID.to_owned() } else { format!("bad {n}") }).collect();
    let expected: Vec<String> = (0..20).map(|n| format!("/conversationIds/{}", 2 * n + 1)).collect();
    for body in [json!({ "conversationIds": ids }), json!({ "conversationIds": ids, "matter": "M" })] {
        let path = if body.get("matter").is_some() { "/holds" } else { "/purges" };
        let problem =
            refused(desk.test.request(Method::POST, path).json(&body), 422, "invalid_request").await;
        assert_eq!(pointers(&problem), expected, "{path}: {problem}");
    }
    desk.assert_left_nothing().await;
}

#[tokio::test]
async fn wishes_of_the_contract_that_are_not_built_are_refused_and_never_ignored() {
    let desk = Desk::open().await;
    let id = desk.test.ids_of(Kind::Eligible)[0];
    let selector = json!({ "matter": "M", "selector": { "queueId": ID } });
    let both = json!({ "matter": "M", "conversationIds": [id], "selector": {} });
    let post = |path: &str| desk.test.request(Method::POST, path);
    let requests = [(post("/holds").json(&selector), "selector"), (post("/holds").json(&both), "selector")];
    for (request, told) in requests {
        let problem = refused(request, 422, "not_supported_yet").await;
        assert!(problem["detail"].as_str().unwrap().contains(told), "{problem}");
    }
    desk.assert_left_nothing().await;
}

#[tokio::test]
async fn fields_beside_a_json_body_and_a_count_that_differs_are_refused() {
    let desk = Desk::open().await;
    let purge = json!({ "conversationIds": [ID], "expectedCount": 2 });
    let post = |path: &str| desk.test.request(Method::POST, path);
    let problem = refused(post("/purges?dryRun=true").json(&purge), 400, "invalid_query").await;
    assert_eq!(pointers(&problem), ["?dryRun"]);
    let problem = refused(post("/purges").json(&purge), 422, "count_mismatch").await;
    assert!(
        problem["detail"].as_str().unwrap().contains("expectedCount is 2, but 1 ids were sent"),
        "{problem}"
    );
    desk.assert_left_nothing().await;
}

#[tokio::test]
async fn a_hold_is_checked_like_a_purge() {
    let desk = Desk::open().await;
    let bodies = [
        (json!({ "conversationIds": [ID] }), "/matter", "is missing"),
        (json!({ "matter": "M" }), "/conversationIds", "at least one conversation"),
        (json!({ "matter": "M", "conversationIds": [] }), "/conversationIds", "at least one conversation"),
        (json!({ "matter": " ", "conversationIds": [ID] }), "/matter", "must name the matter"),
        (json!({ "matter": "a\0", "conversationIds": [ID] }), "/matter", "control characters"),
        (json!({ "matter": "m".repeat(201), "conversationIds": [ID] }), "/matter", "200 characters"),
        (json!({ "matter": "M", "conversationIds": ["x"] }), "/conversationIds/0", "not a conversation id"),
        (json!({ "matter": "M", "conversationIds": [ID], "org": "us" }), "/org", "no org"),
        (json!({ "matter": "M", "conversationIds": [ID], "until": "x" }), "/until", "is not known"),
    ];
    for (body, pointer, told) in bodies {
        let problem =
            refused(desk.test.request(Method::POST, "/holds").json(&body), 422, "invalid_request").await;
        assert!(pointers(&problem).contains(&pointer), "{problem}");
        assert!(problem["errors"].to_string().contains(told), "expected {told}: {problem}");
    }
    desk.assert_left_nothing().await;
}
