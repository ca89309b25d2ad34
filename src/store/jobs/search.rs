//! The pieces of a search before their intent (`domain/search.rs`): a piece that must conflict is cut without a call;
//! unknown pieces are put together with those of other searches.
//!
//! Invariant: a piece changes only under the org's lock, and only while it waits; no outcome is decided here.

use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;

use super::parts::{self, Parts};
use super::split::{Origin, branch, hand_on};
use super::{ending, pack, reserve};
use crate::domain::packing::halves;
use crate::domain::reason::Step;
use crate::domain::search::{Seen, piece_size};
use crate::domain::state::JobResult;
use crate::domain::terms::OrgTerms;
use crate::store::slices::Place;
use crate::store::slices::patch::Patch;
use crate::store::tx::{Rows as _, Tx, Writes as _};
use crate::store::{Store, StoreError};

/// What the answer to its first half has made of a rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// The first half went through, so it conflicts.
    Conflicts,
    /// Nothing is known of it.
    Unknown,
}

impl Standing {
    /// Parses the state from the view; `None` if the job can be submitted as it is.
    pub(super) fn of(word: Option<&str>) -> Result<Option<Self>, StoreError> {
        match word {
            None | Some("tried") => Ok(None),
            Some("conflicts") => Ok(Some(Self::Conflicts)),
            Some("unknown") => Ok(Some(Self::Unknown)),
            Some(other) => {
                Err(StoreError::Unreadable { what: "standing of a piece", detail: other.to_owned() })
            }
        }
    }
}

/// A locked waiting job, with its conversations.
struct Piece {
    job: Uuid,
    parts: Parts,
    carried: Vec<(Place, Uuid)>,
}

impl Store {
    /// Makes a rest whose first half was answered a piece that is submitted next.
    pub(super) async fn make_piece(
        &self,
        mut tx: Tx,
        org: &OrgTerms,
        job: Uuid,
        standing: Standing,
    ) -> Result<(), StoreError> {
        let others = match standing {
            Standing::Conflicts => Vec::new(),
            Standing::Unknown => lock_unknown(&mut tx, &org.name, job).await?,
        };
        let jobs: Vec<Uuid> = std::iter::once(job).chain(others.iter().copied()).collect();
        let mut all = parts::load_all(&mut tx, &jobs).await?;
        let keys: BTreeSet<_> = all.values().flat_map(|parts| parts.keys().copied()).collect();
        let keys = keys.into_iter().collect();
        let patch = parts::lock(&mut tx, Step::Pack, Some(job), keys, all.values()).await?;
        let mut piece = take(&mut tx, &patch, &org.name, &mut all, job).await?;
        let size = match standing {
            Standing::Conflicts => halves(&piece.carried).map_or(1, |(first, _)| first.len()),
            Standing::Unknown => piece_size(seen(&mut tx, job).await?, org.max_batch),
        };
        if piece.carried.len() > size {
            self.cut(&mut tx, &org.name, &mut piece, size, standing).await?;
        } else {
            for other in others {
                if piece.carried.len() >= size {
                    break;
                }
                let other = take(&mut tx, &patch, &org.name, &mut all, other).await?;
                if org.mixes_purges || are_of_one_purge(&piece, &other) {
                    fill(&mut tx, &org.name, &mut piece, other, size).await?;
                }
            }
        }
        keep(&mut tx, &piece).await?;
        if !piece.carried.is_empty() {
            go(&mut tx, job).await?;
        }
        patch.write(self, &mut tx).await?;
        tx.commit().await
    }

    /// Leaves this many conversations in the piece; the others wait for its answer, or for the end of its search.
    async fn cut(
        &self,
        tx: &mut Tx,
        org: &str,
        piece: &mut Piece,
        size: usize,
        standing: Standing,
    ) -> Result<(), StoreError> {
        let after = match standing {
            Standing::Conflicts => Some(piece.job),
            Standing::Unknown => first_half_of(tx, piece.job).await?,
        };
        let rest = piece.carried.split_off(size);
        let origin = Origin { parent: piece.job, is_recheck: false, is_piece: true, after };
        branch(self, tx, org, &piece.parts, &rest, origin).await?;
        parts::remove(&mut piece.parts, &rest);
        Ok(())
    }
}

