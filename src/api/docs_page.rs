//! `/docs`: the document of the API as a page to read and to try, from assets that are built into the binary.
//!
//! The page loads nothing from other sites, and its content security policy forbids it: readers may be offline, and
//! operators should not have to trust another site.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use utoipa_swagger_ui::Config;

use super::extract::PathText;
use super::prepared::Prepared;
use super::problem::{self, Problem};
use super::state::ApiState;

/// The page writes styles into its elements, and draws small pictures that it has as `data:`.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                      img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// The assets that were requested so far; their names are those of files, so they are few.
static ASSETS: LazyLock<Mutex<BTreeMap<String, Prepared>>> = LazyLock::new(Mutex::default);

/// Page and assets; not part of the document that they show.
pub(super) fn router() -> Router<ApiState> {
    Router::new()
        .route("/docs", get(async || Redirect::to("/docs/")))
        .route("/docs/", get(async |headers: HeaderMap| asset("index.html", &headers).await))
        .route(
            "/docs/{*asset}",
            get(async |PathText(path): PathText, headers: HeaderMap| asset(&path, &headers).await),
        )
}

async fn asset(path: &str, asked: &HeaderMap) -> Response {
    let known = assets().get(path).cloned();
    let prepared = match known {
        Some(prepared) => Ok(Some(prepared)),
        None => prepare(path).await,
    };
    let answer = match prepared {
        Ok(Some(prepared)) => prepared.answer(asked),
        Ok(None) => return problem::no_such_path().await.into_response(),
        Err(error) => {
            tracing::error!(error, path, "an asset can't be shown");
            return Problem::internal().into_response();
        }
    };
    let headers = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        // They change only with the version of the service, but their names do not contain it.
        (CACHE_CONTROL, "public, max-age=3600"),
    ];
    (headers, answer).into_response()
}

/// The asset of this name, if there is one.
async fn prepare(path: &str) -> Result<Option<Prepared>, String> {
    // Else the page would ask a service of its makers whether the document is valid.
    let config = Config::from("/openapi.json").validator_url("none").deep_linking(true);
    let file = utoipa_swagger_ui::serve(path, Arc::new(config)).map_err(|error| error.to_string())?;
    let Some(file) = file else { return Ok(None) };
    let media_type = HeaderValue::from_str(&file.content_type).map_err(|error| error.to_string())?;
    let bytes = file.bytes.into_owned().into();
    let prepared = Prepared::new(media_type, bytes).await.map_err(|error| error.to_string())?;
    assets().insert(path.to_owned(), prepared.clone());
    Ok(Some(prepared))
}

fn assets() -> MutexGuard<'static, BTreeMap<String, Prepared>> {
    ASSETS.lock().unwrap_or_else(PoisonError::into_inner)
}
