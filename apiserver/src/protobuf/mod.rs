//! Bodies in protobuf, as kubectl sends objects of built-in kinds. Read only: answers are always JSON.
//!
//! `types.txt` says which member a field number stands for. `hack/protobuf.sh` writes it; `e2e/tools/protobuf` explains
//! its form.

mod wire;

use std::collections::HashMap;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::object::Object;
use wire::{Datum, Fields};

/// What a body in protobuf begins with.
const MAGIC: &[u8] = b"k8s\0";

/// A body is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(&'static str);

#[derive(Debug)]
struct Field {
    name: &'static str,
    form: &'static str,
    /// Left out when it is empty.
    optional: bool,
    /// Its members stand beside it instead of in it.
    inline: bool,
}

type Type = HashMap<u64, Field>;

struct Types {
    /// The type of a kind, by `apiVersion kind`.
    kinds: HashMap<&'static str, &'static str>,
    types: HashMap<&'static str, Type>,
}

static TYPES: LazyLock<Types> = LazyLock::new(|| {
    let mut all = Types {
        kinds: HashMap::new(),
        types: HashMap::new(),
    };
    for line in include_str!("types.txt").lines() {
        if let Some((kind, of)) = line.strip_prefix('@').and_then(|line| line.rsplit_once(' ')) {
            all.kinds.insert(kind, of);
            continue;
        }
        let mut words = line.split(' ');
        let name = words.next().unwrap_or_default();
        all.types.insert(name, words.filter_map(field).collect());
    }
    all
});

fn field(text: &'static str) -> Option<(u64, Field)> {
    let mut parts = text.splitn(3, ':');
    let number = parts.next()?.parse().ok()?;
    let (name, form) = (parts.next()?, parts.next()?);
    let (optional, inline) = (form.ends_with('-'), form.ends_with('^'));
    Some((
        number,
        Field {
            name,
            form: form.trim_end_matches(['-', '^']),
            optional,
            inline,
        },
    ))
}

