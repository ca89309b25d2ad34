//! `engine.paused`: purges are accepted, nothing is begun, and what runs upstream is followed to its end.

use genesys_purge::sandbox::{Call, JobDuration, Kind};

use crate::support::Setup;

#[tokio::test]
async fn a_paused_engine_accepts_begins_nothing_and_goes_on_when_it_is_no_longer_paused() {
    let mut test = Setup::new().env("PURGE__ENGINE__PAUSED", "true").start().await;
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..3]).await;
    let body = test.get(&format!("/purges/{purge}?wait=2")).await;
    assert_eq!(body["state"], "queued", "{body}");
    assert_eq!(test.calls(Call::Details, "200") + test.calls(Call::Submit, "200"), 0);

    test.stop_service().await;
    test.settings.engine.paused = false;
    test.start_service().await;
    assert_eq!(test.finished(purge).await["counts"]["purged"], 3);
}

#[tokio::test]
async fn a_paused_engine_follows_what_runs_upstream_to_its_end() {
    let long = JobDuration { base_ms: 1500, jitter_ms: 0 };
    let mut test = Setup::new().sandbox(|sandbox| sandbox.job_duration = long).start().await;
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..3]).await;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    while test.get(&format!("/purges/{purge}")).await["counts"]["submitted"] != 3 {
        assert!(tokio::time::Instant::now() < deadline, "nothing was submitted");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }

    test.stop_service().await;
    test.settings.engine.paused = true;
    test.start_service().await;
    let body = test.finished(purge).await;
    assert_eq!((&body["state"], &body["counts"]["purged"]), (&"completed".into(), &3.into()), "{body}");
    assert_eq!(test.calls(Call::Submit, "200"), 1);
    test.assert_no_breach();
}
