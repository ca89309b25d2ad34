//! Keyset pages: `limit`, an opaque `cursor`, and the document that a page is.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::{IntoParams, ToSchema};

use super::extract::parameter;
use super::problem::Problem;

const LARGEST: usize = 1000;
const DEFAULT: usize = 100;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page<T> {
    /// The rows.
    pub(super) items: Vec<T>,
    /// Where to continue; null at the end.
    pub(super) next_cursor: Option<String>,
}

/// Which page; lists with filters have these two among them.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct WhichPage {
    /// Rows per page, 1 to 1000.
    #[serde(default, deserialize_with = "limit_of")]
    pub(super) limit: Option<usize>,
    /// The `nextCursor` of the page before.
    pub(super) cursor: Option<String>,
}

/// Reads a `limit`.
pub(super) fn limit_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    let must = || format!("must be a whole number from 1 to {LARGEST}");
    parameter(deserializer, |limit| (1..=LARGEST).contains(limit), must)
}

/// The `limit`, or how many rows a page has without one.
pub(super) fn limit(limit: Option<usize>) -> usize {
    limit.unwrap_or(DEFAULT)
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Token<K> {
    /// Which list with which filter: a cursor of another one is refused.
    list: String,
    after: K,
}

/// The name of a list with these filters, so that a cursor of other filters is refused. The filters themselves may be
/// long and contain personal names, so cursors only contain their digest.
pub(super) fn list(name: &str, filters: &impl Serialize) -> String {
    let filters = serde_json::to_vec(filters).unwrap_or_default();
    format!("{name}/{}", URL_SAFE_NO_PAD.encode(&Sha256::digest(filters)[..12]))
}

/// Cuts the one row off that was fetched beyond the page, and writes the cursor of the row before it.
pub(super) fn cut<R, K: Serialize>(
    list: &str,
    rows: &mut Vec<R>,
    limit: usize,
    key: impl Fn(&R) -> K,
) -> Option<String> {
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    rows.last().filter(|_| has_more).and_then(|last| cursor(list, key(last)))
}

/// How many rows are fetched for a page: one more than it shows, to know whether there are more.
pub(super) fn fetched(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

pub(super) fn cursor<K: Serialize>(list: &str, after: K) -> Option<String> {
    let json = serde_json::to_vec(&Token { list: list.to_owned(), after }).ok()?;
    Some(URL_SAFE_NO_PAD.encode(json))
}

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
    fn a_list_with_other_filters_is_another_list() {
        let lists = [("a", None), ("a", Some("x")), ("a", Some("")), ("b", Some("x"))];
        let names: std::collections::BTreeSet<_> = lists.iter().map(|(name, by)| list(name, by)).collect();
        assert_eq!(names.len(), lists.len());
        assert_eq!(list("a", &"x"), list("a", &"x"));
        assert!(list("a", &"x".repeat(1000)).len() < 30);
    }

    #[test]
    fn a_page_ends_with_a_cursor_where_there_is_more() {
        for (fetched, limit, has_more) in [(0, 3, false), (3, 3, false), (4, 3, true), (2, 1, true)] {
            let mut rows: Vec<usize> = (0..fetched).collect();
            let next = cut("list", &mut rows, limit, |row| *row);
            assert_eq!((rows.len(), next.is_some()), (fetched.min(limit), has_more));
            if let Some(next) = next {
                assert_eq!(after::<usize>("list", Some(&next)), Ok(rows.last().copied()));
            }
        }
    }

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
