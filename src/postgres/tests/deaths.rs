//! Whatever dies, and in whatever order: no server is left behind, and the next start works.

use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::*;

const THIS_PROCESS: &str = "postgres::tests::deaths::another_process_that_runs_a_server";

/// Another process that runs a server on the data directory of a folder, or a temporary one.
struct Service {
    process: Child,
    supervisor: i32,
    postmaster: Postmaster,
    cluster: PathBuf,
}

impl Service {
    /// It finds its orders in its working directory, which is how it is told apart from a run of all ignored tests.
    fn launch(folder: &TempDir, orders: &str) -> Child {
        fs::write(folder.path().join("orders"), orders).unwrap();
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", THIS_PROCESS, "--ignored"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    async fn start(folder: &TempDir, orders: &str) -> Service {
        let mut process = Service::launch(folder, orders);
        let report = folder.path().join("report");
        eventually("the other process' server", || {
            assert!(process.try_wait().unwrap().is_none(), "the other process ended early");
            report.exists()
        })
        .await;
        let report = fs::read_to_string(report).unwrap();
        let (supervisor, cluster) = report.split_once('\n').unwrap();
        let cluster = PathBuf::from(cluster);
        let postmaster = postmaster(&cluster);
        Service { process, supervisor: supervisor.parse().unwrap(), postmaster, cluster }
    }

    fn signal(&mut self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.process.id()).unwrap()), signal).unwrap();
        self.process.wait().unwrap();
    }

    fn serves(&self) -> bool {
        self.postmaster.runs_on(&self.cluster)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
#[ignore = "not a test: the process that the tests of this file start and kill"]
async fn another_process_that_runs_a_server() {
    let here = std::env::current_dir().unwrap();
    let Ok(orders) = fs::read_to_string(here.join("orders")) else { return };
    let storage = if orders == "temporary" { Storage::Temporary } else { Storage::Kept(here.join("data")) };
    let server = Server::start(&binaries(), storage, Durability::Full).await.unwrap();
    let report = format!("{}\n{}", server.supervisor.pid(), server.cluster.display());
    fs::write(here.join("report.new"), report).unwrap();
    fs::rename(here.join("report.new"), here.join("report")).unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn letting_go_of_a_server_stops_it_and_removes_temporary_data() {
    let server = start(Storage::Temporary).await.unwrap();
    let (process, cluster) = (postmaster(&server.cluster), server.cluster.clone());
    let folder = server.address().socket_directory.clone();

    drop(server);

    eventually("the end of the server", || !process.runs_on(&cluster)).await;
    eventually("the removal of its data", || !folder.exists()).await;
}

#[tokio::test]
async fn a_panic_stops_the_server_cleanly() {
    let folder = passable_folder();
    let server = start(kept(&folder)).await.unwrap();
    let (process, cluster) = (postmaster(&server.cluster), server.cluster.clone());

    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _server = server;
        std::panic::resume_unwind(Box::new("a panic that prints nothing"));
    }));

    assert!(unwound.is_err());
    eventually("the end of the server", || !process.runs_on(&cluster)).await;
    eventually("a clean shutdown", || log_of(&folder).contains("database system is shut down")).await;
}

#[tokio::test]
async fn a_server_shuts_down_cleanly_when_its_service_is_killed() {
    for signal in [Signal::SIGKILL, Signal::SIGINT] {
        let folder = passable_folder();
        let mut service = Service::start(&folder, "kept").await;
        let socket_directory = service.postmaster.socket_directory.clone();
        assert!(service.serves() && socket_directory.exists());

        service.signal(signal);

        eventually("the end of the server", || !service.serves()).await;
        eventually("the removal of its socket", || !socket_directory.exists()).await;
        assert!(log_of(&folder).contains("database system is shut down"), "{signal}");
    }
}

#[tokio::test]
async fn temporary_data_go_away_when_their_service_is_killed() {
    let folder = passable_folder();
    let mut service = Service::start(&folder, "temporary").await;

    service.signal(Signal::SIGKILL);

    eventually("the removal of the data", || !service.postmaster.socket_directory.exists()).await;
    assert!(!service.serves());
}

