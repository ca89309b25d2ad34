//! API keys: what they may do, and what one looks like.

use super::words::words;

words! {
    /// What a key allows.
    Scope, "scope" {
        /// Read purges, jobs, conversations and holds.
        PurgesRead = "purges:read",
        /// Make and steer purges.
        PurgesWrite = "purges:write",
        /// Approve and reject purges.
        PurgesApprove = "purges:approve",
        /// Make and release legal holds.
        HoldsWrite = "holds:write",
        WebhooksWrite = "webhooks:write",
        /// Stop orgs, read audit, metrics and settings.
        Admin = "admin",
    }
}

/// Every key begins with this, so that secret scanners and people know it for one.
pub const KEY_PREFIX: &str = "gpk_";

/// The actor of what the service does of itself: no key has this name.
pub const SERVICE: &str = "engine";

/// So many characters of a key are kept in clear, to tell keys apart.
pub const SHOWN: usize = 10;

/// Writes a key from 32 random bytes.
pub fn format_key(random: &[u8; 32]) -> String {
    use base64::Engine as _;
    format!("{KEY_PREFIX}{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random))
}

/// Whose key a request carries, and what it may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The name of the key: the actor in events.
    pub name: String,
    /// What the key allows.
    pub scopes: Vec<Scope>,
    /// The orgs that it is limited to; `None` for every org.
    pub orgs: Option<Vec<String>>,
}

impl Caller {
    /// The key allows that.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// The key reaches that org.
    pub fn reaches(&self, org: &str) -> bool {
        self.orgs.as_ref().is_none_or(|orgs| orgs.iter().any(|own| own == org))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reaches_its_orgs_and_no_others() {
        let caller = |orgs: Option<&[&str]>| Caller {
            name: "test".to_owned(),
            scopes: vec![Scope::PurgesRead],
            orgs: orgs.map(|orgs| orgs.iter().map(|&org| org.to_owned()).collect()),
        };
        assert!(caller(None).reaches("anything"));
        assert!(caller(Some(&["eu"])).reaches("eu"));
        assert!(!caller(Some(&["eu"])).reaches("us"));
        assert!(!caller(Some(&[])).reaches("eu"));
        assert!(!caller(None).may(Scope::PurgesWrite));
    }

    #[test]
    fn a_key_is_recognizable_and_long_enough() {
        let key = format_key(&[7; 32]);
        assert!(key.starts_with(KEY_PREFIX));
        assert_eq!(key.len(), KEY_PREFIX.len() + 43);
    }
}
