//! What every page of the admin page, and every question of the API behind them, costs with ten million conversations in the tables,
//! beside the same with ten thousand: time, bytes, and the blocks of the database that are looked at. A page that reads what it
//! shows costs the same.
//!
//! `cargo bench --bench pages`; another number of conversations stands behind `--`

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Instant;

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, COOKIE, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use sqlx::postgres::PgConnection;
use sqlx::{ConnectOptions as _, Executor as _};

use support::Process;
use support::history::{self, ENDPOINT, Known, NAMED_OFTEN};
use support::server::NetworkServer;

const FEW: i64 = 10_000;
const MANY: i64 = 10_000_000;
const ROUNDS: usize = 25;
/// A page may look at so many more blocks before it is said to grow: each index is a level or two higher.
const SLACK: f64 = 60.0;

/// A service over so many conversations.
struct World {
    process: Process,
    connection: PgConnection,
    client: Client,
    cookie: String,
    known: Known,
    _server: NetworkServer,
}

impl World {
    async fn build(conversations: i64) -> Self {
        let began = Instant::now();
        let settings =
            ["shared_preload_libraries=pg_stat_statements", "max_wal_size=8GB", "maintenance_work_mem=512MB"];
        let server = NetworkServer::start_with(true, &settings).await;
        server.make_role("purge").await;
        server.make_database("history", "purge").await;
        let url = server.socket_url("purge", "history");
        let variables = [("PURGE__ENGINE__PAUSED", "true"), ("DATABASE_URL", url.as_str())];
        let process = Process::start("http://127.0.0.1:9", &variables);
        let mut connection = server.superuser("history").connect().await.unwrap();
        connection.execute("create extension pg_stat_statements").await.unwrap();
        let known = history::write(&mut connection, conversations).await;
        let client = Client::builder()
            .tls_certs_only([])
            .no_proxy()
            .no_gzip()
            .redirect(Policy::none())
            .build()
            .unwrap();
        let cookie = sign_in(&process, &client).await;
        let size: String = sqlx::query_scalar("select pg_size_pretty(pg_database_size('history'))")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        println!("{conversations} conversations: {size}, written in {:.0} s", began.elapsed().as_secs_f64());
        Self { process, connection, client, cookie, known, _server: server }
    }

    async fn ask(&self, question: &Question, encoding: &str) -> Response {
        let path = question.path(&self.known);
        let mut request =
            self.client.get(format!("{}{path}", self.process.url)).header(ACCEPT_ENCODING, encoding);
        request = if path.starts_with("/admin") {
            request.header(COOKIE, &self.cookie)
        } else {
            request.bearer_auth(&self.process.key)
        };
        if question.name.contains("refreshed") {
            request = request.header("hx-request", "true");
        }
        if question.name.contains("CSV") {
            request = request.header(ACCEPT, "text/csv");
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        assert!(
            status.is_success() || status.is_redirection(),
            "{path}: {status} {:?}",
            response.text().await
        );
        response
    }

    /// Bytes of a whole answer; of one that streams, of what comes first.
    async fn bytes(&self, question: &Question, encoding: &str) -> usize {
        let mut response = self.ask(question, encoding).await;
        if question.streams() {
            return response.chunk().await.unwrap().map_or(0, |first| first.len());
        }
        response.bytes().await.unwrap().len()
    }

    async fn forget(&mut self) {
        self.connection.execute("select pg_stat_statements_reset()").await.unwrap();
    }

    /// The blocks that each statement of an answer looked at, of those that each answer asked.
    async fn blocks(&mut self) -> BTreeMap<String, f64> {
        let sql = "select coalesce(substring(query from '^-- (\\w+)'), left(query, 30)),
                          sum(shared_blks_hit + shared_blks_read)::float8 / $1
                   from pg_stat_statements
                   where dbid = (select oid from pg_database where datname = current_database()) and calls >= $1
                   group by 1";
        let rounds = i32::try_from(ROUNDS).unwrap();
        let rows: Vec<(String, f64)> =
            sqlx::query_as(sql).bind(rounds).fetch_all(&mut self.connection).await.unwrap();
        rows.into_iter().collect()
    }
}

async fn sign_in(process: &Process, client: &Client) -> String {
    let request = client.post(format!("{}/admin/sign-in", process.url));
    let request = request
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(format!("key={}", process.key));
    let response = request.send().await.unwrap();
    let cookie = response.headers()[SET_COOKIE].to_str().unwrap();
    cookie.split_once(';').unwrap().0.to_owned()
}

/// What is asked; `{large}` and the like stand for what there is.
struct Question {
    name: &'static str,
    path: &'static str,
}

impl Question {
    fn path(&self, known: &Known) -> String {
        let now = jiff::Timestamp::from_second(history_moment(known)).unwrap();
        let ids = [
            ("{large}", known.large),
            ("{tiny}", known.tiny),
            ("{middle}", known.middle),
            ("{hold}", known.hold),
            ("{held}", known.held),
            ("{purged}", known.purged),
            ("{delivery}", known.delivery),
            ("{job}", known.job),
            ("{often}", NAMED_OFTEN),
            ("{endpoint}", ENDPOINT),
        ];
        let mut path = self.path.replace("{half}", &now.to_string());
        for (name, id) in ids {
            path = path.replace(name, &id.to_string());
        }
        path
    }

