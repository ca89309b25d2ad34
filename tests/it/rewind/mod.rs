//! A database that went back in time deletes nothing by itself: real servers are restored, recovered and promoted under a
//! service that had submitted and protected what they know nothing of.

use genesys_purge::sandbox::{Call, Kind};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::books::{assert_books, eventually};
use crate::support::cluster::{Machine, Running};
use crate::support::{Setup, TestService};

/// A service on a first server, and what happens to it.
struct Story {
    machine: Machine,
    test: TestService,
    purge: Uuid,
    /// What the database forgets that it was deleted, and what is eligible still.
    forgotten: Vec<Uuid>,
}

impl Story {
    /// A purge of these is accepted while its org is stopped: the moment to which the database goes back.
    async fn begin(machine: Machine, first: &Running, promotion: &str) -> Self {
        let database = machine.database(first).await;
        let test = Setup::new()
            .database(database)
            .env("PURGE__DATABASE__PROMOTION", promotion)
            .env("PURGE__ENGINE__AMBIGUITY_GRACE", "2s")
            .start()
            .await;
        post(&test, "/orgs/default/stop", StatusCode::OK).await;
        let forgotten = test.ids_of(Kind::Eligible)[..20].to_vec();
        let purge = test.purge(&forgotten).await;
        Self { machine, test, purge, forgotten }
    }

    /// What the database will forget: the purge is carried out, and a hold is answered.
    async fn go_on(&self) -> Uuid {
        post(&self.test, "/orgs/default/resume", StatusCode::OK).await;
        self.test.finished(self.purge).await;
        let held = self.test.ids_of(Kind::Eligible)[30];
        let hold = json!({ "matter": "M-1", "conversationIds": [held] });
        let (status, body) = self.test.post("/holds", &hold).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
        held
    }

    /// The org is stopped, with this kind of rewind on record, and nothing is submitted; the purge says why it waits.
    async fn assert_stopped(&self, kind: &str) {
        let test = &self.test;
        eventually("the org is stopped", async || {
            // At first the database is away.
            let answer = test.request(Method::GET, "/orgs/default").send().await.unwrap();
            answer.json::<Value>().await.unwrap()["stopped"]["code"] == "database_rewound"
        })
        .await;
        let stopped = org(test).await["stopped"].clone();
        assert_eq!(stopped["by"], "engine", "{stopped}");
        assert!(
            stopped["reason"].as_str().unwrap().contains("make the holds of that time again"),
            "{stopped}"
        );
        let told = sqlx::query_as::<_, (String, i64)>(
            "select kind, (select count(*) from events where type = 'database_rewound') from rewinds",
        );
        let told = told.fetch_all(&mut test.database.connect().await).await.unwrap();
        assert_eq!(told, [(kind.to_owned(), 1)]);
        let later = test.purge(&test.ids_of(Kind::Eligible)[50..60]).await;
        let body = test.get(&format!("/purges/{later}")).await;
        assert_eq!(body["blockedReason"]["code"], "database_rewound", "{body}");
    }

    /// Once an operator says so it goes on, asks about everything afresh and deletes nothing twice.
    async fn assert_goes_on(&self, held: Uuid) {
        let test = &self.test;
        let hold = json!({ "matter": "M-1", "conversationIds": [held] });
        assert_eq!(test.post("/holds", &hold).await.0, StatusCode::CREATED);
        let others = test.purge(&[held, test.ids_of(Kind::Eligible)[31]]).await;
        post(test, "/orgs/default/resume", StatusCode::OK).await;
        assert_eq!(org(test).await["stopped"], Value::Null);
        let counts = test.finished(self.purge).await["counts"].clone();
        assert_eq!(counts["already_purged"], self.forgotten.len(), "{counts}");
        let counts = test.finished(others).await["counts"].clone();
        assert_eq!((&counts["on_hold"], &counts["purged"]), (&json!(1), &json!(1)), "{counts}");
        eventually("all is final", async || {
            test.number("select count(*) from purges where finished_at is null").await == 0
        })
        .await;
        let early = "select count(*) from jobs, orgs where intended_at < intents_from
                     and intended_at > (select found_at from rewinds)";
        assert_eq!(test.number(early).await, 0, "a submit that was forgotten has its window");
        assert_books(test).await;
        test.assert_no_breach();
    }
}

async fn post(test: &TestService, path: &str, expected: StatusCode) {
    let response = test.request(Method::POST, path).send().await.unwrap();
    assert_eq!(response.status(), expected, "{path}");
}

async fn org(test: &TestService) -> Value {
    test.get("/orgs/default").await
}

fn submits(test: &TestService) -> u64 {
    test.calls(Call::Submit, "200") + test.calls(Call::Submit, "202")
}

/// So much is written to the log that no server gets as far by starting.
async fn write_much(server: &Running) {
    server.sql("postgres", "select pg_logical_emit_message(false, 'test', repeat('x', 50000000))").await;
}

#[tokio::test]
async fn a_restored_dump_submits_nothing_until_somebody_says_so() {
    let machine = Machine::new();
    machine.init("first");
    let first = machine.start("first").await;
    let mut story = Story::begin(machine, &first, "lossless").await;
    let dump = tempfile::NamedTempFile::new().unwrap();
    story.machine.dump(&first, dump.reopen().unwrap());
    let held = story.go_on().await;
    let before = submits(&story.test);
    story.test.stop_service().await;
    first.stop();

    story.machine.init("second");
    let second = story.machine.start("second").await;
    story.machine.restore(dump.reopen().unwrap(), &second).await;
    story.machine.put_in_front(&second);
    story.test.start_service().await;
    story.assert_stopped("other_server").await;
    assert_eq!(submits(&story.test), before);
    story.assert_goes_on(held).await;
}

