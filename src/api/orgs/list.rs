//! `GET /orgs`: those that are configured and that the key reaches, by name.

use axum::Json;
use axum::extract::State;

use super::body::OrgBody;
use crate::api::auth::Authorized;
use crate::api::extract::Query;
use crate::api::page::{self, Page, WhichPage};
use crate::api::problem::Problem;
use crate::api::state::ApiState;
use crate::domain::terms::OrgTerms;
use crate::store::Urgency;

/// List the orgs, by name.
#[utoipa::path(
    get, path = "/orgs", tag = "orgs",
    params(WhichPage),
    responses(
        (status = 200, description = "A page of orgs.", body = Page<OrgBody>),
    )
)]
pub(in crate::api) async fn list_orgs(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Query(wanted): Query<WhichPage>,
) -> Result<Json<Page<OrgBody>>, Problem> {
    let limit = page::limit(wanted.limit);
    let after: Option<String> = page::after("orgs", wanted.cursor.as_deref())?;
    let is_after = |name: &str| after.as_deref().is_none_or(|after| name > after);
    let mut reached: Vec<&OrgTerms> =
        state.orgs.iter().filter(|org| caller.reach.covers(&org.name) && is_after(&org.name)).collect();
    let next_cursor = page::cut("orgs", &mut reached, limit, |org| org.name.clone());
    let names: Vec<String> = reached.iter().map(|org| org.name.clone()).collect();
    let rows = state.store.orgs(&caller.reach, &names, Urgency::Ordinary).await?;
    let items = rows.into_iter().filter_map(|row| {
        let terms = reached.iter().find(|terms| terms.name == row.name)?;
        Some(OrgBody::new(terms, row))
    });
    Ok(Json(Page { items: items.collect(), next_cursor }))
}
