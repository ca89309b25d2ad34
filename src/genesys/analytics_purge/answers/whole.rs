//! Whether a details answer is complete, by its fields beside the records.
//!
//! No such field is part of the contract. These are the ones by which search engines and gateways report that
//! something is missing, and missing records would look as if they were gone. So any sign counts, unless it certainly
//! means nothing.
//!
//! Invariant: pure functions, and no sign invalidates a record that is there.

use serde_json::value::RawValue;

use crate::genesys::json::{each_field, text};

/// What a field can say of the answer that it stands in. Names are compared without case, dashes and underscores.
#[derive(Clone, Copy)]
enum Sign {
    /// There is more of it, unless it is null.
    More,
    /// Something is missing, unless it says nothing. Warnings are among them: what upstream warns of in an answer may
    /// be that it left something out.
    Missing,
    /// Something is missing if it says nothing.
    Whole,
    /// So many records there are in all.
    Total,
    /// So many pages there are in all.
    Pages,
    /// So many parts of an index were asked, and how many of them answered.
    Shards,
}

impl Sign {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "cursor" | "nextcursor" | "nexturi" | "nextpage" | "nextpagetoken" => Self::More,
            "error" | "errors" | "failure" | "failures" | "warning" | "warnings" | "partial"
            | "ispartial" | "partialresult" | "partialresults" | "incomplete" | "isincomplete"
            | "incompleteresults" | "truncated" | "istruncated" | "timedout" | "terminatedearly"
            | "failedshards" | "hasmore" => Self::Missing,
            "complete" | "iscomplete" => Self::Whole,
            "total" | "totalhits" | "totalcount" => Self::Total,
            "pagecount" => Self::Pages,
            "shards" => Self::Shards,
            _ => return None,
        })
    }

    /// Whether it means the same one level further down, where other fields may well count other things.
    fn is_plain(self) -> bool {
        matches!(self, Self::Missing | Self::Shards)
    }
}

/// The signs that were seen in one answer.
#[derive(Debug, Default)]
pub(super) struct Signs {
    /// The first that something is missing.
    found: Option<String>,
    /// The largest number of records that the answer says there are.
    total: u64,
}

impl Signs {
    /// Looks at a field that stands beside the records.
    pub(super) fn note(&mut self, field: &str, value: &RawValue) {
        if let Some(sign) = Sign::of(&plain(field)) {
            self.read(sign, field, value);
            return;
        }
        let is_read = each_field(value, |name, value| {
            if let Some(sign) = Sign::of(&plain(name)).filter(|sign| sign.is_plain()) {
                self.read(sign, name, value);
            }
        });
        if !is_read && value.get().starts_with('{') {
            self.find("an unreadable field");
        }
    }

    /// Why the answer is not whole, if it has so many records.
    pub(super) fn missing(self, records: usize) -> Option<String> {
        let is_short = self.total > u64::try_from(records).unwrap_or(u64::MAX);
        self.found
            .or_else(|| is_short.then(|| format!("it has {records} of {} records", self.total)))
            .map(|why| format!("the answer is not complete: {why}"))
    }

    fn read(&mut self, sign: Sign, field: &str, value: &RawValue) {
        let is_null = value.get() == "null";
        let is_missing = match sign {
            Sign::More => !is_null,
            Sign::Missing => !says_nothing(value),
            Sign::Whole => !is_null && says_nothing(value),
            Sign::Total => match count(value) {
                Some(total) => {
                    self.total = self.total.max(total);
                    false
                }
                None => !is_null,
            },
            Sign::Pages => !is_null && count(value).is_none_or(|pages| pages > 1),
            Sign::Shards => !is_null && !are_all_there(value),
        };
        if is_missing {
            // The name is one of ours, whatever its case: nothing that upstream made up is repeated.
            self.find(field);
        }
    }

    fn find(&mut self, what: &str) {
        self.found.get_or_insert_with(|| format!("it has {what}"));
    }
}

/// Whether no shard failed. What is no object tells nothing of shards.
fn are_all_there(shards: &RawValue) -> bool {
    let (mut has_failed, mut total, mut successful) = (false, None, None);
    let is_read = each_field(shards, |name, value| match plain(name).as_str() {
        "failed" | "failures" | "failedshards" | "timedout" => has_failed |= !says_nothing(value),
        "total" => total = Some(count(value)),
        "successful" => successful = Some(count(value)),
        _ => {}
    });
    let are_too_few = match (total, successful) {
        (Some(Some(total)), Some(Some(successful))) => successful < total,
        (Some(None), _) | (_, Some(None)) => true,
        (None, _) | (_, None) => false,
    };
    (is_read || says_nothing(shards)) && !has_failed && !are_too_few
}

/// Whether the value says nothing, or no.
fn says_nothing(value: &RawValue) -> bool {
    let words = |text: &str| {
        ["", "false", "no", "none", "null", "0"].iter().any(|word| text.trim().eq_ignore_ascii_case(word))
    };
    match value.get().as_bytes() {
        b"null" | b"false" => true,
        [b'"', ..] => text(value).is_some_and(|text| words(&text)),
        [b'[' | b'{', inside @ .., _] => inside.iter().all(u8::is_ascii_whitespace),
        number => number.iter().all(|byte| matches!(byte, b'0' | b'.' | b'-')),
    }
}