#[tokio::test]
async fn a_recovery_to_a_point_in_time_submits_nothing_until_somebody_says_so() {
    let machine = Machine::new();
    machine.init("first");
    let archive = machine.folder("archive");
    let archive = archive.display();
    machine.configure("first", &format!("archive_mode = on\narchive_command = 'cp %p {archive}/%f'"));
    let first = machine.start("first").await;
    let mut story = Story::begin(machine, &first, "check").await;
    story.machine.base_backup(&first, "second");
    first.sql("postgres", "select pg_create_restore_point('before')").await;
    let held = story.go_on().await;
    let before = submits(&story.test);
    story.test.stop_service().await;
    first.sql("postgres", "select pg_switch_wal()").await;
    first.stop();

    let recovery = format!(
        "restore_command = 'cp {archive}/%f %p'\nrecovery_target_name = 'before'\nrecovery_target_action = promote"
    );
    story.machine.configure("second", &recovery);
    story.machine.signal("second", "recovery.signal");
    let second = story.machine.start("second").await;
    eventually("it is recovered", async || second.is_true("select not pg_is_in_recovery()").await).await;
    story.machine.put_in_front(&second);
    story.test.start_service().await;
    story.assert_stopped("other_timeline").await;
    assert_eq!(submits(&story.test), before);
    story.assert_goes_on(held).await;
}

/// A standby that has all that was committed so far.
async fn standby(machine: &Machine, of: &Running, name: &str) -> Running {
    machine.base_backup(of, name);
    machine.configure(name, &format!("primary_conninfo = '{}'", of.conninfo()));
    machine.signal(name, "standby.signal");
    machine.start(name).await
}

/// Under a running service a standby is promoted that lacks what was done last.
async fn a_standby_that_lacks_commits_is_promoted(promotion: &str, kind: &str) {
    let machine = Machine::new();
    machine.init("first");
    let first = machine.start("first").await;
    let story = Story::begin(machine, &first, promotion).await;
    standby(&story.machine, &first, "second").await.stop();
    write_much(&first).await;
    let held = story.go_on().await;
    let before = submits(&story.test);
    first.kill();

    let second = story.machine.start("second").await;
    story.machine.promote("second", &second).await;
    story.machine.put_in_front(&second);
    story.assert_stopped(kind).await;
    assert_eq!(submits(&story.test), before);
    story.assert_goes_on(held).await;
}

#[tokio::test]
async fn a_promoted_standby_that_lacks_commits_submits_nothing_until_somebody_says_so() {
    a_standby_that_lacks_commits_is_promoted("check", "other_timeline").await;
}

#[tokio::test]
async fn a_standby_that_lacks_commits_is_found_out_where_it_was_said_to_lack_none() {
    a_standby_that_lacks_commits_is_promoted("lossless", "went_back").await;
}

#[tokio::test]
async fn a_promoted_standby_that_lacks_nothing_goes_on_where_the_operator_says_so() {
    let machine = Machine::new();
    machine.init("first");
    let first = machine.start("first").await;
    let story = Story::begin(machine, &first, "lossless").await;
    let second = standby(&story.machine, &first, "second").await;
    first.sql("postgres", "alter system set synchronous_standby_names = '*'").await;
    first.sql("postgres", "select pg_reload_conf()").await;
    let is_synchronous = "select exists (select from pg_stat_replication where sync_state = 'sync')";
    eventually("commits wait for the standby", async || first.is_true(is_synchronous).await).await;
    let held = story.go_on().await;
    first.kill();

    story.machine.promote("second", &second).await;
    story.machine.put_in_front(&second);
    let test = &story.test;
    let others = [held, test.ids_of(Kind::Eligible)[31]];
    eventually("purges are accepted again", async || {
        test.post("/purges", &json!({ "conversationIds": others })).await.0 == StatusCode::ACCEPTED
    })
    .await;
    eventually("all is final", async || {
        test.number("select count(*) from purges where finished_at is null").await == 0
    })
    .await;
    assert_eq!(test.number("select count(*) from rewinds").await, 0);
    assert_eq!(test.number("select sum(on_hold)::bigint from purges").await, 1, "the hold is there");
    assert_eq!(test.number("select sum(purged)::bigint from purges").await, 21);
    eventually("the new timeline is on record", async || {
        test.number("select timeline from database_history").await == 2
    })
    .await;
    assert_books(test).await;
    test.assert_no_breach();
}

#[tokio::test]
async fn files_of_an_earlier_time_submit_nothing_until_somebody_says_so() {
    let machine = Machine::new();
    machine.init("first");
    let first = machine.start("first").await;
    let story = Story::begin(machine, &first, "lossless").await;
    first.stop();
    story.machine.copy("first", "snapshot");
    let first = story.machine.start("first").await;
    eventually("the database is back", async || {
        story.test.request(Method::GET, "/health/ready").send().await.unwrap().status() == StatusCode::OK
    })
    .await;
    write_much(&first).await;
    let held = story.go_on().await;
    let before = submits(&story.test);
    first.stop();

    let snapshot = story.machine.start("snapshot").await;
    story.machine.put_in_front(&snapshot);
    story.assert_stopped("went_back").await;
    assert_eq!(submits(&story.test), before);
    story.assert_goes_on(held).await;
}
