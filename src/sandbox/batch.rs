//! What is wrong with a batch of ids that is submitted: the rules that it breaks, and why it is rejected.
//!
//! Invariant: a batch is taken on as a whole or not at all; judging it changes nothing but the record of breaches.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::breaches::Rule;
use super::kinds::Kind;
use super::world::World;

/// Why a batch is rejected, or the indexes of its conversations.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    Sound(Vec<u32>),
    Empty,
    TooLarge,
    /// `permanentDelete` is not true.
    NotPermanent,
    Duplicates(Vec<Uuid>),
    TooManyJobs,
    /// Ids that nobody knows here.
    Unknown(Vec<Uuid>),
    /// Ids are protected; those that are told. None are where only unnamed ones are.
    Protected(Vec<Uuid>),
}

/// Judges a batch; the first complaint decides the answer, but every broken rule is noted.
pub(super) fn judge(world: &mut World, ids: &[Uuid], is_permanent: bool, now: Timestamp) -> Judgement {
    let too_large = ids.len() > world.settings.max_batch as usize;
    if too_large {
        let evidence = json!({"ids": ids.len(), "maxBatch": world.settings.max_batch});
        world.breaches.note(Rule::BatchTooLarge, now, evidence);
    }
    if !is_permanent {
        world.breaches.note(Rule::PermanentDeleteMissing, now, json!({"ids": ids.len()}));
    }
    let duplicates = repeated(ids);
    world.breaches.note_ids(Rule::DuplicateIdInBatch, now, &duplicates);
    let findings = look_at(world, ids, now);
    world.breaches.note_ids(Rule::ProtectedIdSubmitted, now, &findings.known_to_be_protected);
    world.breaches.note_ids(Rule::IdInTwoLiveJobs, now, &findings.in_live_jobs);
    world.breaches.note_ids(Rule::IdSubmittedAgainAfterDeletion, now, &findings.deleted);

    let live = world.jobs.live_count(now);
    let too_many_jobs = live >= world.settings.max_concurrent_jobs as usize;
    if ids.is_empty() {
        Judgement::Empty
    } else if too_large {
        Judgement::TooLarge
    } else if !is_permanent {
        Judgement::NotPermanent
    } else if !duplicates.is_empty() {
        Judgement::Duplicates(duplicates)
    } else if too_many_jobs {
        let evidence = json!({"live": live, "maxConcurrentJobs": world.settings.max_concurrent_jobs});
        world.breaches.note(Rule::TooManyLiveJobs, now, evidence);
        Judgement::TooManyJobs
    } else if !findings.unknown.is_empty() {
        Judgement::Unknown(findings.unknown)
    } else if findings.is_protected {
        Judgement::Protected(findings.named)
    } else {
        Judgement::Sound(findings.indexes)
    }
}

#[derive(Debug, Default)]
struct Findings {
    indexes: Vec<u32>,
    unknown: Vec<Uuid>,
    is_protected: bool,
    named: Vec<Uuid>,
    known_to_be_protected: Vec<Uuid>,
    in_live_jobs: Vec<Uuid>,
    deleted: Vec<Uuid>,
}

fn look_at(world: &World, ids: &[Uuid], now: Timestamp) -> Findings {
    let mut findings = Findings::default();
    for id in ids {
        let Some(index) = world.population.index(*id) else {
            findings.unknown.push(*id);
            findings.known_to_be_protected.push(*id);
            continue;
        };
        let kind = world.kind(index);
        if kind.shows_protection() && world.could_be_known(index) {
            findings.known_to_be_protected.push(*id);
        }
        match kind {
            Kind::Unknown => findings.unknown.push(*id),
            Kind::Held | Kind::Young | Kind::Active | Kind::ConflictNamed => {
                findings.is_protected = true;
                findings.named.push(*id);
            }
            Kind::ConflictUnnamed => findings.is_protected = true,
            Kind::Deleted if world.could_be_known(index) => findings.deleted.push(*id),
            Kind::Deleted | Kind::Eligible | Kind::UnreadableEnd => {}
        }
        if world.jobs.carriers(index).any(|(job, _)| job.is_live(now)) {
            findings.in_live_jobs.push(*id);
        } else if world.jobs.deleter(index, now).is_some() {
            findings.deleted.push(*id);
        }
        findings.indexes.push(index);
    }
    findings
}

/// The ids that stand in a batch more than once, each once.
fn repeated(ids: &[Uuid]) -> Vec<Uuid> {
    let (mut seen, mut repeated) = (HashSet::with_capacity(ids.len()), HashSet::new());
    ids.iter().filter(|id| !seen.insert(**id)).filter(|id| repeated.insert(**id)).copied().collect()
}

#[cfg(test)]
mod tests;
