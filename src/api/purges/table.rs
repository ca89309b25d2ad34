//! Purges as CSV: all that match, streamed in constant memory, however many they are.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Version, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::{Stream, try_unfold};

use super::report::{CutOff, check_version};
use crate::api::key_id::KeyId;
use crate::api::problem::Problem;
use crate::api::state::ApiState;
use crate::domain::keys::Reach;
use crate::evidence::purges::{CSV_HEAD, Row};
use crate::store::Store;
use crate::store::purges::list::{Place, Wanted};
use crate::store::purges::load::Purge;
use crate::store::purges::steer::NOT_FOUND_SHARE;

/// How many purges are read at once.
const AT_ONCE: usize = 500;

/// All matching purges within the reach; only the header if nothing can match.
pub(crate) fn all(
    state: &ApiState,
    key: KeyId,
    wanted: Option<(Reach, Wanted)>,
    version: Version,
) -> Result<Response, Problem> {
    check_version(version)?;
    let reading = Reading {
        store: state.store.clone(),
        key,
        next: wanted.map(|(reach, wanted)| (reach, wanted, None)),
        head: CSV_HEAD,
        patience: state.request_timeout,
    };
    let headers = [(header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present")];
    Ok((headers, Body::from_stream(chunks(reading))).into_response())
}

/// Where a list is.
struct Reading {
    store: Store,
    /// The key that asks: each piece is for one in force.
    key: KeyId,
    /// What is read next; `None` at the end.
    next: Option<(Reach, Wanted, Option<Place>)>,
    /// What stands before the first row.
    head: &'static str,
    /// No piece may take longer to read.
    patience: Duration,
}

/// The list in pieces, each read when it is asked for.
fn chunks(reading: Reading) -> impl Stream<Item = Result<Bytes, CutOff>> + Send {
    try_unfold(reading, |mut reading| async {
        let chunk = reading.chunk().await.inspect_err(|error| match error {
            CutOff::Revoked => tracing::info!(%error, "a list of purges is cut off"),
            CutOff::Store(_) | CutOff::Row(_) | CutOff::TooSlow => {
                tracing::error!(%error, "a list of purges is cut off");
            }
        })?;
        Ok(chunk.map(|chunk| (chunk, reading)))
    })
}

impl Reading {
    /// The next piece that has something in it.
    async fn chunk(&mut self) -> Result<Option<Bytes>, CutOff> {
        let mut chunk = Vec::from(std::mem::take(&mut self.head));
        while let Some((reach, wanted, after)) = self.next.take() {
            let read = self.read(&reach, &wanted, after);
            let (purges, next) =
                tokio::time::timeout(self.patience, read).await.map_err(|_| CutOff::TooSlow)??;
            self.next = next.map(|next| (reach, wanted, Some(next)));
            for purge in &purges {
                append(purge, &mut chunk)?;
            }
            if !chunk.is_empty() {
                return Ok(Some(chunk.into()));
            }
        }
        Ok((!chunk.is_empty()).then(|| chunk.into()))
    }

    async fn read(
        &self,
        reach: &Reach,
        wanted: &Wanted,
        after: Option<Place>,
    ) -> Result<(Vec<Purge>, Option<Place>), CutOff> {
        if !self.store.is_key_in_force(self.key.0).await? {
            return Err(CutOff::Revoked);
        }
        Ok(self.store.list_purges(reach, wanted, after, AT_ONCE).await?)
    }
}

fn append(purge: &Purge, list: &mut Vec<u8>) -> Result<(), CutOff> {
    let has_labels = purge.labels.as_object().is_some_and(|labels| !labels.is_empty());
    let labels = has_labels.then(|| serde_json::to_string(&purge.labels)).transpose()?;
    let last_act = purge.acts.first();
    let row = Row {
        id: purge.id,
        state: purge.state,
        run: purge.run,
        org: &purge.org,
        is_dry_run: purge.is_dry_run,
        reason: purge.reason.as_deref(),
        reference: purge.reference.as_deref(),
        labels: labels.as_deref(),
        requested_by: &purge.requested_by,
        created_at: purge.created_at,
        started_at: purge.started_at,
        finished_at: purge.finished_at,
        blocked_code: purge.blocked.as_ref().map(|(code, _)| code.as_str()),
        paused_code: purge.paused_for.as_ref().map(|_| NOT_FOUND_SHARE),
        last_act: last_act.map(|done| (done.act.as_str(), done.by.as_str(), done.reason.as_deref(), done.at)),
        counts: &purge.counts,
    };
    row.append(list);
    Ok(())
}
