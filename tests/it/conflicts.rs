//! A submit that upstream refuses because of some ids: the offenders end on hold, all others are purged.

mod blocking;
mod pieces;
mod schedule;

use std::collections::HashSet;

use genesys_purge::sandbox::{Call, Kind, Shares};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use uuid::Uuid;

use schedule::{Cost, Ground, Schedule, bound, search};

use crate::support::trouble::{endings, strikes};
use crate::support::{Setup, TestService};

fn with_conflicts() -> Setup {
    Setup::new().sandbox(|settings| {
        settings.conversations = 400;
        settings.shares =
            Shares { eligible: 0.8, conflict_named: 0.1, conflict_unnamed: 0.1, ..Shares::none() };
    })
}

fn some(test: &TestService, kinds: &[(Kind, usize)]) -> Vec<Uuid> {
    kinds.iter().flat_map(|&(kind, number)| test.ids_of(kind).into_iter().take(number)).collect()
}

#[tokio::test]
async fn named_offenders_end_on_hold_and_the_others_go_under_a_second_intent() {
    let test = with_conflicts().start().await;
    let (good, bad) = (some(&test, &[(Kind::Eligible, 20)]), some(&test, &[(Kind::ConflictNamed, 3)]));
    let purge = test.purge(&[&good[..10], &bad, &good[10..]].concat()).await;

    let body = test.finished(purge).await;
    assert_eq!(body["state"], "completed", "a hold is lawful: {body}");
    assert_eq!(test.endings(purge).await, endings([("purged gone", 20), ("on_hold upstream_conflict", 3)]));
    assert_eq!((test.calls(Call::Submit, "409"), test.calls(Call::Submit, "200")), (1, 1));
    let jobs = test.jobs(purge).await;
    assert_eq!(jobs.len(), 1, "the job goes on without them: {jobs:?}");
    assert_eq!((&jobs[0]["attempt"], &jobs[0]["conversations"]), (&json!(2), &json!(20)));
    test.assert_purged_once(&good);
    test.assert_untouched(&bad);
}

#[tokio::test]
async fn a_batch_of_offenders_alone_is_rejected_and_keeps_nothing() {
    let test = with_conflicts().start().await;
    let bad = some(&test, &[(Kind::ConflictNamed, 4)]);
    let purge = test.purge(&bad).await;

    assert_eq!(test.finished(purge).await["state"], "completed");
    assert_eq!(test.endings(purge).await, endings([("on_hold upstream_conflict", 4)]));
    assert_eq!(test.log(Call::Submit).len(), 1);
    assert_eq!(test.number("select count(*) from reservations").await, 0);
    assert_eq!(
        test.number("select count(*) from jobs where state = 'done' and result = 'rejected'").await,
        1
    );
}

#[tokio::test]
async fn unnamed_offenders_are_found_by_halving_in_few_jobs() {
    let test = with_conflicts().start().await;
    let (good, bad) = (some(&test, &[(Kind::Eligible, 62)]), some(&test, &[(Kind::ConflictUnnamed, 2)]));
    let purge = test.purge(&[&good[..30], &bad[..1], &good[30..50], &bad[1..], &good[50..]].concat()).await;

    assert_eq!(test.finished(purge).await["state"], "completed");
    assert_eq!(test.endings(purge).await, endings([("purged gone", 62), ("on_hold upstream_conflict", 2)]));
    // Twice the whole batch (it is validated afresh in between), then each offender's way down a tree of 64 leaves.
    assert!(test.calls(Call::Submit, "409") <= 2 + 2 * 6, "{:#?}", test.log(Call::Submit));
    assert!(test.calls(Call::Submit, "200") <= 2 * 6);
    let validations = test.log(Call::Details).iter().filter(|entry| entry.ids == 64).count();
    assert_eq!(validations, 2, "once before the first submit, once after its conflict");
    test.assert_purged_once(&good);
    test.assert_untouched(&bad);
}

#[tokio::test]
async fn few_offenders_among_500_cost_no_more_calls_than_promised_and_few_jobs() {
    let test = Setup::new()
        .sandbox(|settings| {
            settings.conversations = 2000;
            settings.shares = Shares { eligible: 0.98, conflict_unnamed: 0.02, ..Shares::none() };
        })
        .start()
        .await;
    let (good, bad) = (test.ids_of(Kind::Eligible), test.ids_of(Kind::ConflictUnnamed));
    let (mut good, mut bad) = (good.chunks(500), bad.chunks(5));
    // Halving takes about 9, 15 and 30 jobs; the most that this search takes, wherever the offenders are, is told beside.
    for (offenders, most_jobs) in [(1, 9), (2, 15), (5, 25)] {
        let (good, bad) = (&good.next().unwrap()[offenders..], &bad.next().unwrap()[..offenders]);
        let mut ids = good.to_vec();
        for (number, bad) in bad.iter().enumerate() {
            ids.insert(number * 97 + 41, *bad);
        }
        let before = (test.calls(Call::Submit, "409"), test.calls(Call::Submit, "200"));
        let purge = test.purge(&ids).await;
        assert_eq!(test.finished(purge).await["state"], "completed");
        assert_eq!(
            test.endings(purge).await,
            endings([("purged gone", 500 - offenders), ("on_hold upstream_conflict", offenders)])
        );
        let jobs = test.calls(Call::Submit, "200") - before.1;
        let calls = jobs + test.calls(Call::Submit, "409") - before.0;
        let bound = bound(500, u32::try_from(offenders).unwrap());
        assert!(calls <= bound, "{offenders} offenders: {calls} calls, at most {bound}");
        assert!(jobs <= most_jobs, "{offenders} offenders: {jobs} jobs");
        test.assert_purged_once(good);
        test.assert_untouched(bad);
    }
}

