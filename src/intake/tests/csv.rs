//! CSV as people's tools write it, and as nobody should.

use super::super::IntakeError;
use super::super::csv::CsvParser;
use super::{CUTS, Found, id, short, with_ids};

const MAX_LINE: usize = 200;

pub(super) fn read(text: &[u8], cut: usize) -> Result<Found, IntakeError> {
    let mut found = Found::default();
    let mut parser = CsvParser::new(MAX_LINE);
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
fn every_way_of_writing_one_column_is_read() {
    check(&[
        ("conversationId\n#1\n#2\n", "ids 1 2"),
        ("conversationId\r\n#1\r\n#2\r\n", "ids 1 2"),
        ("conversationId\r#1\r#2\r", "ids 1 2"),
        ("conversationId\n#1\n#2", "ids 1 2"),
        ("\u{feff}conversationId\n#1\n", "ids 1"),
        ("\u{feff}\"conversationId\"\n\"#1\"\n", "ids 1"),
        ("\u{feff}\r\n  \r\nconversationId\r\n\r\n#1\r\n   \r\n\t\r\n#2\r\n\r\n", "ids 1 2"),
        ("conversationId\n  #1 \n\t#2\n", "ids 1 2"),
        ("conversationId\n#1\n#1\n#2\n#1\n", "ids 1 1 2 1"),
        ("#1\n#2\n", "ids 1 2"),
        ("\u{feff}#1", "ids 1"),
        ("\"#1\"\r\n\"#2\"\r\n", "ids 1 2"),
        ("\n\n #1\n", "ids 1"),
        ("id\n#1\n", "ids 1"),
        ("\"ID\"\n#1\n", "ids 1"),
        ("conversationId\n", "ids"),
        ("", "ids"),
        ("\u{feff}", "ids"),
        (" \r\n\n", "ids"),
    ]);
}

#[test]
fn the_id_column_is_found_by_its_name_in_any_spelling() {
    for name in [
        "conversationId",
        "ConversationID",
        "CONVERSATIONID",
        "conversation_id",
        "Conversation ID",
        "conversation-id",
        "\"Conversation\nId\"",
        " conversationId ",
    ] {
        check(&[(&format!("start,{name},note\n1,#1,x\n,#2,\n"), "ids 1 2")]);
    }
}

#[test]
fn the_id_column_may_stand_anywhere_behind_any_delimiter() {
    check(&[
        ("conversationId,a\n#1,x\n", "ids 1"),
        ("a;conversationId\nx;#1\n", "ids 1"),
        ("a\tconversationId\tb\nx\t#1\t\n", "ids 1"),
        ("id,conversationId\n7,#1\n", "ids 1"),
        ("\"a,b,c\";conversationId\n\"x\"\"\r\n;y\";#1\n", "ids 1"),
        ("a,b;c;d,conversationId\nx,y,#1\n", "ids 1"),
        ("5\" disk,conversationId\na\"b,#1\n", "ids 1"),
        ("#1;,,;\"\r\"\n#2;\n", "ids 1 2"),
        ("a;\"b,conversationId\nx;\"y,#1\n", "ids 1"),
        ("#1;a\n#2;b\n", "ids 1 2"),
        ("a,#1,b\nc,#2,d\n", "ids 1 2"),
        (",#1\nmore,#2\n", "ids 1 2"),
        ("\t#1\n", "ids 1"),
        ("#1,\n#2,\n", "ids 1 2"),
    ]);
}

#[test]
fn an_upload_whose_id_column_is_in_doubt_is_refused() {
    check(&[
        ("name\nx\n", "NoIdColumn"),
        ("a,b,c\n1,2,#1\n", "NoIdColumn"),
        ("id,name\n#1,x\n", "NoIdColumn"),
        ("recordingId\n#1\n", "NoIdColumn"),
        ("sep=;\nconversationId;a\n#1;x\n", "NoIdColumn"),
        ("\t\t\nconversationId\ta\tb\n", "NoIdColumn"),
        ("conversationId,conversation_id\n#1,#2\n", "TwoIdColumns"),
        ("#1,#2\n", "TwoIdColumns"),
        ("#1,conversationId\n", "TwoIdColumns"),
        ("c\0o\0n\0v\0", "Utf16"),
        ("\0c\0o\0n\0v", "Utf16"),
    ]);
    let utf16: Vec<u8> = "\u{feff}conversationId\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let long: Vec<u8> = "\u{feff}".encode_utf16().chain([0x4141; 500]).flat_map(u16::to_be_bytes).collect();
    for cut in CUTS {
        assert_eq!(short(&read(&utf16, cut)), "Utf16");
        assert_eq!(short(&read(&long, cut)), "Utf16");
        assert_eq!(short(&read(b"\xff\xfe", cut)), "Utf16");
    }
}

#[test]
fn a_first_line_that_two_delimiters_make_sense_of_is_refused() {
    check(&[
        ("#1;Smith,#2\n", "TwoIdColumns"),
        ("#1;#2;x, #3\n", "TwoIdColumns"),
        ("x,#1;#2;#3\n", "TwoIdColumns"),
        ("#1\t#2\tx,y,z,#3\n", "TwoIdColumns"),
        ("#1,\"x;#2;y\"\n", "TwoIdColumns"),
        ("conversationId;x,conversationId\n", "TwoIdColumns"),
        ("#1;x,conversationId\n", "TwoIdColumns"),
        ("conversationId\tx,#2\n", "TwoIdColumns"),
        // By both the same id, and of the second line #2 and #3 by the one, #2 alone by the other.
        ("#1\t,x\n#2\t,\"y\n#3\t,\"\n", "TwoIdColumns"),
        ("x,\t#1\ny,#2,\t#3\n", "TwoIdColumns"),
    ]);
}

#[test]
fn a_first_row_with_an_id_within_another_column_is_refused() {
    check(&[
        ("Smith;#1,#2\n", "TwoIdColumns"),
        ("#1,\"#2;#3\"\n", "TwoIdColumns"),
        ("#1;x, #2\n", "TwoIdColumns"),
        ("conversationId,users\n#1,\"#2;#3\"\n", "ids 1"),
        ("#1,{#2}\n", "TwoIdColumns"),
        ("#1,\"x\n#2\"\n", "TwoIdColumns"),
        ("#1,see #2\n", "ids 1"),
    ]);
}

#[test]
fn a_delimiter_that_cuts_nothing_says_nothing_of_columns() {
    check(&[
        ("\t#1\nx\t#2\n", "ids 1 2"),
        ("\tconversationId\n0\t#1\n", "ids 1"),
        ("conversationId\n#1;x\n", "ids bad 2"),
        ("conversation\tId\n#1\t#2\n", "NoIdColumn"),
        ("id\t\n#1\t\n", "NoIdColumn"),
        ("\"note, or; so\"\t\"Conversation Id\"\n\"a, b; c\"\t\"#1\"\n", "ids 1"),
    ]);
}

#[test]
fn a_row_with_text_in_more_columns_than_the_first_line_is_refused() {
    check(&[
        ("agent,parentConversationId,conversationId\nSmith, John,#1,#2\n", "ids bad 2"),
        (
            "agent,parentConversationId,conversationId\n\"Smith, John\",#1,#2\nDoe, Jane,#3,#4\n",
            "ids 2 bad 3",
        ),
        ("agent;parentConversationId;conversationId\r\nSmith; John;#1;#2\r\n", "ids bad 2"),
        ("conversationId\n#1,#2\n#3\n", "ids 3 bad 2"),
        ("conversationId\n#1,x\n", "ids bad 2"),
        ("conversationId,a\n#1,x,\" \u{a0}\"\n", "ids bad 2"),
        ("#1\n#2,x\n", "ids 1 bad 2"),
        ("x,#1\ny,#2,z\n", "ids 1 bad 2"),
        // A column without a name is none.
        ("agent,parentConversationId,conversationId,\nSmith, John,#1,#2\n", "ids bad 2"),
        ("conversationId,\"\", \n#1,x,\n", "ids bad 2"),
        ("conversationId\n#1,\n#2,,\" \",\t\n#3\n", "ids 1 2 3"),
        ("conversationId,,\n#1\n#2,\n#3,,,\n", "ids 1 2 3"),
        ("#1\n#2,\n", "ids 1 2"),
        ("#1,,\n#2,,x\n#3,y\n#4\n", "ids 1 2 3 4"),
        (",conversationId\nx,#1\n", "ids 1"),
    ]);
}

#[test]
fn a_row_with_fewer_columns_than_the_first_line_is_refused() {
    check(&[
        // A text with an end of line in it, without quotes around it.
        ("conversationId,note\n#1,see\n#2\n", "ids 1 bad 3"),
        ("conversationId,note,agent\n#1,see\n#2,Smith\n", "ids bad 2 bad 3"),
        ("agent,conversationId,parentConversationId\n#1,#2\n", "ids bad 2"),
        ("#1,note\n#2\n", "ids 1 bad 2"),
        ("conversationId,note\n#1,\n#2,x\n#3", "ids 1 2 bad 4"),
    ]);
}

#[test]
fn without_a_header_an_id_in_another_column_refuses_its_row() {
    check(&[
        ("#1,,x\n#2,#3,x\n", "ids 1 bad 2"),
        ("#1,,x\nx,#3,x\n", "ids 1 bad 2"),
        ("x,#1\n#2,#3\n", "ids 1 bad 2"),
        ("#1\n#2,#3\n#4\n", "ids 1 4 bad 2"),
        ("#1\n#2\n\n,#3\n", "ids 1 2 bad 4"),
        ("#1,x\n#2,{#3}\n", "ids 1 bad 2"),
        ("#1,x\n#2,\" #3 \"\n", "ids 1 bad 2"),
        ("#1,see #2\n#3,\"#4;#5\"\n", "ids 1 bad 2"),
        ("#1,x\n#2,\"see\n#3\"\n#4,see #5\n", "ids 1 4 bad 2"),
        ("conversationId,parentConversationId,x\n#1,,x\n#2,#3,\"#4;#5\"\n", "ids 1 2"),
    ]);
}

#[test]
fn text_behind_a_closing_quote_refuses_its_row() {
    check(&[
        ("note,conversationId\n\"5 inch,#1\nok,#2\n\"tall,#3\n", "ids bad 2"),
        ("note,conversationId\n\"5 inch\",#1\n\"a\"b,#2\n", "ids 1 bad 3"),
        ("note,conversationId\n\"say \\\"a, b\\\"\",#1\n", "ids bad 2"),
        ("conversationId,note\n#1,\"a\" \"b\"\n#2,\"a\"\"b\"\n", "ids 2 bad 2"),
        ("\"note\"s,conversationId\nx,#1\n", "ids 1 bad 1"),
        ("\"#1\"x,#2\n", "ids bad 1"),
        ("note,conversationId\n\"x\" ,\"#1\" \t\n", "ids 1"),
        ("note\tconversationId\n\"x\" \t\"#1\"\n", "ids 1"),
    ]);
}

#[test]
fn blanks_before_a_quote_refuse_their_row() {
    check(&[
        ("conversationId, note\n#1, \"see\n#2, also\"\n", "ids 2 bad 2"),
        ("conversationId,note\n#1,\t\"x\"\n", "ids bad 2"),
        ("conversationId, \"note\"\n#1,x\n", "ids 1 bad 1"),
        ("conversationId, note\n#1, 5\" disk\n#2, \n", "ids 1 2"),
    ]);
}

#[test]
fn a_quote_that_swallows_rows_is_seen_by_their_ids() {
    check(&[
        ("note,conversationId\n\"5 inch,#1\nok,#2\n6 inch\",#3\n", "ids bad 2"),
        ("note,conversationId\n\"5 inch\r\nok\",#1\r\n\"see #2\r\n\",#3\r\n", "ids 1 3"),
        ("users,conversationId\n\"#1,#2\",#3\n", "ids 3"),
    ]);
}

#[test]
fn a_cr_that_ends_a_row_among_others_that_an_lf_ends_refuses_the_next() {
    check(&[
        ("conversationId,note\n#1,see\n#2,a\r#3,b\n", "ids 1 2 bad 4"),
        ("conversationId,note\r#1,see\r#2,a\n#3,b\r", "ids 1 2 bad 4"),
        ("conversationId\r\n#1\n \r#2\n#3\r\r\n#4\r", "ids 1 2 3 4"),
        ("\r \r\nconversationId\r\r#1\r \r#2\r", "ids 1 2"),
        ("conversationId\r#1\r\n\r\r", "ids 1"),
        ("conversationId,note\n#1,\"see\r#2\"\n#3,\"a\rb\"\n", "ids 3 bad 2"),
    ]);
}

#[test]
fn only_one_byte_order_mark_is_none_of_the_text() {
    check(&[
        ("\u{feff}\u{feff}conversationId\n#1\n", "NoIdColumn"),
        ("\u{feff}\u{feff}\"a\nb\",#1\n", "NoIdColumn"),
        ("\u{feff}\u{feff}\n#1\n", "NoIdColumn"),
    ]);
}

#[test]
fn a_bad_row_is_told_by_its_physical_line() {
    check(&[
        ("conversationId\n#1\nnot-an-id\n#2\n", "ids 1 2 bad 3"),
        ("conversationId\r\n#1\r\n\r\nnot-an-id\r\n", "ids 1 bad 4"),
        ("conversationId\r#1\r\rnot-an-id\r", "ids 1 bad 4"),
        ("#1\nconversationId\n", "ids 1 bad 2"),
        ("\r\n \n\rconversationId\r\nx\r\n", "ids bad 5"),
        ("a,conversationId\n\"x\r\ny\rz\nw\",#1\nx,bad\n", "ids 1 bad 6"),
        ("a,conversationId\n\"x\r\n\ny\",bad\n", "ids bad 2"),
        ("a,conversationId\nx\n\ny,#1\n", "ids 1 bad 2"),
        ("a,conversationId\nx,\ny,  \n", "ids bad 2 bad 3"),
        ("a,conversationId\n,\n", "ids bad 2"),
        ("conversationId\n\"\"\n", "ids bad 2"),
        ("conversationId\n#1\0\n\u{1}\n", "ids bad 2 bad 3"),
        ("conversationId\n#1 #2\n#1,#2\n", "ids bad 2 bad 3"),
        ("conversationId\n{#1}\n", "ids bad 2"),
        ("conversationId\n\"#1\"x\n#2\n", "ids 2 bad 2"),
    ]);
}

#[test]
fn a_quote_that_never_closes_is_told_where_it_opens() {
    check(&[
        ("conversationId\n#1\n\"#2\n#3\n", "UnclosedQuote 3"),
        ("a,conversationId\r\n#1\r\n\r\nx,\"#2\r\n", "UnclosedQuote 4"),
        ("\"conversationId\n#1\n", "UnclosedQuote 1"),
        ("\n\na,\"conversationId\n#1\n", "UnclosedQuote 3"),
        ("conversationId\n\"#1\"\"\n", "UnclosedQuote 2"),
        ("conversationId\n\"#1\"", "ids 1"),
        ("conversationId\nx\"y\n#1", "ids 1 bad 2"),
    ]);
}

#[test]
fn a_field_is_as_long_as_the_limit_and_no_longer() {
    let fits = "x".repeat(MAX_LINE);
    let long = "x".repeat(MAX_LINE + 1);
    let lines = "x\n".repeat(MAX_LINE);
    check(&[
        (&format!("conversationId,a\n#1,{fits}\n#2,\"{fits}\"\n"), "ids 1 2"),
        (&format!("conversationId,a\n#1,{long}\n#2,\n"), "ids 2 bad 2"),
        (&format!("a,conversationId\n{long}{long}{long},#1\nx,#2\n"), "ids 2 bad 2"),
        (&format!("conversationId\n{long}"), "ids bad 2"),
        (&format!("conversationId\n\n\"{long}{long}\"\n"), "UnclosedQuote 3"),
        (&format!("conversationId\n\"{lines}"), "UnclosedQuote 2"),
        (&format!("\n\"{lines}\""), "UnclosedQuote 2"),
        (&format!("{long}{long}\n#1\n"), "BadLines"),
    ]);
}

#[test]
fn what_is_told_of_a_row_says_what_to_change() {
    let text = with_ids("a,conversationId,b\nx,nine,\nx\nx,,\nx,#1,#2\n");
    let found = read(&text, usize::MAX).unwrap();
    let told: Vec<&str> = found.bad.iter().map(|bad| bad.detail.as_str()).collect();
    assert_eq!(
        told,
        [
            "\"nine\" is not a conversation id; write a UUID of 36 characters, such as \
             1b4e28ba-2fa1-4d2b-883f-0016d3cca427",
            "the row ends at column 1, and the first line at column 3; fill the row up or remove it, and put quotes around \
             a text with an end of line in it",
            "the id is empty; fill it in or remove the line",
        ]
    );
    assert_eq!(found.ids, [id(1)]);
    assert_eq!(
        read(b"name;r\xc3\xb4le\n", 1).unwrap_err().to_string(),
        "the first line \"name;r\u{f4}le\" has no column `conversationId` and no id; add a header with it, or send one id per line"
    );
}