/// What a job carries, without what of it can't be read.
async fn take(
    tx: &mut Tx,
    patch: &Patch,
    org: &str,
    all: &mut HashMap<Uuid, Parts>,
    job: Uuid,
) -> Result<Piece, StoreError> {
    let mut parts = all.remove(&job).unwrap_or_default();
    reserve::leave_out(tx, patch, org, job, &mut parts).await?;
    let carried = parts::with_ids(&parts, patch);
    Ok(Piece { job, parts, carried })
}

fn are_of_one_purge(piece: &Piece, other: &Piece) -> bool {
    let mut purges = piece.parts.keys().chain(other.parts.keys()).map(|slice| slice.purge);
    let first = purges.next();
    purges.all(|purge| Some(purge) == first)
}

/// Takes conversations from another piece, as far as there is room; an emptied piece is done.
async fn fill(
    tx: &mut Tx,
    org: &str,
    piece: &mut Piece,
    mut other: Piece,
    size: usize,
) -> Result<(), StoreError> {
    let room = size.saturating_sub(piece.carried.len()).min(other.carried.len());
    let kept = other.carried.split_off(room);
    let taken = std::mem::replace(&mut other.carried, kept);
    let ids: Vec<Uuid> = taken.iter().map(|(_, id)| *id).collect();
    hand_on(tx, org, other.job, piece.job, &ids).await?;
    parts::add(&mut piece.parts, parts::some_of(&other.parts, &taken));
    parts::remove(&mut other.parts, &taken);
    piece.carried.extend(taken);
    keep(tx, &other).await
}

/// Stores the new contents of a piece.
async fn keep(tx: &mut Tx, piece: &Piece) -> Result<(), StoreError> {
    parts::store(tx, piece.job, &piece.parts).await?;
    if piece.carried.is_empty() {
        return ending::finish(tx, piece.job, JobResult::Withdrawn, None).await;
    }
    let ids: Vec<Uuid> = piece.carried.iter().map(|(_, id)| *id).collect();
    pack::set_ids(tx, piece.job, &ids).await
}

/// Maximum jobs that are put together in one transaction.
const JOBS_A_PIECE: i64 = 20;

/// The other unknown pieces that may be submitted, the oldest first. One whose submit was lost is submitted alone.
async fn lock_unknown(tx: &mut Tx, org: &str, job: Uuid) -> Result<Vec<Uuid>, StoreError> {
    sqlx::query_scalar!(
        "-- lock_unknown_pieces
        select j.id
        from jobs j
        join search_pieces p on p.id = j.id
        where j.org = $1 and j.state <> 'done' and j.next_step = 'intend' and j.due_at <= clock_timestamp()
          and p.standing = 'unknown' and j.id <> $2 and j.lost_since is null
          and not exists (select from search_pieces_held_back h where h.id = j.id)
          and exists (select from jobs where id = $2 and lost_since is null)
        order by j.created_at, j.id
        limit $3
        for update of j skip locked",
        org,
        job,
        JOBS_A_PIECE
    )
    .all(tx)
    .await
}

/// The results of the job's search.
async fn seen(tx: &mut Tx, job: Uuid) -> Result<Seen, StoreError> {
    let row = sqlx::query!(
        r#"-- seen_by_search
        select count(*) filter (where result = 'rejected' and conflicted and size = 1) as "offenders!",
               coalesce(sum(size) filter (where upstream_job_id is not null), 0)::bigint as "cleared!"
        from jobs
        where search = (select search from jobs where id = $1)"#,
        job
    )
    .one(tx)
    .await?;
    let count = |number: i64| usize::try_from(number).unwrap_or_default();
    Ok(Seen { offenders: count(row.offenders), cleared: count(row.cleared) })
}

async fn first_half_of(tx: &mut Tx, job: Uuid) -> Result<Option<Uuid>, StoreError> {
    sqlx::query_scalar!("-- first_half_of\nselect after from jobs where id = $1", job).one(tx).await
}

/// It no longer waits for an answer.
async fn go(tx: &mut Tx, job: Uuid) -> Result<(), StoreError> {
    sqlx::query!("-- make_piece\nupdate jobs set after = null where id = $1 and state = 'waiting'", job)
        .exactly(tx, 1)
        .await
}
