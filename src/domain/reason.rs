//! Why a conversation got its outcome: a stable code for programs, a sentence for people.

use std::borrow::Cow;

use jiff::Timestamp;

use super::outcome::Outcome;
use super::words::words;

words! {
    /// The step of the flow that decided.
    Step, "step" {
        /// Facts were asked and judged.
        Validate = "validate",
        /// Drawn into a job.
        Pack = "pack",
        /// A job of another purge let it go.
        Wake = "wake",
        /// The checks of an intent.
        Intend = "intend",
        /// What a submit answered.
        Submit = "submit",
        /// A job's ids were looked at afresh after a conflict or a loss.
        Recheck = "recheck",
        /// What a look after the job's end showed.
        Verify = "verify",
        /// What a look after a lost submit showed.
        Reread = "reread",
        /// A caller canceled the purge.
        Cancel = "cancel",
        /// A caller paused the purge.
        Pause = "pause",
        /// A caller had the purge retried.
        Retry = "retry",
        /// A slice that was set aside can be read again.
        Repair = "repair",
    }
}

/// Why an outcome was decided.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reason {
    /// A stable word, or upstream's own code.
    pub code: Cow<'static, str>,
    /// More, for a person.
    pub detail: Option<String>,
    /// Until when the conversation is kept, which is its detail: each has a moment of its own.
    pub kept_until: Option<Timestamp>,
}

/// What a decision says of the job that carries a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrying {
    /// An intent named it for a job.
    Begins,
    /// A recorded no: that job has not carried it after all.
    Undone,
    Unchanged,
}

/// What a decision of this step says of it.
pub fn carrying(step: &str, from: Outcome, to: Outcome) -> Carrying {
    match (from, to) {
        (_, Outcome::Submitted) => Carrying::Begins,
        (Outcome::Submitted, _) if step == Step::Submit.as_str() => Carrying::Undone,
        _ => Carrying::Unchanged,
    }
}

/// A look after a lost submit decided: which job of Genesys' that was nobody knows, whatever id a later submit got.
pub fn is_of_lost_submit(step: &str, from: Outcome) -> bool {
    from == Outcome::Submitted && step == Step::Reread.as_str()
}

/// The detail of a conversation that is kept until a moment of its own.
pub fn kept_until(until: Timestamp) -> String {
    format!("kept until {until}")
}

impl Reason {
    /// A reason that its code tells in full.
    pub const fn code(code: &'static str) -> Self {
        Self { code: Cow::Borrowed(code), detail: None, kept_until: None }
    }

    /// A reason whose code is upstream's.
    pub fn upstream(code: Option<&str>, detail: impl Into<String>) -> Self {
        let code = code.map_or(Cow::Borrowed("upstream_refused"), |code| Cow::Owned(code.to_owned()));
        Self { code, detail: Some(detail.into()), kept_until: None }
    }
}

/// The reasons that tests, documents and callers name.
pub mod codes {
    use super::Reason;

    /// Nothing stands against deleting it.
    pub const ELIGIBLE: Reason = Reason::code("eligible");
    /// An intent named it.
    pub const INTENT: Reason = Reason::code("intent");
    /// Upstream calls it deleted or purged.
    pub const GONE: Reason = Reason::code("gone");
    /// Two whole answers, apart in time, left it out.
    pub const ABSENT_TWICE: Reason = Reason::code("absent_twice");
    /// Gone at a validation after a job of this purge had carried it.
    pub const SEEN_GONE_LATER: Reason = Reason::code("seen_gone_later");
    /// A hold recorded in this service.
    pub const LEGAL_HOLD: Reason = Reason::code("legal_hold");
    /// A hold of upstream.
    pub const UPSTREAM_HOLD: Reason = Reason::code("upstream_legal_hold");
    /// Upstream refused the batch for the sake of this id.
    pub const UPSTREAM_CONFLICT: Reason = Reason::code("upstream_conflict");
    /// It has not ended.
    pub const NOT_ENDED: Reason = Reason::code("not_ended");
    /// Its retention period has not expired.
    pub const RETENTION_PERIOD: Reason = Reason::code("retention_period");
    /// Its end can't be read.
    pub const UNKNOWN_AGE: Reason = Reason::code("unknown_age");
    /// The facts were too old, or judged by other rules.
    pub const FACTS_STALE: Reason = Reason::code("facts_stale");
    /// Another purge purged it since the facts were asked.
    pub const PURGED_ELSEWHERE: Reason = Reason::code("purged_elsewhere");
    /// The submit was refused; nothing was written.
    pub const NOT_SUBMITTED: Reason = Reason::code("not_submitted");
    /// Still there after a job that ended.
    pub const STILL_PRESENT: Reason = Reason::code("still_present");
    /// No whole answer after the job's end.
    pub const UNVERIFIED: Reason = Reason::code("unverified");
    /// The upstream job did not end in time.
    pub const TIMED_OUT: Reason = Reason::code("timed_out");
    /// Its submits were lost again and again.
    pub const SUBMIT_UNKNOWN: Reason = Reason::code("submit_unknown");
    /// Gone, though the submit got no answer.
    pub const GONE_AFTER_LOST_SUBMIT: Reason = Reason::code("gone_after_lost_submit");
    /// Still there after the window of a lost submit.
    pub const PRESENT_AFTER_LOST_SUBMIT: Reason = Reason::code("present_after_lost_submit");
    /// The purge was canceled.
    pub const CANCELED: Reason = Reason::code("purge_canceled");
    /// The purge was canceled after a job had carried it, and before it was seen to be gone.
    pub const NOT_SEEN_GONE: Reason = Reason::code("not_seen_gone");
    /// It had ended otherwise, and was seen to be gone when its job was over: the outcome stays.
    pub const GONE_LATE: Reason = Reason::code("gone_late");
    /// Whatever protects it now, a job that was given up may delete it: it is judged when that job is over.
    pub const STILL_CARRIED: Reason = Reason::code("still_carried");
    /// Its job ended while its slice could not be read: what became of it is asked afresh.
    pub const FATE_UNREAD: Reason = Reason::code("fate_unread");
    /// It had failed, and a retry takes it up again.
    pub const RETRIED: Reason = Reason::code("retried");
}
