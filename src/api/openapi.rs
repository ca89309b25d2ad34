//! The OpenAPI document: made from the code, served, and committed as openapi.yaml.

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;

use super::problem::Problem;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "genesys-purge",
        description = "Permanently deletes Genesys Cloud conversation archives for other systems, and proves what it did. \
                       Errors are problem documents (RFC 9457) with a stable `code`."
    ),
    components(schemas(Problem)),
    modifiers(&BearerKey),
    security(("key" = []))
)]
struct Document;

struct BearerKey;

impl Modify for BearerKey {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API key, made by `genesys-purge keys create`."))
            .build();
        if let Some(components) = document.components.as_mut() {
            components.add_security_scheme("key", SecurityScheme::Http(scheme));
        }
    }
}

fn document() -> Result<utoipa::openapi::OpenApi, String> {
    let router = OpenApiRouter::<super::ApiState>::with_openapi(Document::openapi())
        .merge(super::uploading())
        .merge(super::patient())
        .merge(super::reading())
        .merge(super::holding())
        .merge(super::steering())
        .merge(super::braking())
        .merge(super::health())
        .merge(super::measuring())
        .merge(super::open());
    let mut document = router.into_openapi();
    super::general::tell(&mut document);
    super::examples::add(&mut document).map_err(|error| error.to_string())?;
    Ok(document)
}

/// The document as YAML, as it is committed.
pub fn document_yaml() -> Result<String, String> {
    document()?.to_yaml().map_err(|error| error.to_string())
}

/// The document as JSON.
pub fn document_json() -> Result<String, String> {
    document()?.to_pretty_json().map_err(|error| error.to_string())
}

/// This document as JSON.
#[utoipa::path(
    get, path = "/openapi.json", tag = "operations", security(()),
    responses((status = 200, description = "It.", body = serde_json::Value))
)]
pub(super) async fn json() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], document_json())
}

/// This document as YAML.
#[utoipa::path(
    get, path = "/openapi.yaml", tag = "operations", security(()),
    responses((status = 200, description = "It.", body = serde_json::Value, content_type = "application/yaml"))
)]
pub(super) async fn yaml() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/yaml")], document_yaml())
}
