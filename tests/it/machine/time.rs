//! Time: it passes by moving the times of rows back.

use std::time::Duration;

use genesys_purge::app::World;
use jiff::{SignedDuration, Timestamp};
use sqlx::{AssertSqlSafe, Executor as _};

use super::ground::{ORG, TERMS};
use super::steps::Pass;
use super::walk::Walk;

pub fn own_time() -> Timestamp {
    World::machine().clock()()
}

/// Every moment by which the store decides.
const MOMENTS: &[(&str, &[&str])] = &[
    ("purges", &["turn_at", "ask_turn_at", "ask_at", "created_at", "started_at", "finished_at"]),
    ("slices", &["run_at", "absent_at", "facts_at", "lease_until"]),
    (
        "jobs",
        &[
            "run_at",
            "lease_until",
            "call_before",
            "submitted_at",
            "seen_running_at",
            "ended_at",
            "lost_since",
            "overdue_since",
            "intended_at",
            "claimed_at",
            "expected_end_at",
            "created_at",
        ],
    ),
    ("job_parts", &["facts_at"]),
    ("findings", &["gone_at", "kept_at", "carried_at"]),
];

impl Walk<'_> {
    /// Takes up what leases that ended have left.
    pub async fn expire(&mut self) -> bool {
        let store = &self.ground.store;
        store.expire_slices(ORG).await.unwrap() + store.expire_submits(ORG, &TERMS).await.unwrap() > 0
    }

    pub async fn pass(&mut self, pass: Pass) {
        let little = Duration::from_secs(1);
        let time = match pass {
            Pass::ToNextDue => self.until_next_due().await.unwrap_or_default(),
            Pass::AbsenceGap => TERMS.absence_gap + little,
            Pass::Lease => TERMS.lease + little,
            Pass::Window => TERMS.ambiguity_grace + little,
            Pass::Visibility => TERMS.verify_timeout + little,
            Pass::FactsAge => TERMS.validation_max_age + little,
            Pass::Deadline => TERMS.job_deadline + little,
        };
        self.move_on(time).await;
    }

    /// How long nothing is due, or `None` where nothing ever will be.
    pub async fn until_next_due(&mut self) -> Option<Duration> {
        let seconds: Option<f64> = sqlx::query_scalar(
            "select extract(epoch from min(at) - clock_timestamp())::float8
             from (
                 select due_at as at from jobs where next_step is not null
                 union all select lease_until from jobs where state = 'submitting'
                 union all select greatest(ask_at, run_at) from slices join purges on id = purge_id
                           where slices.state = 'queued'
                 union all select lease_until from slices where state = 'validating'
             ) due
             where at > clock_timestamp()",
        )
        .fetch_one(&mut self.ground.connection)
        .await
        .unwrap();
        seconds.map(|seconds| Duration::from_secs_f64(seconds.max(0.0)) + Duration::from_millis(1))
    }

    pub async fn move_on(&mut self, time: Duration) {
        let back = format!("interval '{} microseconds'", time.as_micros());
        let of_table = |(table, moments): &(&str, &[&str])| {
            let set: Vec<String> =
                moments.iter().map(|moment| format!("{moment} = {moment} - {back}")).collect();
            format!("update {table} set {};", set.join(", "))
        };
        let of_rows: String = MOMENTS.iter().map(of_table).collect();
        let of_silence = format!(
            "update slices set silent_since = (select array_agg(at - {back} order by n)
                                               from unnest(silent_since) with ordinality as since (at, n))
             where silent_since is not null"
        );
        self.ground.connection.execute(AssertSqlSafe(of_rows + &of_silence)).await.unwrap();
        let back = SignedDuration::try_from(time).unwrap();
        for question in &mut self.questions {
            question.what.asked_at -= back;
        }
        for look in &mut self.looks {
            look.what.asked_at -= back;
            look.what.due_at -= back;
        }
        self.truth.pass(time);
    }
}
