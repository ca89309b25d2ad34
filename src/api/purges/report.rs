//! `GET /purges/{id}/report`: the outcome of each conversation, streamed in constant memory at any size.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Version, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::{Stream, try_unfold};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::read;
use crate::api::auth::Authorized;
use crate::api::extract::{PathId, Query};
use crate::api::key_id::KeyId;
use crate::api::negotiate;
use crate::api::problem::Problem;
use crate::api::state::ApiState;
use crate::domain::keys::Reach;
use crate::domain::outcome::Outcome;
use crate::evidence::report::{CSV_HEAD, Form, Row};
use crate::store::views::conversations::{ConversationRow, Scanned};
use crate::store::{Store, StoreError};

/// The formats of a report; the first is the default.
const FORMS: &[&str] = &["text/csv", "application/x-ndjson"];

/// Which rows.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Rows {
    /// Only conversations with this outcome.
    outcome: Option<Outcome>,
    /// Go on after this row: the `conversationId` of the last complete row that you have.
    #[param(example = "1b4e28ba-2fa1-4d2b-883f-0016d3cca427")]
    cursor: Option<String>,
}

/// Download the report of a purge.
///
/// One row per conversation, in the order of the request, with the fields of `GET /purges/{id}/conversations`. It is streamed, at any size and as fast as the client reads. The report of a purge that is not final has the outcome
/// that each conversation had when its row was written. It is cut off if the key is revoked in the meantime.
///
/// **CSV** (RFC 4180) has a head and lines that end with CR and LF. In `code`, `detail`, `jobId` and `matter`, which may carry words of
/// others, a first `=`, `+`, `-`, `@`, tab, CR or LF, and a `=`, `+`, `-` or `@` behind a `;`, tab or line break, has a single
/// quote put before it, so that no spreadsheet takes it for a formula; NDJSON has the words as they are. **NDJSON** has one object a line.
///
/// **Continuing after a broken connection.** A report that could not be completed is cut off: its connection breaks,
/// it never ends like a whole one. Drop the last line if its end is missing, and ask again with `cursor` = the
/// `conversationId` of the last row that you have, and the same `outcome` and `Accept`. The answer has exactly the
/// rows after it, and as CSV no head. With not even one whole row, ask again without `cursor`.
#[utoipa::path(
    get, path = "/purges/{id}/report", tag = "purges",
    params(("id" = uuid::Uuid, Path, description = "The purge."), Rows),
    responses(
        (status = 200, description = "The rows.", content(
            (String = "text/csv", example = "conversationId,outcome,code,detail,jobId,decidedAt,holdId,matter,holdCount\r\n1b4e28ba-2fa1-4d2b-883f-0016d3cca427,purged,gone,,7f3c,2026-11-25T12:00:00Z,,,\r\n"),
            (String = "application/x-ndjson", example = "{\"conversationId\":\"1b4e28ba-2fa1-4d2b-883f-0016d3cca427\",\"outcome\":\"purged\",\"code\":\"gone\",\"detail\":null,\"jobId\":\"7f3c\",\"decidedAt\":\"2026-11-25T12:00:00Z\",\"holdId\":null,\"matter\":null,\"holdCount\":null}\n"),
        )),
        (status = 400, description = "`invalid_query`; also a `cursor` that is not a conversation of this purge"),
        (status = 404, description = "`not_found`"),
        (status = 406, description = "`not_acceptable`: neither text/csv nor application/x-ndjson"),
        (status = 505, description = "`http_version`: HTTP/1.0 can't tell a whole report from one that broke off"),
    )
)]
pub(in crate::api) async fn report(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    key: KeyId,
    PathId(id): PathId,
    version: Version,
    headers: HeaderMap,
    Query(rows): Query<Rows>,
) -> Result<Response, Problem> {
    check_version(version)?;
    // After the first byte no refusal can be sent any more, so all checks come before.
    let form = match negotiate::best(&headers, FORMS) {
        Some("text/csv") => Form::Csv,
        Some(_) => Form::Ndjson,
        None => return Err(negotiate::not_acceptable(FORMS)),
    };
    let purge = read(&state, &caller.reach, id).await?;
    let next = match &rows.cursor {
        Some(cursor) => after(&state.store, &caller.reach, purge.id, cursor).await?,
        None => 0,
    };
    // A client that continues appends to its file, which has the header.
    let has_head = form == Form::Csv && rows.cursor.is_none();
    let media_type = match form {
        Form::Csv if has_head => "text/csv; charset=utf-8; header=present",
        Form::Csv => "text/csv; charset=utf-8; header=absent",
        Form::Ndjson => "application/x-ndjson",
    };
    let reading = Reading {
        store: state.store,
        key,
        reach: caller.reach,
        purge: purge.id,
        outcome: rows.outcome,
        form,
        head: if has_head { CSV_HEAD } else { "" },
        next: Some(next),
        patience: state.request_timeout,
    };
    let headers = [(header::CONTENT_TYPE, media_type), (header::VARY, "Accept")];
    Ok((headers, Body::from_stream(chunks(reading))).into_response())
}

