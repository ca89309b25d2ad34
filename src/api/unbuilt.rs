//! Calls of the contract that this version can't do: refused with 401, then 403, then 422, never ignored.

use axum::Router;
use axum::routing::{MethodFilter, on};

use super::ApiState;
use super::auth::guard;
use super::problem::Problem;
use crate::domain::keys::Scope;

const GET: MethodFilter = MethodFilter::GET;
const POST: MethodFilter = MethodFilter::POST;

/// Each call with the scope that it will need.
const CALLS: &[(MethodFilter, &str, Scope)] = &[
    (GET, "/purges", Scope::PurgesRead),
    (POST, "/purges/{id}/cancel", Scope::PurgesWrite),
    (POST, "/purges/{id}/pause", Scope::PurgesWrite),
    (POST, "/purges/{id}/resume", Scope::PurgesWrite),
    (POST, "/purges/{id}/retry", Scope::PurgesWrite),
    (POST, "/purges/{id}/approve", Scope::PurgesApprove),
    (POST, "/purges/{id}/reject", Scope::PurgesApprove),
    (GET, "/purges/{id}/events", Scope::PurgesRead),
    (GET, "/purges/{id}/report", Scope::PurgesRead),
    (GET, "/purges/{id}/certificate", Scope::PurgesRead),
    (GET, "/jobs/{id}", Scope::PurgesRead),
    (GET, "/events", Scope::PurgesRead),
    (GET, "/erasures", Scope::PurgesRead),
    (GET, "/orgs", Scope::PurgesRead),
    (GET, "/orgs/{org}", Scope::PurgesRead),
    (POST, "/orgs/{org}/stop", Scope::Admin),
    (POST, "/orgs/{org}/resume", Scope::Admin),
    (GET, "/webhook-endpoints", Scope::WebhooksWrite),
    (POST, "/webhook-endpoints", Scope::WebhooksWrite),
    (GET, "/webhook-endpoints/{id}", Scope::WebhooksWrite),
    (MethodFilter::PATCH, "/webhook-endpoints/{id}", Scope::WebhooksWrite),
    (MethodFilter::PUT, "/webhook-endpoints/{id}", Scope::WebhooksWrite),
    (MethodFilter::DELETE, "/webhook-endpoints/{id}", Scope::WebhooksWrite),
    (POST, "/webhook-endpoints/{id}/test", Scope::WebhooksWrite),
    (POST, "/webhook-endpoints/{id}/rotate-secret", Scope::WebhooksWrite),
    (GET, "/webhook-deliveries", Scope::WebhooksWrite),
    (POST, "/webhook-deliveries/{id}/redeliver", Scope::WebhooksWrite),
    (GET, "/audit", Scope::Admin),
    (GET, "/audit/verify", Scope::Admin),
    (GET, "/admin", Scope::Admin),
];

/// Routes for all of them.
pub(super) fn router(state: &ApiState) -> Router<ApiState> {
    CALLS.iter().fold(Router::new(), |router, (method, path, scope)| {
        router.merge(guard(Router::new().route(path, on(*method, refuse)), state, *scope))
    })
}

async fn refuse() -> Problem {
    Problem::not_supported_yet("this call")
}