/// A number of things, as a number or as text.
fn count(value: &RawValue) -> Option<u64> {
    text(value).map_or_else(|| value.get().parse().ok(), |text| text.trim().parse().ok())
}

fn plain(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-')).map(|c| c.to_ascii_lowercase()).take(40).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn missing(answer: &Value, records: usize) -> Option<String> {
        let text = answer.to_string();
        let mut signs = Signs::default();
        assert!(each_field(serde_json::from_str(&text).unwrap(), |name, value| signs.note(name, value)));
        signs.missing(records)
    }

    #[test]
    fn an_answer_that_says_nothing_against_it_is_whole() {
        for answer in [
            json!({}),
            json!({"cursor": null, "nextUri": null, "totalHits": null}),
            json!({"totalHits": 2, "total": "2", "pageCount": 1, "pageSize": 25, "pageNumber": 1}),
            json!({"total": 0, "pageCount": 0}),
            json!({"errors": [], "warnings": [], "error": null, "failures": {}}),
            json!({"errors": "", "partial": false, "isPartial": "False", "partialResults": 0, "timed_out": "no"}),
            json!({"timedOut": false, "terminated_early": null, "complete": true, "isComplete": "true"}),
            json!({"_shards": {"total": 5, "successful": 5, "skipped": 0, "failed": 0, "failures": []}}),
            json!({"shards": null, "failedShards": 0}),
            json!({"took": 12, "aggregations": {"total": 9000, "cursor": "x", "buckets": [{"errors": [1]}]}}),
            json!({"selfUri": "/x", "entities": [1, 2, 3], "message": "Not whole"}),
        ] {
            assert_eq!(missing(&answer, 2), None, "{answer}");
        }
    }

    #[test]
    fn every_sign_that_something_is_missing_is_seen() {
        for (answer, field) in [
            (json!({"errors": [{"conversationId": "x"}]}), "errors"),
            (json!({"errors": {"x": "shard timed out"}}), "errors"),
            (json!({"errors": [null]}), "errors"),
            (json!({"Errors": "some"}), "Errors"),
            (json!({"error": true}), "error"),
            (json!({"warnings": ["index is catching up"]}), "warnings"),
            (json!({"partial": true}), "partial"),
            (json!({"partial": "true"}), "partial"),
            (json!({"partial": "TRUE"}), "partial"),
            (json!({"partial": 1}), "partial"),
            (json!({"partial": 0.5}), "partial"),
            (json!({"partial": "maybe"}), "partial"),
            (json!({"partial": [[]]}), "partial"),
            (json!({"partialResults": true}), "partialResults"),
            (json!({"is_partial": "yes"}), "is_partial"),
            (json!({"incompleteResults": true}), "incompleteResults"),
            (json!({"truncated": true}), "truncated"),
            (json!({"timedOut": true}), "timedOut"),
            (json!({"timed_out": "true"}), "timed_out"),
            (json!({"terminatedEarly": true}), "terminatedEarly"),
            (json!({"terminated-early": {"at": 7}}), "terminated-early"),
            (json!({"failedShards": 1}), "failedShards"),
            (json!({"failedShards": "1"}), "failedShards"),
            (json!({"hasMore": true}), "hasMore"),
            (json!({"complete": false}), "complete"),
            (json!({"isComplete": "false"}), "isComplete"),
            (json!({"_shards": {"total": 5, "successful": 4, "failed": 1}}), "_shards"),
            (json!({"_shards": {"failed": "1"}}), "_shards"),
            (json!({"shards": {"failed": -1}}), "shards"),
            (json!({"shards": {"total": 5, "successful": 4}}), "shards"),
            (json!({"shards": {"total": "five", "successful": 5}}), "shards"),
            (json!({"shards": {"failures": [{}]}}), "shards"),
            (json!({"shards": "4 of 5"}), "shards"),
            (json!({"cursor": "x"}), "cursor"),
            (json!({"cursor": ""}), "cursor"),
            (json!({"nextUri": "/x"}), "nextUri"),
            (json!({"nextPageToken": 2}), "nextPageToken"),
            (json!({"pageCount": 2}), "pageCount"),
            (json!({"pageCount": "many"}), "pageCount"),
            (json!({"totalHits": "many"}), "totalHits"),
            (json!({"totalHits": {"value": 2}}), "totalHits"),
            (json!({"metadata": {"partial": true}}), "partial"),
            (json!({"status": {"errors": [1]}}), "errors"),
            (json!({"search": {"_shards": {"failed": 2}}}), "_shards"),
        ] {
            let expected = format!("the answer is not complete: it has {field}");
            assert_eq!(missing(&answer, 2), Some(expected), "{answer}");
        }
        let mut signs = Signs::default();
        signs.note("meta", serde_json::from_str(r#"{"\ud800": 1, "partial": true}"#).unwrap());
        let expected = "the answer is not complete: it has an unreadable field";
        assert_eq!(signs.missing(2).as_deref(), Some(expected));
        for answer in [json!({"totalHits": 3}), json!({"total": "3"}), json!({"totalHits": 2, "total": 3})] {
            let expected = "the answer is not complete: it has 2 of 3 records";
            assert_eq!(missing(&answer, 2).as_deref(), Some(expected), "{answer}");
        }
    }
}
