//! The HTTP API: one folder per resource, one file per operation. A handler extracts, checks, calls the store once,
//! and answers.
//!
//! Invariant: api never calls Genesys and holds no SQL; it refuses what is not built yet, and never ignores a
//! parameter.

mod auth;
mod broken;
mod checks;
mod compress;
mod conversations;
mod deliveries;
mod docs_page;
mod done;
mod endpoints;
mod etag;
mod events;
mod examples;
mod extract;
mod followed;
mod general;
mod head;
mod health;
mod holds;
mod incoming;
mod jobs;
mod key_id;
mod live;
mod meanings;
mod measure;
mod metrics;
mod negotiate;
mod openapi;
mod orgs;
mod page;
mod patience;
mod plain;
mod prepared;
mod problem;
mod purges;
mod quotas;
mod request_id;
mod room;
mod routes;
mod sent_ids;
mod serve;
mod state;
mod stream;
mod tempo;
mod terms;
mod told;
mod trace_context;
mod unbuilt;
mod why;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(crate) use auth::admit;
pub(crate) use deliveries::redeliver::again;
pub use endpoints::body::Signing;
pub(crate) use endpoints::create::{NewEndpointBody, register};
pub(crate) use endpoints::test::{TestBody, pinged};
pub use followed::Followed;
pub(crate) use holds::create::{Wish, protect};
pub(crate) use holds::release::released;
pub(crate) use key_id::KeyId;
pub use live::Live;
pub use metrics::desk::MetricsDesk;
pub(crate) use orgs::steer::{resume, stop};
pub(crate) use prepared::Prepared;
pub(crate) use problem::Problem;
pub(crate) use purges::body::pace;
pub(crate) use purges::create::submit;
pub(crate) use purges::report::whole;
pub(crate) use purges::steer::steered;
pub(crate) use purges::table::all;
pub use quotas::Quotas;
pub(crate) use request_id::RequestId;
pub use room::Room;
pub use routes::{Pages, document_json, document_yaml};
pub use state::{ApiState, Calls, Hooks};
pub use terms::{ConnectionTerms, IntakeTerms, QuotaTerms};

/// Serves the API until the stop; running requests may then finish.
pub async fn serve(listener: TcpListener, state: ApiState, pages: Pages, stop: CancellationToken) {
    let terms = state.connections;
    serve::serve(listener, routes::router(state, pages), terms, stop).await;
}
