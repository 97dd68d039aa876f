//! JSON objects read so that nobody can read them differently: no member twice, bounded depth, nothing behind.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Deeper objects are refused.
const MAX_DEPTH: usize = 32;

/// Reads one JSON object.
///
/// # Errors
/// When the bytes are no JSON object, a member is there twice at any depth, or it is nested too deep. The message
/// holds nothing of the text but the name of a member.
pub fn object(bytes: &[u8]) -> Result<Map<String, Value>, String> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0 }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| explain(&error))?;
    match value {
        Value::Object(map) => Ok(map),
        _ => Err("it is no JSON object".to_owned()),
    }
}

fn explain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if text.starts_with("member ") || text.starts_with("nested ") {
        // Without the place, which serde_json adds behind it.
        let end = text.rfind(" at line ").unwrap_or(text.len());
        text.get(..end).unwrap_or_default().to_owned()
    } else {
        format!(
            "it is no JSON (line {}, column {})",
            error.line(),
            error.column()
        )
    }
}

struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: serde::de::Error>(&self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom("nested too deep"));
        }
        Ok(Self {
            depth: self.depth + 1,
        })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = elements.next_element_seed(self.deeper()?)? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(self.deeper()?)?;
            if map.contains_key(&name) {
                let name = crate::identity::error::show(&name);
                return Err(A::Error::custom(format_args!(
                    "member `{name}` is there twice"
                )));
            }
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}
