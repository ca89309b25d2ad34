//! What benchmarks ask of a server that is reached over TCP, beside the tests.

use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _};

use super::server::NetworkServer;

impl NetworkServer {
    /// An empty database of that role.
    pub async fn make_database(&self, name: &str, owner: &str) {
        let mut connection = self.superuser("postgres").connect().await.unwrap();
        let statement = format!("create database {name} owner {owner}");
        connection.execute(AssertSqlSafe(statement)).await.unwrap();
    }

    /// The address of a role by the socket.
    pub fn socket_url(&self, role: &str, database: &str) -> String {
        let folder = self.superuser(database).get_socket().unwrap().display().to_string();
        format!("postgres://{role}@localhost:{}/{database}?host={folder}", self.port())
    }

    /// What the programs of Postgres are told to go by the socket.
    pub fn socket_arguments(&self) -> Vec<String> {
        let folder = self.superuser("postgres").get_socket().unwrap().display().to_string();
        self.arguments(folder)
    }

    /// What they are told to go over TCP.
    pub fn tcp_arguments(&self) -> Vec<String> {
        self.arguments("127.0.0.1".to_owned())
    }

    fn arguments(&self, host: String) -> Vec<String> {
        vec!["-h".to_owned(), host, "-p".to_owned(), self.port().to_string()]
    }

    fn port(&self) -> u16 {
        self.superuser("postgres").get_port()
    }
}
