//! Starting, being found, stopping.

use std::os::unix::fs::MetadataExt;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::*;

#[tokio::test]
async fn a_new_server_has_the_wanted_encoding_and_settings() {
    let server = start(Storage::Temporary).await.unwrap();

    let settings = ask(
        server.address(),
        "select string_agg(name || '=' || setting, ' ' order by lower(name)) from pg_settings where name in
         ('fsync', 'jit', 'listen_addresses', 'max_connections', 'server_encoding',
          'synchronous_commit', 'TimeZone', 'wal_level')",
    );
    assert_eq!(ask(server.address(), "select datcollate from pg_database where datname = 'template1'"), "C");
    server.stop().await.unwrap();

    assert_eq!(
        settings,
        "fsync=off jit=off listen_addresses= max_connections=200 server_encoding=UTF8 \
         synchronous_commit=off TimeZone=UTC wal_level=minimal"
    );
}

#[tokio::test]
async fn the_log_stays_small_while_the_server_writes_to_it() {
    let folder = passable_folder();
    let server = start(kept(&folder)).await.unwrap();
    let (log, aside) = (data_dir(&folder).join("postgres.log"), data_dir(&folder).join("postgres.log.old"));
    let say = |words: &str, times: u32| {
        let said = format!(
            "do $$ begin for n in 1..{times} loop raise warning '%', '{words}' || repeat('x', 1000000); end loop; end $$"
        );
        ask(server.address(), &format!("set client_min_messages = error; {said}"));
    };
    say("before", 12);

    eventually("the log is put aside", || aside.exists()).await;
    eventually("and small", || fs::metadata(&log).unwrap().len() < 1_000_000).await;
    say("after", 1);

    assert!(log_of(&folder).contains("WARNING:  after"), "it goes on in the same file");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_durable_server_forces_everything_to_disk() {
    let server = Server::start(&binaries(), Storage::Temporary, Durability::Full).await.unwrap();

    let settings = ask(
        server.address(),
        "select string_agg(setting, ' ' order by name) from pg_settings where name in
         ('fsync', 'full_page_writes', 'max_wal_size', 'synchronous_commit')",
    );
    server.stop().await.unwrap();

    assert_eq!(settings, "on on 2048 on");
}

#[tokio::test]
async fn only_the_account_of_the_server_can_enter_its_folders() {
    let folder = passable_folder();
    let server = start(kept(&folder)).await.unwrap();
    let account = fs::metadata(format!("/proc/{}", postmaster(&server.cluster).pid)).unwrap().uid();

    for path in [&server.cluster, server.cluster.parent().unwrap(), &server.address().socket_directory] {
        let found = fs::metadata(path).unwrap();
        assert_eq!((found.mode() & 0o7777, found.uid()), (0o700, account), "{}", path.display());
    }
    assert_ne!(account, 0, "the server itself would refuse it");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn kept_data_are_there_after_a_stop_and_a_new_start() {
    let folder = passable_folder();
    let first = start(kept(&folder)).await.unwrap();
    ask(first.address(), "create table t as select 42 as answer");
    let first_socket = first.address().socket_directory.clone();
    first.stop().await.unwrap();
    assert!(!first_socket.exists());

    let second = start(kept(&folder)).await.unwrap();

    assert_eq!(ask(second.address(), "select answer from t"), "42");
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_stop_ends_open_sessions_and_removes_temporary_data() {
    let server = start(Storage::Temporary).await.unwrap();
    let address = server.address().clone();
    let process = postmaster(&server.cluster);
    let cluster = server.cluster.clone();
    let session =
        std::thread::spawn(move || std::panic::catch_unwind(|| ask(&address, "select pg_sleep(3600)")));
    let address = server.address().clone();
    eventually("the session", || {
        ask(&address, "select count(*) from pg_stat_activity where query like '%(3600)' and state = 'active'")
            != "0"
    })
    .await;

    server.stop().await.unwrap();

    assert!(!process.runs_on(&cluster));
    assert!(!address.socket_directory.exists());
    assert!(session.join().unwrap().is_err(), "the session was cut off");
}

#[tokio::test]
async fn the_socket_is_near_however_long_the_way_to_the_data_is() {
    let folder = passable_folder();
    let far = folder.path().join("a-name-of-some-length/".repeat(8));

    let server = start(Storage::Kept(far.clone())).await.unwrap();

    assert_eq!(running(&far).unwrap().as_ref(), Some(server.address()));
    assert!(server.address().socket_directory.as_os_str().len() < 40);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_running_server_is_found_and_a_second_start_is_refused() {
    let folder = passable_folder();
    assert_eq!(running(&data_dir(&folder)).unwrap(), None, "before anything was made");
    let server = start(kept(&folder)).await.unwrap();

    let found = running(&data_dir(&folder)).unwrap();
    let refused = start(kept(&folder)).await.unwrap_err();

    assert_eq!(found.as_ref(), Some(server.address()));
    let us = std::process::id();
    assert!(refused.to_string().ends_with(&format!("is in use by process {us}")), "{refused}");
    assert_eq!(ask(server.address(), "select 1"), "1", "the refused start harms nobody");
    server.stop().await.unwrap();
    assert_eq!(running(&data_dir(&folder)).unwrap(), None, "after the stop");
}

#[tokio::test]
async fn a_server_that_dies_on_the_way_tells_the_last_lines_of_its_log() {
    let folder = passable_folder();
    start(kept(&folder)).await.unwrap().stop().await.unwrap();
    fs::write(cluster(&folder).join("postgresql.auto.conf"), "no_such_setting = 1\n").unwrap();

    let refused = start(kept(&folder)).await.unwrap_err();

    assert!(matches!(&refused, PostgresError::Died { log } if log.contains("no_such_setting")), "{refused}");
    assert!(
        !refused.to_string().contains("shut down"),
        "what earlier starts wrote is not its own: {refused}"
    );
}

#[tokio::test]
async fn data_of_another_version_are_left_alone_and_named() {
    let folder = passable_folder();
    start(kept(&folder)).await.unwrap().stop().await.unwrap();
    fs::write(cluster(&folder).join("PG_VERSION"), "9.6\n").unwrap();

    let refused = start(kept(&folder)).await.unwrap_err();

    assert!(matches!(&refused, PostgresError::WrongVersion { made_by, .. } if made_by == "9.6"), "{refused}");
}

#[tokio::test]
async fn a_server_that_does_not_listen_is_stopped_by_force() {
    let folder = passable_folder();
    let hasty = Patience { fast: 1, immediate: 1 };
    let server = Server::start_patiently(&binaries(), kept(&folder), Durability::None, hasty).await.unwrap();
    let process = postmaster(&server.cluster);
    kill(Pid::from_raw(process.pid), Signal::SIGSTOP).unwrap();

    let outcome = server.stop().await;

    assert!(matches!(outcome, Err(PostgresError::UncleanStop { .. })), "{outcome:?}");
    assert!(!process.runs_on(&cluster(&folder)));
    start(kept(&folder)).await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn a_start_that_is_given_up_leaves_nothing_behind() {
    let folder = passable_folder();
    {
        let mut beginning = Box::pin(start(kept(&folder)));
        let partial = cluster(&folder).with_extension("partial");
        tokio::select! {
            _ = &mut beginning => panic!("it is not given the time"),
            () = eventually("initdb", || partial.exists()) => {}
        }
    }
    let signed = fs::read_to_string(data_dir(&folder).join("postgres.lock")).unwrap();
    let socket_directory = PathBuf::from(signed.lines().nth(1).unwrap());

    eventually("the end of it", || !socket_directory.exists()).await;

    start(kept(&folder)).await.unwrap().stop().await.unwrap();
}
