//! Texts from outside in CSV (RFC 4180), safe to open in a spreadsheet.

/// What a formula begins with.
const FORMULA: [char; 4] = ['=', '+', '-', '@'];
/// Where a spreadsheet begins a cell that splits at `;` or tabs instead of `,`: a quote within its cell holds nothing
/// together.
const SPLIT: [char; 4] = [';', '\t', '\r', '\n'];

/// Appends a text of somebody else: a spreadsheet must not take it for a formula, nor for more than one field.
pub(super) fn append_text(text: &str, report: &mut Vec<u8>) {
    let is_quoted = text.contains(['"', ',']) || text.contains(SPLIT);
    if !is_quoted {
        report.extend(guard(text.starts_with(FORMULA)).as_bytes());
        report.extend(text.as_bytes());
        return;
    }
    report.extend(b"\"");
    report.extend(guard(text.starts_with(FORMULA) || text.starts_with(['\t', '\r', '\n'])).as_bytes());
    let mut rest = text;
    while let Some(at) = rest.find(SPLIT) {
        // All of them are one byte long.
        let (cell, behind) = rest.split_at(at + 1);
        report.extend(cell.replace('"', "\"\"").as_bytes());
        report.extend(guard(behind.trim_start_matches('"').starts_with(FORMULA)).as_bytes());
        rest = behind;
    }
    report.extend(rest.replace('"', "\"\"").as_bytes());
    report.extend(b"\"");
}

/// What makes a cell a text.
fn guard(is_needed: bool) -> &'static str {
    if is_needed { "'" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_somebody_else_is_one_field_and_no_formula() {
        let table = [
            ("plain", "plain"),
            ("", ""),
            ("a,b", "\"a,b\""),
            ("say \"no\"", "\"say \"\"no\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=1+1", "'=1+1"),
            ("+49", "'+49"),
            ("-1", "'-1"),
            ("@now", "'@now"),
            ("\tx", "\"'\tx\""),
            ("x;y\tz", "\"x;y\tz\""),
            ("x;=HYPERLINK(1)", "\"x;'=HYPERLINK(1)\""),
            ("x\t+1;-2\n@3\r=4", "\"x\t'+1;'-2\n'@3\r'=4\""),
            ("=1;\"=2\"", "\"'=1;'\"\"=2\"\"\""),
            (";;=", "\";;'=\""),
            ("ä; 1-1=0", "\"ä; 1-1=0\""),
            ("\rx", "\"'\rx\""),
            ("\nx", "\"'\nx\""),
            ("=HYPERLINK(\"x\",\"y\")", "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\""),
            ("1=1", "1=1"),
            ("Löschung – später", "Löschung – später"),
        ];
        for (told, expected) in table {
            let mut field = Vec::new();
            append_text(told, &mut field);
            assert_eq!(String::from_utf8(field).unwrap(), expected, "{told:?}");
        }
    }
}
