//! Packing: many small purges share full jobs, and none waits behind a purge of millions.

use std::collections::BTreeMap;

use genesys_purge::app::Role;
use genesys_purge::sandbox::Kind;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::books::{all_final, assert_books, eventually};
use crate::support::{Setup, TestService};

/// Accepts purges of these ids while nobody works on them, so that all of them wait when the work begins.
async fn accept_then_work(test: &mut TestService, purges: &[&[Uuid]]) -> Vec<Uuid> {
    let mut accepted = Vec::new();
    for ids in purges {
        accepted.push(test.purge(ids).await);
    }
    test.stop_service().await;
    test.start_service().await;
    accepted
}

/// Which purges each upstream job carried, with how many conversations, as `/purges/{id}/jobs` tells.
async fn shares(test: &TestService, purges: &[Uuid]) -> BTreeMap<String, Vec<(Uuid, u64)>> {
    let mut jobs = BTreeMap::<String, Vec<(Uuid, u64)>>::new();
    for &purge in purges {
        let page = test.get(&format!("/purges/{purge}/jobs")).await;
        for job in page["items"].as_array().unwrap() {
            assert_eq!(job["result"], "completed", "{job}");
            let carried = job["conversations"].as_u64().unwrap();
            jobs.entry(job["jobId"].as_str().unwrap().to_owned()).or_default().push((purge, carried));
        }
    }
    jobs
}

#[tokio::test]
async fn two_hundred_purges_of_three_ids_share_two_jobs_and_each_is_told_of_by_itself() {
    let mut test = Setup::new().role(Role::Api).sandbox(|org| org.conversations = 600).start().await;
    let ids = test.ids_of(Kind::Eligible);
    let purges = accept_then_work(&mut test, &ids.chunks(3).collect::<Vec<_>>()).await;
    assert_eq!(purges.len(), 200);
    all_final(&test).await;

    for &purge in &purges {
        let body = test.get(&format!("/purges/{purge}")).await;
        assert_eq!((&body["state"], &body["counts"]["purged"]), (&json!("completed"), &json!(3)), "{body}");
    }
    let jobs = shares(&test, &purges).await;
    let mut sizes: Vec<u64> = jobs.values().map(|shares| shares.iter().map(|(_, size)| size).sum()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [100, 500], "200 small purges fill one job and leave one with the rest");

    let hooks = test.receiver.wait_for(200 + jobs.len(), |_| true).await;
    assert!(hooks.iter().all(|hook| hook.is_verified));
    for (job, shares) in &jobs {
        let told: Vec<_> = hooks.iter().filter(|hook| hook.body["jobId"] == json!(job)).collect();
        let [hook] = told.as_slice() else { panic!("one webhook a job: {told:#?}") };
        assert_eq!(hook.body["purgeCount"], shares.len());
        assert_eq!(hook.body.get("purgeId"), None, "a job of many purges names none");
        assert_eq!(hook.body["recordsProcessed"], shares.iter().map(|(_, size)| size).sum::<u64>());
    }
    for purge in &purges {
        let told: Vec<_> = hooks.iter().filter(|hook| hook.body["purgeId"] == json!(purge)).collect();
        let [hook] = told.as_slice() else { panic!("one webhook a purge: {told:#?}") };
        assert_eq!((hook.event(), &hook.body["counts"]["purged"]), ("purge_completed", &json!(3)));
    }
    test.assert_no_breach();
    assert_books(&test).await;
}

#[tokio::test]
async fn every_job_is_full_while_more_than_a_job_is_eligible() {
    let mut test = Setup::new()
        .role(Role::Api)
        .env("PURGE__ORGS__DEFAULT__MAX_BATCH", "100")
        .env("PURGE__ORGS__DEFAULT__MAX_CONCURRENT_JOBS", "1")
        .sandbox(|org| {
            org.conversations = 1250;
            org.job_duration.base_ms = 300;
        })
        .start()
        .await;
    let ids = test.ids_of(Kind::Eligible);
    // A large one, a hundred of seven, and one that is just larger than a share.
    let (large, rest) = ids.split_at(490);
    let (small, middle) = rest.split_at(700);
    let purges: Vec<&[Uuid]> = [large].into_iter().chain(small.chunks(7)).chain([middle]).collect();
    let purges = accept_then_work(&mut test, &purges).await;
    all_final(&test).await;

    let mut sizes: Vec<u64> = shares(&test, &purges)
        .await
        .values()
        .map(|shares| shares.iter().map(|(_, size)| size).sum())
        .collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [vec![50], vec![100; 12]].concat(), "only what is left at the end makes a small job");
    test.assert_no_breach();
}

