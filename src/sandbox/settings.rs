//! Everything about the sandbox that can be set, at its start and while it runs.
//!
//! Invariant: settings are checked where they are made; the rest of the folder takes them as sound.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::kinds::Kind;

/// The scope without which the three calls beside the token's answer 403.
pub(super) const NEEDED_SCOPE: &str = "analytics:conversation:delete";

/// What the sandbox is made of and how it behaves. In JSON camelCase, every field optional.
///
/// The credentials are those of a simulation: they are shown to whoever can reach the control calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// Ids, kinds, and every chance follow from this number.
    pub seed: u64,
    /// How many conversations the population has.
    pub conversations: u32,
    /// How common each kind of conversation is.
    pub shares: Shares,
    /// The client id that the token call asks for.
    pub client_id: String,
    pub client_secret: String,
    /// How long a token lives, in seconds.
    pub token_lifetime_seconds: u32,
    /// The scopes of the client, separated by blanks. Without `analytics:conversation:delete` every call but the
    /// token's is refused with 403, from the next call on.
    pub scope: String,
    /// How a conversation that a job has deleted looks in details.
    pub deleted_looks: DeletedLooks,
    /// How long a job takes.
    pub job_duration: JobDuration,
    /// The share of jobs that end `failed` and have deleted nothing.
    pub failed_share: f64,
    /// The share of jobs that delete only some of their ids, and call themselves `completed` or `failed`.
    pub partial_share: f64,
    /// For so many milliseconds after its submit a job is unknown (404) to the poll call.
    pub job_unknown_ms: u32,
    /// Whether states come in varying letter case.
    pub vary_letter_case: bool,
    /// How many jobs may be live at once; one more submit is answered 429.
    pub max_concurrent_jobs: u32,
    /// How many ids a submit may carry; more are answered 413.
    pub max_batch: u32,
    /// How many ids a details query may name; more are answered 413.
    pub max_details: u32,
    /// How many calls any 60 seconds may hold; 0 = any number.
    pub requests_per_minute: u32,
    /// For so many milliseconds after a job's end its deleted ids still look present.
    pub deletion_lag_ms: u32,
    /// The share of details answers that leave some known ids out. Each id is left out once at the most, so that
    /// two whole answers always tell the truth.
    pub leave_out_share: f64,
    /// By how many milliseconds the `Date` header is off.
    pub date_skew_ms: i32,
    /// A submit that names this id breaks with 500, and deletes nothing.
    pub poison_submit: Option<Uuid>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 1,
            conversations: 10_000,
            shares: Shares::default(),
            client_id: "sandbox-client".to_owned(),
            client_secret: "sandbox-secret".to_owned(),
            token_lifetime_seconds: 86_400,
            scope: NEEDED_SCOPE.to_owned(),
            deleted_looks: DeletedLooks::Deleted,
            job_duration: JobDuration::default(),
            failed_share: 0.005,
            partial_share: 0.005,
            job_unknown_ms: 300,
            vary_letter_case: true,
            max_concurrent_jobs: 5,
            max_batch: 1000,
            max_details: 1000,
            requests_per_minute: 300,
            deletion_lag_ms: 2000,
            leave_out_share: 0.01,
            date_skew_ms: 0,
            poison_submit: None,
        }
    }
}

/// How long a job takes: `baseMs`, and up to `jitterMs` more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct JobDuration {
    /// Milliseconds that every job takes.
    pub base_ms: u32,
    /// The most milliseconds that chance adds.
    pub jitter_ms: u32,
}

impl Default for JobDuration {
    fn default() -> Self {
        Self { base_ms: 6000, jitter_ms: 6000 }
    }
}

/// How a conversation that a job has deleted looks in details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeletedLooks {
    /// Listed, with the status `deleted`.
    Deleted,
    /// Not listed any more.
    Absent,
    /// One or the other, by the id.
    Mixed,
}

/// How common each kind is, as weights: what counts is their relation. A kind that an object of shares does not
/// name keeps its default.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Shares {
    pub eligible: f64,
    pub held: f64,
    pub young: f64,
    pub active: f64,
    pub deleted: f64,
    pub unknown: f64,
    pub conflict_named: f64,
    pub conflict_unnamed: f64,
    pub unreadable_end: f64,
}

impl Default for Shares {
    fn default() -> Self {
        Self {
            eligible: 0.665,
            held: 0.08,
            young: 0.12,
            active: 0.04,
            deleted: 0.05,
            unknown: 0.038,
            conflict_named: 0.001,
            conflict_unnamed: 0.001,
            unreadable_end: 0.005,
        }
    }
}

impl Shares {
    /// No kind at all: to start from where only some kinds are wanted.
    pub const fn none() -> Self {
        Self {
            eligible: 0.0,
            held: 0.0,
            young: 0.0,
            active: 0.0,
            deleted: 0.0,
            unknown: 0.0,
            conflict_named: 0.0,
            conflict_unnamed: 0.0,
            unreadable_end: 0.0,
        }
    }

    /// The weight of one kind.
    pub(super) const fn of(&self, kind: Kind) -> f64 {
        match kind {
            Kind::Eligible => self.eligible,
            Kind::Held => self.held,
            Kind::Young => self.young,
            Kind::Active => self.active,
            Kind::Deleted => self.deleted,
            Kind::Unknown => self.unknown,
            Kind::ConflictNamed => self.conflict_named,
            Kind::ConflictUnnamed => self.conflict_unnamed,
            Kind::UnreadableEnd => self.unreadable_end,
        }
    }
}

