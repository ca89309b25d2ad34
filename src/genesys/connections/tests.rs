//! Spares and promises, over connections that are none.

use std::io;

use hyper::rt::ReadBufCursor;

use super::*;

/// What whoever reads is shown.
type Shown = fn() -> Poll<io::Result<&'static [u8]>>;

struct Fake(Shown);

impl Read for Fake {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        (self.0)().map(|read| read.map(|bytes| into.put_slice(bytes)))
    }
}

fn silent() -> Fake {
    Fake(|| Poll::Pending)
}

fn spares() -> Arc<Spares<Fake>> {
    let clock: WallClock = Arc::new(|| "2026-03-01T12:00:00Z".parse().unwrap());
    Spares::new(Duration::from_secs(5), Duration::from_secs(30), &clock)
}

fn way(lane: Lane, url: &str) -> Way {
    Way::new(lane, &Url::parse(url).unwrap())
}

fn submit() -> Way {
    way(Lane::Submit, "https://acme/api/v2")
}

fn query() -> Way {
    way(Lane::Query, "https://acme/api/v2")
}

#[tokio::test]
async fn a_spare_over_which_anything_has_come_is_not_handed_out() {
    let spares = spares();
    let spoilt: [Shown; 3] = [
        || Poll::Ready(Ok(b"")),
        || Poll::Ready(Ok(b"H")),
        || Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
    ];
    for shown in spoilt {
        spares.keep(submit(), Fake(shown));
        assert!(spares.take(&submit()).is_none());
    }
    spares.keep(submit(), silent());
    spares.keep(submit(), Fake(|| Poll::Ready(Ok(b""))));
    assert!(spares.take(&submit()).is_some(), "the other one is there");
    assert!(spares.take(&submit()).is_none(), "once");
}

#[tokio::test]
async fn a_spare_is_handed_out_only_where_it_leads_and_for_what_it_was_opened() {
    let spares = spares();
    spares.keep(submit(), silent());
    for other in [query(), way(Lane::Submit, "http://acme"), way(Lane::Submit, "https://acme:8443")] {
        assert!(spares.take(&other).is_none(), "{other:?}");
    }
    assert!(spares.take(&way(Lane::Submit, "https://acme:443/other")).is_some());
}

#[tokio::test]
async fn a_spare_is_promised_to_one_call() {
    let spares = spares();
    assert!(!spares.promise(&submit()));
    spares.keep(submit(), silent());
    assert!(!spares.promise(&query()));
    assert!(spares.promise(&submit()));
    assert!(!spares.promise(&submit()), "it is promised");
    spares.begin(&submit());
    assert!(!spares.promise(&submit()), "it is being taken");
    spares.keep(submit(), silent());
    assert!(spares.promise(&submit()));
}

#[tokio::test]
async fn an_idle_connection_is_as_good_as_a_spare() {
    let (spares, way) = (spares(), query());
    spares.begin(&way);
    let before = Deadline::within(Duration::from_mins(1), &spares.wall_clock);
    let opened: Connecting<Fake> = Box::pin(async { Ok(silent()) });
    assert!(Arc::clone(&spares).to_write(way.clone(), before, opened).await.is_ok());
    assert!(!spares.promise(&way), "a call has it");
    spares.end(&way, true);
    assert!(spares.promise(&way));
    assert!(!spares.promise(&way));
    spares.begin(&way);
    spares.end(&way, false);
    assert!(!spares.promise(&way), "it was given up");
}

#[tokio::test]
async fn after_none_could_be_opened_calls_are_let_through_for_a_while() {
    let spares = spares();
    assert!(!spares.promise(&submit()));
    spares.could_not_open(&submit());
    assert!(spares.promise(&submit()));
    assert!(!spares.promise(&query()));
}
