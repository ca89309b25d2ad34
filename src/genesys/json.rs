//! Reads JSON of which only a few fields are needed: the rest is skipped and never built. A few kilobytes of gzip
//! become millions of values, each of which would take many times its length.
//!
//! The needed parts are borrowed from the body and parsed further by their callers.
//!
//! Invariant: parts that are not needed never cause an error, as long as they are JSON.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::value::RawValue;

/// A JSON object. Left to itself, serde also reads a list as a struct, its values in the order of the fields.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(fields))
            }
        }

        deserializer.deserialize_map(Fields(PhantomData)).map(Object)
    }
}

/// A field that is there, even if it is null: left to itself, serde takes null for nothing.
pub(super) fn even_null<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// The value, if it is a string.
pub(super) fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// The value, if it is a whole number.
pub(super) fn number(value: &RawValue) -> Option<i64> {
    serde_json::from_str(value.get()).ok()
}

/// Shows the fields of an object, one at a time; says whether it is one, and all of its names could be read.
pub(super) fn each_field<'a>(value: &'a RawValue, show: impl FnMut(&str, &'a RawValue)) -> bool {
    struct Fields<F>(F);

    impl<'de, F: FnMut(&str, &'de RawValue)> Visitor<'de> for Fields<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<(), A::Error> {
            while let Some((name, value)) = fields.next_entry::<String, &RawValue>()? {
                (self.0)(&name, value);
            }
            Ok(())
        }
    }

    serde_json::Deserializer::from_str(value.get()).deserialize_map(Fields(show)).is_ok()
}

/// Shows the elements of a list, one at a time; none of anything else.
pub(super) fn each_element<'a>(value: &'a RawValue, show: impl FnMut(&'a RawValue)) {
    struct Elements<F>(F);

    impl<'de, F: FnMut(&'de RawValue)> Visitor<'de> for Elements<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
            while let Some(element) = elements.next_element()? {
                (self.0)(element);
            }
            Ok(())
        }
    }

    // The one error is that it is no list: what was read as a whole is JSON.
    let _ = serde_json::Deserializer::from_str(value.get()).deserialize_seq(Elements(show));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn fields_and_elements_are_shown_as_they_stand() {
        let (mut fields, mut elements) = (Vec::new(), Vec::new());
        let object = raw(r#"{"a": 1, "\u0062": {"c": [ 2 ]}, "a": null}"#);
        assert!(each_field(object, |name, value| fields.push((name.to_owned(), value.get()))));
        assert_eq!(fields, [("a".into(), "1"), ("b".into(), r#"{"c": [ 2 ]}"#), ("a".into(), "null")]);
        each_element(raw(r#"[1, "x", [], {}]"#), |value| elements.push(value.get()));
        assert_eq!(elements, ["1", "\"x\"", "[]", "{}"]);
    }

    #[test]
    fn what_is_of_another_kind_shows_nothing() {
        for text in ["null", "7", "\"x\"", "true", "1e999"] {
            assert!(!each_field(raw(text), |_, _| panic!("{text} has no fields")));
            each_element(raw(text), |_| panic!("{text} has no elements"));
            assert_eq!(super::text(raw(text)).is_some(), text == "\"x\"", "{text}");
            assert_eq!(number(raw(text)).is_some(), text == "7", "{text}");
        }
        assert!(!each_field(raw("[1]"), |_, _| panic!("a list has no fields")));
        assert!(!each_field(raw(r#"{"\ud800": 1}"#), |_, _| panic!("half a character is no name")));
        each_element(raw("{\"a\": 1}"), |_| panic!("an object has no elements"));
    }
}
