//! Uploads with lines that are wrong, and files that are none of ours.

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;

use super::Desk;
use crate::support::problem::{pointers, refused};

const ID: &str = "1b4e28ba-2fa1-4d2b-883f-0016d3cca427";
const CSV: &str = "text/csv";
const NDJSON: &str = "application/x-ndjson";

#[tokio::test]
async fn bad_lines_are_told_by_their_numbers() {
    let desk = Desk::open().await;
    let files = [
        (CSV, format!("conversationId\n{ID}\nnope\n\n{ID}\nnor this\n"), vec!["line 3", "line 6"]),
        (CSV, format!("{ID}\nconversationId\n"), vec!["line 2"]),
        (CSV, format!("x;conversationId\n1;{ID}\n2\n3;\n"), vec!["line 3", "line 4"]),
        (CSV, format!("note,conversationId\n\"two\nlines\",{ID}\nx,nope\n"), vec!["line 4"]),
        (CSV, format!("conversationId\r\n{ID}\r\n{ID}\0\r\n"), vec!["line 3"]),
        (CSV, format!("conversationId\n{ID}\n{}\n", "9".repeat(100_000)), vec!["line 3"]),
        (CSV, format!("conversationId\n{}\n", ID.replace('-', "")), vec!["line 2"]),
        (NDJSON, format!("\"{ID}\"\n{ID}\n"), vec!["line 2"]),
        (NDJSON, format!("\"{ID}\"\n\n{{\"id\": \"{ID}\"}}\n7\nnull\n"), vec!["line 3", "line 4", "line 5"]),
        (NDJSON, format!("[\"{ID}\"]\n"), vec!["line 1"]),
        (NDJSON, format!("{{\"conversationId\":\"{ID}\",\"conversationId\":\"{ID}\"}}\n"), vec!["line 1"]),
        (NDJSON, "{\"conversationId\":\"\\u0000\"}\n".to_owned(), vec!["line 1"]),
    ];
    for (media_type, file, lines) in files {
        let shown = file.chars().take(120).collect::<String>();
        let problem = refused(desk.test.upload(media_type, "", file), 422, "invalid_lines").await;
        assert_eq!(pointers(&problem), lines, "{shown}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(lines[0]), "{problem}");
    }
    desk.assert_left_nothing().await;
}

#[tokio::test]
async fn a_row_whose_id_may_not_be_the_one_that_is_meant_refuses_its_upload() {
    let desk = Desk::open().await;
    let [p, c, d, e] = [1, 2, 3, 4].map(uuid::Uuid::from_u128);
    let files = [
        (format!("agent,parentConversationId,conversationId\nSmith, John,{p},{c}\n"), "line 2"),
        (format!("conversationId\n{c},{d}\n"), "line 2"),
        (format!("{p},,x\n{d},{c},x\n"), "line 2"),
        (format!("{p}\n{c}\n\n{d},{e}\n"), "line 4"),
        (format!("note,conversationId\n\"5 inch,{c}\nok,{d}\n\"tall,{e}\n"), "line 2"),
        (format!("note,conversationId\n\"5 inch,{c}\nok,{d}\n6 inch\",{e}\n"), "line 2"),
        (format!("conversationId,note\n{c},see\n{p}\n"), "line 3"),
        (format!("conversationId, note\n{c}, \"see\n{p}, too\"\n"), "line 2"),
        (format!("conversationId,note\n{c},\n{d},see\r{p},x\n"), "line 4"),
    ];
    for (file, line) in files {
        let problem = refused(desk.test.upload(CSV, "", file.clone()), 422, "invalid_lines").await;
        assert_eq!(pointers(&problem), [line], "{file}: {problem}");
    }
    let file = format!("{{\"conversationId\":\"{p}\",\"conversationID\":\"{c}\"}}\n");
    let problem = refused(desk.test.upload(NDJSON, "", file), 422, "invalid_lines").await;
    assert_eq!(pointers(&problem), ["line 1"], "{problem}");
    desk.assert_left_nothing().await;
}

#[tokio::test]
async fn twenty_bad_lines_are_told_and_the_rest_is_not_read() {
    let desk = Desk::open().await;
    let file = |bad: usize| {
        let lines = (0..bad).map(|number| format!("{ID}\nbad {number}\n"));
        std::iter::once("conversationId\n".to_owned()).chain(lines).collect::<String>()
    };
    let told = |bad: usize| (0..bad).map(|number| format!("line {}", 2 * number + 3)).collect::<Vec<_>>();
    let nineteen = refused(desk.test.upload(CSV, "", file(19)), 422, "invalid_lines").await;
    assert_eq!(pointers(&nineteen), told(19));
    assert!(nineteen["detail"].as_str().unwrap().starts_with("19 lines can't be read"), "{nineteen}");
    let more = refused(desk.test.upload(CSV, "", file(50)), 422, "invalid_lines").await;
    assert_eq!(pointers(&more), told(20));
    assert!(more["detail"].as_str().unwrap().starts_with("at least 20 lines can't be read"), "{more}");
    desk.assert_left_nothing().await;
}

#[tokio::test]
async fn files_that_hold_no_ids_are_refused_with_a_sentence() {
    let desk = Desk::open().await;
    let utf16 = |text: &str, mark: &[u8], big: bool| {
        let units =
            text.encode_utf16().flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() });
        mark.iter().copied().chain(units).collect::<Vec<u8>>()
    };
    let text = format!("conversationId\r\n{ID}\r\n");
    let quoted = format!("\"{ID}\"\n");
    let files: [(&str, Vec<u8>, &str); 17] = [
        (CSV, utf16(&text, b"\xff\xfe", false), "UTF-16"),
        (CSV, utf16(&text, b"\xfe\xff", true), "UTF-16"),
        (CSV, utf16(&text, b"", false), "UTF-16"),
        (NDJSON, utf16(&quoted, b"\xff\xfe", false), "UTF-16"),
        (NDJSON, utf16(&quoted, b"", true), "UTF-16"),
        (CSV, Vec::new(), "no conversation id"),
        (CSV, b"\n\r\n \n".to_vec(), "no conversation id"),
        (CSV, b"\xef\xbb\xbf".to_vec(), "no conversation id"),
        (CSV, b"conversationId\n\n".to_vec(), "no conversation id"),
        (NDJSON, Vec::new(), "no conversation id"),
        (NDJSON, b"\n\n".to_vec(), "no conversation id"),
        (CSV, b"name,queue\nx,y\n".to_vec(), "no column `conversationId`"),
        (CSV, format!("id,name\n{ID},x\n").into(), "no column `conversationId`"),
        (CSV, format!("conversationId,conversation_id\n{ID},{ID}\n").into(), "more than one column"),
        (CSV, format!("{ID},{ID}\n").into(), "more than one column"),
        (CSV, format!("conversationId\n{ID}\n\"{ID}\n").into(), "line 3 is not closed"),
        (CSV, b"PK\x03\x04 a spreadsheet".to_vec(), "no column `conversationId`"),
    ];
    for (media_type, file, told) in files {
        let shown = String::from_utf8_lossy(&file).into_owned();
        let problem = refused(desk.test.upload(media_type, "", file), 422, "invalid_file").await;
        assert!(problem["detail"].as_str().unwrap().contains(told), "{shown:?}: {problem}");
    }
    desk.assert_left_nothing().await;
}

