//! Style and script, built into the binary.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::OnceCell;

use crate::api::{Prepared, Problem};

struct Asset {
    name: &'static str,
    media_type: &'static str,
    bytes: &'static [u8],
    prepared: OnceCell<Prepared>,
}

static ASSETS: LazyLock<[Asset; 4]> = LazyLock::new(|| {
    let asset = |name, media_type, bytes| Asset { name, media_type, bytes, prepared: OnceCell::new() };
    [
        asset("admin.css", "text/css; charset=utf-8", include_bytes!("assets/admin.css")),
        asset("htmx.min.js", "text/javascript; charset=utf-8", include_bytes!("assets/htmx.min.js")),
        asset("htmx.LICENSE", "text/plain; charset=utf-8", include_bytes!("assets/htmx.LICENSE")),
        asset("icon.svg", "image/svg+xml", include_bytes!("assets/icon.svg")),
    ]
});

pub(super) async fn asset(Path(name): Path<String>, asked: HeaderMap) -> Result<Response, Problem> {
    let asset = ASSETS.iter().find(|asset| asset.name == name).ok_or_else(|| Problem::not_found("file"))?;
    let prepared = asset
        .prepared
        .get_or_try_init(|| Prepared::new(HeaderValue::from_static(asset.media_type), asset.bytes.into()))
        .await
        .map_err(|error| {
            tracing::error!(%error, name, "an asset can't be shown");
            Problem::internal()
        })?;
    Ok(([(CACHE_CONTROL, "public, max-age=3600")], prepared.answer(&asked)).into_response())
}
