//! What was answered, for a person and for `awk`: a table where it fits the terminal, else a paragraph per row; for no terminal
//! a line per row, without a head, where what is not there is `-`.

use std::fmt::Display;
use std::io::IsTerminal;
use std::os::fd::AsFd;

use jiff::Timestamp;
use serde_json::Value;
use terminal_size::{Width, terminal_size_of};

use super::problem::plain;

/// What a cell says that has nothing to say.
const NOTHING: &str = "-";
/// Between columns.
const GAP: usize = 2;
/// A terminal that does not say how wide it is.
const USUAL_WIDTH: usize = 80;

/// How wide the terminal is; none where standard output is no terminal.
pub(in crate::cli) fn width() -> Option<usize> {
    width_of(&std::io::stdout())
}

/// The same of standard error.
pub(in crate::cli) fn width_of_notes() -> Option<usize> {
    width_of(&std::io::stderr())
}

fn width_of(stream: &(impl IsTerminal + AsFd)) -> Option<usize> {
    let size = terminal_size_of(stream).map(|(Width(width), _)| usize::from(width));
    stream.is_terminal().then(|| size.filter(|width| *width > 0).unwrap_or(USUAL_WIDTH))
}

/// What stands at this place of an answer, as one line that can paint no terminal.
pub(in crate::cli) fn text(answer: &Value, pointer: &str) -> String {
    let shown = match answer.pointer(pointer) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => plain(text),
        Some(Value::Array(items)) => {
            let items = items.iter().map(|item| text_of(item).unwrap_or_else(|| item.to_string()));
            plain(&items.collect::<Vec<_>>().join(","))
        }
        Some(other) => plain(&other.to_string()),
    };
    if shown.is_empty() { NOTHING.to_owned() } else { shown }
}

/// A number of conversations, in words.
pub(in crate::cli) fn conversations(number: impl Display) -> String {
    let number = number.to_string();
    format!("{number} conversation{}", if number == "1" { "" } else { "s" })
}

fn text_of(item: &Value) -> Option<String> {
    item.as_str().map(str::to_owned)
}

/// A time at this place, to the second.
pub(in crate::cli) fn moment(answer: &Value, pointer: &str) -> String {
    let told = text(answer, pointer);
    told.parse::<Timestamp>().map_or(told, |moment| format!("{moment:.0}"))
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// Rows of the same kind.
pub(in crate::cli) struct Table {
    heads: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(in crate::cli) fn new(heads: &'static [&'static str], rows: Vec<Vec<String>>) -> Self {
        Self { heads, rows }
    }

    /// For a terminal of this width, or for none.
    pub(in crate::cli) fn rendered(&self, width: Option<usize>) -> String {
        let head: Vec<String> = self.heads.iter().map(|head| head.to_uppercase()).collect();
        let shown: Vec<&Vec<String>> = width.map(|_| &head).into_iter().chain(&self.rows).collect();
        let widths: Vec<usize> = (0..self.heads.len())
            .map(|column| shown.iter().filter_map(|row| row.get(column)).map(|cell| length(cell)).max())
            .map(Option::unwrap_or_default)
            .collect();
        let whole = widths.iter().sum::<usize>() + GAP * self.heads.len().saturating_sub(1);
        match width {
            Some(width) if whole > width => self.rows.iter().map(|row| self.paragraph(row, width)).collect(),
            _ => shown.into_iter().map(|row| aligned(row, &widths)).collect(),
        }
    }

    /// The first cell, and below it what else there is, each under its name, as many beside each other as fit.
    fn paragraph(&self, row: &[String], width: usize) -> String {
        let mut cells = self.heads.iter().zip(row);
        let first = cells.next().map(|(_, cell)| cell.clone()).unwrap_or_default();
        let (mut lines, room) = (Vec::<String>::new(), width.saturating_sub(GAP));
        for (head, cell) in cells.filter(|(_, cell)| *cell != NOTHING) {
            let told = format!("{head} {}", cell.replace(',', ", "));
            match lines.last_mut() {
                Some(line) if length(line) + 2 + length(&told) <= room => {
                    line.push_str(", ");
                    line.push_str(&told);
                }
                _ => lines.extend(folded(&told, room)),
            }
        }
        let lines = lines.iter().map(|line| format!("{:GAP$}{line}\n", ""));
        std::iter::once(format!("{first}\n")).chain(lines).collect()
    }
}

