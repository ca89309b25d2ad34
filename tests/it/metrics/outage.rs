//! The metrics are needed most when the database is down.

use std::path::PathBuf;
use std::sync::Arc;

use genesys_purge::app::{Role, Service, World};
use genesys_purge::domain::keys::Scope;
use genesys_purge::store::Place;
use reqwest::{Method, StatusCode};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Page;
use crate::support::problem::refused;
use crate::support::{Setup, TestService};

/// How the way to the database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// Connections are cut, and new ones end at once.
    Cut,
    /// Connections are taken, and nothing goes through.
    Silent,
}

/// A way to the database that a test can close.
struct Tunnel {
    folder: tempfile::TempDir,
    way: watch::Sender<Way>,
    place: Place,
}

impl Tunnel {
    fn to(place: Place) -> Self {
        let Place::Socket { directory, port, user, database } = place else { panic!("not a socket") };
        let folder = tempfile::tempdir().unwrap();
        let socket = |directory: PathBuf| directory.join(format!(".s.PGSQL.{port}"));
        let (from, to) = (socket(folder.path().to_owned()), Arc::new(socket(directory)));
        let (way, told) = watch::channel(Way::Open);
        let listener = UnixListener::bind(from).unwrap();
        tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(carry(stream, Arc::clone(&to), told.clone()));
            }
        });
        let place = Place::Socket { directory: folder.path().to_owned(), port, user, database };
        Self { folder, way, place }
    }

    fn set(&self, way: Way) {
        assert!(self.folder.path().exists());
        self.way.send(way).unwrap();
    }
}

async fn carry(mut here: UnixStream, to: Arc<PathBuf>, mut way: watch::Receiver<Way>) {
    if *way.borrow() == Way::Open {
        let mut there = UnixStream::connect(&*to).await.unwrap();
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut here, &mut there) => return,
            _ = way.wait_for(|way| *way != Way::Open) => {}
        }
        if *way.borrow() == Way::Silent {
            let _ = way.wait_for(|way| *way != Way::Silent).await;
        }
    } else if *way.borrow() == Way::Silent {
        let _ = way.wait_for(|way| *way != Way::Silent).await;
    }
}

/// A service behind a tunnel, and its address.
async fn behind_tunnel(test: &TestService) -> (Tunnel, Service, String) {
    let tunnel = Tunnel::to(test.database.place());
    let service = Service::start(&test.settings, &World::machine(), &tunnel.place, Role::Api).await.unwrap();
    let url = format!("http://{}/metrics", service.address());
    (tunnel, service, url)
}

#[tokio::test]
async fn without_a_database_they_tell_what_the_process_knows() {
    for way in [Way::Cut, Way::Silent] {
        let test = Setup::new().role(Role::Api).env("PURGE__TELEMETRY__METRICS", "open").start().await;
        let (tunnel, service, url) = behind_tunnel(&test).await;
        tunnel.set(way);
        let answer = test.client.get(&url).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{way:?}");
        let page = Page::read(&answer.text().await.unwrap());
        assert_eq!(page.count("genesys_purge_database_up", &[]), 0, "{way:?}");
        assert!(!page.0.contains_key("genesys_purge_purges_open"), "nothing stale is shown: {way:?}");
        assert!(page.0.contains_key("process_resident_memory_bytes"), "{way:?}");
        assert!(page.0.contains_key("genesys_purge_conversations_total"), "{way:?}");
        if way == Way::Cut {
            assert!(page.count("genesys_purge_database_errors_total", &[("kind", "outage")]) > 0);
        }
        let tries = |page: &Page| {
            page.count("genesys_purge_database_connection_wait_seconds", &[("pool", "requests")])
        };
        let mut last = None;
        for _ in 0..3 {
            let answer = test.client.get(&url).send().await.unwrap();
            last = Some(Page::read(&answer.text().await.unwrap()));
        }
        let more = tries(&last.unwrap()) - tries(&page);
        assert!(more <= 1, "three scrapes went {more} times for a database that is not there: {way:?}");
        tunnel.set(Way::Cut);
        service.stop().await;
    }
}

#[tokio::test]
async fn without_a_database_a_key_that_was_let_through_still_is_and_no_other() {
    let test = Setup::new().role(Role::Api).start().await;
    let other = test.make_key(&[Scope::Admin], None).await;
    let revoked = test.make_key(&[Scope::Admin], None).await;
    let (tunnel, service, url) = behind_tunnel(&test).await;
    let ask = |key: &str| test.client.request(Method::GET, &url).bearer_auth(key);
    for key in [&test.key, &revoked] {
        assert_eq!(ask(key).send().await.unwrap().status(), StatusCode::OK);
    }
    test.sql(&format!("update api_keys set revoked_at = now() where prefix = '{}'", &revoked[..10])).await;
    refused(ask(&revoked), 401, "no_key").await;

    tunnel.set(Way::Cut);
    let answer = ask(&test.key).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    Page::read(&answer.text().await.unwrap());
    for key in [&other, &revoked] {
        refused(ask(key), 503, "unavailable").await;
    }
    refused(test.client.get(&url), 401, "no_key").await;
    service.stop().await;
}
