//! Consistency: all redundant data of the tables is recomputed from append-only rows, and compared.

use std::collections::BTreeMap;
use std::time::Duration;

use genesys_purge::domain::outcome::Outcome;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::TestService;

const RESERVED_OR_ELSEWHERE: u8 = 0xc0;

/// Asks again and again until the answer is yes.
pub async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_mins(2);
    while !is_so().await {
        assert!(tokio::time::Instant::now() < deadline, "it never came true that {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until every purge is final.
pub async fn all_final(test: &TestService) {
    let mut connection = test.database.connect().await;
    eventually("every purge is final", async || {
        count(&mut connection, "select count(*) from purges where finished_at is null").await == 0
    })
    .await;
}

/// The one number that a query answers.
pub async fn count(connection: &mut PgConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(connection).await.unwrap()
}

/// Holds everything against everything. Every purge must be final.
pub async fn assert_books(test: &TestService) {
    assert_books_of(&mut test.database.connect().await, test.settings.webhooks.url.is_some()).await;
}

/// The same for a database on which other processes worked.
pub async fn assert_books_of(connection: &mut PgConnection, has_receiver: bool) {
    assert_running_books(connection).await;
    nothing_is_left_over(connection).await;
    histories_have_no_gaps(connection).await;
    what_ended_was_told(connection, has_receiver).await;
}

/// Holds against each other what agrees at every moment, whatever is still open.
pub async fn assert_running_books(connection: &mut PgConnection) {
    outcomes_are_the_fold_of_the_decisions(connection).await;
    columns_equal_the_bytes(connection).await;
}

struct Slice {
    purge: Uuid,
    no: i32,
    state: String,
    bytes: Vec<u8>,
    pending: i16,
    drawable: i16,
}

async fn slices(connection: &mut PgConnection) -> Vec<Slice> {
    let rows: Vec<(Uuid, i32, String, Vec<u8>, i16, i16)> =
        sqlx::query_as("select purge_id, slice_no, state::text, outcomes, pending, drawable from slices")
            .fetch_all(connection)
            .await
            .unwrap();
    rows.into_iter()
        .map(|(purge, no, state, bytes, pending, drawable)| Slice {
            purge,
            no,
            state,
            bytes,
            pending,
            drawable,
        })
        .collect()
}

/// Low four bits of a byte: the outcome.
fn outcome(byte: u8) -> Outcome {
    Outcome::from_code(byte & 0x0f).unwrap()
}

async fn outcomes_are_the_fold_of_the_decisions(connection: &mut PgConnection) {
    let slices = slices(connection).await;
    let mut folded: BTreeMap<(Uuid, i32), Vec<Outcome>> = slices
        .iter()
        .map(|slice| ((slice.purge, slice.no), vec![Outcome::Pending; slice.bytes.len()]))
        .collect();
    let decisions: Vec<(Uuid, i32, Vec<i16>, i16, i16, String)> = sqlx::query_as(
        "select purge_id, slice_no, positions, from_outcome, to_outcome, code from decisions order by id",
    )
    .fetch_all(connection)
    .await
    .unwrap();
    let word = |code: i16| Outcome::from_code(u8::try_from(code).unwrap()).unwrap();
    for (purge, no, positions, from, to, code) in decisions {
        let outcomes = folded.get_mut(&(purge, no)).unwrap();
        for position in positions {
            let outcome = &mut outcomes[usize::try_from(position).unwrap()];
            assert_eq!(*outcome, word(from), "position {position} of slice {no} of {purge}");
            let is_note = from == to && word(from).ended_otherwise() && code == "gone_late";
            assert!(is_note || word(from).may_become(word(to)), "{} -> {}", word(from), word(to));
            *outcome = word(to);
        }
    }
    for slice in slices {
        let kept: Vec<Outcome> = slice.bytes.iter().copied().map(outcome).collect();
        assert_eq!(folded[&(slice.purge, slice.no)], kept, "slice {} of {}", slice.no, slice.purge);
    }
}

async fn columns_equal_the_bytes(connection: &mut PgConnection) {
    let mut by_purge = BTreeMap::<Uuid, (BTreeMap<Outcome, i64>, i64)>::new();
    for slice in slices(connection).await {
        let outcomes = || slice.bytes.iter().copied().map(outcome);
        let pending = outcomes().filter(|outcome| *outcome == Outcome::Pending).count();
        let drawable = slice
            .bytes
            .iter()
            .filter(|byte| outcome(**byte) == Outcome::Eligible && **byte & RESERVED_OR_ELSEWHERE == 0)
            .count();
        let state = match () {
            () if pending > 0 && slice.state == "validating" => "validating",
            () if pending > 0 => "queued",
            () if outcomes().all(Outcome::is_final) => "settled",
            () => "ready",
        };
        let columns = (slice.state.as_str(), slice.pending, slice.drawable);
        let expected = (state, i16::try_from(pending).unwrap(), i16::try_from(drawable).unwrap());
        assert_eq!(columns, expected, "slice {} of {}", slice.no, slice.purge);
        let (counts, drawable_of_purge) = by_purge.entry(slice.purge).or_default();
        for outcome in outcomes() {
            *counts.entry(outcome).or_default() += 1;
        }
        *drawable_of_purge += i64::try_from(drawable).unwrap();
    }
    let purges: Vec<(Uuid, serde_json::Value)> =
        sqlx::query_as("select id, to_jsonb(p) from purges p").fetch_all(connection).await.unwrap();
    assert_eq!(purges.len(), by_purge.len());
    for (purge, columns) in purges {
        let (counts, drawable) = &by_purge[&purge];
        for outcome in Outcome::ALL {
            let counted = counts.get(outcome).copied().unwrap_or_default();
            assert_eq!(columns[outcome.as_str()], counted, "{outcome} of {purge}: {columns}");
        }
        assert_eq!(columns["drawable"], *drawable, "drawable of {purge}");
        assert_eq!(columns["total"], counts.values().sum::<i64>(), "total of {purge}");
    }
}

async fn nothing_is_left_over(connection: &mut PgConnection) {
    for (what, sql) in [
        ("open purges", "select count(*) from purges where finished_at is null"),
        ("slices that are not settled", "select count(*) from slices where state <> 'settled'"),
        ("reservations", "select count(*) from reservations"),
        ("waiters", "select count(*) from waiters"),
        ("ids that were let go", "select count(*) from released"),
        ("jobs that are not done", "select count(*) from jobs where state <> 'done'"),
        (
            "jobs without parts though they were submitted",
            "select count(*) from jobs j
             where submitted_at is not null and not exists (select from job_parts where job_id = j.id)",
        ),
    ] {
        assert_eq!(count(connection, sql).await, 0, "{what} are left");
    }
    for slice in slices(connection).await {
        let marked = slice.bytes.iter().filter(|byte| **byte & RESERVED_OR_ELSEWHERE != 0).count();
        assert_eq!(marked, 0, "marks of reservations are left in slice {} of {}", slice.no, slice.purge);
    }
}

async fn histories_have_no_gaps(connection: &mut PgConnection) {
    type History = (Uuid, i32, Vec<i32>, Vec<String>, String);
    let rows: Vec<History> = sqlx::query_as(
        "select p.id, p.event_no, array_agg(e.event_no order by e.event_no), array_agg(e.type order by e.event_no),
                p.state::text
         from purges p join events e on e.purge_id = p.id
         group by p.id",
    )
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    assert_eq!(i64::try_from(rows.len()).unwrap(), count(connection, "select count(*) from purges").await);
    for (purge, last, numbers, types, state) in rows {
        assert_eq!(numbers, (1..=last).collect::<Vec<_>>(), "events of {purge}");
        assert_eq!(types[0], "purge_accepted", "{purge}");
        let finals: Vec<&String> = types
            .iter()
            .filter(|word| ["purge_completed", "purge_failed", "purge_canceled"].contains(&word.as_str()))
            .collect();
        let retries = types.iter().filter(|word| *word == "purge_retried").count();
        assert_eq!(finals.len(), retries + 1, "the end of each run of {purge} is told once: {types:?}");
        assert_eq!(finals.last(), Some(&&format!("purge_{state}")), "{purge}");
    }
}

/// Every final state and every ended job has its one delivery, of the very bytes of its event.
async fn what_ended_was_told(connection: &mut PgConnection, has_receiver: bool) {
    let expected: i64 = count(
        connection,
        "select (select sum(run) from purges) + (select count(*) from jobs where upstream_state is not null
            and lower(upstream_state) in ('completed', 'failed'))",
    )
    .await;
    let owed = count(
        connection,
        "select count(*)
         from events
         where type in ('purge_completed', 'purge_failed', 'purge_canceled')
            or type = 'purge_job_completed' and purge_id is null",
    )
    .await;
    assert_eq!(owed, expected, "one event for each purge and each job that ended");
    let delivered = count(
        connection,
        "select count(*)
         from events e join deliveries d on d.event_id = e.id and d.endpoint = 'retention'
         where (e.type in ('purge_completed', 'purge_failed', 'purge_canceled')
                or e.type = 'purge_job_completed' and e.purge_id is null)
           and d.payload::jsonb = e.payload",
    )
    .await;
    let all = "select count(*) from deliveries d join events e on e.id = d.event_id
               where d.endpoint = 'retention' and e.type like 'purge%'";
    let all = count(connection, all).await;
    assert_eq!((delivered, all), if has_receiver { (owed, owed) } else { (0, 0) }, "deliveries");
}
