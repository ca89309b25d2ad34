//! On a schema of a newer version, every command says so.

use nix::sys::signal::Signal;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Executor as _};

use super::home::Home;
use crate::support::postgres::TestDatabase;

const LATER: &str = "insert into _sqlx_migrations select 9999, 'later', now(), true, '', 0";
const TOLD: &str = "run the newer version";
const COMMANDS: [&[&str]; 6] = [
    &["migrate"],
    &["keys", "list"],
    &["keys", "create", "--name", "later", "--scope", "purges:read"],
    &["webhooks", "secret"],
    &["retention", "adopt"],
    &["doctor", "--offline"],
];

#[tokio::test]
async fn every_command_says_to_run_the_newer_version_and_works_on_as_long_as_it_may() {
    let database = TestDatabase::create().await;
    let mut home = Home::with_jobs_of(50).await;
    home.set("DATABASE_URL", &database.url());
    database.sql(LATER).await;
    for command in COMMANDS {
        let output = home.run(command).await;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        // Doctor may have found something else on this machine.
        assert!(output.status.success() || command[0] == "doctor", "{command:?}: {said}");
        assert!(said.contains(TOLD), "{command:?}: {said}");
    }
    let serving = home.serve().await;
    serving.logged(|line| line["message"].as_str().is_some_and(|said| said.contains(TOLD))).await;
    assert_eq!(serving.end(Signal::SIGTERM).await, Some(0));

    database.sql("update schema_floor set oldest = 9999").await;
    for command in COMMANDS.into_iter().chain([&["serve"][..]]) {
        let output = home.run(command).await;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
        assert!(said.contains(TOLD), "{command:?}: {said}");
    }
}

#[tokio::test]
async fn the_version_before_may_be_started_again_on_its_own_server() {
    let home = Home::with_jobs_of(50).await;
    let serving = home.serve().await;
    let process = std::fs::read_to_string(home.data_dir().join("postgres/data/postmaster.pid")).unwrap();
    let lines: Vec<&str> = process.lines().collect();
    let options = PgConnectOptions::new_without_pgpass().socket(lines[4]).port(lines[3].parse().unwrap());
    let options = options.username("genesys_purge").database("genesys_purge");
    options.connect().await.unwrap().execute(LATER).await.unwrap();
    assert_eq!(serving.end(Signal::SIGTERM).await, Some(0));

    let again = home.serve().await;
    again.logged(|line| line["message"].as_str().is_some_and(|said| said.contains(TOLD))).await;
    assert_eq!(again.end(Signal::SIGTERM).await, Some(0));
    assert!(home.say(&["migrate"]).await.contains(TOLD));
}
