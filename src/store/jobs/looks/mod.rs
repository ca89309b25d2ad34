//! Looks: what happened to a job's conversations? One file per kind; shared code is in `settling.rs`.
//!
//! Each look settles the conversations that its answer was conclusive about, so that a purge is final when its own
//! conversations are, however long others in the job take, and nothing is queried twice.

mod claim;
mod ended;
mod late;
mod overdue;
mod recheck;
mod reread;
mod settling;
mod verify;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use self::ended::Carried;
use self::settling::Settling;
use super::lease::JobLease;
use crate::crash;
use crate::domain::clocks::Skew;
use crate::domain::outcome::{Cell, Marks, Outcome};
use crate::domain::reason::Step;
use crate::domain::retention::Policy;
use crate::domain::sight::Control;
use crate::domain::terms::EngineTerms;
use crate::store::slices::validated::Answers;
use crate::store::{Store, StoreError};

/// Why a job's conversations are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookKind {
    /// Before an intent, after a conflict that named no id or a lost submit.
    Recheck,
    /// After its end.
    Verify,
    /// After a submit without an answer, when its window has passed.
    Reread,
    /// Past its deadline, though upstream may still run it.
    Overdue,
    /// After it was given up: what is gone after all?
    Late,
}

impl LookKind {
    /// Whether such a conversation of the job is looked at.
    const fn is_about(self, cell: Cell) -> bool {
        match self {
            Self::Recheck => matches!(cell.outcome, Outcome::Eligible),
            Self::Verify | Self::Reread | Self::Overdue => matches!(cell.outcome, Outcome::Submitted),
            // Whatever became of it while upstream might still delete it, unless the job has let it go.
            Self::Late => cell.marks.has(Marks::RESERVED),
        }
    }

    /// The step that its decisions record.
    const fn step(self) -> Step {
        match self {
            Self::Recheck => Step::Recheck,
            Self::Reread => Step::Reread,
            Self::Verify | Self::Overdue | Self::Late => Step::Verify,
        }
    }
}

/// A job whose conversations are to be looked at.
#[derive(Debug, Clone)]
pub struct Look {
    pub lease: JobLease,
    pub kind: LookKind,
    /// Whose facts to ask.
    pub ids: Vec<Uuid>,
    /// When it was claimed, by the database's clock: no later than the call.
    pub asked_at: Timestamp,
    /// When it was due.
    pub due_at: Timestamp,
    /// The rules in force then.
    pub policy: Policy,
    pub policy_epoch: i64,
    /// Looks in a row without any result.
    pub tries: u32,
    /// Looks in a row without an answer.
    pub blind: u32,
    /// By which its answers are checked.
    pub controls: Vec<Control>,
    /// An answer left some of the ids out before: another one may have them called gone.
    pub may_end_absent: bool,
}

/// Why a look was not answered to its end.
#[derive(Debug, Clone)]
pub struct Unanswered {
    /// When to look again.
    pub again: Duration,
    /// What happened.
    pub error: Option<Value>,
    /// It says something of the org or of this service, nothing of the job: no patience is used up.
    pub is_held_up: bool,
}

/// Nothing is given up before this many looks in a row got no answer.
const BLIND_LOOKS: u32 = 3;

impl Store {
    /// Records the answers of a look; `unanswered`: some ids got none.
    pub async fn record_look(
        &self,
        org: &str,
        look: &Look,
        answers: &Answers,
        unanswered: Option<Unanswered>,
        own_time: Timestamp,
        terms: &EngineTerms,
    ) -> Result<Result<(), Skew>, StoreError> {
        self.retried(|| self.try_record_look(org, look, answers, unanswered.clone(), own_time, terms)).await
    }

    async fn try_record_look(
        &self,
        org: &str,
        look: &Look,
        answers: &Answers,
        unanswered: Option<Unanswered>,
        own_time: Timestamp,
        terms: &EngineTerms,
    ) -> Result<Result<(), Skew>, StoreError> {
        let tx = self.begin("record_look").await?;
        let mut settling = Settling::open(tx, org, look, answers, unanswered, terms).await?;
        let carried = Carried::of(&settling);
        let mut gone_late = Vec::new();
        match look.kind {
            LookKind::Recheck => {
                if let Err(skew) = recheck::record(&mut settling, own_time).await? {
                    return Ok(Err(skew));
                }
            }
            LookKind::Reread => reread::record(self, &mut settling).await?,
            LookKind::Verify => verify::record(&mut settling).await?,
            LookKind::Overdue => overdue::record(&mut settling).await?,
            LookKind::Late => gone_late = late::record(&mut settling).await?,
        }
        crash::over("record_look", look.ids.iter().copied());
        settling.write(self, carried, gone_late).await?;
        Ok(Ok(()))
    }
}
