//! An example for every JSON document that a call takes or returns, added to its schema in the OpenAPI document.
//!
//! `examples.json` has one for each schema by name. A schema composed of others has only the fields that it adds.

use serde_json::{Map, Value, json};
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{Content, OpenApi, RefOr};

/// Adds an example to every schema that has one.
pub(super) fn add(document: &mut OpenApi) -> Result<(), serde_json::Error> {
    let examples: Map<String, Value> = serde_json::from_str(include_str!("examples.json"))?;
    let schemas =
        document.components.as_ref().map(|components| components.schemas.clone()).unwrap_or_default();
    let example = |schema: &RefOr<Schema>| example(schema, &examples, &|name| schemas.get(name).cloned());
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for content in operations.into_iter().flatten().flat_map(contents) {
            if content.example.is_none() {
                content.example = content.schema.as_ref().and_then(&example);
            }
        }
    }
    Ok(())
}

/// Every body of an operation: the request's and the answers'.
fn contents(operation: &mut Operation) -> Vec<&mut Content> {
    let mut contents = Vec::new();
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        contents.extend(body.content.values_mut().filter_map(inline));
    }
    for answer in operation.responses.responses.values_mut().filter_map(inline) {
        contents.extend(answer.content.values_mut().filter_map(inline));
    }
    contents
}

fn inline<T>(of: &mut RefOr<T>) -> Option<&mut T> {
    match of {
        RefOr::T(inline) => Some(inline),
        RefOr::Ref(_) => None,
    }
}

fn example(
    schema: &RefOr<Schema>,
    examples: &Map<String, Value>,
    named: &dyn Fn(&str) -> Option<RefOr<Schema>>,
) -> Option<Value> {
    match schema {
        RefOr::Ref(reference) => {
            let name = reference.ref_location.rsplit('/').next()?;
            if let Some(item) = name.strip_prefix("Page_") {
                let item = example(&named(item).map(|_| reference_to(item))?, examples, named)?;
                return Some(json!({ "items": [item], "nextCursor": null }));
            }
            let own = examples.get(name)?.as_object()?.clone();
            let Some(RefOr::T(Schema::AllOf(parts))) = named(name) else { return Some(own.into()) };
            let parts = parts.items.iter().filter_map(|part| example(part, examples, named));
            let mut whole: Map<String, Value> =
                parts.filter_map(|part| part.as_object().cloned()).flatten().collect();
            whole.extend(own);
            Some(whole.into())
        }
        RefOr::T(Schema::OneOf(choices)) => {
            choices.items.iter().find_map(|one| example(one, examples, named))
        }
        RefOr::T(_) => None,
    }
}

fn reference_to(name: &str) -> RefOr<Schema> {
    RefOr::Ref(utoipa::openapi::Ref::from_schema_name(name))
}
