//! `webhooks list | redeliver`: once a receiver is healthy again, nobody needs SQL.

use genesys_purge::domain::keys::Scope;
use genesys_purge::sandbox::Kind;
use serde_json::{Value, json};
use uuid::Uuid;

use super::fake::Fake;
use super::shell::Shell;
use crate::support::Setup;
use crate::support::receiver::Answer;

#[tokio::test]
async fn what_was_given_up_is_found_and_sent_again() {
    let test = Setup::new().start().await;
    test.receiver.answer_next(&[Answer::Status(410); 4]);
    let ids = test.ids_of(Kind::Eligible);
    for pair in ids.chunks(2).take(2) {
        test.finished(test.purge(pair).await).await;
    }
    let dead = "select count(*) from deliveries where state = 'dead'";
    test.wait_until("all are given up", async || test.number(dead).await == 4).await;

    let shell = Shell::of(&test);
    let said = shell.webhooks(&["list", "--state", "dead", "--since", "1h"]).await;
    said.assert(0, &[]);
    assert_eq!(said.out.lines().count(), 4, "{said:?}");
    for line in said.out.lines() {
        assert!(line.contains("  dead  1  purge_") && line.contains("  default  "), "{line}");
        assert!(line.ends_with("  the receiver answered 410: it is gone"), "{line}");
    }
    let id = said.out.split("  ").next().unwrap();
    shell.webhooks(&["redeliver", id]).await.assert(0, &[]);
    test.receiver.wait_for(5, |hook| hook.is_verified).await;
    let said = shell.webhooks(&["redeliver", "--failed-since", "2020-01-01T00:00:00Z"]).await;
    assert_eq!((said.code, said.out.as_str()), (Some(0), "3 sent again\n"), "{said:?}");
    test.receiver.wait_for(8, |hook| hook.is_verified).await;
    let delivered = "select count(*) from deliveries where state = 'delivered'";
    test.wait_until("all are delivered", async || test.number(delivered).await == 4).await;

    let said = shell.webhooks(&["list", "--json"]).await;
    let states: Vec<Value> =
        said.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["state"].clone()).collect();
    assert_eq!(json!(states), json!(["delivered", "delivered", "delivered", "delivered"]));
    let said = shell.webhooks(&["list", "--state", "dead"]).await;
    assert_eq!((said.code, said.out.as_str()), (Some(0), ""), "{said:?}");
}

#[tokio::test]
async fn a_refusal_is_told_and_a_command_line_without_sense_is_not_sent() {
    let test = Setup::new().start().await;
    let shell = Shell::of(&test);
    let nobody = Uuid::from_u128(1).to_string();
    shell.webhooks(&["redeliver", &nobody]).await.assert(5, &["refused (404 not_found)"]);
    let reader = Shell::new(&test.url, &test.make_key(&[Scope::PurgesRead], None).await);
    reader.webhooks(&["list"]).await.assert(5, &["refused (403 missing_scope)"]);
    let since = ["redeliver", "--failed-since", "soon"];
    for arguments in [&["redeliver"][..], &["redeliver", &nobody, "--failed-since", "1h"], &since] {
        assert_eq!(shell.webhooks(arguments).await.code, Some(2), "{arguments:?}");
    }
    shell.webhooks(&["list", "--state", "gone"]).await.assert(2, &["pending, delivered, dead"]);
}

#[tokio::test]
async fn an_order_goes_on_behind_each_cursor_to_its_end() {
    let page = |number: u64, cursor: Value| (202, json!({ "redelivered": number, "nextCursor": cursor }));
    let fake = Fake::start([page(10_000, json!("further")), page(7, Value::Null)]).await;
    let said = Shell::new(&fake.url, "gpk_x")
        .webhooks(&["redeliver", "--failed-since", "2026-01-01T00:00:00Z"])
        .await;
    assert_eq!((said.code, said.out.as_str()), (Some(0), "10007 sent again\n"), "{said:?}");
    let sent: Vec<Value> = fake.asked().iter().map(|one| serde_json::from_str(&one.body).unwrap()).collect();
    let order = |cursor: Value| json!({ "since": "2026-01-01T00:00:00Z", "state": "dead", "cursor": cursor });
    assert_eq!(sent, [order(Value::Null), order(json!("further"))]);
}
