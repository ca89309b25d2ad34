//! The document of the API: its head, and the calls that serve it.

use axum::Extension;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::problem::Problem;

/// The name of the one way to say who calls.
pub(super) const KEY: &str = "key";

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
            components.add_security_scheme(KEY, SecurityScheme::Http(scheme));
        }
    }
}

/// The document without any call.
pub(super) fn head() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// Who knows all calls writes the document when it is asked for.
#[derive(Clone, Copy)]
pub(super) struct Writer {
    pub(super) json: fn() -> Result<String, String>,
    pub(super) yaml: fn() -> Result<String, String>,
}

/// This document as JSON.
#[utoipa::path(
    get, path = "/openapi.json", tag = "operations",
    responses((status = 200, description = "It.", body = serde_json::Value))
)]
pub(super) async fn json(Extension(writer): Extension<Writer>) -> Result<impl IntoResponse, Problem> {
    Ok(([(CONTENT_TYPE, "application/json")], written((writer.json)())?))
}

/// This document as YAML.
#[utoipa::path(
    get, path = "/openapi.yaml", tag = "operations",
    responses((status = 200, description = "It.", body = serde_json::Value, content_type = "application/yaml"))
)]
pub(super) async fn yaml(Extension(writer): Extension<Writer>) -> Result<impl IntoResponse, Problem> {
    Ok(([(CONTENT_TYPE, "application/yaml")], written((writer.yaml)())?))
}

fn written(document: Result<String, String>) -> Result<String, Problem> {
    document.map_err(|error| {
        tracing::error!(error, "the document of the API can't be written");
        let detail = "this is an error of the service; the request id finds it in the logs";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    })
}
