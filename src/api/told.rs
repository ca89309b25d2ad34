//! Webhooks in the OpenAPI document: one entry per event, with the signature headers.

use utoipa::openapi::path::{OperationBuilder, ParameterBuilder, ParameterIn, PathItem, PathsBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{Components, ObjectBuilder, Type};
use utoipa::openapi::{
    ContentBuilder, HttpMethod, OpenApi, Ref, RefOr, Required, ResponseBuilder, ResponsesBuilder, Schema,
};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::events::{EndpointDisabled, JobCompleted, OrgHurdle, Ping, PurgeFinished};

/// One sentence about the event, and the schema of its body.
type Told = (&'static str, &'static str, fn() -> String);

const TOLD: &[Told] = &[
    ("purge_job_completed", "An upstream job with conversations of a purge ended.", name::<JobCompleted>),
    ("purge_completed", "A purge is final: every conversation ended lawfully.", name::<PurgeFinished>),
    (
        "purge_failed",
        "A purge is final: some conversations should have been purged and were not.",
        name::<PurgeFinished>,
    ),
    ("purge_canceled", "A purge is final: it was canceled.", name::<PurgeFinished>),
    ("org_blocked", "An org is blocked: Genesys refuses it, and its work waits.", name::<OrgHurdle>),
    ("org_unblocked", "The org is no longer blocked.", name::<OrgHurdle>),
    (
        "endpoint_disabled",
        "A webhook endpoint was disabled because it failed for too long.",
        name::<EndpointDisabled>,
    ),
    ("ping", "A test of the endpoint.", name::<Ping>),
];

const HEADERS: &[(&str, &str)] = &[
    ("webhook-id", "The id of the event: the same for every attempt, and in `GET /events`."),
    ("webhook-timestamp", "When this attempt was signed, in seconds since 1970-01-01."),
    ("webhook-signature", "Signatures as in the Standard Webhooks specification, separated by spaces."),
];

fn name<T: ToSchema>() -> String {
    T::name().into_owned()
}

fn tell_of<T: ToSchema + PartialSchema>(components: &mut Components) {
    let mut schemas = Vec::new();
    T::schemas(&mut schemas);
    components.schemas.extend(schemas);
    components.schemas.insert(name::<T>(), T::schema());
}

/// Tells of everything that is sent.
pub(super) fn add(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    tell_of::<JobCompleted>(components);
    tell_of::<PurgeFinished>(components);
    tell_of::<OrgHurdle>(components);
    tell_of::<EndpointDisabled>(components);
    tell_of::<Ping>(components);
    let paths = TOLD.iter().fold(PathsBuilder::new(), |paths, told| paths.path(told.0, item(told)));
    document.webhooks = Some(paths.build());
}

fn item((event, summary, schema): &Told) -> PathItem {
    let json =
        ContentBuilder::new().schema(Some(RefOr::<Schema>::Ref(Ref::from_schema_name(schema())))).build();
    let body = RequestBodyBuilder::new().content("application/json", json).required(Some(Required::True));
    let taken = ResponseBuilder::new().description("Delivered, whatever the body says.").build();
    let not_taken = ResponseBuilder::new()
        .description("Not delivered: it is sent again later. 410 disables the endpoint.")
        .build();
    let operation = OperationBuilder::new()
        .operation_id(Some(format!("told_of_{event}")))
        .summary(Some(*summary))
        .tag("webhooks")
        .security(utoipa::openapi::security::SecurityRequirement::default())
        .request_body(Some(body.build()))
        .responses(ResponsesBuilder::new().response("2XX", taken).response("default", not_taken).build());
    let text = || ObjectBuilder::new().schema_type(Type::String).build();
    let operation = HEADERS.iter().fold(operation, |operation, (name, description)| {
        let header = ParameterBuilder::new()
            .name(*name)
            .parameter_in(ParameterIn::Header)
            .required(Required::True)
            .description(Some(*description))
            .schema(Some(text()));
        operation.parameter(header.build())
    });
    PathItem::new(HttpMethod::Post, operation.build())
}