/// Why settings were refused.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// They can't be read; names the field.
    #[error("settings: {0}")]
    Unreadable(#[from] serde_path_to_error::Error<serde_json::Error>),
    /// They are no JSON object.
    #[error("settings: must be a JSON object")]
    NoObject,
    /// A field has a value that makes no sense.
    #[error("settings: {field}: {reason}")]
    Senseless {
        /// The field, as JSON calls it.
        field: &'static str,
        /// What it should be.
        reason: &'static str,
    },
}

impl Settings {
    /// Reads whole settings: what is not given takes its default.
    pub fn from_json(json: Value) -> Result<Self, SettingsError> {
        // serde would take an array for the fields in their order.
        if !json.is_object() {
            return Err(SettingsError::NoObject);
        }
        let settings: Self = serde_path_to_error::deserialize(json)?;
        settings.check()?;
        Ok(settings)
    }

    /// These settings with a JSON merge patch (RFC 7396) applied; `null` brings a default back.
    pub fn patched(&self, patch: Value) -> Result<Self, SettingsError> {
        let mut json = serde_json::to_value(self).unwrap_or_default();
        merge(&mut json, patch);
        Self::from_json(json)
    }

    /// Refuses what would make the simulation meaningless.
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        let senseless = |field, reason| Err(SettingsError::Senseless { field, reason });
        let weights = Kind::ALL.map(|kind| self.shares.of(kind));
        if weights.iter().any(|weight| !weight.is_finite() || *weight < 0.0) {
            return senseless("shares", "no share may be negative");
        }
        if !weights.iter().sum::<f64>().is_normal() {
            return senseless("shares", "at least one share must be above 0");
        }
        for (field, share) in [
            ("failedShare", self.failed_share),
            ("partialShare", self.partial_share),
            ("failedShare + partialShare", self.failed_share + self.partial_share),
            ("leaveOutShare", self.leave_out_share),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return senseless(field, "must be between 0 and 1");
            }
        }
        for (field, number) in [
            ("tokenLifetimeSeconds", self.token_lifetime_seconds),
            ("maxConcurrentJobs", self.max_concurrent_jobs),
            ("maxBatch", self.max_batch),
            ("maxDetails", self.max_details),
        ] {
            if number == 0 {
                return senseless(field, "must be above 0");
            }
        }
        Ok(())
    }

    /// Whether the other settings describe other conversations: ids or kinds differ.
    pub(super) fn is_other_population(&self, other: &Self) -> bool {
        (self.seed, self.conversations, self.shares) != (other.seed, other.conversations, other.shares)
    }

    /// Whether the client has what the calls need.
    pub(super) fn grants_deletion(&self) -> bool {
        self.scope.split_whitespace().any(|scope| scope == NEEDED_SCOPE)
    }
}

/// RFC 7396.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(changes) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (name, change) in changes {
        if change.is_null() {
            fields.remove(&name);
        } else {
            merge(fields.entry(name).or_insert(Value::Null), change);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_empty_object_is_the_default() {
        assert_eq!(Settings::from_json(json!({})).unwrap(), Settings::default());
    }

    #[test]
    fn a_patch_changes_what_it_names_and_null_brings_the_default_back() {
        let first = Settings::default()
            .patched(json!({"maxBatch": 7, "jobDuration": {"baseMs": 1}, "shares": {"held": 0.5}}))
            .unwrap();
        assert_eq!((first.max_batch, first.job_duration.base_ms, first.job_duration.jitter_ms), (7, 1, 6000));
        assert_eq!((first.shares.held, first.shares.young), (0.5, 0.12));
        let second = first.patched(json!({"maxBatch": null})).unwrap();
        assert_eq!((second.max_batch, second.job_duration.base_ms), (1000, 1));
    }

    #[test]
    fn senseless_settings_are_refused_and_the_field_is_named() {
        for (json, named) in [
            (json!({"maxBach": 7}), "maxBach"),
            (json!({"jobDuration": {"base": 7}}), "jobDuration"),
            (json!({"seed": "one"}), "seed"),
            (json!({"shares": {"held": -0.1}}), "shares"),
            (json!({"failedShare": 0.7, "partialShare": 0.7}), "partialShare"),
            (json!({"leaveOutShare": 1.5}), "leaveOutShare"),
            (json!({"maxConcurrentJobs": 0}), "maxConcurrentJobs"),
            (json!({"deletedLooks": "gone"}), "deletedLooks"),
            (json!([]), "settings"),
        ] {
            let error = Settings::from_json(json).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
        let nothing = Settings { shares: Shares::none(), ..Settings::default() };
        assert!(nothing.check().unwrap_err().to_string().contains("shares"));
    }

    #[test]
    fn a_scope_counts_only_as_a_whole_word() {
        for (scope, grants) in [
            ("analytics:conversation:delete", true),
            ("users analytics:conversation:delete", true),
            ("analytics:conversation:deleteAll", false),
            ("", false),
        ] {
            let settings = Settings { scope: scope.to_owned(), ..Settings::default() };
            assert_eq!(settings.grants_deletion(), grants, "{scope}");
        }
    }
}
