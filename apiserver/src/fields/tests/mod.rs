mod ownership;
mod properties;

use serde_json::{Value, json};

use super::*;
use crate::topology::TypeInfo;

/// A custom kind with every sort of list and object.
fn kind() -> TypeInfo {
    let text = json!({"type": "string"});
    TypeInfo::custom(Some(&json!({
        "type": "object",
        "properties": {
            "spec": {"type": "object", "properties": {
                "text": text,
                "number": {"type": "integer"},
                "dictionary": {"type": "object", "additionalProperties": text},
                "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": text},
                "list": {"type": "array", "items": text},
                "set": {"type": "array", "x-kubernetes-list-type": "set", "items": text},
                "items": {
                    "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                    "items": {"type": "object", "properties": {"name": text, "value": text, "more": {
                        "type": "object", "properties": {"a": text, "b": text},
                    }}},
                },
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            }},
            "status": {"type": "object", "properties": {"text": text}},
        },
    })))
}

fn object(spec: &Value) -> Value {
    json!({"apiVersion": "test.io/v1", "kind": "Test", "metadata": {"name": "x"}, "spec": spec})
}

fn write<'a>(manager: &'a str, now: i64, reset: &'a ResetFields) -> Write<'a> {
    Write {
        manager,
        api_version: "test.io/v1",
        subresource: "",
        reset,
        now: Timestamp::from_second(now).unwrap(),
    }
}

/// An apply by `manager` at second `now`.
fn applied(
    live: Option<&Value>,
    spec: &Value,
    manager: &str,
    now: i64,
    force: bool,
) -> Result<Value, ApplyError> {
    let reset = ResetFields::custom(true, "");
    apply(live, &object(spec), &write(manager, now, &reset), force, &kind())
}

/// A change of `live`, or a creation, by `manager` at second `now`.
fn updated(live: Option<&Value>, mut new: Value, manager: &str, now: i64) -> Value {
    let reset = ResetFields::custom(true, "");
    track_update(live, &mut new, &write(manager, now, &reset), &kind());
    new
}

/// What `name` owns.
fn owned(object: &Value, name: &str) -> FieldSet {
    let entries = Managed::decode(object).unwrap().0;
    let sets = entries
        .iter()
        .filter(|(id, _)| id.name == name)
        .map(|(_, entry)| &entry.set);
    sets.fold(FieldSet::default(), |all, set| all.union(set))
}

fn without_managed_fields(object: &Value) -> Value {
    let mut object = object.clone();
    managed::strip(&mut object);
    object
}
