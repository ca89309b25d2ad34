//! The admin page: HTML that is rendered here, for people who sign in with an API key. A file a page.
//!
//! A page reads from the store what it shows, within the reach of the key; an act is the function that the API's own handler
//! calls, so that both check the same. Every page works without scripts: forms post and lead on. With scripts, what is under
//! way is fetched anew every few seconds.
//!
//! Invariant: admin holds no SQL, never asks Genesys, and changes nothing but by a form that carries its session's token.

mod assets;
mod conversation;
mod failure;
mod form;
mod gate;
mod holds;
mod invitations;
mod keys;
mod layout;
mod orgs;
mod outcomes;
mod overview;
mod parts;
mod place;
mod plots;
mod purges;
mod session;
mod sign_in;
mod upload;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::Redirect;
use axum::routing::{get, post};

use crate::api::{ApiState, Pages};
use plots::Hours;
use session::Sessions;

pub use invitations::Invitations;

/// Bytes that nobody can guess.
pub type Random = Arc<dyn Fn() -> [u8; 32] + Send + Sync>;

/// What the pages share.
#[derive(Clone)]
struct Desk {
    api: ApiState,
    sessions: Sessions,
    invitations: Invitations,
    hours: Hours,
}

/// The pages of a service.
pub fn pages(api: &ApiState, random: Random, invitations: Invitations) -> Pages {
    let sessions = Sessions::new(random);
    let desk = Desk { api: api.clone(), sessions, invitations, hours: Hours::default() };
    let with_gate = |routes: Router<Desk>, takes_place: bool| {
        let gate = gate::Gate { desk: desk.clone(), takes_place };
        routes.route_layer(from_fn_with_state(gate, gate::check)).with_state(desk.clone())
    };
    let open = Router::new()
        .route("/", get(async || Redirect::to("/admin")))
        .route("/admin/sign-in", get(sign_in::page).post(sign_in::sign_in))
        .route("/admin/assets/{name}", get(assets::asset))
        .route_layer(from_fn_with_state((), gate::open))
        .with_state(desk.clone());
    Pages {
        limited: open.merge(with_gate(looking(), true)).merge(with_gate(acting(), false)),
        patient: with_gate(patient(), false),
    }
}

/// Pages that only read.
fn looking() -> Router<Desk> {
    Router::new()
        .route("/admin", get(overview::page))
        .route("/admin/purges", get(purges::list::page))
        .route("/admin/purges/new", get(purges::new::page))
        .route("/admin/purges/{id}", get(purges::show::page))
        .route("/admin/purges/{id}/conversations", get(purges::conversations::page))
        .route("/admin/conversations", get(conversation::search))
        .route("/admin/conversations/{id}", get(conversation::page))
        .route("/admin/holds", get(holds::list::page))
        .route("/admin/holds/new", get(holds::create::page))
        .route("/admin/holds/{id}", get(holds::show::page))
        .route("/admin/webhooks", get(webhooks::list::page))
        .route("/admin/webhooks/new", get(webhooks::create::page))
        .route("/admin/webhooks/endpoints/{id}", get(webhooks::endpoint::page))
        .route("/admin/webhooks/deliveries", get(webhooks::deliveries::page))
        .route("/admin/webhooks/deliveries/{id}", get(webhooks::delivery::page))
        .route("/admin/keys", get(keys::page))
        .route("/admin/{*rest}", get(failure::no_such_page))
}

/// Acts, and the questions before them: who stops something waits for nobody.
fn acting() -> Router<Desk> {
    Router::new()
        .route("/admin/sign-out", post(sign_in::sign_out))
        .route("/admin/purges/{id}/{act}", get(purges::act::ask).post(purges::act::act))
        .route("/admin/orgs/{org}/{act}", get(orgs::ask).post(orgs::act))
        .route("/admin/holds/{id}/release", get(holds::release::ask).post(holds::release::act))
        .route("/admin/webhooks/new", post(webhooks::create::create))
        .route("/admin/webhooks/endpoints/{id}/{act}", get(webhooks::act::ask).post(webhooks::act::act))
        .route("/admin/webhooks/deliveries/{id}/redeliver", post(webhooks::delivery::redeliver))
}

/// What takes uploads or streams.
fn patient() -> Router<Desk> {
    Router::new()
        .route("/admin/purges/new", post(purges::new::check))
        .route("/admin/purges/{id}/submit", get(purges::submit::ask).post(purges::submit::submit))
        .route("/admin/purges.csv", get(purges::list::csv))
        .route("/admin/purges/{id}/report.csv", get(purges::report))
        .route("/admin/holds/new", post(holds::create::create))
}