/// Reads a body: the object in its envelope, with apiVersion and kind.
pub fn decode(body: &[u8]) -> Result<Value, Malformed> {
    let envelope = body.strip_prefix(MAGIC).ok_or(Malformed(
        "provided data does not appear to be a protobuf message",
    ))?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in Fields(envelope) {
        match field? {
            (1, Datum::Bytes(meta)) => {
                for field in Fields(meta) {
                    match field? {
                        (1, Datum::Bytes(text)) => api_version = string(text)?,
                        (2, Datum::Bytes(text)) => kind = string(text)?,
                        _ => {}
                    }
                }
            }
            (2, Datum::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    // Every group has a DeleteOptions, and all are the same.
    let known_as = if kind == "DeleteOptions" {
        "v1 DeleteOptions".to_owned()
    } else {
        format!("{api_version} {kind}")
    };
    let of = TYPES
        .kinds
        .get(known_as.as_str())
        .ok_or(Malformed("no such kind is known in protobuf"))?;
    let mut members = message(of, raw)?;
    members.insert("apiVersion".to_owned(), api_version.into());
    members.insert("kind".to_owned(), kind.into());
    Ok(Value::Object(members))
}

fn string(bytes: &[u8]) -> Result<String, Malformed> {
    std::str::from_utf8(bytes)
        .map(str::to_owned)
        .map_err(|_| Malformed("a string is not UTF-8"))
}

fn message(of: &str, bytes: &[u8]) -> Result<Object, Malformed> {
    let fields = TYPES.types.get(of).ok_or(Malformed("a type is not known"))?;
    let mut members = Map::new();
    for datum in Fields(bytes) {
        let (number, datum) = datum?;
        let Some(field) = fields.get(&number) else {
            continue;
        };
        add(&mut members, field, datum)?;
    }
    Ok(members)
}

fn add(members: &mut Object, field: &Field, datum: Datum<'_>) -> Result<(), Malformed> {
    if let Some(each) = field.form.strip_prefix('[') {
        if let Value::Array(list) = members
            .entry(field.name)
            .or_insert_with(|| Value::Array(Vec::new()))
        {
            list.push(value(each, datum)?);
        }
        return Ok(());
    }
    if let Some(each) = field.form.strip_prefix('{') {
        let (key, value) = entry(each, datum)?;
        if let Value::Object(map) = members
            .entry(field.name)
            .or_insert_with(|| Value::Object(Map::new()))
        {
            map.insert(key, value);
        }
        return Ok(());
    }
    let value = value(field.form, datum)?;
    match value {
        Value::Object(inner) if field.inline => members.extend(inner),
        value if field.optional && is_empty(&value) => {}
        value => drop(members.insert(field.name.to_owned(), value)),
    }
    Ok(())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

fn entry(form: &str, datum: Datum<'_>) -> Result<(String, Value), Malformed> {
    let mut key = String::new();
    let mut content = None;
    for field in Fields(datum.bytes()?) {
        match field? {
            (1, Datum::Bytes(text)) => key = string(text)?,
            (2, datum) => content = Some(value(form, datum)?),
            _ => {}
        }
    }
    // A value that is not sent is the empty one.
    let empty = || if form == "s" { Value::from("") } else { Value::Null };
    Ok((key, content.unwrap_or_else(empty)))
}

fn value(form: &str, datum: Datum<'_>) -> Result<Value, Malformed> {
    if let Some(of) = form.strip_prefix('=') {
        return message(of, datum.bytes()?).map(Value::Object);
    }
    match form {
        "s" => string(datum.bytes()?).map(Value::String),
        "y" => Ok(STANDARD.encode(datum.bytes()?).into()),
        "i" => datum.integer().map(Value::from),
        "b" => Ok((datum.integer()? != 0).into()),
        "d" => Ok(datum.float()?.into()),
        "Q" => first_text(datum.bytes()?).map(Value::String),
        "T" | "U" => time(datum.bytes()?, form == "U"),
        "I" => int_or_string(datum.bytes()?),
        "R" => raw(datum.bytes()?),
        "L" => {
            let texts = Fields(datum.bytes()?).map(|field| string(field?.1.bytes()?).map(Value::String));
            texts.collect::<Result<Vec<_>, _>>().map(Value::Array)
        }
        _ => Err(Malformed("a form is not known")),
    }
}

/// The string in field 1.
fn first_text(bytes: &[u8]) -> Result<String, Malformed> {
    for field in Fields(bytes) {
        if let (1, Datum::Bytes(text)) = field? {
            return string(text);
        }
    }
    Ok("0".to_owned())
}

/// Seconds and nanoseconds; nothing at all is no time.
fn time(bytes: &[u8], with_micros: bool) -> Result<Value, Malformed> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let (mut seconds, mut nanos) = (0, 0);
    for field in Fields(bytes) {
        match field? {
            (1, datum) => seconds = datum.integer()?,
            (2, datum) => nanos = datum.integer()?,
            _ => {}
        }
    }
    let nanos = i32::try_from(nanos).map_err(|_| Malformed("a time is out of range"))?;
    let time = Timestamp::new(seconds, nanos).map_err(|_| Malformed("a time is out of range"))?;
    let form = if with_micros {
        "%Y-%m-%dT%H:%M:%S.%6fZ"
    } else {
        "%Y-%m-%dT%H:%M:%SZ"
    };
    Ok(time.strftime(form).to_string().into())
}

fn int_or_string(bytes: &[u8]) -> Result<Value, Malformed> {
    let (mut is_text, mut number, mut text) = (false, 0, String::new());
    for field in Fields(bytes) {
        match field? {
            (1, datum) => is_text = datum.integer()? == 1,
            (2, datum) => number = datum.integer()?,
            (3, datum) => text = string(datum.bytes()?)?,
            _ => {}
        }
    }
    Ok(if is_text { text.into() } else { number.into() })
}

/// JSON in field 1.
fn raw(bytes: &[u8]) -> Result<Value, Malformed> {
    for field in Fields(bytes) {
        if let (1, Datum::Bytes(json)) = field? {
            return serde_json::from_slice(json).map_err(|_| Malformed("a raw value is not JSON"));
        }
    }
    Ok(Value::Null)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![number << 3 | 2, u8::try_from(content.len()).unwrap()];
        bytes.extend_from_slice(content);
        bytes
    }

    fn body(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), field(1, &meta), field(2, raw)].concat()
    }

    #[test]
    fn a_config_map() {
        let meta = [field(1, b"a"), field(3, b""), field(8, &[])].concat();
        let entry = [field(1, b"k"), field(2, b"v")].concat();
        let raw = [field(1, &meta), field(2, &entry)].concat();
        assert_eq!(
            decode(&body("v1", "ConfigMap", &raw)).unwrap(),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}})
        );
    }

    #[test]
    fn delete_options_of_any_group() {
        // gracePeriodSeconds is a pointer: 0 is not nothing.
        let raw = [
            vec![1 << 3, 0],
            field(2, &field(1, b"u")),
            field(4, b"Foreground"),
        ]
        .concat();
        assert_eq!(
            decode(&body("policy/v1", "DeleteOptions", &raw)).unwrap(),
            json!({
                "apiVersion": "policy/v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0,
                "preconditions": {"uid": "u"}, "propagationPolicy": "Foreground",
            })
        );
    }

    #[test]
    fn members_that_stand_beside_their_type() {
        let secret = field(2, &field(6, &field(1, b"s")));
        let volume = [field(1, b"v"), secret].concat();
        let raw = field(2, &field(1, &volume));
        let pod = decode(&body("v1", "Pod", &raw)).unwrap();
        assert_eq!(
            pod["spec"]["volumes"],
            json!([{"name": "v", "secret": {"secretName": "s"}}])
        );
    }

    #[test]
    fn what_is_cut_short_is_refused() {
        let whole = body("v1", "ConfigMap", &field(1, &field(1, b"abc")));
        assert!(decode(&whole).is_ok());
        for length in 0..whole.len() {
            // Some beginnings are messages of their own; none may panic.
            drop(decode(&whole[..length]));
        }
        assert_eq!(
            decode(b"{}").unwrap_err().to_string(),
            "provided data does not appear to be a protobuf message"
        );
        assert!(decode(&whole[..whole.len() - 1]).is_err());
    }

    #[test]
    fn every_type_that_is_named_is_there() {
        for (name, fields) in &TYPES.types {
            for field in fields.values() {
                let form = field.form.trim_start_matches(['[', '{']);
                let known = form
                    .strip_prefix('=')
                    .is_none_or(|of| TYPES.types.contains_key(of));
                assert!(known, "{name}.{}: {form}", field.name);
            }
        }
        assert!(TYPES.kinds.values().all(|of| TYPES.types.contains_key(of)));
        assert!(TYPES.kinds.len() > 30);
    }
}
