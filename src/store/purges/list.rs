//! Lists purges, newest first. What is asked for decides which index leads; the org stands first in each of them, so that
//! the purges of others cost nothing; see `migrations/0003_lists.sql` and `migrations/0009_reach.sql`.

use uuid::Uuid;

use super::load::{Purge, load};
use super::tags;
use crate::domain::keys::Reach;
use crate::domain::state::PurgeState;
use crate::store::tx::{Rows as _, Tx};
use crate::store::{Store, StoreError};

/// Which purges are asked for. Those of one org are asked for by the reach.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub state: Option<PurgeState>,
    pub reference: Option<String>,
    /// Key and value.
    pub label: Option<(String, String)>,
}

/// So many purges with a tag are looked through at once for those that meet the other filters too.
const CANDIDATES: usize = 5000;

/// So often for one page: a tag that nearly all purges have must not make a list run for ever.
const ROUNDS: usize = 10;

impl Store {
    /// Up to `limit` purges with ids before `before`, and the id to go on before, unless these were all. That, too, is the
    /// id of a purge within the reach.
    pub async fn list_purges(
        &self,
        reach: &Reach,
        wanted: &Wanted,
        before: Option<Uuid>,
        limit: usize,
    ) -> Result<(Vec<Purge>, Option<Uuid>), StoreError> {
        let mut tx = self.begin_request("list_purges").await?;
        let before = before.unwrap_or(Uuid::max());
        let reference = wanted.reference.as_deref().map(tags::of_reference);
        let label = wanted.label.as_ref().map(|(key, value)| tags::of_label(key, value));
        let mut by = reference.into_iter().chain(label);
        let found = match by.next() {
            None => untagged(&mut tx, reach, wanted.state, before, limit).await?,
            Some(tag) => {
                let filter = Filter { tag: by.next(), state: wanted.state };
                tagged(&mut tx, reach, &tag, &filter, before, limit).await?
            }
        };
        let mut purges = load(&mut tx, reach, &found.ids).await?;
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
async fn untagged(
    tx: &mut Tx,
    reach: &Reach,
    state: Option<PurgeState>,
    before: Uuid,
    limit: usize,
) -> Result<Found, StoreError> {
    let one_more = number(limit.saturating_add(1));
    let ids = if reach.is_everywhere() && state.is_none() {
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
            reach.orgs(),
            &states(state),
            before,
            one_more
        )
        .all(tx)
        .await
    };
    Ok(Found::page(ids?, limit))
}

/// What is asked for beside a tag.
struct Filter {
    tag: Option<String>,
    state: Option<PurgeState>,
}

/// By a tag: the newest of each org that have it, of which the newest are looked through for what meets the other filters
/// too. Where there are none, the page is found at once.
async fn tagged(
    tx: &mut Tx,
    reach: &Reach,
    tag: &str,
    filter: &Filter,
    mut before: Uuid,
    limit: usize,
) -> Result<Found, StoreError> {
    let is_filtered = filter.state.is_some() || filter.tag.is_some();
    let at_once = if is_filtered { CANDIDATES } else { limit.saturating_add(1) };
    let mut ids = Vec::new();
    for _ in 0..ROUNDS {
        let candidates = sqlx::query!(
            r#"-- list_tagged_purges
            select t.purge_id as "id!",
                   p.state::text = any($4) and ($5::text is null or exists (
                       select from purge_tags where org = p.org and tag = $5 and purge_id = p.id
                   )) as "is_wanted!"
            from (
                select found.purge_id
                from orgs o
                cross join lateral (
                    select purge_id from purge_tags
                    where org = o.name and tag = $1 and purge_id < $2
                    order by purge_id desc
                    limit $6
                ) found
                where $3::text[] is null or o.name = any($3)
                order by found.purge_id desc
                limit $6
            ) t
            join purges p on p.id = t.purge_id
            order by t.purge_id desc"#,
            tag,
            before,
            reach.orgs(),
            &states(filter.state),
            filter.tag,
            number(at_once)
        )
        .all(tx)
        .await?;
        let is_last = candidates.len() < at_once;
        before = candidates.last().map_or(before, |last| last.id);
        ids.extend(candidates.into_iter().filter(|candidate| candidate.is_wanted).map(|wanted| wanted.id));
        if is_last || ids.len() > limit {
            return Ok(Found::page(ids, limit));
        }
    }
    Ok(Found { ids, next: Some(before) })
}

/// The words of the states that are wanted.
fn states(wanted: Option<PurgeState>) -> Vec<String> {
    PurgeState::ALL
        .iter()
        .filter(|state| wanted.is_none_or(|wanted| wanted == **state))
        .map(ToString::to_string)
        .collect()
}

fn number(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