fn aligned(row: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in row.iter().zip(widths) {
        line.push_str(cell);
        line.push_str(&" ".repeat(width.saturating_sub(length(cell)) + GAP));
    }
    format!("{}\n", line.trim_end())
}

/// What is told of one thing, each under its name.
#[derive(Default)]
pub(in crate::cli) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Says it where there is something to say.
    pub(in crate::cli) fn add(&mut self, name: &str, told: impl Into<String>) {
        let told = told.into();
        if !told.is_empty() && told != NOTHING {
            self.0.push((name.to_owned(), told));
        }
    }

    pub(in crate::cli) fn rendered(&self, width: Option<usize>) -> String {
        let column = self.0.iter().map(|(name, _)| length(name)).max().unwrap_or_default() + GAP;
        self.0.iter().map(|(name, told)| field(name, told, column, width)).collect()
    }
}

fn field(name: &str, told: &str, column: usize, width: Option<usize>) -> String {
    let Some(width) = width else { return format!("{name:column$}{told}\n") };
    let room = width.saturating_sub(column);
    let longest = told.split(' ').map(length).max().unwrap_or_default();
    // Beside its name, or where a word would not fit there, below it.
    let (mut lines, indent) = if longest <= room {
        (folded(told, room), column)
    } else {
        (folded(told, width.saturating_sub(GAP)), GAP)
    };
    if indent == GAP {
        lines.insert(0, String::new());
    }
    let mut shown = String::new();
    for (number, line) in lines.iter().enumerate() {
        let begin = if number == 0 { format!("{name:column$}") } else { " ".repeat(indent) };
        shown.push_str(format!("{begin}{line}").trim_end());
        shown.push('\n');
    }
    shown
}

/// Broken between words where the next would not fit.
fn folded(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        if let Some(line) = lines.last_mut() {
            if line.is_empty() {
                line.push_str(word);
                continue;
            }
            if length(line) + 1 + length(word) <= width {
                line.push(' ');
                line.push_str(word);
                continue;
            }
        }
        lines.push(word.to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn table() -> Table {
        let row = |id: &str, state: &str, org: &str| [id, state, org].map(str::to_owned).to_vec();
        Table::new(&["id", "state", "org"], vec![row("a1", "running", "-"), row("b22", "done", "default")])
    }

    #[test]
    fn a_table_has_a_head_on_a_terminal_and_folds_where_it_does_not_fit() {
        assert_eq!(table().rendered(None), "a1   running  -\nb22  done     default\n");
        assert_eq!(table().rendered(Some(21)), "ID   STATE    ORG\na1   running  -\nb22  done     default\n");
        assert_eq!(table().rendered(Some(20)), "a1\n  state running\nb22\n  state done\n  org default\n");
    }

    #[test]
    fn fields_stand_beside_their_names_and_below_them_where_a_word_is_too_long() {
        let mut fields = Fields::default();
        fields.add("id", "0123456789");
        fields.add("nothing", "-");
        fields.add("reason", "a b c d e f");
        assert_eq!(fields.rendered(None), "id      0123456789\nreason  a b c d e f\n");
        assert_eq!(fields.rendered(Some(18)), "id      0123456789\nreason  a b c d e\n        f\n");
        assert_eq!(fields.rendered(Some(12)), "id\n  0123456789\nreason  a b\n        c d\n        e f\n");
    }

    #[test]
    fn what_an_answer_says_can_paint_no_terminal_and_breaks_no_line() {
        let answer = json!({
            "a": "x\u{1b}[31m\ny", "b": null, "c": ["eu", "us\u{7}"], "d": 7, "at": "2026-11-25T12:00:00.123Z", "e": [],
        });
        let told = ["/a", "/b", "/c", "/d", "/e", "/f"].map(|pointer| text(&answer, pointer));
        assert_eq!(told, ["x [31m y", "-", "eu,us", "7", "-", "-"]);
        assert_eq!(moment(&answer, "/at"), "2026-11-25T12:00:00Z");
        assert_eq!(moment(&answer, "/b"), "-");
    }
}
