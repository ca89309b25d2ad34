//! `GET /purges`: newest first, of the orgs that the key reaches; a page of them, or all as CSV.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Version, header};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::body::PurgeBody;
use super::table;
use crate::api::auth::Authorized;
use crate::api::extract::{Query, time};
use crate::api::key_id::KeyId;
use crate::api::negotiate;
use crate::api::page::{self, Page};
use crate::api::problem::Problem;
use crate::api::state::ApiState;
use crate::domain::keys::Reach;
use crate::domain::state::PurgeState;
use crate::store::purges::list::Wanted;

/// Which purges, and which page of them. All filters must be met.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(rename_all = "camelCase")]
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
    /// Only those that the key of this name asked for.
    requested_by: Option<String>,
    /// Only those that were accepted then or later.
    #[serde(default, deserialize_with = "time")]
    created_after: Option<Timestamp>,
    /// Only those that were accepted before.
    #[serde(default, deserialize_with = "time")]
    created_before: Option<Timestamp>,
    /// Only those that ended then or later; the list begins with the one that ended last.
    #[serde(default, deserialize_with = "time")]
    finished_after: Option<Timestamp>,
    /// Rows per page, 1 to 1000.
    #[serde(default, deserialize_with = "page::limit_of")]
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
    #[serde(skip_serializing_if = "Option::is_none")]
    requested_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_after: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_before: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_after: Option<Timestamp>,
}

/// List purges, newest first.
///
/// They are in the order in which they arrived. A large one appears when all of it is accepted, which may be minutes
/// later, so look back that far for new ones. Pages neither skip nor repeat a purge. A page with few or no rows may still have a `nextCursor`: if a label or reference is common and the other filters are rare, a page looks through a limited number of purges.
/// An org that the key does not reach has no purges here, like one that does not exist.
/// With `finishedAfter` they are in the order in which they ended, and one that ends or is retried meanwhile changes its place.
///
/// **CSV**: with `Accept: text/csv` all of them are streamed, one row per purge, without `limit` and `cursor`; a list
/// that could not be read to its end is cut off. `labels` is JSON; the counts have columns of their names; `lastAct`
/// is its latest act (`acts`). Texts that callers chose are guarded against being taken for formulas, as in `GET
/// /purges/{id}/report`.
#[utoipa::path(
    get, path = "/purges", tag = "purges",
    params(PurgesPage),
    responses(
        (status = 200, description = "A page of purges, or all of them.", content(
            (Page<PurgeBody> = "application/json"),
            (String = "text/csv", example = "id,state,run,org,dryRun,reason,reference,labels,requestedBy,createdAt,startedAt,finishedAt,blockedCode,pausedCode,lastAct,lastActBy,lastActReason,lastActAt,total,duplicates,pending,eligible,submitted,purged,already_purged,on_hold,retained,not_found,active,failed,canceled,would_purge\r\n0198c4a6-71f1-7a7b-9d8f-3f8f1f6f2b11,completed,1,default,false,GDPR request,R-17,,billing,2026-11-25T12:00:00Z,2026-11-25T12:00:01Z,2026-11-25T12:00:09Z,,,,,,,2,0,0,0,0,2,0,0,0,0,0,0,0,0\r\n"),
        )),
        (status = 406, description = "`not_acceptable`: neither application/json nor text/csv"),
        (status = 505, description = "`http_version`: HTTP/1.0 can't tell a whole CSV from one that broke off"),
    )
)]
pub(in crate::api) async fn list_purges(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    key: KeyId,
    version: Version,
    headers: HeaderMap,
    Query(page): Query<PurgesPage>,
) -> Result<Response, Problem> {
    let wants_csv = negotiate::best(&headers, negotiate::PURGES) == Some("text/csv");
    let vary = [(header::VARY, "Accept")];
    if wants_csv {
        let paged = page.limit.map(|_| "limit").or(page.cursor.as_ref().map(|_| "cursor"));
        if let Some(name) = paged {
            return Err(Problem::invalid_query(name, "is of pages; CSV has all purges"));
        }
        let wanted = wanted(&caller.reach, page)?;
        return Ok((vary, table::all(&state, key, wanted, version)?).into_response());
    }
    let limit = page::limit(page.limit);
    let filters = Filters {
        state: page.state,
        org: page.org.as_deref(),
        reference: page.reference.as_deref(),
        label: page.label.as_deref(),
        requested_by: page.requested_by.as_deref(),
        created_after: page.created_after,
        created_before: page.created_before,
        finished_after: page.finished_after,
    };
    let list = page::list("purges", &filters);
    let after = page::after(&list, page.cursor.as_deref())?;
    let page = match wanted(&caller.reach, page)? {
        None => Page { items: Vec::new(), next_cursor: None },
        Some((reach, wanted)) => {
            let (purges, next) = state.store.list_purges(&reach, &wanted, after, limit).await?;
            let next_cursor = next.and_then(|next| page::cursor(&list, next));
            Page { items: purges.into_iter().map(PurgeBody::from).collect(), next_cursor }
        }
    };
    Ok((vary, Json(page)).into_response())
}

/// The filter for the store; `None` if nothing can match.
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
    if [&page.org, &page.reference, &page.label, &page.requested_by].into_iter().any(has_nul) {
        return Ok(None);
    }
    let reach = page.org.map_or_else(|| reach.clone(), |org| reach.within(&org));
    let wanted = Wanted {
        state: page.state,
        reference: page.reference,
        label,
        requested_by: page.requested_by,
        created_after: page.created_after,
        created_before: page.created_before,
        finished_after: page.finished_after,
    };
    Ok(Some((reach, wanted)))
}