#[tokio::test]
async fn a_lone_small_purge_leaves_at_once_in_a_job_of_its_own_size() {
    let test = TestService::start().await;
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..3]).await;
    test.finished(purge).await;
    let jobs = shares(&test, &[purge]).await;
    assert_eq!(jobs.values().collect::<Vec<_>>(), [&vec![(purge, 3)]]);
}

#[tokio::test]
async fn ten_ids_are_not_stuck_behind_a_hundred_thousand() {
    let test = Setup::new()
        .env("PURGE__ORGS__DEFAULT__MAX_CONCURRENT_JOBS", "2")
        .sandbox(|org| {
            org.conversations = 100_010;
            org.job_duration.base_ms = 300;
        })
        .start()
        .await;
    let ids = test.ids_of(Kind::Eligible);
    let (few, many) = ids.split_at(10);
    let lines: String =
        many.iter().flat_map(|id| ["\"".to_owned(), id.to_string(), "\"\n".to_owned()]).collect();
    let upload = test
        .request(Method::POST, "/purges")
        .header("content-type", "application/x-ndjson")
        .body(lines)
        .send()
        .await
        .unwrap();
    let large: Uuid = upload.json::<Value>().await.unwrap()["id"].as_str().unwrap().parse().unwrap();
    eventually("the large purge is in full swing", async || {
        test.get(&format!("/purges/{large}")).await["counts"]["purged"].as_i64() > Some(1000)
    })
    .await;

    let small = test.purge(few).await;
    let body = test.finished(small).await;
    assert_eq!((&body["state"], &body["counts"]["purged"]), (&json!("completed"), &json!(10)), "{body}");
    let large = test.get(&format!("/purges/{large}")).await;
    assert_eq!(large["state"], "running", "the small one ended first: {large}");

    let mut connection = test.database.connect().await;
    let jobs_before: i64 = sqlx::query_scalar(
        "select count(*)
         from jobs j, purges p
         where p.id = $1 and j.submitted_at > p.created_at
           and j.submitted_at < (select min(own.submitted_at) from jobs own
                                 join job_parts part on part.job_id = own.id where part.purge_id = p.id)",
    )
    .bind(small)
    .fetch_one(&mut connection)
    .await
    .unwrap();
    // Each of the two slots may be refilled once or twice while its facts are asked; 200 jobs stood before it.
    assert!(jobs_before <= 4, "{jobs_before} jobs went before it");
    test.assert_no_breach();
}

#[tokio::test]
async fn jobs_keep_to_one_purge_where_mixing_is_off() {
    let mut test =
        Setup::new().role(Role::Api).env("PURGE__ORGS__DEFAULT__MIX_PURGES", "false").start().await;
    let ids = test.ids_of(Kind::Eligible);
    let purges = accept_then_work(&mut test, &ids[..15].chunks(3).collect::<Vec<_>>()).await;
    all_final(&test).await;

    let jobs = shares(&test, &purges).await;
    assert_eq!(jobs.len(), 5);
    assert!(jobs.values().all(|shares| matches!(shares.as_slice(), [(_, 3)])), "{jobs:#?}");
    let hooks = test.receiver.wait_for(5, |hook| hook.event() == "purge_job_completed").await;
    for hook in hooks {
        let [(purge, 3)] = jobs[hook.body["jobId"].as_str().unwrap()].as_slice() else { panic!() };
        assert_eq!((&hook.body["purgeId"], &hook.body["purgeCount"]), (&json!(purge), &json!(1)));
    }
    test.assert_no_breach();
    assert_books(&test).await;
}
