//! Poll times for jobs of all durations and sizes, and how much one job can change them.

use super::*;

const BOUNDS: Bounds = Bounds { initial: Duration::from_secs(5), longest: Duration::from_mins(1) };
const FULL: usize = 500;

/// Polls a job by what was known at its submit and is known later; tells the last poll that found it running, the one that
/// found it ended, and their number.
fn follow(
    known: &Pace,
    now: &Pace,
    size: usize,
    duration: f64,
    bounds: Bounds,
) -> (Option<Duration>, Duration, u32) {
    let (mut at, mut running, mut polls) = (known.first_poll(size, bounds), None, 1);
    assert!(at <= bounds.longest, "{at:?}");
    while at.as_secs_f64() < duration {
        running = Some(at);
        let gap = now.next_poll(size, at, bounds);
        assert!(gap <= bounds.longest, "{gap:?}");
        at += gap;
        polls += 1;
    }
    (running, at, polls)
}

/// Runs jobs, `slots` at a time, of which the n-th takes `duration(n)`; tells the polls and the lateness of each.
fn run(
    mut pace: Pace,
    slots: usize,
    jobs: usize,
    duration: impl Fn(usize) -> f64,
) -> (Pace, Vec<(u32, f64)>) {
    let mut seen = Vec::new();
    for round in 0..jobs / slots {
        // All of a round are polled by what was known when they were submitted.
        let known = pace.clone();
        for slot in 0..slots {
            let duration = duration(round * slots + slot);
            let (running, at, polls) = follow(&known, &pace, FULL, duration, BOUNDS);
            seen.push((polls, at.as_secs_f64() / duration - 1.0));
            pace = pace.learn(FULL, running, at);
        }
    }
    (pace, seen)
}

fn after(durations: &[f64]) -> Pace {
    run(Pace::default(), 1, durations.len(), |job| durations[job]).0
}

fn means(seen: &[(u32, f64)]) -> (f64, f64) {
    #[expect(clippy::cast_precision_loss, reason = "a few hundred jobs")]
    let jobs = seen.len() as f64;
    let polls = f64::from(seen.iter().map(|(polls, _)| polls).sum::<u32>()) / jobs;
    (polls, seen.iter().map(|(_, late)| late).sum::<f64>() / jobs)
}

#[test]
fn jobs_of_a_steady_length_are_met_by_one_or_two_polls_and_hardly_late() {
    // A job of ten minutes is asked after each minute, whatever is expected.
    for (duration, unavoidable) in [(1.0, 0.0), (30.0, 0.0), (630.0, 10.0)] {
        for slots in [1, 5, 10] {
            let (pace, _) = run(Pace::default(), slots, 60, |_| duration);
            let (polls, late) = means(&run(pace, slots, 300, |_| duration).1);
            assert!(polls <= unavoidable + 1.5, "{duration} s, {slots} slots: {polls} polls a job");
            assert!(late <= 0.03, "{duration} s, {slots} slots: {late} late");
        }
    }
}

#[test]
fn jobs_of_an_unsteady_length_are_met_by_two_or_three_polls() {
    // Between 6 and 12 s, in no order.
    let unsteady = |job: usize| 6.0 + f64::from(u32::try_from(job * 7919 % 601).unwrap()) / 100.0;
    for slots in [1, 5, 10] {
        let (pace, _) = run(Pace::default(), slots, 100, unsteady);
        let (polls, late) = means(&run(pace, slots, 500, unsteady).1);
        assert!(polls <= 3.2, "{slots} slots: {polls} polls a job");
        assert!(late <= 0.4, "{slots} slots: {late} late");
    }
}

#[test]
fn an_estimate_that_is_far_too_long_is_left_behind() {
    let mixed = [6.0, 11.0, 8.0, 12.0, 6.5, 9.0, 7.0, 10.0, 6.0];
    for (before, jobs) in [(&[55.0][..], 10), (&[55.0; 20], 70), (&mixed, 70)] {
        let (pace, _) = run(after(before), 1, jobs, |_| 1.0);
        let expected = pace.expected(FULL).unwrap();
        assert!(expected < Duration::from_millis(1200), "{before:?}: {pace:?}");
    }
}

#[test]
fn an_estimate_that_is_far_too_short_is_left_behind_within_ten_jobs() {
    let mixed = [0.6, 1.1, 0.8, 1.2, 0.65, 0.9, 0.7, 1.0, 0.6];
    for before in [&[1.0][..], &[1.0; 20], &mixed] {
        let (pace, _) = run(after(before), 1, 10, |_| 40.0);
        let expected = pace.expected(FULL).unwrap();
        assert!((39..42).contains(&expected.as_secs()), "{before:?}: {pace:?}");
    }
}

#[test]
fn the_job_after_a_long_one_is_asked_after_as_early_as_before() {
    let bounds = Bounds { initial: Duration::from_millis(200), longest: Duration::from_secs(1) };
    let long = |pace: Pace| {
        let (running, ended_by, polls) = follow(&pace, &pace, FULL, 40.0, bounds);
        // No gap is longer than a second, and none is much shorter before long.
        assert!((40..60).contains(&polls), "{polls} polls");
        pace.learn(FULL, running, ended_by)
    };
    for short in [0, 1, 2, 30] {
        let mut pace = Pace::default();
        for _ in 0..short {
            let (running, ended_by, _) = follow(&pace, &pace, FULL, 0.3, bounds);
            pace = pace.learn(FULL, running, ended_by);
        }
        let before = pace.first_poll(FULL, bounds).max(bounds.initial);
        let once = long(pace);
        // Of a short one, too, is known no more than that it took up to 0.4 s.
        assert!(
            once.first_poll(FULL, bounds) <= before.max(Duration::from_millis(400)),
            "{short} short ones: {once:?}"
        );
        assert_eq!(long(long(once)).first_poll(FULL, bounds), bounds.longest, "others agree");
    }
}

