//! Whether calls kept to a budget, by what upstream saw.

use genesys_purge::sandbox::Call;
use jiff::Timestamp;

use super::TestService;

/// The calls that a budget is of, oldest first.
pub fn calls(test: &TestService) -> Vec<Timestamp> {
    let log = test.sandbox.sandbox().report(usize::MAX, 1).last;
    log.iter().filter(|entry| entry.call != Call::Token).map(|entry| entry.at).collect()
}

/// In no stretch of time were there more calls than so many a minute allow: a burst at once, then one each interval, and a
/// permit may be used up to a second after it was taken. That is stricter than to look at whole minutes.
pub fn assert_within_budget(test: &TestService, per_minute: u32) {
    let burst = f64::from((per_minute / 10).clamp(1, 10));
    let interval = 62.0 / (f64::from(per_minute) - burst + 1.0);
    let calls = calls(test);
    for (first, from) in calls.iter().enumerate() {
        for (number, to) in calls[first..].iter().enumerate() {
            let allowed = burst + 1.0 + (to.duration_since(*from).as_secs_f64() + 1.0) / interval;
            #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
            let number = (number + 1) as f64;
            assert!(number <= allowed, "{number} calls from {from} to {to}, {allowed} allowed");
        }
    }
    assert_eq!(
        test.calls(Call::Details, "429") + test.calls(Call::Submit, "429") + test.calls(Call::Poll, "429"),
        0
    );
}

/// The most calls within any minute.
pub fn most_in_a_minute(test: &TestService) -> usize {
    let calls = calls(test);
    let within = |from: usize| {
        calls[from..].iter().take_while(|at| at.duration_since(calls[from]).as_secs_f64() < 60.0).count()
    };
    (0..calls.len()).map(within).max().unwrap_or_default()
}
