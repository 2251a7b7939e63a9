//! JSON objects that programs send.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, IntoDeserializer, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::parser_words::of_member;

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
        T::deserialize(MapAccessDeserializer::new(NamedMembers { map, name: String::new() })).map(Object)
    }
}

/// The members of an object. What is wrong with a value is said with the name of its member.
struct NamedMembers<M> {
    map: M,
    /// Of the last one.
    name: String,
}

impl<'de, M: MapAccess<'de>> MapAccess<'de> for NamedMembers<M> {
    type Error = M::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, M::Error> {
        let Some(name) = self.map.next_key()? else { return Ok(None) };
        self.name = name;
        seed.deserialize(self.name.as_str().into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, M::Error> {
        let value = self.map.next_value_seed(seed);
        value.map_err(|why| M::Error::custom(of_member(&self.name, &why.to_string())))
    }

    fn size_hint(&self) -> Option<usize> {
        self.map.size_hint()
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
            (r#"{"x":"1"}"#, "`x` must be u8, not the string \"1\""),
        ] {
            let told = read(json).unwrap_err();
            assert!(told.contains(why) && told.contains("line 1"), "{json}: {told}");
        }
    }
}
