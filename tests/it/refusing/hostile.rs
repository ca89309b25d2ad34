//! Requests that only an attacker or a broken program would send.

use genesys_purge::domain::keys::Scope;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Desk;
use crate::support::problem::refused;
use crate::support::service::read;
use crate::support::{Setup, TestService};

const ID: &str = "1b4e28ba-2fa1-4d2b-883f-0016d3cca427";

/// Posts this text as JSON, which must be refused with one of these.
async fn refuse(desk: &Desk, path: &str, body: Vec<u8>, allowed: &[(u16, &str)]) {
    let shown = String::from_utf8_lossy(&body[..body.len().min(100)]).into_owned();
    let request = desk.test.request(Method::POST, path).header("content-type", "application/json").body(body);
    let (status, problem) = read(request.send().await.unwrap()).await;
    let told = (status.as_u16(), problem["code"].as_str().unwrap_or_default());
    assert!(allowed.contains(&told), "{path} {shown}: {problem}");
}

const FIELD: (u16, &str) = (422, "invalid_request");
const SYNTAX: (u16, &str) = (400, "invalid_json");

#[tokio::test]
async fn a_name_that_stands_twice_is_refused_however_it_is_written() {
    let desk = Desk::open().await;
    let ids = format!("\"conversationIds\": [\"{ID}\"]");
    let purges = [
        format!("{{{ids}, {ids}}}"),
        format!("{{{ids}, \"org\": \"default\", \"\\u006frg\": \"default\"}}"),
        format!("{{{ids}, \"dryRun\": true, \"dry\\u0052un\": false}}"),
        format!("{{\"conversation\\u0049ds\": [], {ids}}}"),
        format!("{{{ids}, \"expectedCount\": 1, \"expectedCount\": 1}}"),
        format!("{{{ids}, \"reason\": null, \"reason\": \"a\"}}"),
        format!("{{{ids}, \"labels\": {{\"a\": \"1\", \"\\u0061\": \"2\"}}}}"),
        format!("{{{ids}, \"labels\": {{}}, \"labels\": {{}}}}"),
    ];
    for body in purges {
        refuse(&desk, "/purges", body.into(), &[FIELD]).await;
    }
    let holds = [
        format!("{{\"matter\": \"M\", {ids}, {ids}}}"),
        format!("{{\"matter\": \"M\", \"matter\": \"N\", {ids}}}"),
        format!("{{\"matter\": \"M\", \"\\u006datter\": \"N\", {ids}}}"),
        format!("{{\"matter\": \"M\", {ids}, \"org\": \"default\", \"o\\u0072g\": null}}"),
    ];
    for body in holds {
        refuse(&desk, "/holds", body.into(), &[FIELD]).await;
    }
    desk.assert_left_nothing().await;
}

#[tokio::test]
async fn numbers_texts_and_depths_beyond_all_reason_are_refused() {
    let desk = Desk::open().await;
    for number in
        ["1e400", "-1e400", "-1", "-0.5", "1.5", "1e0", "18446744073709551616", "01", "NaN", "0x1", "+1"]
    {
        let body = format!("{{\"conversationIds\": [\"{ID}\"], \"expectedCount\": {number}}}");
        refuse(&desk, "/purges", body.into(), &[FIELD, SYNTAX]).await;
        let body = format!("{{\"conversationIds\": [{number}], \"matter\": \"M\"}}");
        refuse(&desk, "/holds", body.into(), &[FIELD, SYNTAX]).await;
    }
    let raw_surrogate: &[u8] = b"\xed\xa0\x80";
    for text in [
        b"\\ud800".as_slice(),
        b"\\udc00\\ud800",
        b"\\ud800\\u0041",
        raw_surrogate,
        b"\xc0\x80",
        b"\xf5",
        b"\\u0000",
        b"\\u001b",
    ] {
        for field in ["org", "reason", "reference"] {
            let head = format!("{{\"conversationIds\": [\"{ID}\"], \"{field}\": \"a");
            refuse(&desk, "/purges", [head.as_bytes(), text, b"b\"}"].concat(), &[FIELD, SYNTAX]).await;
        }
        let head = format!("{{\"conversationIds\": [\"{ID}\"], \"labels\": {{\"a");
        refuse(&desk, "/purges", [head.as_bytes(), text, b"\": \"b\"}}"].concat(), &[FIELD, SYNTAX]).await;
        for field in ["org", "matter"] {
            let head = format!("{{\"conversationIds\": [\"{ID}\"], \"{field}\": \"a");
            refuse(&desk, "/holds", [head.as_bytes(), text, b"b\"}"].concat(), &[FIELD, SYNTAX]).await;
        }
    }
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}{}", open.repeat(100_000), close.repeat(100_000));
        for path in ["/purges", "/holds"] {
            refuse(&desk, path, deep.clone().into(), &[FIELD, SYNTAX]).await;
            for field in ["conversationIds", "labels", "selector", "nobodyKnowsIt"] {
                let body = format!("{{\"matter\": \"M\", \"{field}\": {deep}}}");
                refuse(&desk, path, body.into(), &[FIELD, SYNTAX]).await;
            }
        }
    }
    desk.assert_left_nothing().await;
}

