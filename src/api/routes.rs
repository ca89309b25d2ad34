//! All routes with their scopes, and the layers around them. The OpenAPI document is made from the same table.

use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::{Extension, Router};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::openapi::Documents;
use super::state::{ApiState, Calls};
use super::{
    auth, compress, conversations, deliveries, docs_page, endpoints, etag, events, general, head, health,
    holds, jobs, measure, metrics, negotiate, openapi, orgs, patience, problem, purges, request_id, unbuilt,
};
use crate::domain::keys::Scope;
use crate::store::Urgency::{self, Ordinary, Protecting};

/// Calls with the same scope and limits.
struct Group {
    whom: Whom,
    /// Every process answers them.
    is_operational: bool,
    /// They may wait, take uploads or stream: their patience is their own.
    is_patient: bool,
    urgency: Urgency,
    calls: fn() -> OpenApiRouter<ApiState>,
}

/// Whom calls answer.
#[derive(Clone, Copy)]
enum Whom {
    Anybody,
    /// Keys with this scope.
    Keys(Scope),
    /// Keys of operators, or anybody if the settings say so.
    Scrapers,
}

const GROUPS: &[Group] = &[
    Group {
        whom: Whom::Keys(Scope::PurgesWrite),
        is_operational: false,
        is_patient: true,
        urgency: Ordinary,
        calls: uploading,
    },
    Group {
        whom: Whom::Keys(Scope::PurgesRead),
        is_operational: false,
        is_patient: true,
        urgency: Ordinary,
        calls: patient,
    },
    Group {
        whom: Whom::Keys(Scope::PurgesRead),
        is_operational: false,
        is_patient: false,
        urgency: Ordinary,
        calls: reading,
    },
    Group {
        whom: Whom::Keys(Scope::HoldsWrite),
        is_operational: false,
        is_patient: false,
        urgency: Protecting,
        calls: holding,
    },
    Group {
        whom: Whom::Keys(Scope::PurgesWrite),
        is_operational: false,
        is_patient: false,
        urgency: Protecting,
        calls: steering,
    },
    Group {
        whom: Whom::Keys(Scope::WebhooksWrite),
        is_operational: false,
        is_patient: false,
        urgency: Ordinary,
        calls: delivering,
    },
    Group {
        whom: Whom::Keys(Scope::Admin),
        is_operational: false,
        is_patient: false,
        urgency: Protecting,
        calls: braking,
    },
    Group { whom: Whom::Anybody, is_operational: true, is_patient: false, urgency: Ordinary, calls: health },
    Group {
        whom: Whom::Scrapers,
        is_operational: true,
        is_patient: false,
        urgency: Ordinary,
        calls: measuring,
    },
    Group { whom: Whom::Anybody, is_operational: false, is_patient: false, urgency: Ordinary, calls: open },
];

fn uploading() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(purges::create::create_purge))
}

fn patient() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(purges::get::get_purge)).routes(routes!(purges::report::report))
}

fn reading() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(purges::list::list_purges))
        .routes(routes!(purges::conversations::conversations))
        .routes(routes!(purges::jobs::jobs))
        .routes(routes!(purges::events::events))
        .routes(routes!(events::list::list_events))
        .routes(routes!(jobs::job))
        .routes(routes!(conversations::conversation))
        .routes(routes!(holds::list::list_holds))
        .routes(routes!(holds::get::get_hold))
        .routes(routes!(holds::conversations::held_conversations))
        .routes(routes!(orgs::list::list_orgs))
        .routes(routes!(orgs::get::get_org))
}

fn holding() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(holds::create::create_hold))
        .routes(routes!(holds::release::release_hold))
}

fn steering() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(purges::steer::cancel_purge))
        .routes(routes!(purges::steer::pause_purge))
        .routes(routes!(purges::steer::resume_purge))
        .routes(routes!(purges::steer::retry_purge))
}

