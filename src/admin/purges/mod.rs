//! Purges: lists, one of them, what is done to it, and new ones.

pub(super) mod act;
pub(super) mod conversations;
pub(super) mod list;
pub(super) mod new;
pub(super) mod show;
pub(super) mod submit;

use axum::extract::State;
use axum::http::header::CONTENT_DISPOSITION;
use axum::http::{HeaderValue, Version};
use axum::response::Response;
use uuid::Uuid;

use super::Desk;
use super::gate::Visitor;
use super::place::At;
use crate::api::{KeyId, Problem, whole};
use crate::domain::keys::Scope;
use crate::store::purges::load::Purge;

/// The purge of a page, within the reach of who looks.
async fn read(desk: &Desk, visitor: &Visitor, id: Uuid) -> Result<Purge, Problem> {
    visitor.must(Scope::PurgesRead)?;
    let purge = desk.api.store.purge(&visitor.caller.reach, id).await?;
    purge.ok_or_else(|| Problem::not_found("purge"))
}

/// How people call it.
fn name(purge: &Purge) -> String {
    purge.reference.clone().unwrap_or_else(|| purge.id.to_string())
}

/// Its report, as a file.
pub(super) async fn report(
    State(desk): State<Desk>,
    visitor: Visitor,
    At(id): At<Uuid>,
    version: Version,
) -> Result<Response, Problem> {
    visitor.must(Scope::PurgesRead)?;
    let mut response = whole(&desk.api, &visitor.caller.reach, KeyId(visitor.key_id), id, version).await?;
    let name = HeaderValue::from_str(&format!("attachment; filename=\"purge-{id}.csv\""));
    response.headers_mut().insert(CONTENT_DISPOSITION, name.map_err(|_| Problem::internal())?);
    Ok(response)
}
