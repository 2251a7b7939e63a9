//! JSON objects that programs send.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

/// A `T` that was written as a JSON object. A derived `Deserialize` of a struct also accepts an array of its
/// fields, which no caller means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Object<T>, M::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Point {
        x: u8,
        y: Option<u8>,
    }

    fn read(json: &str) -> Result<Point, String> {
        serde_json::from_str::<Object<Point>>(json).map(|point| point.0).map_err(|error| error.to_string())
    }

    #[test]
    fn a_struct_is_an_object_and_nothing_else() {
        assert_eq!(read(r#"{"x":1}"#), Ok(Point { x: 1, y: None }));
        for (json, why) in [
            ("[1,2]", "expected an object"),
            ("null", "expected an object"),
            ("\"x\"", "expected an object"),
            (r#"{"x":1,"z":2}"#, "unknown field `z`"),
            (r#"{"x":1,"x":2}"#, "duplicate field `x`"),
            (r#"{"y":1}"#, "missing field `x`"),
        ] {
            let told = read(json).unwrap_err();
            assert!(told.contains(why) && told.contains("line 1"), "{json}: {told}");
        }
    }
}
