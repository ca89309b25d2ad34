//! Forms with conversation ids: pasted, or as a file that is read as it comes.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use maud::{Markup, html};
use multer::{Constraints, Field, Multipart, SizeLimit};
use tokio::time::timeout;

use super::Desk;
use super::gate::Visitor;
use crate::api::Problem;

/// A field that is not of ids is no longer.
const LONGEST_FIELD: usize = 16 * 1024;
const MOST_FIELDS: usize = 20;

/// A form that was made for this session.
pub(super) struct Uploaded {
    /// What stands before the ids; empty fields are not there.
    pub(super) fields: BTreeMap<String, String>,
    /// The ids as CSV.
    pub(super) ids: Body,
}

/// Where ids are pasted, or a file is chosen: the last fields of a form.
pub(super) fn fields() -> Markup {
    html! {
        div.field {
            label for="ids" { "Conversation ids" }
            textarea #ids name="ids" rows="6" spellcheck="false" aria-describedby="ids-hint" {}
            p.hint #ids-hint { "One per line, or with spaces between." }
        }
        div.field {
            label for="file" { "or a CSV file" }
            input #file type="file" name="file" accept=".csv,text/csv,text/plain" aria-describedby="file-hint";
            p.hint #file-hint { "With a column conversationId, or one id per line." }
        }
    }
}

/// Reads the form up to its ids. Nothing of it is believed before its token was found.
pub(super) async fn read(desk: &Desk, visitor: &Visitor, request: Request) -> Result<Uploaded, Problem> {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let boundary = content_type.and_then(|value| multer::parse_boundary(value).ok());
    let boundary = boundary.ok_or_else(|| broken("it is not the form of this page"))?;
    let limits = SizeLimit::new()
        .for_field("ids", u64::try_from(desk.api.intake.max_json).unwrap_or(u64::MAX))
        .for_field("file", u64::MAX)
        .per_field(u64::try_from(LONGEST_FIELD).unwrap_or(u64::MAX));
    let constraints = Constraints::new().size_limit(limits);
    let pieces = request.into_body().into_data_stream();
    let mut form = Multipart::with_constraints(pieces, boundary, constraints);
    let (mut fields, mut pasted) = (BTreeMap::new(), String::new());
    for _ in 0..MOST_FIELDS {
        // What comes before the file has to come soon; the file has a patience of its own.
        let field = timeout(desk.api.connections.whole, form.next_field()).await;
        let field =
            field.map_err(|_| broken("it came too slowly"))?.map_err(|error| broken(&error.to_string()))?;
        let Some(field) = field else { break };
        let name = field.name().unwrap_or_default().to_owned();
        if name == "file" {
            check(visitor, &fields)?;
            let ids = chosen(pasted, field).await?;
            return Ok(Uploaded { fields, ids });
        }
        let text = timeout(desk.api.connections.whole, field.text()).await;
        let text =
            text.map_err(|_| broken("it came too slowly"))?.map_err(|error| broken(&error.to_string()))?;
        if name == "ids" {
            check(visitor, &fields)?;
            pasted = text;
        } else if !text.trim().is_empty() {
            fields.insert(name, text.trim().to_owned());
        }
    }
    check(visitor, &fields)?;
    Ok(Uploaded { fields, ids: Body::from(lines(&pasted)) })
}

fn check(visitor: &Visitor, fields: &BTreeMap<String, String>) -> Result<(), Problem> {
    visitor.check_token(fields.get("token").map(String::as_str).unwrap_or_default())
}

/// The file, or what was pasted; not both, as one of them would be ignored.
async fn chosen(pasted: String, mut file: Field<'static>) -> Result<Body, Problem> {
    let first = loop {
        match file.chunk().await.map_err(|error| broken(&error.to_string()))? {
            Some(chunk) if chunk.is_empty() => {}
            first => break first,
        }
    };
    match first {
        None => Ok(Body::from(lines(&pasted))),
        Some(_) if !pasted.trim().is_empty() => {
            Err(Problem::invalid_field("/file", "send either pasted ids or a file, not both"))
        }
        Some(first) => {
            let first = stream::once(async { Ok::<Bytes, multer::Error>(first) });
            Ok(Body::from_stream(first.chain(file)))
        }
    }
}

/// Pasted ids, one per line. What has commas is CSV already.
fn lines(pasted: &str) -> String {
    if pasted.contains(',') {
        return pasted.trim_start().to_owned();
    }
    pasted.split([' ', '\t', '\r', '\n', ';']).filter(|id| !id.is_empty()).flat_map(|id| [id, "\n"]).collect()
}

fn broken(why: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "broken_form", format!("the form could not be read: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pasted_ids_are_one_per_line_and_csv_stays_csv() {
        let table = [
            ("", ""),
            (" \n", ""),
            ("a b\r\nc;d\te", "a\nb\nc\nd\ne\n"),
            ("\nconversationId,x\r\na,1\r\n", "conversationId,x\r\na,1\r\n"),
        ];
        for (pasted, expected) in table {
            assert_eq!(lines(pasted), expected, "{pasted:?}");
        }
    }
}