#[tokio::test]
async fn a_start_works_after_one_that_was_killed_while_it_made_the_data() {
    let folder = passable_folder();
    let mut service = Service::launch(&folder, "kept");
    let partial = cluster(&folder).with_extension("partial");
    eventually("initdb", || partial.join("PG_VERSION").exists()).await;

    service.kill().unwrap();
    service.wait().unwrap();

    let server = start(kept(&folder)).await.unwrap();
    assert_eq!(ask(server.address(), "select 1"), "1");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_start_works_after_service_supervisor_and_server_were_killed_together() {
    let folder = passable_folder();
    let mut service = Service::start(&folder, "kept").await;
    ask(&address_of(&service), "create table t as select 42 as answer");
    let stale = service.postmaster.socket_directory.clone();
    kill_group_and_service(&mut service);
    assert!(stale.exists() && cluster(&folder).join("postmaster.pid").exists());
    // What it left behind is not a server.
    eventually("the end of the server", || running(&data_dir(&folder)).unwrap().is_none()).await;

    let server = start(kept(&folder)).await.unwrap();

    assert!(!stale.exists(), "the socket of the server that was killed is cleared away");
    assert_eq!(ask(server.address(), "select answer from t"), "42");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_start_waits_for_the_last_processes_of_a_server_that_was_killed() {
    let folder = passable_folder();
    let mut service = Service::start(&folder, "kept").await;
    let straggler = child_of(service.postmaster.pid);
    kill(straggler, Signal::SIGSTOP).unwrap();
    kill_group_and_service(&mut service);

    let mut beginning = std::pin::pin!(start(kept(&folder)));
    let too_early = tokio::time::timeout(Duration::from_millis(300), &mut beginning).await;
    kill(straggler, Signal::SIGCONT).unwrap();

    assert!(too_early.is_err(), "it did not wait: {too_early:?}");
    beginning.await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn an_orphan_on_the_data_is_stopped_first() {
    let folder = passable_folder();
    let mut service = Service::start(&folder, "kept").await;
    ask(&address_of(&service), "create table t as select 42 as answer");
    for watcher in shells_of_group(service.supervisor) {
        kill(watcher, Signal::SIGKILL).unwrap();
    }
    service.signal(Signal::SIGKILL);
    assert!(service.serves(), "nobody is left to stop it");

    let server = start(kept(&folder)).await.unwrap();

    assert!(!service.serves());
    assert_eq!(ask(server.address(), "select answer from t"), "42");
    let log = log_of(&folder);
    assert!(log.contains("database system is shut down"), "it was stopped cleanly: {log}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_orphan_that_does_not_listen_is_killed() {
    let folder = passable_folder();
    let mut service = Service::start(&folder, "kept").await;
    for watcher in shells_of_group(service.supervisor) {
        kill(watcher, Signal::SIGKILL).unwrap();
    }
    service.signal(Signal::SIGKILL);
    kill(Pid::from_raw(service.postmaster.pid), Signal::SIGSTOP).unwrap();
    let hasty = Patience { fast: 1, immediate: 1 };

    let server = Server::start_patiently(&binaries(), kept(&folder), Durability::None, hasty).await.unwrap();

    assert!(!service.serves());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_whose_supervisor_was_killed_is_stopped_all_the_same() {
    let server = start(Storage::Temporary).await.unwrap();
    let (process, cluster) = (postmaster(&server.cluster), server.cluster.clone());
    let folder = server.address().socket_directory.clone();
    for shell in shells_of_group(i32::try_from(server.supervisor.pid()).unwrap()) {
        kill(shell, Signal::SIGKILL).unwrap();
    }

    let outcome = server.stop().await;

    assert!(matches!(outcome, Err(PostgresError::UncleanStop { .. })), "{outcome:?}");
    assert!(!process.runs_on(&cluster) && !folder.exists());
}

#[tokio::test]
async fn another_process_that_holds_the_data_is_named() {
    let folder = passable_folder();
    let service = Service::start(&folder, "kept").await;

    let refused = start(kept(&folder)).await.unwrap_err();

    let holder = i32::try_from(service.process.id()).unwrap();
    assert!(matches!(refused, PostgresError::Held { holder: Some(pid), .. } if pid == holder), "{refused}");
    assert_eq!(running(&data_dir(&folder)).unwrap(), Some(address_of(&service)));
}

fn address_of(service: &Service) -> Address {
    running(service.cluster.ancestors().nth(2).unwrap()).unwrap().expect("it runs")
}

fn kill_group_and_service(service: &mut Service) {
    killpg(Pid::from_raw(service.supervisor), Signal::SIGKILL).unwrap();
    service.signal(Signal::SIGKILL);
}

/// Processes by what their `stat` says: (id, name, parent, group).
fn processes() -> Vec<(i32, String, i32, i32)> {
    let stats = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let (pid, rest) = stat.split_once(" (")?;
        let (name, rest) = rest.rsplit_once(") ")?;
        let mut fields = rest.split(' ').skip(1).map_while(|field| field.parse().ok());
        Some((pid.parse().ok()?, name.to_owned(), fields.next()?, fields.next()?))
    });
    stats.collect()
}

fn child_of(postmaster: i32) -> Pid {
    let found = processes().into_iter().find(|(_, _, parent, _)| *parent == postmaster);
    Pid::from_raw(found.expect("a server has children").0)
}

fn shells_of_group(group: i32) -> Vec<Pid> {
    let shells = processes().into_iter().filter(|(_, name, _, of)| *of == group && name != "postgres");
    let shells: Vec<Pid> = shells.map(|(pid, ..)| Pid::from_raw(pid)).collect();
    assert!(!shells.is_empty());
    shells
}
