//! Whether this process lives, and whether it can do its work.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::ApiState;
use super::problem::Problem;

/// Lives.
pub(super) async fn live() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// The database can be reached and has the schema that this binary brings.
pub(super) async fn ready(State(state): State<ApiState>) -> Result<Json<Value>, Problem> {
    match state.store.check_ready().await {
        Ok(()) => Ok(Json(json!({ "status": "ok" }))),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            let detail = match error {
                crate::store::StoreError::Schema { .. } => error.to_string(),
                _ => "the database can't be reached".to_owned(),
            };
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", detail))
        }
    }
}
