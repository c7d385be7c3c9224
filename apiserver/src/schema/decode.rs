//! JSON as the server decodes it, with the fields that were given twice.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::go;

/// Decodes JSON. Of a field that is given twice the last value counts; its path is returned.
///
/// # Errors
/// The text is not JSON.
pub fn decode(text: &[u8]) -> Result<(Value, Vec<String>), serde_json::Error> {
    let mut duplicates = Vec::new();
    let mut decoder = serde_json::Deserializer::from_slice(text);
    let seed = Seed {
        at: String::new(),
        duplicates: &mut duplicates,
    };
    let value = seed.deserialize(&mut decoder)?;
    decoder.end()?;
    Ok((value, duplicates))
}

/// What strict field validation says about fields that were given twice and fields that the schema does not know;
/// `None` when there are none. Lenient validation warns with the parts after the colon.
pub fn strict_error(duplicates: &[String], unknown: &[String]) -> Option<String> {
    let all = strict_faults(duplicates, unknown);
    (!all.is_empty()).then(|| format!("strict decoding error: {}", all.join(", ")))
}

/// The single faults of [`strict_error`], as warnings name them.
pub fn strict_faults(duplicates: &[String], unknown: &[String]) -> Vec<String> {
    let duplicates = duplicates
        .iter()
        .map(|path| format!("duplicate field \"{path}\""));
    duplicates
        .chain(unknown.iter().map(|path| format!("unknown field \"{path}\"")))
        .collect()
}

/// Writes whole numbers as such: `1.0` becomes `1`, as it does when the server stores an object. To be done after the
/// validation, which tells them apart.
pub fn settle(value: &mut Value) {
    match value {
        Value::Number(n) if n.is_f64() => {
            let whole = n
                .as_f64()
                .filter(|f| f.fract() == 0.0 && f.abs() < WHOLE_MAX)
                .map(go::truncated);
            if let Some(whole) = whole {
                *value = Value::from(whole);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(settle),
        Value::Object(map) => map.values_mut().for_each(settle),
        _ => {}
    }
}

/// Floats from here on are not held by 64 bits as whole numbers.
const WHOLE_MAX: f64 = 9.2e18;

struct Seed<'d> {
    at: String,
    duplicates: &'d mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let seed = Seed {
                at: format!("{}[{}]", self.at, list.len()),
                duplicates: &mut *self.duplicates,
            };
            match items.next_element_seed(seed)? {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        let mut names = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            let gap = if self.at.is_empty() { "" } else { "." };
            let at = format!("{}{gap}{name}", self.at);
            if !names.insert(name.clone()) && !self.duplicates.contains(&at) {
                self.duplicates.push(at.clone());
            }
            let seed = Seed {
                at,
                duplicates: &mut *self.duplicates,
            };
            let value = members.next_value_seed(seed).map_err(A::Error::custom)?;
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_what_was_given_twice() {
        let text = br#"{"a": 1, "b": [{"c": 1, "c": 2, "c": 3}], "a": {"x": 1}}"#;
        let (value, duplicates) = decode(text).unwrap();
        assert_eq!(value, json!({"a": {"x": 1}, "b": [{"c": 3}]}));
        assert_eq!(duplicates, ["b[0].c", "a"]);
        assert_eq!(
            strict_error(&duplicates, &["spec.z".to_owned()]).unwrap(),
            "strict decoding error: duplicate field \"b[0].c\", duplicate field \"a\", unknown field \"spec.z\""
        );
        assert_eq!(strict_error(&[], &[]), None);
        assert!(decode(b"{} x").is_err());
        assert!(decode(b"{").is_err());
    }
}
