//! One embedded server a test process, one fresh database a test, copied from a migrated template.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use genesys_purge::config::Environment;
use genesys_purge::postgres::{Address, Binaries, Durability, Server, Storage};
use genesys_purge::store::{Place, Store, migrations};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _};
use uuid::Uuid;

const TEMPLATE: &str = "template_of_tests";

static ADDRESS: OnceLock<Address> = OnceLock::new();
static DATABASES: AtomicUsize = AtomicUsize::new(0);

/// The server of this process: it lives on a thread of its own, and ends with the process, however that ends.
fn address() -> &'static Address {
    ADDRESS.get_or_init(|| {
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let environment = Environment::of_process();
                let binaries = Binaries::find(environment.path()).unwrap();
                let server = Server::start(&binaries, Storage::Temporary, Durability::None).await.unwrap();
                let address = server.address().clone();
                let place = place(&address, TEMPLATE);
                migrations::ensure_database(&place).await.unwrap();
                let store = Store::connect(&place, 4, new_id(), false).await.unwrap();
                store.migrate().await.unwrap();
                store.close().await;
                sender.send(address).unwrap();
                std::future::pending::<()>().await;
            });
        });
        receiver.recv().unwrap()
    })
}

fn place(address: &Address, database: &str) -> Place {
    Place::Socket {
        directory: address.socket_directory.clone(),
        port: address.port,
        user: address.user.clone(),
        database: database.to_owned(),
    }
}

fn options(database: &str) -> PgConnectOptions {
    let address = address();
    PgConnectOptions::new_without_pgpass()
        .socket(&address.socket_directory)
        .port(address.port)
        .username(&address.user)
        .database(database)
        .ssl_mode(PgSslMode::Disable)
}

/// Makes ids as the machine does.
#[expect(clippy::disallowed_methods, reason = "tests that don't care which ids they get")]
pub fn new_id() -> genesys_purge::store::NewId {
    std::sync::Arc::new(Uuid::now_v7)
}

/// A database of one test.
#[derive(Debug, Clone)]
pub struct TestDatabase {
    name: String,
}

impl TestDatabase {
    /// A fresh one, migrated.
    pub async fn create() -> Self {
        Self::from_template(TEMPLATE).await
    }

    /// A fresh one with nothing in it.
    pub async fn empty() -> Self {
        Self::from_template("template0").await
    }

    async fn from_template(template: &str) -> Self {
        tokio::task::spawn_blocking(address).await.unwrap();
        let name = format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        let mut connection = options("postgres").connect().await.unwrap();
        let statement = format!("create database {name} template {template} strategy file_copy");
        connection.execute(AssertSqlSafe(statement)).await.unwrap();
        Self { name }
    }

    /// Where it is.
    pub fn place(&self) -> Place {
        place(address(), &self.name)
    }

    /// A connection of the test's own, to look at tables and to stage what can't be staged from outside.
    pub async fn connect(&self) -> PgConnection {
        options(&self.name).connect().await.unwrap()
    }
}