#[tokio::test]
async fn a_wrong_query_string_of_an_upload_is_refused_by_name() {
    let desk = Desk::open().await;
    let queries = [
        ("?dryrun=true", 400, "?dryrun"),
        ("?dryRun=yes", 400, "?dryRun"),
        ("?dryRun=", 400, "?dryRun"),
        ("?dryRun=true&dryRun=false", 400, "?dryRun"),
        ("?permanentDelete=0", 400, "?permanentDelete"),
        ("?expectedCount=1.0", 400, "?expectedCount"),
        ("?label=nocolon", 400, "?label"),
        ("?label=a:1&label=a:2", 400, "?label"),
        ("?conversationIds=x", 400, "?conversationIds"),
        ("?reference=%E9", 400, "?reference"),
        ("?permanentDelete=false", 422, "/permanentDelete"),
        ("?reason=a%00b", 422, "/reason"),
        ("?reference=%1B", 422, "/reference"),
        ("?label=a%00:b", 422, "/labels"),
        ("?label=:b", 422, "/labels"),
        ("?org=us", 422, "/org"),
    ];
    for (query, status, pointer) in queries {
        let code = if status == 400 { "invalid_query" } else { "invalid_request" };
        let problem = refused(desk.test.upload(CSV, query, ID), status, code).await;
        assert_eq!(pointers(&problem), [pointer], "{query}: {problem}");
    }
    let overlong = format!("?reason={}", "r".repeat(1001));
    assert_eq!(
        pointers(&refused(desk.test.upload(CSV, &overlong, ID), 422, "invalid_request").await),
        ["/reason"]
    );
    let many: Vec<String> = (0..21).map(|number| format!("label=l{number}:x")).collect();
    let many = format!("?{}", many.join("&"));
    assert_eq!(
        pointers(&refused(desk.test.upload(CSV, &many, ID), 422, "invalid_request").await),
        ["/labels"]
    );
    for (query, came) in [("?expectedCount=1", 2), ("?expectedCount=3", 2), ("?expectedCount=0", 2)] {
        let problem =
            refused(desk.test.upload(CSV, query, format!("{ID}\n{ID}\n")), 422, "count_mismatch").await;
        assert!(
            problem["detail"].as_str().unwrap().contains(&format!("but {came} ids were sent")),
            "{problem}"
        );
    }
    desk.assert_left_nothing().await;
}

#[tokio::test]
async fn a_body_in_another_encoding_than_it_is_read_in_is_refused() {
    let desk = Desk::open().await;
    let json = format!("{{\"conversationIds\":[\"{ID}\"]}}");
    let hold = format!("{{\"matter\":\"M\",\"conversationIds\":[\"{ID}\"]}}");
    let calls = [
        ("/purges", "application/json", &*json),
        ("/purges", CSV, ID),
        ("/purges", NDJSON, "{}"),
        ("/holds", "application/json", &hold),
        ("/orgs/default/stop", "application/json", "{}"),
    ];
    for (path, media_type, body) in calls {
        for charset in
            ["charset=utf-16", "Charset=\"UTF-16LE\"", "charset=iso-8859-1", "charset=utf-8; charset=x"]
        {
            let request = desk.test.request(Method::POST, path).body(body.to_owned());
            let request = request.header(CONTENT_TYPE, format!("{media_type}; {charset}"));
            let problem = refused(request, 415, "unsupported_media_type").await;
            assert!(problem["detail"].as_str().unwrap().contains("charset=utf-8"), "{problem}");
        }
    }
    desk.assert_left_nothing().await;
    for charset in ["charset=utf-8", "header=absent ;charset=\"UTF-8\"", "charset=us-ascii", "x"] {
        let sent = desk.test.upload(&format!("{CSV};{charset}"), "", ID).send().await.unwrap();
        assert_eq!(sent.status(), 202, "{charset}");
    }
}