fn delivering() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(deliveries::list::list_webhook_deliveries))
        .routes(routes!(deliveries::get::get_webhook_delivery))
        .routes(routes!(deliveries::redeliver::redeliver))
        .routes(routes!(deliveries::redeliver::redeliver_dead))
        .routes(routes!(endpoints::list::list_webhook_endpoints, endpoints::create::create_webhook_endpoint))
        .routes(routes!(
            endpoints::get::get_webhook_endpoint,
            endpoints::change::change_webhook_endpoint,
            endpoints::delete::delete_webhook_endpoint
        ))
        .routes(routes!(endpoints::test::test_webhook_endpoint))
        .routes(routes!(endpoints::rotate::rotate_webhook_secret))
}

fn braking() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(orgs::steer::stop_org)).routes(routes!(orgs::steer::resume_org))
}

fn health() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(health::live)).routes(routes!(health::ready))
}

fn measuring() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(metrics::metrics))
}

fn open() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(openapi::json)).routes(routes!(openapi::yaml))
}

/// Pages for people: not in the document, but with the same layers.
#[derive(Default)]
pub struct Pages {
    pub limited: Router<ApiState>,
    /// They take uploads or stream: their patience is their own.
    pub patient: Router<ApiState>,
}

/// Every call that this process answers, with the common layers.
pub(super) fn router(state: ApiState, pages: Pages) -> Router {
    let is_whole = state.calls == Calls::All;
    let (mut limited, mut patient) = (Router::new(), Router::new());
    for group in GROUPS.iter().filter(|group| is_whole || group.is_operational) {
        let calls = guarded(group, &state);
        let side = if group.is_patient { &mut patient } else { &mut limited };
        *side = std::mem::take(side).merge(calls);
    }
    if is_whole {
        limited = limited
            .merge(docs_page::router())
            .merge(unbuilt::router(&state))
            .merge(pages.limited)
            .layer(Extension(Documents::new(document_json, document_yaml)));
        patient = patient.merge(pages.patient);
    }
    let routes = limited
        .layer(from_fn_with_state(state.clone(), patience::limit))
        .merge(patient)
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(from_fn(etag::tag))
        .layer(CatchPanicLayer::custom(problem::after_panic))
        .layer(SetResponseHeaderLayer::if_not_present(CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .layer(from_fn(head::check))
        .layer(from_fn_with_state(state.clone(), request_id::carry))
        .layer(from_fn_with_state(state.clone(), measure::requests));
    // Outside of the request's id, which is written into problems.
    compress::fold(routes).with_state(state)
}

/// The calls of a group, with its checks of scope and accepted media types.
fn guarded(group: &Group, state: &ApiState) -> Router<ApiState> {
    let (calls, _) = (group.calls)().split_for_parts();
    match group.whom {
        Whom::Anybody => calls.route_layer(from_fn(negotiate::check)),
        Whom::Keys(scope) => {
            // Calls that protect need no place, and calls that wait or stream have their own places.
            let takes_place = group.urgency == Ordinary && !group.is_patient;
            auth::guard(calls, state, scope, group.urgency, takes_place)
        }
        Whom::Scrapers => metrics::guard(calls.route_layer(from_fn(negotiate::check)), state),
    }
}

/// The document of the API as YAML, as it is committed.
pub fn document_yaml() -> Result<String, String> {
    document().map_err(|error| error.to_string())?.to_yaml().map_err(|error| error.to_string())
}

/// The same as JSON.
pub fn document_json() -> Result<String, String> {
    document().and_then(|document| document.to_pretty_json()).map_err(|error| error.to_string())
}

fn document() -> Result<OpenApi, serde_json::Error> {
    let mut whole = openapi::head();
    for group in GROUPS {
        let mut part = (group.calls)().into_openapi();
        let scope = match group.whom {
            Whom::Anybody => None,
            Whom::Keys(scope) => Some(scope),
            Whom::Scrapers => Some(Scope::Admin),
        };
        general::tell(&mut part, scope);
        whole.merge(part);
    }
    super::told::add(&mut whole);
    super::meanings::tell(&mut whole);
    openapi::finish(&mut whole);
    super::examples::add(&mut whole)?;
    Ok(whole)
}
