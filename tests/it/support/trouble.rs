//! What tests of upstream trouble need beside the rest: an upstream that is closed and opened again, waits that are
//! cut short, and a short way to say how a purge ended.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use genesys_purge::sandbox::{Call, CallEntry, Running};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _};
use tokio::net::TcpSocket;
use uuid::Uuid;

use super::TestService;

/// A port that refuses connections, and that nobody else can take meanwhile.
pub struct ClosedPort {
    address: SocketAddr,
    _reserved: TcpSocket,
}

impl TestService {
    /// Closes the simulated Genesys: its port refuses connections.
    pub async fn close_upstream(&mut self) -> ClosedPort {
        let organization = Arc::clone(self.sandbox.sandbox());
        let elsewhere = Running::serve(organization, ([127, 0, 0, 1], 0).into(), false).await.unwrap();
        let running = std::mem::replace(&mut self.sandbox, elsewhere);
        let address = running.addr();
        running.stop().await;
        // Bound, but not listening.
        let reserved = TcpSocket::new_v4().unwrap();
        reserved.set_reuseaddr(true).unwrap();
        reserved.bind(address).unwrap();
        ClosedPort { address, _reserved: reserved }
    }

    /// Opens it again.
    pub async fn open_upstream(&mut self, port: ClosedPort) {
        let organization = Arc::clone(self.sandbox.sandbox());
        self.sandbox = Running::serve(organization, port.address, false).await.unwrap();
    }

    /// Stops the service, whose connections a test with many of them would otherwise hold to its end.
    pub async fn end(mut self) {
        self.stop_service().await;
    }

    /// Lets the next try of a blocked org happen now, with everything that waits for it.
    pub async fn probe_now(&self) {
        self.sql("update orgs set probe_at = clock_timestamp() where probe_at is not null").await;
        self.sql("update limiters set closed_until = least(closed_until, clock_timestamp())").await;
        self.sql("update slices set run_at = least(run_at, clock_timestamp()) where state = 'queued'").await;
        self.sql("update purges set ask_at = next_ask(id, ask_turn_at) where ask_at is not null").await;
        self.sql("update jobs set run_at = least(run_at, clock_timestamp()) where state <> 'done'").await;
        self.sql("select pg_notify('genesys_purge_work', 'default')").await;
    }

    /// Lets tries of blocked orgs happen until no org is blocked any more. A try that is let through before the last
    /// refusal is recorded is taken back by it.
    pub async fn go_on(&self) {
        let blocked = "select count(*) from orgs where probe_at is not null";
        for _ in 0..60 {
            self.probe_now().await;
            let deadline = Instant::now() + Duration::from_secs(1);
            while Instant::now() < deadline {
                if self.number(blocked).await == 0 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        panic!("an org stays blocked");
    }

    /// Does one statement on a connection of the test's own.
    pub async fn sql(&self, statement: &str) {
        self.database.sql(statement).await;
    }

    /// One number that a query tells.
    pub async fn number(&self, query: &str) -> i64 {
        let mut connection = self.database.connect().await;
        sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut connection).await.unwrap()
    }

    /// Waits until a purge reads as the test wants it; panics with what it reads otherwise.
    pub async fn purge_when(&self, purge: Uuid, is_so: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/purges/{purge}");
        let mut body = Value::Null;
        for _ in 0..1200 {
            body = self.get(&path).await;
            if is_so(&body) {
                return body;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the purge never read as it should: {body}");
    }

    /// The counters of this name with this text among their labels, added up.
    pub async fn counted(&self, name: &str, label: &str) -> u64 {
        let page = self.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
        let lines = page.lines().filter(|line| line.starts_with(name) && line.contains(label));
        lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
    }

    /// Holds tables in this mode until the connection goes, or rolls back.
    pub async fn lock(&self, tables_and_mode: &str) -> PgConnection {
        let mut lock = self.database.connect().await;
        let statement = format!("begin; lock table {tables_and_mode} mode");
        lock.execute(AssertSqlSafe(statement)).await.unwrap();
        lock
    }

    /// Waits until so many statements wait for a lock.
    pub async fn until_waiting(&self, expected: i64) {
        const WAITING: &str = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        self.wait_until("the lock is waited for", async || self.number(WAITING).await == expected).await;
    }

    /// Waits until a condition holds.
    pub async fn wait_until(&self, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
        for _ in 0..1200 {
            if is_so().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("never: {what}");
    }

    /// How the conversations of a purge ended: how many with each outcome and code.
    pub async fn endings(&self, purge: Uuid) -> BTreeMap<String, usize> {
        let mut endings = BTreeMap::new();
        for row in self.conversations(purge).await {
            let outcome = row["outcome"].as_str().unwrap();
            let code = row["code"].as_str().unwrap_or_default();
            *endings.entry(format!("{outcome} {code}")).or_default() += 1;
        }
        endings
    }

    /// The same, when the purge is final.
    pub async fn endings_when_final(&self, purge: Uuid) -> BTreeMap<String, usize> {
        self.finished(purge).await;
        self.endings(purge).await
    }

    /// The jobs of a purge.
    pub async fn jobs(&self, purge: Uuid) -> Vec<Value> {
        let page = self.get(&format!("/purges/{purge}/jobs?limit=1000")).await;
        page["items"].as_array().unwrap().clone()
    }

    /// Every call of that kind, oldest first.
    pub fn log(&self, call: Call) -> Vec<CallEntry> {
        let all = self.sandbox.sandbox().report(usize::MAX, 500).last;
        all.into_iter().filter(|entry| entry.call == call).collect()
    }

    /// Every fault that was ordered did strike.
    pub fn assert_all_struck(&self) {
        let idle: Vec<_> =
            self.sandbox.sandbox().faults().into_iter().filter(|rule| rule.struck == 0).collect();
        assert!(idle.is_empty(), "these never struck: {idle:#?}");
    }

    /// Really deleted, each by one job alone, and nothing forbidden was done on the way.
    pub fn assert_purged_once(&self, ids: &[Uuid]) {
        for id in ids {
            let truth = self.sandbox.sandbox().conversation(*id).unwrap();
            assert!(truth.deleted_at.is_some(), "{truth:?}");
            assert_eq!(truth.jobs.iter().filter(|job| job.deletes).count(), 1, "{truth:?}");
        }
        self.assert_no_breach();
    }

    /// Not touched by any job.
    pub fn assert_untouched(&self, ids: &[Uuid]) {
        for id in ids {
            let truth = self.sandbox.sandbox().conversation(*id).unwrap();
            assert!(truth.jobs.is_empty(), "{truth:?}");
        }
    }
}

/// What an endings map should be.
pub fn endings<const N: usize>(expected: [(&str, usize); N]) -> BTreeMap<String, usize> {
    expected.into_iter().map(|(ending, number)| (ending.to_owned(), number)).collect()
}

/// A fault that strikes so many times.
pub fn strikes(call: &str, times: u32, fault: &Value) -> Value {
    json!({ "call": call, "times": times, "fault": fault })
}