#[tokio::test]
async fn queries_and_paths_that_make_no_sense_never_reach_the_database() {
    let desk = Desk::open().await;
    let purge = desk.test.purge(&[Uuid::from_u128(1)]).await;
    let token = |json: &str| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json)
    };
    let queries = [
        ";".to_owned(),
        ";;;=;&;".to_owned(),
        "limit=1;cursor=x".to_owned(),
        "limit=%00".to_owned(),
        "limit=1&limit=1".to_owned(),
        "limit=99999999999999999999999".to_owned(),
        "limit=1%00".to_owned(),
        "%ff=%ff".to_owned(),
        "%00=1".to_owned(),
        "cursor=%00".to_owned(),
        "cursor=%ff%fe".to_owned(),
        format!("cursor={}", token(r#"{"list":"holds","after":"\u0000"}"#)),
        format!("cursor={}", token(r#"{"list":"purges","after":9e999}"#)),
        format!("cursor={}", token(&format!("{{\"list\":{}}}", "[".repeat(10_000)))),
        format!("cursor={}", "A".repeat(40_000)),
        format!("nothing={}", "a".repeat(40_000)),
        "x='; drop table purges; --".to_owned(),
    ];
    let lists = ["/purges", "/holds", "/orgs"].map(str::to_owned);
    let of_purge =
        ["conversations", "jobs", "events", "report"].map(|list| format!("/purges/{purge}/{list}"));
    for path in lists.iter().chain(&of_purge) {
        for query in &queries {
            refused(desk.test.request(Method::GET, &format!("{path}?{query}")), 400, "invalid_query").await;
        }
    }
    // Filters that are texts find nothing, or are refused.
    for filter in ["org", "reference", "label", "state"] {
        for text in ["%00", "a%00:b%00", "%ff:%ff", "'%20or%20'1'='1", &"x".repeat(30_000), ":", "a:", ":b"] {
            let request = desk.test.request(Method::GET, &format!("/purges?{filter}={text}"));
            let (status, body) = read(request.send().await.unwrap()).await;
            let is_well = match status {
                StatusCode::OK => body["items"] == json!([]),
                status => status == StatusCode::BAD_REQUEST && body["code"] == "invalid_query",
            };
            assert!(is_well, "{filter}={}: {status} {body}", &text[..text.len().min(40)]);
        }
    }
    for id in [
        "%2e%2e%2f",
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e",
        "'; drop table purges; --",
        "a%2fb",
        "%c0%ae",
        "%",
        "%zz",
    ] {
        for path in [
            "/purges/{}",
            "/purges/{}/conversations",
            "/conversations/{}",
            "/holds/{}",
            "/jobs/{}",
            "/orgs/{}",
        ] {
            let path = path.replace("{}", id);
            let request = desk.test.request(Method::GET, &path);
            // Clients go up by themselves: `/` leads to the admin page.
            if request.try_clone().unwrap().build().unwrap().url().path() == "/" {
                continue;
            }
            let (status, problem) = read(request.send().await.unwrap()).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{path}: {problem}");
            assert!(["not_found", "no_such_path"].contains(&problem["code"].as_str().unwrap()), "{problem}");
        }
    }
    assert_eq!(desk.test.get("/purges").await["items"].as_array().unwrap().len(), 1);
}

/// What a refusal says, but for what differs between any two: the id of the request, and the name that was asked for.
async fn said(
    test: &TestService,
    key: &str,
    method: Method,
    path: &str,
    body: Option<Value>,
    name: &str,
) -> String {
    let request = test.request_as(key, method, &path.replace("{}", name));
    let text = body.map(|body| body.to_string().replace("{}", name));
    let request = text
        .into_iter()
        .fold(request.header("content-type", "application/json"), reqwest::RequestBuilder::body);
    let (status, mut answer) = read(request.header("x-request-id", "same").send().await.unwrap()).await;
    answer["requestId"] = Value::Null;
    format!("{status} {}", answer.to_string().replace(name, "NAME"))
}

#[tokio::test]
async fn an_org_that_the_key_does_not_reach_is_as_good_as_none() {
    let test = Setup::new().second_org().role(genesys_purge::app::Role::Api).start().await;
    let key = test.make_key(Scope::ALL, Some(&["default"])).await;
    let purge = json!({ "conversationIds": [ID], "org": "eu" });
    let (_, there) = test.post("/purges", &purge).await;
    let (_, hold) =
        test.post("/holds", &json!({ "matter": "M", "conversationIds": [ID], "org": "eu" })).await;
    let nobody = "1b4e28ba-2fa1-7d2b-883f-0016d3cca427";
    let with_org = |mut body: Value| {
        body["org"] = json!("{}");
        Some(body)
    };
    for (method, path, body, hidden, missing) in [
        (Method::POST, "/purges", with_org(json!({ "conversationIds": [ID] })), "eu", "xx"),
        (Method::POST, "/holds", with_org(json!({ "conversationIds": [ID], "matter": "M" })), "eu", "xx"),
        (Method::GET, "/purges?org={}", None, "eu", "xx"),
        (Method::GET, "/orgs/{}", None, "eu", "xx"),
        (Method::POST, "/orgs/{}/stop", None, "eu", "xx"),
        (Method::POST, "/orgs/{}/resume", None, "eu", "xx"),
        (Method::GET, "/purges/{}", None, there["id"].as_str().unwrap(), nobody),
        (Method::GET, "/purges/{}/report", None, there["id"].as_str().unwrap(), nobody),
        (Method::GET, "/purges/{}/events", None, there["id"].as_str().unwrap(), nobody),
        (Method::POST, "/purges/{}/cancel", None, there["id"].as_str().unwrap(), nobody),
        (Method::GET, "/holds/{}", None, hold["id"].as_str().unwrap(), nobody),
        (Method::POST, "/holds/{}/release", None, hold["id"].as_str().unwrap(), nobody),
        (Method::GET, "/conversations/{}", None, ID, nobody),
    ] {
        let hidden = said(&test, &key, method.clone(), path, body.clone(), hidden).await;
        assert_eq!(hidden, said(&test, &key, method, path, body, missing).await, "{path}");
    }
}
