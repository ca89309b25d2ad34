//! The document of the API: its head, and the calls that serve it.

use std::sync::Arc;

use axum::Extension;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use tokio::sync::OnceCell;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::prepared::Prepared;
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

/// The document in both of its forms.
#[derive(Clone)]
pub(super) struct Documents {
    json: Written,
    yaml: Written,
}

/// One form: written by who knows all calls, when somebody first asks for it.
#[derive(Clone)]
struct Written {
    media_type: &'static str,
    write: fn() -> Result<String, String>,
    once: Arc<OnceCell<Prepared>>,
}

impl Documents {
    pub(super) fn new(json: fn() -> Result<String, String>, yaml: fn() -> Result<String, String>) -> Self {
        let written = |media_type, write| Written { media_type, write, once: Arc::default() };
        Self { json: written("application/json", json), yaml: written("application/yaml", yaml) }
    }
}

/// This document as JSON.
#[utoipa::path(
    get, path = "/openapi.json", tag = "operations",
    responses((status = 200, description = "It.", body = serde_json::Value))
)]
pub(super) async fn json(
    Extension(documents): Extension<Documents>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    documents.json.answer(&headers).await
}

/// This document as YAML.
#[utoipa::path(
    get, path = "/openapi.yaml", tag = "operations",
    responses((status = 200, description = "It.", body = serde_json::Value, content_type = "application/yaml"))
)]
pub(super) async fn yaml(
    Extension(documents): Extension<Documents>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    documents.yaml.answer(&headers).await
}

impl Written {
    async fn answer(&self, asked: &HeaderMap) -> Result<Response, Problem> {
        let prepare = async || {
            let text = (self.write)()?;
            let media_type = HeaderValue::from_static(self.media_type);
            Prepared::new(media_type, text.into()).await.map_err(|error| error.to_string())
        };
        let prepared = self.once.get_or_try_init(prepare).await.map_err(|error: String| {
            tracing::error!(error, "the document of the API can't be written");
            Problem::internal()
        })?;
        Ok(prepared.answer(asked))
    }
}
