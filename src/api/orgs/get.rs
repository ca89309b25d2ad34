//! `GET /orgs/{org}`.

use axum::Json;
use axum::extract::State;

use super::body::OrgBody;
use super::{known, read};
use crate::api::auth::Authorized;
use crate::api::extract::{NoQuery, PathText};
use crate::api::problem::Problem;
use crate::api::state::ApiState;
use crate::store::Urgency;

/// Read an org.
#[utoipa::path(
    get, path = "/orgs/{org}", tag = "orgs",
    params(("org" = String, Path, description = "Its name in the settings.", example = "default")),
    responses(
        (status = 200, description = "The org.", body = OrgBody),
        (status = 404, description = "`not_found`"),
    )
)]
pub(in crate::api) async fn get_org(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    PathText(name): PathText,
    _: NoQuery,
) -> Result<Json<OrgBody>, Problem> {
    let terms = known(&state, &caller.reach, &name)?;
    read(&state, &caller.reach, terms, Urgency::Ordinary).await.map(Json)
}
