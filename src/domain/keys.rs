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
        /// List webhook deliveries, and have them sent again.
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
    pub reach: Reach,
}

impl Caller {
    /// The key allows that.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

/// The orgs that a key reaches. Every read and every act of the store that answers a caller takes it and filters by it:
/// what it does not cover is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach(Option<Vec<String>>);

impl Reach {
    /// Every org: what a key without a limit reaches, and whoever works on the database itself.
    pub const fn all() -> Self {
        Self(None)
    }

    /// These orgs and no others.
    pub fn of(orgs: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(Some(orgs.into_iter().map(Into::into).collect()))
    }

    /// What is left of it in one org: that org, or nothing.
    #[must_use]
    pub fn within(&self, org: &str) -> Self {
        Self(Some(self.covers(org).then(|| org.to_owned()).into_iter().collect()))
    }

    pub const fn is_everywhere(&self) -> bool {
        self.0.is_none()
    }

    pub fn covers(&self, org: &str) -> bool {
        self.0.as_ref().is_none_or(|orgs| orgs.iter().any(|own| own == org))
    }

    /// The parameter of statements, where null stands for every org.
    pub fn orgs(&self) -> Option<&[String]> {
        self.0.as_deref()
    }
}

/// As a key's row has it.
impl From<Option<Vec<String>>> for Reach {
    fn from(orgs: Option<Vec<String>>) -> Self {
        Self(orgs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_allows_its_scopes_and_no_others() {
        let scopes = vec![Scope::PurgesRead];
        let caller = Caller { name: "test".to_owned(), scopes, reach: Reach::all() };
        assert!(caller.may(Scope::PurgesRead));
        assert!(!caller.may(Scope::PurgesWrite));
    }

    #[test]
    fn a_reach_covers_its_orgs_and_no_others() {
        let (all, eu, none) = (Reach::all(), Reach::of(["eu"]), Reach::from(Some(Vec::new())));
        for (reach, of_eu, of_us) in [(&all, true, true), (&eu, true, false), (&none, false, false)] {
            assert_eq!((reach.covers("eu"), reach.covers("us")), (of_eu, of_us), "{reach:?}");
            // Nothing that narrows it widens it.
            for (org, is_covered) in [("eu", of_eu), ("us", of_us)] {
                let within = reach.within(org);
                let expected = if is_covered { Reach::of([org]) } else { none.clone() };
                assert_eq!(within, expected, "{reach:?} in {org}");
            }
        }
        assert!(all.is_everywhere() && !eu.is_everywhere() && !none.is_everywhere());
        assert_eq!((all.orgs(), none.orgs()), (None, Some(&[][..])), "no org is not every org");
    }

    #[test]
    fn a_key_is_recognizable_and_long_enough() {
        let key = format_key(&[7; 32]);
        assert!(key.starts_with(KEY_PREFIX));
        assert_eq!(key.len(), KEY_PREFIX.len() + 43);
    }
}
