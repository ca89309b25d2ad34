//! Calls of the contract that are not built yet: refused with 401, then 403, then 422, never ignored.

use axum::Router;
use axum::routing::{MethodFilter, on};

use super::auth::guard;
use super::problem::Problem;
use super::state::ApiState;
use crate::domain::keys::Scope;
use crate::store::Urgency;

const GET: MethodFilter = MethodFilter::GET;
const POST: MethodFilter = MethodFilter::POST;

/// Each call with the scope that it will need.
const CALLS: &[(MethodFilter, &str, Scope)] = &[
    (POST, "/purges/{id}/approve", Scope::PurgesApprove),
    (POST, "/purges/{id}/reject", Scope::PurgesApprove),
    (GET, "/purges/{id}/certificate", Scope::PurgesRead),
    (GET, "/erasures", Scope::PurgesRead),
    (GET, "/audit", Scope::Admin),
    (GET, "/audit/verify", Scope::Admin),
];

/// Routes for all of them.
pub(super) fn router(state: &ApiState) -> Router<ApiState> {
    CALLS.iter().fold(Router::new(), |router, (method, path, scope)| {
        let call = Router::new().route(path, on(*method, refuse));
        // It asks nothing of the database but who calls.
        router.merge(guard(call, state, *scope, Urgency::Ordinary, false))
    })
}

async fn refuse() -> Problem {
    Problem::not_supported_yet("this endpoint")
}