#[test]
fn the_search_keeps_its_promise_wherever_the_offenders_are_and_beats_halving() {
    let ground = Ground { conversations: 500, slots: 5, call_ms: 500, job_ms: 60_000 };
    for alone in 0..500 {
        let cost = search(Schedule::Searching, ground, &HashSet::from([alone]));
        assert!(cost.calls <= bound(500, 1), "{alone}: {cost:?}");
    }
    for offenders in [1, 2, 5, 25, 250] {
        let all_of = |schedule| {
            let costs = (0..40).map(|seed| {
                let mut random = StdRng::seed_from_u64(seed);
                let mut those = HashSet::new();
                while those.len() < offenders {
                    those.insert(random.random_range(0..500));
                }
                let cost = search(schedule, ground, &those);
                let bound = bound(500, u32::try_from(offenders).unwrap());
                let is_kept = schedule != Schedule::Searching || cost.calls <= bound;
                assert!(is_kept, "{offenders}, seed {seed}: {cost:?}");
                cost
            });
            costs.fold(Cost::default(), |sum, cost| Cost {
                calls: sum.calls + cost.calls,
                jobs: sum.jobs + cost.jobs,
                ms: sum.ms + cost.ms,
            })
        };
        let [halving, inferring, searching] =
            [Schedule::Halving, Schedule::Inferring, Schedule::Searching].map(all_of);
        assert_eq!(inferring.jobs, halving.jobs, "the same pieces go through");
        assert!(searching.jobs * 10 < halving.jobs * 9, "{offenders}: {searching:?}, {halving:?}");
        assert!(searching.ms * 10 < halving.ms * 9, "{offenders}: {searching:?}, {halving:?}");
    }
}

#[tokio::test]
async fn a_conflict_of_one_purge_harms_no_other_that_shares_its_job() {
    let test = with_conflicts().env("PURGE__ENGINE__MAX_ATTEMPTS", "1").start().await;
    let good = some(&test, &[(Kind::Eligible, 60)]);
    let bad = some(&test, &[(Kind::ConflictNamed, 2), (Kind::ConflictUnnamed, 2)]);
    // All of them are judged before the first submit is let through, so that they share a job.
    test.fault(strikes("submit", 1, &json!({ "retryAfter": "1" })));
    let mut clean = Vec::new();
    for ids in good[..40].chunks(10) {
        clean.push(test.purge(ids).await);
    }
    let dirty = test.purge(&[&good[40..], &bad].concat()).await;

    for purge in clean {
        let body = test.finished(purge).await;
        assert_eq!((&body["state"], &body["counts"]["purged"]), (&json!("completed"), &json!(10)), "{body}");
    }
    assert_eq!(test.finished(dirty).await["state"], "completed");
    assert_eq!(test.endings(dirty).await, endings([("purged gone", 20), ("on_hold upstream_conflict", 4)]));
    test.assert_purged_once(&good);
    test.assert_untouched(&bad);
}

#[tokio::test]
async fn a_hold_that_upstream_got_after_the_validation_is_seen_when_the_batch_is_validated_afresh() {
    let test = Setup::new().start().await;
    let ids = &test.ids_of(Kind::Eligible)[..10];
    // The answer names nobody, and comes late enough for the hold to be made meanwhile.
    test.fault(strikes("submit", 1, &json!({ "status": 409, "delayMs": 800 })));
    let purge = test.purge(ids).await;
    test.purge_when(purge, |body| body["counts"]["submitted"] == 10).await;
    test.sandbox.sandbox().set_kind(ids[3], Kind::Held).unwrap();

    assert_eq!(test.finished(purge).await["state"], "completed");
    assert_eq!(test.endings(purge).await, endings([("purged gone", 9), ("on_hold upstream_legal_hold", 1)]));
    assert_eq!(test.log(Call::Submit).len(), 2, "nothing was halved");
    test.assert_untouched(&ids[3..4]);
    test.assert_no_breach();
}

#[tokio::test]
async fn a_conflict_that_names_a_stranger_blames_nobody_of_the_batch() {
    let test = Setup::new().start().await;
    let ids = test.ids_of(Kind::Eligible);
    let body = json!({
        "message": "protected", "code": "conversation.protected", "status": 409,
        "details": [{ "errorCode": "conversation.protected", "entityId": ids[50] }],
    });
    test.fault(strikes("submit", 1, &json!({ "status": 409, "body": body.to_string() })));
    let purge = test.purge(&ids[..8]).await;

    assert_eq!(test.finished(purge).await["state"], "completed");
    assert_eq!(test.endings(purge).await, endings([("purged gone", 8)]));
    assert_eq!(test.log(Call::Submit).len(), 2);
    test.assert_purged_once(&ids[..8]);
}
