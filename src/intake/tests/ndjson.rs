//! NDJSON as programs write it, and as nobody should.

use super::super::IntakeError;
use super::super::ndjson::NdjsonParser;
use super::{CUTS, Found, short, with_ids};

const MAX_LINE: usize = 200;

fn read(text: &[u8], cut: usize) -> Result<Found, IntakeError> {
    let mut found = Found::default();
    let mut parser = NdjsonParser::new(MAX_LINE);
    for piece in text.chunks(cut) {
        parser.feed(piece, &mut found)?;
    }
    parser.finish(&mut found)?;
    Ok(found)
}

fn check(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let bytes = with_ids(text);
        for cut in CUTS {
            assert_eq!(&short(&read(&bytes, cut)), expected, "{text:?} in pieces of {cut}");
        }
    }
}

#[test]
fn strings_and_objects_are_read_a_line_each() {
    check(&[
        ("\"#1\"\n\"#2\"\n", "ids 1 2"),
        ("\"#1\"\r\n\"#2\"", "ids 1 2"),
        ("\u{feff}\"#1\"\n", "ids 1"),
        ("\n  \n\"#1\"\n\r\n\n\t\"#2\" \n\n", "ids 1 2"),
        ("{\"conversationId\":\"#1\"}\n", "ids 1"),
        (" { \"conversationId\" : \" #1 \" } ", "ids 1"),
        (
            "{\"a\":[{\"conversationId\":1}],\"conversationId\":\"#1\",\"b\":null,\"b\":2,\"parentConversationId\":\"#2\"}\n\"#2\"",
            "ids 1 2",
        ),
        ("{\"conversation\\u0049d\":\"\\u0031#1\"}\n", "ids bad 1"),
        ("\"\\u0020#1\"\n", "ids 1"),
        ("", "ids"),
        ("\n \n", "ids"),
    ]);
}

#[test]
fn a_bad_line_is_told_by_its_number() {
    check(&[
        ("\"#1\"\n#2\n\"#3\"\n", "ids 1 3 bad 2"),
        ("\n\"\"\n\"#1\n", "ids bad 2 bad 3"),
        ("[\"#1\"]\n7\nnull\ntrue\n", "ids bad 1 bad 2 bad 3 bad 4"),
        ("\"#1\" \"#2\"\n", "ids bad 1"),
        ("\"#1\",\n", "ids bad 1"),
        ("{\"conversationId\":\"#1\"}{}\n", "ids bad 1"),
        ("{\"conversationId\":\"#1\",\"conversationId\":\"#1\"}\n", "ids bad 1"),
        ("{\"conversationId\":\"#1\",\"conversation\\u0049d\":\"#2\"}\n", "ids bad 1"),
        ("{\"conversationId\":\"#1\",\"conversationID\":\"#2\"}\n", "ids bad 1"),
        ("{\"conversation_id\":null,\"conversationId\":\"#1\"}\n", "ids bad 1"),
        ("{\"conversationId\":\"#1\"} \"#2\"\n", "ids bad 1"),
        (
            "{\"conversationId\":1}\n{\"conversationId\":null}\n{\"conversationId\":[\"#1\"]}\n",
            "ids bad 1 bad 2 bad 3",
        ),
        ("{\"conversationid\":\"#1\"}\n{\"id\":\"#1\"}\n{}\n", "ids bad 1 bad 2 bad 3"),
        ("{\"conversationId\":\"#1\"\n}\n", "ids bad 1 bad 2"),
        ("{\"conversationId\":\"{#1}\"}\n\"#1\0\"\n", "ids bad 1 bad 2"),
        ("\"#1\"\r\"#2\"\n", "ids bad 1"),
        ("\"\0\0\"", "Utf16"),
        ("\0\"\0", "Utf16"),
    ]);
    let utf16: Vec<u8> = "\u{feff}\"\"\n".repeat(200).encode_utf16().flat_map(u16::to_be_bytes).collect();
    let long = [b'"', 0].repeat(MAX_LINE);
    for cut in CUTS {
        assert_eq!(short(&read(&utf16, cut)), "Utf16");
        assert_eq!(short(&read(&long, cut)), "Utf16");
        assert_eq!(short(&read(b"\"\xff\"\n", cut)), "ids bad 1");
    }
}

#[test]
fn a_line_is_as_long_as_the_limit_and_no_longer() {
    let pad = MAX_LINE - "\"\"".len() - 36;
    let fits = format!("{}\"#1\"", " ".repeat(pad));
    check(&[
        (&format!("{fits}\n{fits}"), "ids 1 1"),
        (&format!("{fits} \n\"#2\"\n"), "ids 2 bad 1"),
        (&format!("\"#2\"\n {fits}"), "ids 2 bad 2"),
        (&format!("{fits}{fits}{fits}\n{fits} \n"), "ids bad 1 bad 2"),
    ]);
}

#[test]
fn what_is_told_of_a_line_says_what_to_change() {
    let text = with_ids(
        "[]\n\"#1\" x\n{\"a\":1}\n{\"conversationId\":5}\n{\"conversationId\":\"\",\"conversationId\":\"\"}\n\"x\"\n",
    );
    let found = read(&text, usize::MAX).unwrap();
    let told: Vec<&str> = found.bad.iter().map(|bad| bad.detail.as_str()).collect();
    assert_eq!(
        told,
        [
            "the line is neither a JSON string nor an object; write \"id\" or {\"conversationId\": \"id\"}, one per line",
            "the line is not one JSON value (seen at column 40); write one value a line",
            "the object has no field `conversationId`, spelled exactly like this",
            "`conversationId` is not a string; write the id between quotes",
            "the object has `conversationId` more than once, perhaps in another spelling; send each id on its own line",
            "\"x\" is not a conversation id; write a UUID of 36 characters, such as \
             1b4e28ba-2fa1-4d2b-883f-0016d3cca427",
        ]
    );
}
