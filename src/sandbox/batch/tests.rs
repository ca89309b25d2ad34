//! Batches are taken whole or refused whole.

use super::super::clock::plus_millis;
use super::super::settings::{JobDuration, Settings};
use super::*;

fn world() -> World {
    World::new(Settings {
        conversations: 2000,
        job_duration: JobDuration { base_ms: 1000, jitter_ms: 0 },
        failed_share: 0.0,
        partial_share: 0.0,
        leave_out_share: 0.0,
        max_batch: 3,
        ..Settings::default()
    })
}

fn of_kind(world: &World, kind: Kind, nth: usize) -> Uuid {
    let population = &world.population;
    let index = (0..population.size()).filter(|index| population.kind(*index) == kind).nth(nth).unwrap();
    population.id(index)
}

#[test]
fn each_complaint_has_its_judgement_and_its_breach() {
    let base = world();
    let id = |kind, nth| of_kind(&base, kind, nth);
    let good = id(Kind::Eligible, 0);
    let (held, young, active) = (id(Kind::Held, 0), id(Kind::Young, 0), id(Kind::Active, 0));
    let (unknown, gone) = (id(Kind::Unknown, 0), id(Kind::Deleted, 0));
    let (named, unnamed) = (id(Kind::ConflictNamed, 0), id(Kind::ConflictUnnamed, 0));
    let index = |id| base.population.index(id).unwrap();
    for (ids, is_permanent, judgement, rule) in [
        (vec![good], true, Judgement::Sound(vec![index(good)]), None),
        (vec![], true, Judgement::Empty, None),
        (vec![good; 4], true, Judgement::TooLarge, Some(Rule::BatchTooLarge)),
        (vec![good], false, Judgement::NotPermanent, Some(Rule::PermanentDeleteMissing)),
        (vec![good, good, good], true, Judgement::Duplicates(vec![good]), Some(Rule::DuplicateIdInBatch)),
        (vec![good, held], true, Judgement::Protected(vec![held]), Some(Rule::ProtectedIdSubmitted)),
        (vec![young], true, Judgement::Protected(vec![young]), Some(Rule::ProtectedIdSubmitted)),
        (vec![active], true, Judgement::Protected(vec![active]), Some(Rule::ProtectedIdSubmitted)),
        (vec![unknown], true, Judgement::Unknown(vec![unknown]), Some(Rule::ProtectedIdSubmitted)),
        (vec![Uuid::nil()], true, Judgement::Unknown(vec![Uuid::nil()]), Some(Rule::ProtectedIdSubmitted)),
        (vec![good, named], true, Judgement::Protected(vec![named]), None),
        (vec![good, unnamed], true, Judgement::Protected(vec![]), None),
        (vec![named, unnamed], true, Judgement::Protected(vec![named]), None),
        (vec![gone], true, Judgement::Sound(vec![index(gone)]), Some(Rule::IdSubmittedAgainAfterDeletion)),
    ] {
        let mut world = world();
        assert_eq!(judge(&mut world, &ids, is_permanent, Timestamp::UNIX_EPOCH), judgement, "{ids:?}");
        assert_eq!(world.breaches.counts().contains_key(&Rule::ProtectedIdSubmitted), {
            rule == Some(Rule::ProtectedIdSubmitted)
        });
        assert!(rule.is_none_or(|rule| world.breaches.counts().contains_key(&rule)), "{rule:?}");
        assert!(rule.is_some() || world.breaches.counts().is_empty(), "{:?}", world.breaches);
    }
}

#[test]
fn ids_of_live_and_of_ended_jobs_are_told_apart() {
    let mut world = world();
    let id = of_kind(&world, Kind::Eligible, 0);
    let (start, settings) = (Timestamp::UNIX_EPOCH, world.settings.clone());
    let Judgement::Sound(indexes) = judge(&mut world, &[id], true, start) else { panic!() };
    world.jobs.submit(&indexes, start, &settings, &mut world.chance);
    judge(&mut world, &[id], true, plus_millis(start, 999));
    assert_eq!(world.breaches.counts().keys().copied().collect::<Vec<_>>(), [Rule::IdInTwoLiveJobs]);
    judge(&mut world, &[id], true, plus_millis(start, 1000));
    assert_eq!(world.breaches.counts()[&Rule::IdSubmittedAgainAfterDeletion], 1);
    assert_eq!(world.breaches.counts()[&Rule::IdInTwoLiveJobs], 1);
}

#[test]
fn a_full_upstream_turns_a_batch_away() {
    let mut world = world();
    world.settings.max_concurrent_jobs = 1;
    let (first, second) = (of_kind(&world, Kind::Eligible, 0), of_kind(&world, Kind::Eligible, 1));
    let (start, settings) = (Timestamp::UNIX_EPOCH, world.settings.clone());
    let Judgement::Sound(indexes) = judge(&mut world, &[first], true, start) else { panic!() };
    world.jobs.submit(&indexes, start, &settings, &mut world.chance);
    assert_eq!(judge(&mut world, &[second], true, start), Judgement::TooManyJobs);
    assert_eq!(world.breaches.counts()[&Rule::TooManyLiveJobs], 1);
    assert!(matches!(judge(&mut world, &[second], true, plus_millis(start, 1000)), Judgement::Sound(_)));
}

#[test]
fn a_hold_that_came_after_the_look_blames_nobody_until_details_show_it() {
    let (mut world, start) = (world(), Timestamp::UNIX_EPOCH);
    let id = of_kind(&world, Kind::Eligible, 0);
    world.look_up(&[id], start, start);
    world.set_kind(id, Kind::Held, start).unwrap();
    assert_eq!(judge(&mut world, &[id], true, start), Judgement::Protected(vec![id]));
    assert!(world.breaches.counts().is_empty());
    world.look_up(&[id], start, start);
    judge(&mut world, &[id], true, start);
    assert_eq!(world.breaches.counts()[&Rule::ProtectedIdSubmitted], 1);
}
