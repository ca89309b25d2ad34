//! How long a dispatcher sleeps: never past the time at which something is due.

use std::time::Duration;

use genesys_purge::app::{Role, org_terms};
use jiff::{SignedDuration, Timestamp};

use crate::support::Setup;

#[tokio::test]
async fn what_becomes_due_while_a_survey_looks_is_told_as_due_or_as_next() {
    const HORIZON: Duration = Duration::from_secs(2);
    const JOBS: usize = 5000;
    let test = Setup::new().role(Role::Api).start().await;
    let (store, org) = (test.store().await, org_terms("default", &test.settings.orgs["default"]));
    // The next polls, and the moments from which a slot counts as coming free, lie so close to each other that some
    // pass while the survey reads.
    test.sql(&format!(
        "insert into jobs (id, org, state, ids, size, upstream_job_id, submitted_at, expected_end_at, run_at)
         select id, 'default', 'submitted', '{{}}', 0, id::text,
                clock_timestamp() - interval '8 seconds' + no * interval '400 microseconds',
                clock_timestamp() + interval '2 seconds' + no * interval '400 microseconds',
                clock_timestamp() + no * interval '400 microseconds'
         from (select gen_random_uuid() as id, no from generate_series(1, {JOBS}) as no) as ids"
    ))
    .await;
    let ahead_of = |now: Timestamp, then: Option<Timestamp>| {
        then.is_none_or(|then| then.duration_since(now) > SignedDuration::ZERO)
    };
    let mut looked = 0;
    loop {
        let survey = store.survey(&org, HORIZON).await.unwrap();
        let now = survey.now;
        assert!(ahead_of(now, survey.next_job_at), "{:?} is not after {now}", survey.next_job_at);
        assert!(ahead_of(now, survey.next_freeing_at), "{:?} is not after {now}", survey.next_freeing_at);
        assert_eq!(survey.next_job_at.is_none(), survey.polls_due == JOBS);
        if survey.polls_due == JOBS {
            break;
        }
        looked += 1;
    }
    assert!(looked > 0, "all were due before the first look");
}
