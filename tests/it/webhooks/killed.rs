//! Processes that are killed while they deliver: every webhook arrives, some of them twice.

use std::collections::BTreeMap;

use genesys_purge::app::Role;
use nix::sys::signal::Signal;
use serde_json::json;

use super::endpoints::{near, register};
use crate::support::process::Serving;
use crate::support::receiver::{Receiver, SECRET};

const DELIVERIES: usize = 10_000;

#[tokio::test]
async fn ten_thousand_webhooks_arrive_though_every_process_that_sends_them_is_killed() {
    let test = near().role(Role::Api).env("PURGE__WEBHOOKS__TIMEOUT", "1s").start().await;
    let receiver = Receiver::start().await;
    let endpoint = register(&test, json!({ "url": receiver.url, "secret": SECRET })).await;
    test.sql(&format!(
        "with written as (
             insert into events (id, type, org, actor, payload, at)
             select gen_random_uuid(), 'purge_job_completed', 'default', 'engine', '{{}}', now()
             from generate_series(1, {DELIVERIES})
             returning id
         )
         insert into deliveries (id, event_id, endpoint, payload, run_at, due_at)
         select gen_random_uuid(), id, '{}', '{{}}', '9999-01-01', now() from written",
        endpoint["id"].as_str().unwrap()
    ))
    .await;
    let mut kills = 0;
    loop {
        let worker = Serving::start(test.serve(&["--role", "worker"])).await;
        let before = receiver.hooks().len();
        // In the middle of its work: nobody has told it to stop.
        let is_over = async {
            let left = "select count(*) from deliveries where state = 'pending'";
            test.wait_until("all are delivered", async || test.number(left).await == 0).await;
        };
        tokio::select! {
            _ = receiver.wait_for(before + DELIVERIES / 6, |_| true) => {
                worker.end(Signal::SIGKILL).await;
                kills += 1;
            }
            () = is_over => {
                worker.end(Signal::SIGTERM).await;
                break;
            }
        }
    }
    let mut arrivals = BTreeMap::<String, usize>::new();
    for hook in receiver.hooks() {
        assert!(hook.is_verified);
        *arrivals.entry(hook.id).or_default() += 1;
    }
    let twice = arrivals.values().filter(|times| **times > 1).count();
    println!(
        "{DELIVERIES} webhooks, {kills} kills: lost {}, more than once {twice}",
        DELIVERIES - arrivals.len()
    );
    assert_eq!(arrivals.len(), DELIVERIES);
    assert!(kills >= 5, "{kills}");
    // Not more than were under way when somebody was killed.
    assert!(twice <= kills * 16, "{twice}");
}
