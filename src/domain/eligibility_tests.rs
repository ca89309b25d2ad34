//! The table of eligibility.

use super::*;

const NOW: &str = "2026-11-25T12:00:00Z";

fn policy(unknown_age: UnknownAge) -> Policy {
    Policy { default_days: 365, unknown_age }
}

fn facts(presence: Presence, end: End) -> Facts {
    Facts { presence, end }
}

fn ended(at: &str) -> End {
    End::At(at.parse().unwrap())
}

fn unsure(not_before: &str) -> End {
    End::Unsure(not_before.parse().unwrap())
}

fn outcome(verdict: &Verdict) -> Option<(Outcome, &str)> {
    match verdict {
        Verdict::Decided(outcome, reason) => Some((*outcome, reason.code.as_ref())),
        Verdict::AbsentOnce => None,
    }
}

/// Nothing but facts and a cell.
fn evidence(facts: Option<&Facts>, cell: Cell) -> Evidence<'_> {
    Evidence { facts, cell, is_absence_old_enough: false, is_held: false, was_carried_elsewhere: false }
}

#[test]
fn what_upstream_shows_decides_in_a_fixed_order() {
    use Presence::{Gone, Held, Present};
    let old = ended("2020-01-01T00:00:00Z");
    let young = ended("2026-11-20T00:00:00Z");
    let to_the_second = ended("2025-11-25T12:00:00Z");
    let one_second_short = ended("2025-11-25T12:00:01Z");
    let future = ended("2027-01-01T00:00:00Z");
    let table = [
        // facts, held by us, expected
        (facts(Present, old), false, (Outcome::Eligible, "eligible")),
        (facts(Present, to_the_second), false, (Outcome::Eligible, "eligible")),
        (facts(Present, one_second_short), false, (Outcome::Retained, "retention_period")),
        (facts(Present, young), false, (Outcome::Retained, "retention_period")),
        (facts(Present, future), false, (Outcome::Retained, "retention_period")),
        (facts(Present, End::NotYet), false, (Outcome::Active, "not_ended")),
        (facts(Present, End::Unreadable), false, (Outcome::Retained, "unknown_age")),
        (facts(Present, unsure("2020-01-01T00:00:00Z")), false, (Outcome::Retained, "unknown_age")),
        (facts(Present, unsure("2026-11-20T00:00:00Z")), false, (Outcome::Retained, "unknown_age")),
        (facts(Held, unsure("2020-01-01T00:00:00Z")), false, (Outcome::OnHold, "upstream_legal_hold")),
        (facts(Held, old), false, (Outcome::OnHold, "upstream_legal_hold")),
        (facts(Held, young), false, (Outcome::OnHold, "upstream_legal_hold")),
        (facts(Held, End::NotYet), false, (Outcome::OnHold, "upstream_legal_hold")),
        (facts(Present, old), true, (Outcome::OnHold, "legal_hold")),
        (facts(Present, End::NotYet), true, (Outcome::OnHold, "legal_hold")),
        (facts(Held, old), true, (Outcome::OnHold, "legal_hold")),
        (facts(Gone, old), false, (Outcome::AlreadyPurged, "gone")),
        (facts(Gone, End::NotYet), true, (Outcome::AlreadyPurged, "gone")),
    ];
    for (facts, is_held, expected) in table {
        let evidence = Evidence { is_held, ..evidence(Some(&facts), Cell::NEW) };
        let verdict = judge(evidence, &policy(UnknownAge::Retain), NOW.parse().unwrap());
        assert_eq!(outcome(&verdict), Some(expected), "{facts:?}, held: {is_held}");
    }
}

#[test]
fn an_unreadable_end_is_purged_only_where_the_policy_says_so_and_a_missing_or_young_one_never() {
    let now = NOW.parse().unwrap();
    let judge_end = |end| {
        let facts = facts(Presence::Present, end);
        let evidence = evidence(Some(&facts), Cell::NEW);
        judge(evidence, &policy(UnknownAge::Purge), now)
    };
    assert_eq!(outcome(&judge_end(End::Unreadable)), Some((Outcome::Eligible, "eligible")));
    assert_eq!(outcome(&judge_end(End::NotYet)), Some((Outcome::Active, "not_ended")));
    let (old, young) = (unsure("2020-01-01T00:00:00Z"), unsure("2026-11-20T00:00:00Z"));
    assert_eq!(outcome(&judge_end(old)), Some((Outcome::Eligible, "eligible")));
    assert_eq!(outcome(&judge_end(young)), Some((Outcome::Retained, "retention_period")));
}

#[test]
fn absence_is_believed_only_the_second_time_and_is_ours_only_if_we_carried_it() {
    let once = Marks::ABSENT;
    let carried = Marks::CARRIED;
    let (not_found, gone) = ((Outcome::NotFound, "absent_twice"), (Outcome::AlreadyPurged, "absent_twice"));
    let (ours, held) = ((Outcome::Purged, "seen_gone_later"), (Outcome::OnHold, "legal_hold"));
    let table = [
        // marks, old enough, held, carried elsewhere, expected
        (Marks::NONE, true, false, false, None),
        (Marks::NONE, true, false, true, None),
        (once, false, false, true, None),
        (once, true, false, false, Some(not_found)),
        (once, true, false, true, Some(gone)),
        (once.with(carried), true, false, false, Some(ours)),
        (once.with(carried), true, false, true, Some(ours)),
        (carried, true, false, false, None),
        (once, true, true, false, Some(held)),
        (Marks::NONE, false, true, false, Some(held)),
        // A hold keeps nothing that a job may have deleted.
        (carried, true, true, false, None),
        (once.with(carried), true, true, false, Some(ours)),
        (Marks::NONE, true, true, true, None),
        (once, true, true, true, Some(gone)),
    ];
    for (marks, is_absence_old_enough, is_held, was_carried_elsewhere, expected) in table {
        let cell = Cell { marks, ..Cell::NEW };
        let evidence = Evidence { facts: None, cell, is_absence_old_enough, is_held, was_carried_elsewhere };
        let verdict = judge(evidence, &policy(UnknownAge::Purge), NOW.parse().unwrap());
        assert_eq!(
            outcome(&verdict),
            expected,
            "{marks:?} {is_absence_old_enough} {is_held} {was_carried_elsewhere}"
        );
    }
}

#[test]
fn what_is_gone_after_a_job_of_this_purge_carried_it_was_purged_by_it() {
    let gone = facts(Presence::Gone, End::NotYet);
    let cell = Cell { marks: Marks::CARRIED, ..Cell::NEW };
    let verdict = judge(evidence(Some(&gone), cell), &policy(UnknownAge::Retain), NOW.parse().unwrap());
    assert_eq!(outcome(&verdict), Some((Outcome::Purged, "seen_gone_later")));
}
