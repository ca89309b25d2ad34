//! The environment variables that are read under names of their own, since platforms and the tutorial set them so.
//!
//! Invariant: a plain name is a spelling of a setting, never a setting of its own; `PURGE__` of the same layer wins.

/// `(variable, key that it sets)`.
pub(super) const PLAIN_NAMES: [(&str, &[&str]); 7] = [
    ("DATABASE_URL", &["database", "url"]),
    ("GENESYS_BASE_URL", &["orgs", "default", "base_url"]),
    ("GENESYS_LOGIN_URL", &["orgs", "default", "login_url"]),
    ("GENESYS_CLIENT_ID", &["orgs", "default", "client_id"]),
    ("GENESYS_CLIENT_SECRET", &["orgs", "default", "client_secret"]),
    ("RETENTION_WEBHOOK_URL", &["webhooks", "url"]),
    ("RETENTION_WEBHOOK_SECRET", &["webhooks", "secret"]),
];

/// Sets the port of `server.bind` alone: its address comes from the layers below.
pub(super) const PORT: &str = "PORT";

/// The key that [`PORT`] sets a part of.
pub(super) const BIND: [&str; 2] = ["server", "bind"];

/// The prefix under which every setting can be named.
pub(super) const PREFIX: &str = "PURGE__";

/// What stands between the parts of a `PURGE__` name.
pub(super) const SEPARATOR: &str = "__";

/// Names the file `config/{PURGE_ENV}.toml`.
pub(super) const PURGE_ENV: &str = "PURGE_ENV";

/// How a key is set from the environment, for messages that say what to do.
pub(super) fn how_to_set(key: &[&str]) -> String {
    let prefixed = format!("{PREFIX}{}", key.join(SEPARATOR).to_uppercase());
    match PLAIN_NAMES.iter().find(|(_, plain_key)| *plain_key == key) {
        Some((plain, _)) => format!("{plain} or {prefixed}"),
        None => prefixed,
    }
}
