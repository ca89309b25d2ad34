//! Webhooks: the endpoints, and what was sent to them.

pub(super) mod act;
pub(super) mod create;
pub(super) mod deliveries;
pub(super) mod delivery;
pub(super) mod endpoint;
pub(super) mod list;

use uuid::Uuid;

use super::Desk;
use super::gate::Visitor;
use crate::api::Problem;
use crate::domain::keys::Scope;
use crate::store::endpoints::Endpoint;

/// The endpoint of a page, within the reach of who looks.
async fn read(desk: &Desk, visitor: &Visitor, id: Uuid) -> Result<Endpoint, Problem> {
    visitor.must(Scope::WebhooksWrite)?;
    let endpoint = desk.api.store.endpoint(&visitor.caller.reach, id).await?;
    endpoint.ok_or_else(|| Problem::not_found("endpoint"))
}