/// The whole report as CSV.
pub(crate) async fn whole(
    state: &ApiState,
    reach: &Reach,
    key: KeyId,
    id: Uuid,
    version: Version,
) -> Result<Response, Problem> {
    check_version(version)?;
    let purge = read(state, reach, id).await?;
    let reading = Reading {
        store: state.store.clone(),
        key,
        reach: reach.clone(),
        purge: purge.id,
        outcome: None,
        form: Form::Csv,
        head: CSV_HEAD,
        next: Some(0),
        patience: state.request_timeout,
    };
    let headers = [(header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present")];
    Ok((headers, Body::from_stream(chunks(reading))).into_response())
}

/// Answers of HTTP/1.0 end with their connection: one that is cut off would look like a whole one.
pub(super) fn check_version(version: Version) -> Result<(), Problem> {
    if version >= Version::HTTP_11 {
        return Ok(());
    }
    let detail = "HTTP/1.0 can't tell a whole answer from one that broke off; ask with HTTP/1.1 or HTTP/2";
    Err(Problem::new(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "http_version", detail))
}

/// The ordinal after the row that the caller has.
async fn after(store: &Store, reach: &Reach, purge: Uuid, cursor: &str) -> Result<i32, Problem> {
    let wrong = || Problem::invalid_query("cursor", "is not the conversationId of a row of this report");
    let conversation = Uuid::try_parse(cursor).map_err(|_| wrong())?;
    let ordinal = store.ordinal_of(reach, purge, conversation).await?.ok_or_else(wrong)?;
    Ok(ordinal.saturating_add(1))
}

/// Where a report is.
struct Reading {
    store: Store,
    /// The key that asks: each piece is for one in force.
    key: KeyId,
    reach: Reach,
    purge: Uuid,
    outcome: Option<Outcome>,
    form: Form,
    /// What stands before the first row.
    head: &'static str,
    /// The ordinal to go on with; `None` at the end.
    next: Option<i32>,
    /// No piece may take longer to read.
    patience: Duration,
}

/// Why a report was cut off.
#[derive(Debug, thiserror::Error)]
pub(super) enum CutOff {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a row can't be written: {0}")]
    Row(#[from] serde_json::Error),
    #[error("the database took longer than server.request_timeout")]
    TooSlow,
    #[error("its key was revoked")]
    Revoked,
}

/// The report in pieces, each read on demand: a client that does not read holds no database connection.
fn chunks(reading: Reading) -> impl Stream<Item = Result<Bytes, CutOff>> + Send {
    try_unfold(reading, |mut reading| async {
        let chunk = reading.chunk().await.inspect_err(|error| match error {
            CutOff::Revoked => tracing::info!(purge = %reading.purge, %error, "a report was cut off"),
            CutOff::Store(_) | CutOff::Row(_) | CutOff::TooSlow => {
                tracing::error!(purge = %reading.purge, %error, "a report was cut off");
            }
        })?;
        Ok(chunk.map(|chunk| (chunk, reading)))
    })
}

impl Reading {
    /// The rows of the next few slices, for a key that is still in force.
    async fn scan(&self, next: i32) -> Result<Scanned, CutOff> {
        if !self.store.is_key_in_force(self.key.0).await? {
            return Err(CutOff::Revoked);
        }
        Ok(self.store.scan_conversations(&self.reach, self.purge, self.outcome, next).await?)
    }

    /// The next piece that has something in it.
    async fn chunk(&mut self) -> Result<Option<Bytes>, CutOff> {
        let mut chunk = Vec::from(std::mem::take(&mut self.head));
        while let Some(next) = self.next {
            let scan = self.scan(next);
            let scanned = tokio::time::timeout(self.patience, scan).await.map_err(|_| CutOff::TooSlow)??;
            self.next = scanned.next;
            for row in &scanned.rows {
                of(row).append(self.form, &mut chunk)?;
            }
            if !chunk.is_empty() {
                return Ok(Some(chunk.into()));
            }
        }
        Ok((!chunk.is_empty()).then(|| chunk.into()))
    }
}

fn of(row: &ConversationRow) -> Row<'_> {
    let decided = row.decided.as_deref();
    let protection = row.protection.as_ref();
    Row {
        conversation_id: row.conversation_id,
        outcome: row.outcome,
        code: decided.and_then(|decided| decided.code.as_deref()),
        detail: decided.and_then(|decided| decided.detail.as_deref()),
        job_id: row.upstream_job_id.as_deref(),
        decided_at: decided.map(|decided| decided.at),
        hold_id: protection.map(|protection| protection.hold),
        matter: protection.map(|protection| protection.matter.as_str()),
        hold_count: protection.map(|protection| protection.holds),
    }
}