#[test]
fn one_job_shortens_the_first_poll_and_lengthens_none() {
    let short = Pace::default().learn(FULL, Some(Duration::from_secs(1)), Duration::from_millis(1100));
    assert!(short.first_poll(FULL, BOUNDS) < Duration::from_millis(1100));
    for (running, ended_by) in [(None, 36_000), (Some(20), 21), (Some(20), 36_000), (Some(36_000), 36_001)] {
        let running = running.map(Duration::from_secs);
        let learned = Pace::default().learn(FULL, running, Duration::from_secs(ended_by));
        assert_eq!(learned.first_poll(FULL, BOUNDS), BOUNDS.initial, "{learned:?}");
        for pace in
            [after(&[1.0; 20]), after(&[9.0; 20]), after(&[6.0, 11.0, 8.0, 12.0, 6.5, 9.0, 7.0, 10.0, 6.0])]
        {
            let before = pace.first_poll(FULL, BOUNDS);
            let learned = pace.learn(FULL, running, Duration::from_secs(ended_by));
            assert!(learned.first_poll(FULL, BOUNDS) <= before.max(BOUNDS.initial), "{learned:?}");
        }
    }
}

#[test]
fn an_estimate_goes_up_only_as_far_as_two_jobs_agree() {
    let learn = |pace: Pace, took: u64| {
        pace.learn(FULL, Some(Duration::from_millis(took * 1000 - 100)), Duration::from_secs(took))
    };
    for pair in [[20, 50], [50, 20]] {
        let learned = pair.into_iter().fold(after(&[1.0; 20]), learn);
        assert_eq!(learned.expected(FULL), Some(Duration::from_secs(20)), "{learned:?}");
    }
    let interrupted = [20.0, 1.0, 20.0].iter().fold(after(&[1.0; 20]), |pace, took| {
        let (running, ended_by, _) = follow(&pace, &pace, FULL, *took, BOUNDS);
        pace.learn(FULL, running, ended_by)
    });
    assert!(interrupted.expected(FULL) < Some(Duration::from_secs(2)), "{interrupted:?}");
}

#[test]
fn a_job_of_another_size_is_expected_to_take_another_time() {
    let full = after(&[40.0; 20]);
    assert_eq!(full.expected(3), None);
    assert_eq!(full.first_poll(3, BOUNDS), BOUNDS.initial);
    let both = (0..20).fold(full.clone(), |pace, _| {
        let (running, ended_by, _) = follow(&pace, &pace, 3, 0.3, BOUNDS);
        pace.learn(3, running, ended_by)
    });
    assert_eq!(both.expected(FULL), full.expected(FULL));
    assert!(both.expected(3).is_some_and(|expected| expected < Duration::from_millis(350)), "{both:?}");
    assert!(both.first_poll(2, BOUNDS) < Duration::from_millis(350), "{both:?}");
    // A class between them is not expected to take as long as the one or as short as the other.
    assert_eq!(both.first_poll(50, BOUNDS), BOUNDS.initial);
}

#[test]
fn a_small_job_is_asked_after_no_later_than_a_full_one() {
    let full = after(&[1.0; 20]);
    assert_eq!(full.first_poll(3, BOUNDS), full.first_poll(FULL, BOUNDS));
    assert!(full.first_poll(3, BOUNDS) < Duration::from_secs(2));
}

#[test]
fn a_gap_that_this_service_made_itself_teaches_little() {
    let pace = after(&[30.0; 20]);
    let before = pace.expected(FULL);
    for running in [None, Some(Duration::from_secs(5)), Some(Duration::from_secs(31))] {
        let learned = pace.clone().learn(FULL, running, Duration::from_hours(10));
        assert!(learned.expected(FULL) <= before, "{learned:?}");
    }
}

#[test]
fn before_anything_was_observed_the_settings_rule_and_gaps_never_pass_the_longest() {
    let unknown = Pace::default();
    assert_eq!(unknown.expected(FULL), None);
    assert_eq!(unknown.first_poll(FULL, BOUNDS), Duration::from_secs(5));
    assert_eq!(unknown.next_poll(FULL, Duration::from_secs(5), BOUNDS), Duration::from_secs(5));
    for running in [Duration::from_secs(500), Duration::MAX] {
        assert_eq!(unknown.next_poll(FULL, running, BOUNDS), Duration::from_mins(1));
    }
}

#[test]
fn what_is_known_is_read_as_it_was_written() {
    for pace in [
        Pace::default(),
        after(&[40.0, 41.0, 3.0]).learn(usize::MAX, None, Duration::from_secs(9)).learn(
            0,
            None,
            Duration::ZERO,
        ),
    ] {
        let written = serde_json::to_value(&pace).unwrap();
        assert_eq!(serde_json::from_value::<Pace>(written).unwrap(), pace);
    }
}
