//! `GET /purges`: newest first, of the orgs that the key reaches.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::body::PurgeBody;
use crate::api::auth::Authorized;
use crate::api::extract::Query;
use crate::api::page::{self, Page};
use crate::api::problem::Problem;
use crate::api::state::ApiState;
use crate::domain::keys::Reach;
use crate::domain::state::PurgeState;
use crate::store::purges::list::Wanted;

/// Which purges, and which page of them. All filters must be met.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct PurgesPage {
    /// Only those in this state.
    state: Option<PurgeState>,
    /// Only those of this org.
    org: Option<String>,
    /// Only those with exactly this reference.
    reference: Option<String>,
    /// Only those with this label, written `key:value`.
    #[param(example = "team:billing")]
    label: Option<String>,
    /// Rows per page, 1 to 1000.
    limit: Option<usize>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
}

/// What a cursor is bound to.
#[derive(Serialize)]
struct Filters<'a> {
    state: Option<PurgeState>,
    org: Option<&'a str>,
    reference: Option<&'a str>,
    label: Option<&'a str>,
}

/// List purges, newest first.
///
/// They are in the order in which they arrived. A large one appears when all of it is accepted, which may be minutes
/// later, so look back that far for new ones. Pages neither skip nor repeat a purge. A page with few or no rows may still have a `nextCursor`: if a label or reference is common and the other filters are rare, a page looks through a limited number of purges.
/// An org that the key does not reach has no purges here, like one that does not exist.
#[utoipa::path(
    get, path = "/purges", tag = "purges",
    params(PurgesPage),
    responses(
        (status = 200, description = "A page of purges.", body = Page<PurgeBody>),
    )
)]
pub(in crate::api) async fn list_purges(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Query(page): Query<PurgesPage>,
) -> Result<Json<Page<PurgeBody>>, Problem> {
    let limit = page::limit(page.limit)?;
    let filters = Filters {
        state: page.state,
        org: page.org.as_deref(),
        reference: page.reference.as_deref(),
        label: page.label.as_deref(),
    };
    let list = page::list("purges", &filters);
    let before = page::after(&list, page.cursor.as_deref())?;
    let Some((reach, wanted)) = wanted(&caller.reach, page)? else {
        return Ok(Json(Page { items: Vec::new(), next_cursor: None }));
    };
    let (purges, next) = state.store.list_purges(&reach, &wanted, before, limit).await?;
    let next_cursor = next.and_then(|next| page::cursor(&list, next));
    Ok(Json(Page { items: purges.into_iter().map(PurgeBody::from).collect(), next_cursor }))
}

/// What the store is asked for; `None` where nothing can be found.
fn wanted(reach: &Reach, page: PurgesPage) -> Result<Option<(Reach, Wanted)>, Problem> {
    let wrong = || Problem::invalid_query("label", "must look like key:value");
    let label = match &page.label {
        Some(label) => {
            let (key, value) = label.split_once(':').filter(|(key, _)| !key.is_empty()).ok_or_else(wrong)?;
            Some((key.to_owned(), value.to_owned()))
        }
        None => None,
    };
    // Postgres knows no text with a NUL, so nothing has such a name.
    let has_nul = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains('\0'));
    if [&page.org, &page.reference, &page.label].into_iter().any(has_nul) {
        return Ok(None);
    }
    let reach = page.org.map_or_else(|| reach.clone(), |org| reach.within(&org));
    Ok(Some((reach, Wanted { state: page.state, reference: page.reference, label })))
}
