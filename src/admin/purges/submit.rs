//! The purge of what a dry run has found: its ids come from there, so that exactly what was looked at is deleted.

use axum::body::Body;
use axum::extract::{FromRequest as _, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::try_unfold;
use maud::html;
use uuid::Uuid;

use super::new::accepted;
use super::{name, read};
use crate::admin::Desk;
use crate::admin::form::{Checked, Nothing};
use crate::admin::gate::Visitor;
use crate::admin::layout::{self, Page};
use crate::admin::outcomes;
use crate::admin::parts::{counted, path, question};
use crate::admin::place::At;
use crate::api::Problem;
use crate::domain::keys::{Reach, Scope};
use crate::domain::outcome::Outcome;
use crate::store::purges::load::Purge;
use crate::store::{Store, StoreError};

pub(in crate::admin) async fn ask(
    State(desk): State<Desk>,
    visitor: Visitor,
    At(id): At<Uuid>,
) -> Result<Page, Problem> {
    visitor.must(Scope::PurgesWrite)?;
    let purge = dry_run(&desk, &visitor, id).await?;
    let many = counted(purge.counts.would_purge, "conversation", "conversations");
    let what = html! {
        p {
            "This permanently deletes " strong { (many) } " of org " strong { (purge.org) } ". It can't be undone. "
            "Each is checked again first: what a hold or a retention period protects by then is not deleted."
        }
        (outcomes::bar(&purge.counts, None))
    };
    let body = question(&visitor, &what, &format!("Delete {many}"), true, &format!("/admin/purges/{id}"));
    Ok(layout::page(Some(&visitor), &format!("Submit “{}”?", name(&purge)), &body))
}

pub(in crate::admin) async fn submit(
    State(desk): State<Desk>,
    visitor: Visitor,
    At(id): At<Uuid>,
    request: Request,
) -> Result<Response, Problem> {
    visitor.must(Scope::PurgesWrite)?;
    let Checked(Nothing {}) = Checked::from_request(request, &()).await?;
    let purge = dry_run(&desk, &visitor, id).await?;
    let expected = purge.counts.would_purge.to_string();
    let labels = purge.labels.as_object().into_iter().flatten();
    let labels: Vec<String> =
        labels.map(|(key, value)| format!("{key}:{}", value.as_str().unwrap_or_default())).collect();
    let mut query = vec![
        ("org", purge.org.as_str()),
        ("expectedCount", &expected),
        ("reference", purge.reference.as_deref().unwrap_or_default()),
        ("reason", purge.reason.as_deref().unwrap_or_default()),
    ];
    query.extend(labels.iter().map(|label| ("label", label.as_str())));
    let ids = ids(desk.api.store.clone(), visitor.caller.reach.clone(), id);
    accepted(&desk, &visitor, &path("/purges", &query), &format!("from-{id}"), ids).await
}

/// A dry run that has ended and found something.
async fn dry_run(desk: &Desk, visitor: &Visitor, id: Uuid) -> Result<Purge, Problem> {
    let purge = read(desk, visitor, id).await?;
    if purge.is_dry_run && purge.state.is_final() && purge.counts.would_purge > 0 {
        return Ok(purge);
    }
    let detail = "only a dry run that has ended and found something to delete can be submitted";
    Err(Problem::new(StatusCode::CONFLICT, "wrong_state", detail))
}

/// What would have been purged, a line each, read as it is taken.
fn ids(store: Store, reach: Reach, purge: Uuid) -> Body {
    let reading = (store, reach, Some(0));
    Body::from_stream(try_unfold(reading, move |(store, reach, next)| async move {
        let Some(next) = next else { return Ok::<_, StoreError>(None) };
        let scanned = store.scan_conversations(&reach, purge, Some(Outcome::WouldPurge), next).await?;
        let lines = scanned
            .rows
            .iter()
            .fold(String::new(), |lines, row| lines + &row.conversation_id.to_string() + "\n");
        Ok(Some((Bytes::from(lines), (store, reach, scanned.next))))
    }))
}
