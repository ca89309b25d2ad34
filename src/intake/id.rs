//! One conversation id as text.
//!
//! Invariant: there is one way to write an id (36 characters with hyphens, in any letter case), the same in every
//! format. Another form may be an id of something else, and a deletion can't be undone.

use uuid::Uuid;

use super::error::excerpt;

/// The length of `8-4-4-4-12` digits with their hyphens.
const HYPHENATED: usize = 36;
const SHOWN: usize = 40;

/// Reads a conversation id: a UUID with hyphens, in any letter case, with or without white space around it.
///
/// The error is a sentence that says what is wrong and what to change; it shows at most 40 characters of the text,
/// escaped.
pub fn parse_id(text: &[u8]) -> Result<Uuid, String> {
    let text = text.trim_ascii();
    let parsed = Uuid::try_parse_ascii(text);
    match parsed {
        Ok(id) if text.len() == HYPHENATED => Ok(id),
        Ok(id) => Err(format!("\"{}\" is not the usual form of an id; write {id}", excerpt(text, SHOWN))),
        Err(_) if text.is_empty() => Err("the id is empty; fill it in or remove the line".to_owned()),
        Err(_) => Err(format!(
            "\"{}\" is not a conversation id; write a UUID of 36 characters, such as \
             1b4e28ba-2fa1-4d2b-883f-0016d3cca427",
            excerpt(text, SHOWN)
        )),
    }
}

/// Whether a text is a UUID in any form, also in those that [`parse_id`] refuses: where no id may stand, none of them may.
pub(super) fn is_any_uuid(text: &[u8]) -> bool {
    Uuid::try_parse_ascii(text.trim_ascii()).is_ok()
}

/// Whether a column or a field of this name holds conversation ids: `conversationId` in any letter case, with or without
/// what people put between words.
pub(super) fn is_id_name(name: &[u8]) -> bool {
    let letters = name.iter().filter(|byte| !byte.is_ascii_whitespace() && !matches!(byte, b'_' | b'-'));
    letters.map(u8::to_ascii_lowercase).eq(*b"conversationid")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "1b4e28ba-2fa1-4d2b-883f-0016d3cca427";

    #[test]
    fn an_id_is_read_in_any_letter_case_and_with_white_space_around_it() {
        let id = Ok(Uuid::parse_str(ID).unwrap());
        for text in [ID.to_owned(), ID.to_uppercase(), format!(" {ID}"), format!("\t{ID} \r\n")] {
            assert_eq!(parse_id(text.as_bytes()), id, "{text:?}");
        }
    }

    #[test]
    fn what_is_not_an_id_is_told_with_what_to_change() {
        let simple = ID.replace('-', "");
        let cases = [
            (simple.clone(), format!("\"{simple}\" is not the usual form of an id; write {ID}")),
            (format!("{{{ID}}}"), format!("\"{{{ID}}}\" is not the usual form of an id; write {ID}")),
            (
                format!("urn:uuid:{ID}"),
                format!("\"urn:uuid:{}…\" is not the usual form of an id; write {ID}", &ID[..31]),
            ),
            (" ".to_owned(), "the id is empty; fill it in or remove the line".to_owned()),
            (
                ID.replace('b', "g"),
                format!(
                    "\"{}\" is not a conversation id; write a UUID of 36 characters, such as {ID}",
                    ID.replace('b', "g")
                ),
            ),
            (
                "\0\u{1b}[2J".to_owned(),
                format!(
                    "\"\\0\\u{{1b}}[2J\" is not a conversation id; write a UUID of 36 characters, such as {ID}"
                ),
            ),
        ];
        for (text, told) in cases {
            assert_eq!(parse_id(text.as_bytes()), Err(told), "{text:?}");
        }
    }
}
