//! Checks of fields that several calls share: each wrong field is named by its pointer.

use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

use super::problem::FieldError;

/// Text must be short enough and fit to be stored and shown.
pub(super) fn check_text(errors: &mut Vec<FieldError>, pointer: &str, text: Option<&str>, longest: usize) {
    let Some(text) = text else { return };
    if text.chars().count() > longest {
        errors.push(FieldError::new(pointer, format!("may have at most {longest} characters")));
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        errors.push(FieldError::new(pointer, "contains control characters"));
    }
}

/// A name that is used for look-ups must be unambiguous: one line of text without leading or trailing spaces.
pub(super) fn check_name(errors: &mut Vec<FieldError>, pointer: &str, name: Option<&str>, longest: usize) {
    check_text(errors, pointer, name, longest);
    let Some(name) = name else { return };
    if name.trim().is_empty() {
        errors.push(FieldError::new(pointer, "must not be blank; leave it out if there is none"));
    } else if name.trim() != name {
        errors.push(FieldError::new(pointer, "begins or ends with white space"));
    }
    if name.contains(['\n', '\t']) {
        errors.push(FieldError::new(pointer, "contains control characters"));
    }
}

/// The rules of [`check_name`] as a schema; the field is optional.
pub(super) fn optional_name(longest: usize, description: &str) -> ObjectBuilder {
    optional_text(longest, description).min_length(Some(1)).pattern(Some(NAME))
}

/// The rules of [`check_text`] as a schema.
pub(super) fn text(longest: usize, description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .max_length(Some(longest))
        .pattern(Some(PLAIN))
        .description(Some(description))
}

/// The same for a text that may be left out.
pub(super) fn optional_text(longest: usize, description: &str) -> ObjectBuilder {
    text(longest, description).schema_type(SchemaType::from_iter([Type::String, Type::Null]))
}

/// A field of the contract that is not supported yet: null or left out.
pub(super) fn not_yet() -> Object {
    ObjectBuilder::new().schema_type(Type::Null).description(Some("Not supported yet.")).build()
}

/// No control characters but tabs and ends of lines.
const PLAIN: &str = r"^[^\u0000-\u0008\u000b-\u001f\u007f-\u009f]*$";
/// No control characters, and no white space at either end.
const NAME: &str =
    r"^[^\s\u0000-\u001f\u007f-\u009f]([^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f])?$";