    fn streams(&self) -> bool {
        self.name.contains("first bytes")
    }
}

/// When the purge in the middle was accepted, in seconds: its id says it.
fn history_moment(known: &Known) -> i64 {
    i64::try_from(known.middle.as_u128() >> 80).unwrap() / 1000
}

const fn ask(name: &'static str, path: &'static str) -> Question {
    Question { name, path }
}

const QUESTIONS: &[Question] = &[
    ask("overview", "/admin"),
    ask("overview, refreshed", "/admin"),
    ask("purges", "/admin/purges"),
    ask("purges, from the middle", "/admin/purges?after={middle}"),
    ask("purges by state", "/admin/purges?state=completed"),
    ask("purges by an open state", "/admin/purges?state=queued"),
    ask("purges by org and state", "/admin/purges?org=default&state=failed"),
    ask("purges by reference", "/admin/purges?reference=R-7"),
    ask("purges by a label of all", "/admin/purges?label=team:billing"),
    ask("purges by requester", "/admin/purges?by=seldom"),
    ask("purges by time", "/admin/purges?until={half}"),
    ask("purges by end", "/admin/purges?ended={half}"),
    ask("purges by label and state", "/admin/purges?label=team:billing&state=failed"),
    ask("purges by label and nobody", "/admin/purges?label=team:billing&by=nobody"),
    ask("purges.csv, first bytes", "/admin/purges.csv"),
    ask("purge, half of all", "/admin/purges/{large}"),
    ask("purge of one", "/admin/purges/{tiny}"),
    ask("its conversations", "/admin/purges/{large}/conversations"),
    ask("its conversations that were kept", "/admin/purges/{large}/conversations?outcome=retained"),
    ask("its conversations that failed", "/admin/purges/{large}/conversations?outcome=failed"),
    ask("its conversations not found", "/admin/purges/{large}/conversations?outcome=not_found"),
    ask("question before a retry", "/admin/purges/{large}/retry"),
    ask("report.csv, first bytes", "/admin/purges/{large}/report.csv"),
    ask("search for a conversation", "/admin/conversations?id={purged}"),
    ask("conversation", "/admin/conversations/{purged}"),
    ask("conversation named often", "/admin/conversations/{often}"),
    ask("holds", "/admin/holds"),
    ask("holds in force", "/admin/holds?state=in_force"),
    ask("holds released", "/admin/holds?state=released"),
    ask("holds on a conversation", "/admin/holds?conversation={often}"),
    ask("hold of many", "/admin/holds/{hold}"),
    ask("its ids, from the middle", "/admin/holds/{hold}?after={held}"),
    ask("question before a release", "/admin/holds/{hold}/release"),
    ask("webhooks", "/admin/webhooks"),
    ask("endpoint", "/admin/webhooks/endpoints/{endpoint}"),
    ask("deliveries", "/admin/webhooks/deliveries"),
    ask("deliveries, dead", "/admin/webhooks/deliveries?state=dead"),
    ask("deliveries of an endpoint", "/admin/webhooks/deliveries?endpoint={endpoint}"),
    ask("deliveries of a purge", "/admin/webhooks/deliveries?purge={large}"),
    ask("delivery", "/admin/webhooks/deliveries/{delivery}"),
    ask("keys", "/admin/keys"),
    ask("question before a stop", "/admin/orgs/default/stop"),
    ask("GET /purges", "/purges"),
    ask("GET /purges?state=", "/purges?state=failed"),
    ask("GET /purges as CSV, first bytes", "/purges"),
    ask("GET /purges/{id}", "/purges/{large}"),
    ask("GET /purges/{id}/jobs", "/purges/{large}/jobs"),
    ask("GET /purges/{id}/events", "/purges/{large}/events"),
    ask("GET /purges/{id}/conversations?outcome=", "/purges/{large}/conversations?outcome=failed"),
    ask("GET /jobs/{id}", "/jobs/{job}"),
    ask("GET /conversations/{id}", "/conversations/{purged}"),
    ask("GET /holds?conversationId=", "/holds?conversationId={often}&active=true"),
    ask("GET /holds/{id}", "/holds/{hold}"),
    ask("GET /holds/{id}/conversations", "/holds/{hold}/conversations"),
    ask("GET /orgs", "/orgs"),
    ask("GET /webhook-deliveries?state=", "/webhook-deliveries?state=dead"),
    ask("GET /events", "/events"),
    ask("GET /metrics", "/metrics"),
];

#[tokio::main]
async fn main() {
    let many = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(MANY);
    let mut worlds = [World::build(FEW).await, World::build(many).await];
    println!("style and script, plain and gzip: {}", assets(&worlds[0]).await);
    println!(
        "| page | p50 ms, few | p50 ms, many | p95 ms, many | ratio | blocks, few | blocks, many | bytes | gzip |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let mut grown = String::new();
    for question in QUESTIONS {
        measure(question, &mut worlds, &mut grown).await;
    }
    println!("\nlook at more blocks with many:\n{grown}");
}

async fn measure(question: &Question, worlds: &mut [World; 2], grown: &mut String) {
    let (mut times, mut blocks) = ([Vec::new(), Vec::new()], Vec::new());
    for world in &mut *worlds {
        world.bytes(question, "identity").await;
        world.forget().await;
    }
    for _ in 0..ROUNDS {
        for (world, times) in worlds.iter().zip(&mut times) {
            let began = Instant::now();
            world.bytes(question, "identity").await;
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
    }
    for world in &mut *worlds {
        blocks.push(world.blocks().await);
    }
    let sizes = (worlds[1].bytes(question, "identity").await, worlds[1].bytes(question, "gzip").await);
    for times in &mut times {
        times.sort_by(f64::total_cmp);
    }
    let (few, many, last) = (times[0][ROUNDS / 2], times[1][ROUNDS / 2], times[1][ROUNDS * 95 / 100]);
    let sums: Vec<f64> = blocks.iter().map(|blocks| blocks.values().sum()).collect();
    println!(
        "| {} | {few:.2} | {many:.2} | {last:.2} | {:.2} | {:.0} | {:.0} | {} | {} |",
        question.name,
        many / few,
        sums[0],
        sums[1],
        sizes.0,
        sizes.1
    );
    for (statement, number) in &blocks[1] {
        let before = blocks[0].get(statement).copied().unwrap_or_default();
        if *number > before * 2.0 + SLACK {
            writeln!(grown, "{}: {statement} {before:.0} -> {number:.0}", question.name).unwrap();
        }
    }
}

/// What every page has beside itself.
async fn assets(world: &World) -> String {
    let mut told = Vec::new();
    for name in ["admin.css", "htmx.min.js"] {
        let mut sizes = Vec::new();
        for encoding in ["identity", "gzip"] {
            let request = world.client.get(format!("{}/admin/assets/{name}", world.process.url));
            let response = request.header(ACCEPT_ENCODING, encoding).send().await.unwrap();
            sizes.push(response.bytes().await.unwrap().len());
        }
        told.push(format!("{name} {} and {} bytes", sizes[0], sizes[1]));
    }
    told.join(", ")
}
