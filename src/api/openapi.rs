//! The OpenAPI document: its head, and the calls that serve it.

use std::sync::Arc;

use axum::Extension;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use tokio::sync::OnceCell;
use utoipa::openapi::schema::ArrayItems;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{Ref, RefOr, Schema, Server};
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

/// Groups of calls, with what each is about.
const TAGS: &[(&str, &str)] = &[
    ("purges", "Request deletions, watch them, control them."),
    ("jobs", "The batches that Genesys deletes."),
    ("conversations", "What this service did with one conversation."),
    ("holds", "Legal holds: what they protect is not deleted."),
    ("orgs", "Genesys Cloud organizations: limits, blocks, stop and resume."),
    ("webhooks", "Endpoints and their deliveries."),
    ("events", "Everything that happened, in order."),
    ("operations", "Health, metrics, this document."),
];

/// Calls whose handler's name says too little by itself.
const NAMES: &[(&str, &str)] = &[
    ("conversation", "getConversation"),
    ("conversations", "listPurgeConversations"),
    ("events", "listPurgeEvents"),
    ("job", "getJob"),
    ("jobs", "listPurgeJobs"),
    ("json", "getOpenapiJson"),
    ("live", "getLiveness"),
    ("metrics", "getMetrics"),
    ("ready", "getReadiness"),
    ("redeliver", "redeliverWebhook"),
    ("redeliver_dead", "redeliverDeadWebhooks"),
    ("report", "getPurgeReport"),
    ("yaml", "getOpenapiYaml"),
];

/// For client generators: described tags, a server, operation ids like `createPurge`, a name for each type.
pub(super) fn finish(document: &mut utoipa::openapi::OpenApi) {
    // Without a licence in Cargo.toml there is one without a name.
    document.info.license = None;
    name_items(document);
    document.servers = Some(vec![Server::new("/")]);
    let tag = |(name, about): &(&str, &str)| TagBuilder::new().name(*name).description(Some(*about)).build();
    document.tags = Some(TAGS.iter().map(tag).collect());
    let items = document.paths.paths.values_mut();
    let webhooks = document.webhooks.iter_mut().flat_map(|webhooks| webhooks.paths.values_mut());
    for item in items.chain(webhooks) {
        let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            operation.operation_id = operation.operation_id.as_deref().map(name_of_call);
        }
    }
}

/// The rows of a page refer to their schema by name: a generator would create a second type for an inline one.
fn name_items(document: &mut utoipa::openapi::OpenApi) {
    let Some(components) = document.components.as_mut() else { return };
    let named: Vec<String> = components.schemas.keys().cloned().collect();
    for (name, schema) in &mut components.schemas {
        let item = name.strip_prefix("Page_").filter(|item| named.iter().any(|name| name == item));
        let (Some(item), RefOr::T(Schema::Object(page))) = (item, schema) else { continue };
        if let Some(RefOr::T(Schema::Array(rows))) = page.properties.get_mut("items") {
            rows.items = ArrayItems::RefOrSchema(Box::new(Ref::from_schema_name(item).into()));
        }
    }
}

fn name_of_call(handler: &str) -> String {
    let named = NAMES.iter().find(|(name, _)| *name == handler);
    if let Some((_, name)) = named {
        return (*name).to_owned();
    }
    let mut words = handler.split('_');
    let mut whole = words.next().unwrap_or_default().to_owned();
    for word in words {
        let (first, rest) = word.split_at(word.ceil_char_boundary(1));
        whole.push_str(&first.to_uppercase());
        whole.push_str(rest);
    }
    whole
}

/// The document in both of its forms.
#[derive(Clone)]
pub(super) struct Documents {
    json: Written,
    yaml: Written,
}

/// One format of the document, created when it is first requested.
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
    responses((status = 200, description = "This document.", body = serde_json::Value))
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
    responses((status = 200, description = "This document.", body = serde_json::Value, content_type = "application/yaml"))
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
            tracing::error!(error, "the OpenAPI document can't be written");
            Problem::internal()
        })?;
        Ok(prepared.answer(asked))
    }
}
