//! The tags by which purges are found: the caller's reference and labels, which never change.

use serde_json::Value;

/// The tag of a reference. No key of a label is empty, so it is no label's.
pub(super) fn of_reference(reference: &str) -> String {
    format!(":{reference}")
}

/// The tag of a label. No key has a colon, so no two labels share one.
pub(super) fn of_label(key: &str, value: &str) -> String {
    format!("{key}:{value}")
}

/// The tags of a purge.
pub(super) fn of(reference: Option<&str>, labels: &Value) -> Vec<String> {
    let labels = labels.as_object().into_iter().flatten();
    let labels = labels.filter_map(|(key, value)| Some(of_label(key, value.as_str()?)));
    reference.map(of_reference).into_iter().chain(labels).collect()
}
