//! Lists purges, newest first. What is asked for decides which index leads; see `migrations/0003_lists.sql`.

use uuid::Uuid;

use super::load::{Purge, load};
use super::tags;
use crate::domain::state::PurgeState;
use crate::store::tx::{Rows as _, Tx};
use crate::store::{Store, StoreError};

/// Which purges are asked for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Those of these orgs; `None` for every org.
    pub orgs: Option<Vec<String>>,
    /// Those in this state.
    pub state: Option<PurgeState>,
    /// Those with this reference.
    pub reference: Option<String>,
    /// Those with this label: key and value.
    pub label: Option<(String, String)>,
}

/// So many purges with a tag are looked through at once for those that meet the other filters too.
const CANDIDATES: i64 = 5000;

/// So often for one page: a tag that nearly all purges have must not make a list run for ever.
const ROUNDS: usize = 10;

impl Store {
    /// Up to `limit` purges with ids before `before`, and the id to go on before, unless these were all.
    pub async fn list_purges(
        &self,
        wanted: &Wanted,
        before: Option<Uuid>,
        limit: usize,
    ) -> Result<(Vec<Purge>, Option<Uuid>), StoreError> {
        let mut tx = self.begin_request("list_purges").await?;
        let before = before.unwrap_or(Uuid::max());
        let found = match (&wanted.reference, &wanted.label) {
            (None, None) => untagged(&mut tx, wanted, before, limit).await?,
            (Some(reference), _) => {
                tagged(&mut tx, &tags::of_reference(reference), wanted, before, limit).await?
            }
            (None, Some((key, value))) => {
                tagged(&mut tx, &tags::of_label(key, value), wanted, before, limit).await?
            }
        };
        let mut purges = load(&mut tx, &found.ids).await?;
        // Between the two statements one may have gone on to another state.
        purges.retain(|purge| wanted.state.is_none_or(|state| state == purge.state));
        Ok((purges, found.next))
    }
}

/// The ids of a page.
#[derive(Debug, Default)]
struct Found {
    ids: Vec<Uuid>,
    /// There may be more before this one.
    next: Option<Uuid>,
}

impl Found {
    /// A page of ids of which one more was asked for than it may have.
    fn page(mut ids: Vec<Uuid>, limit: usize) -> Self {
        let has_more = ids.len() > limit;
        ids.truncate(limit);
        let next = ids.last().copied().filter(|_| has_more);
        Self { ids, next }
    }
}

/// By org and state: the newest of each pair, of which the newest are the page.
async fn untagged(tx: &mut Tx, wanted: &Wanted, before: Uuid, limit: usize) -> Result<Found, StoreError> {
    let one_more = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let ids = if wanted.orgs.is_none() && wanted.state.is_none() {
        sqlx::query_scalar!(
            "-- list_all_purges
            select id from purges where id < $1 order by id desc limit $2",
            before,
            one_more
        )
        .all(tx)
        .await
    } else {
        sqlx::query_scalar!(
            r#"-- list_purges_by_state
            select found.id as "id!"
            from orgs o
            cross join unnest($2::text[]) as s (state)
            cross join lateral (
                select id from purges
                where org = o.name and state = s.state::purge_state and id < $3
                order by id desc
                limit $4
            ) found
            where $1::text[] is null or o.name = any($1)
            order by found.id desc
            limit $4"#,
            wanted.orgs.as_deref(),
            &states(wanted),
            before,
            one_more
        )
        .all(tx)
        .await
    };
    Ok(Found::page(ids?, limit))
}

/// By a tag: what has it is looked through, newest first, for what meets the other filters too.
async fn tagged(
    tx: &mut Tx,
    tag: &str,
    wanted: &Wanted,
    mut before: Uuid,
    limit: usize,
) -> Result<Found, StoreError> {
    let label = wanted.label.as_ref().map(|(key, value)| serde_json::json!({ key: value }));
    let mut ids = Vec::new();
    for _ in 0..ROUNDS {
        let candidates = sqlx::query!(
            r#"-- list_tagged_purges
            select t.purge_id as "id!",
                   ($3::text[] is null or p.org = any($3)) and p.state::text = any($4)
                   and ($5::jsonb is null or p.labels @> $5) as "is_wanted!"
            from (
                select purge_id from purge_tags where tag = $1 and purge_id < $2 order by purge_id desc limit $6
            ) t
            join purges p on p.id = t.purge_id
            order by t.purge_id desc"#,
            tag,
            before,
            wanted.orgs.as_deref(),
            &states(wanted),
            label,
            CANDIDATES
        )
        .all(tx)
.await?;
        let is_last = i64::try_from(candidates.len()).unwrap_or(i64::MAX) < CANDIDATES;
        before = candidates.last().map_or(before, |last| last.id);
        ids.extend(candidates.into_iter().filter(|candidate| candidate.is_wanted).map(|wanted| wanted.id));
        if is_last || ids.len() > limit {
            return Ok(Found::page(ids, limit));
        }
    }
    Ok(Found { ids, next: Some(before) })
}

/// The words of the states that are wanted.
fn states(wanted: &Wanted) -> Vec<String> {
    PurgeState::ALL
        .iter()
        .filter(|state| wanted.state.is_none_or(|wanted| wanted == **state))
        .map(ToString::to_string)
        .collect()
}
