//! Keyset pages: `limit`, an opaque `cursor`, and the document that a page is.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::problem::Problem;

const LARGEST: usize = 1000;
const DEFAULT: usize = 100;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page<T> {
    /// The rows.
    pub(super) items: Vec<T>,
    /// Where to go on; null at the end.
    pub(super) next_cursor: Option<String>,
}

/// The checked `limit`.
pub(super) fn limit(limit: Option<usize>) -> Result<usize, Problem> {
    let limit = limit.unwrap_or(DEFAULT);
    if (1..=LARGEST).contains(&limit) {
        Ok(limit)
    } else {
        Err(Problem::invalid_query("limit", format!("must be a whole number from 1 to {LARGEST}")))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Token<K> {
    /// Which list with which filter: a cursor of another one is refused.
    list: String,
    after: K,
}

/// Writes a cursor of this list.
pub(super) fn cursor<K: Serialize>(list: &str, after: K) -> Option<String> {
    let json = serde_json::to_vec(&Token { list: list.to_owned(), after }).ok()?;
    Some(URL_SAFE_NO_PAD.encode(json))
}

/// Reads a cursor of this list.
pub(super) fn after<K: for<'de> Deserialize<'de>>(
    list: &str,
    cursor: Option<&str>,
) -> Result<Option<K>, Problem> {
    let Some(cursor) = cursor else { return Ok(None) };
    URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|json| serde_json::from_slice::<Token<K>>(&json).ok())
        .filter(|token| token.list == list)
        .map(|token| Some(token.after))
        .ok_or_else(|| {
            Problem::invalid_query("cursor", "is not a nextCursor of this list with these filters")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_belongs_to_one_list_and_junk_is_refused() {
        let text = cursor("jobs/1", 7).unwrap();
        assert_eq!(after::<i32>("jobs/1", Some(&text)), Ok(Some(7)));
        assert_eq!(after::<i32>("jobs/1", None), Ok(None));
        for (list, text) in [("jobs/2", text.as_str()), ("jobs/1", "junk"), ("jobs/1", ""), ("jobs/1", "e30")]
        {
            assert_eq!(after::<i32>(list, Some(text)).unwrap_err().code, "invalid_query");
        }
    }
}
