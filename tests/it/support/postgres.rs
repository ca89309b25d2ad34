//! One server a test process, one fresh database a test, copied from a migrated template.
//!
//! The server is the embedded one, over its Unix socket; with `PURGE_TEST_DATABASE=tcp` one that is reached over TCP by an
//! ordinary role, as most are in production.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use genesys_purge::config::Environment;
use genesys_purge::postgres::{Address, Binaries, Durability, Server, Storage};
use genesys_purge::store::{Place, Store, migrations};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _};
use uuid::Uuid;

use super::server::NetworkServer;

const TEMPLATE: &str = "template_of_tests";
/// The role of the service over TCP.
const ROLE: &str = "service";

/// The one of most tests.
static USUAL: OnceLock<Provider> = OnceLock::new();
/// One whose server keeps what is committed, as in production.
static DURABLE: OnceLock<Provider> = OnceLock::new();
static DATABASES: AtomicUsize = AtomicUsize::new(0);

/// Settings of a test's own sessions, whatever the test has set for the database.
const OWN: &[(&str, &str)] = &[
    ("search_path", "public"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_read_only", "off"),
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
];

/// Where databases come from. Its server ends with the process, however that ends.
#[derive(Debug)]
enum Provider {
    Embedded(Address),
    Network(NetworkServer),
}

impl Provider {
    fn usual() -> &'static Self {
        USUAL.get_or_init(|| {
            let wanted = Environment::of_process();
            if wanted.get("PURGE_TEST_DATABASE").is_some_and(|wanted| wanted == "tcp") {
                return Self::made(async || Self::network(false).await);
            }
            Self::made(async || {
                let binaries = Binaries::find(Environment::of_process().path()).unwrap();
                let server = Server::start(&binaries, Storage::Temporary, Durability::None).await.unwrap();
                let address = server.address().clone();
                // It ends with the thread that holds it.
                std::thread::spawn(move || {
                    let _kept = server;
                    loop {
                        std::thread::park();
                    }
                });
                Self::Embedded(address)
            })
        })
    }

    fn durable() -> &'static Self {
        DURABLE.get_or_init(|| Self::made(async || Self::network(true).await))
    }

    async fn network(is_durable: bool) -> Self {
        let server = NetworkServer::start(is_durable).await;
        server.make_role(ROLE).await;
        Self::Network(server)
    }

    /// On a runtime of its own: that of the test that asks first ends before the others.
    fn made<F: Future<Output = Self>>(make: impl FnOnce() -> F + Send) -> Self {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let provider = make().await;
                    provider.make_template().await;
                    provider
                })
            });
            thread.join().unwrap()
        })
    }

    /// The template belongs to whom the service connects as.
    async fn make_template(&self) {
        let mut connection = self.superuser("postgres").connect().await.unwrap();
        let owner = self.role();
        let statement = format!("create database {TEMPLATE} owner {owner}");
        connection.execute(AssertSqlSafe(statement)).await.unwrap();
        migrate(&self.place(owner, TEMPLATE)).await;
    }

    fn role(&self) -> &str {
        match self {
            Self::Embedded(address) => &address.user,
            Self::Network(_) => ROLE,
        }
    }

    fn place(&self, role: &str, database: &str) -> Place {
        match self {
            Self::Embedded(address) => Place::Socket {
                directory: address.socket_directory.clone(),
                port: address.port,
                user: role.to_owned(),
                database: database.to_owned(),
            },
            Self::Network(server) => server.place(role, database),
        }
    }

    fn superuser(&self, database: &str) -> PgConnectOptions {
        match self {
            Self::Embedded(address) => PgConnectOptions::new_without_pgpass()
                .socket(&address.socket_directory)
                .port(address.port)
                .username(&address.user)
                .database(database)
                .ssl_mode(PgSslMode::Disable),
            Self::Network(server) => server.superuser(database),
        }
    }
}

/// Brings a database up to date.
pub async fn migrate(place: &Place) {
    migrations::ensure_database(place).await.unwrap();
    let store = Store::connect(place, 4, new_id(), false).await.unwrap();
    store.migrate().await.unwrap();
    store.close().await;
}

/// Makes ids as the machine does.
#[expect(clippy::disallowed_methods, reason = "tests that don't care which ids they get")]
pub fn new_id() -> genesys_purge::store::NewId {
    std::sync::Arc::new(Uuid::now_v7)
}

/// A database of one test.
#[derive(Debug, Clone)]
pub struct TestDatabase {
    provider: &'static Provider,
    name: String,
    role: String,
}

impl TestDatabase {
    /// A fresh one, migrated.
    pub async fn create() -> Self {
        Self::copy(Provider::usual, TEMPLATE).await
    }

    /// A fresh one with nothing in it.
    pub async fn empty() -> Self {
        Self::copy(Provider::usual, "template0").await
    }

    /// A fresh one, migrated, on a server that is as safe as one of production.
    pub async fn durable() -> Self {
        Self::copy(Provider::durable, TEMPLATE).await
    }

    /// A fresh one, migrated, of an ordinary role that no other test uses.
    pub async fn of_its_own_role() -> Self {
        let empty = Self::empty().await;
        let database = Self { role: format!("role_of_{}", empty.name), ..empty };
        let Self { name, role, .. } = &database;
        match database.provider {
            Provider::Embedded(_) => database.sql(&format!("create role {role} login")).await,
            Provider::Network(server) => server.make_role(role).await,
        }
        database.sql(&format!("alter database {name} owner to {role}")).await;
        migrate(&database.place()).await;
        database
    }

    /// One on a server of the test's own.
    pub fn at(address: Address, name: &str) -> Self {
        let role = address.user.clone();
        Self { provider: Box::leak(Box::new(Provider::Embedded(address))), name: name.to_owned(), role }
    }

    async fn copy(provider: fn() -> &'static Provider, template: &str) -> Self {
        let provider = tokio::task::spawn_blocking(provider).await.unwrap();
        let name = format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        let role = provider.role().to_owned();
        let mut connection = provider.superuser("postgres").connect().await.unwrap();
        let statement = format!("create database {name} owner {role} template {template} strategy file_copy");
        connection.execute(AssertSqlSafe(statement)).await.unwrap();
        Self { provider, name, role }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whom the service connects as.
    pub fn role(&self) -> &str {
        &self.role
    }

    /// Where it is.
    pub fn place(&self) -> Place {
        self.provider.place(&self.role, &self.name)
    }

    /// The same for a command.
    pub fn url(&self) -> String {
        let Self { name, role, .. } = self;
        match self.provider {
            Provider::Embedded(Address { socket_directory, port, .. }) => {
                format!("postgres://{role}@localhost:{port}/{name}?host={}", socket_directory.display())
            }
            Provider::Network(server) => server.url(role, name),
        }
    }

    /// A connection of the test's own, to look at tables and to stage what can't be staged from outside.
    pub async fn connect(&self) -> PgConnection {
        self.provider.superuser(&self.name).options(OWN.iter().copied()).connect().await.unwrap()
    }

    /// Does statements on a connection of the test's own.
    pub async fn sql(&self, statements: &str) {
        self.connect().await.execute(AssertSqlSafe(statements)).await.unwrap();
    }
}
