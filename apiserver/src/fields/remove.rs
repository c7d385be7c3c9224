//! Taking fields out of a value.

use serde_json::{Map as Object, Value};

use super::items;
use super::path::Element;
use super::set::FieldSet;
use crate::topology::{List, ListKind, Map, TypeInfo, TypeRef};

/// `value` without the fields and items in `fields`. What becomes empty by that becomes null.
pub(super) fn remove(info: &TypeInfo, value: &Value, fields: &FieldSet) -> Value {
    from_value(info, value, fields, info.root())
}

fn from_value(info: &TypeInfo, value: &Value, fields: &FieldSet, of: &TypeRef) -> Value {
    let atom = info.resolve(of).for_value(Some(value));
    if let Some(map) = &atom.map {
        from_map(info, value, fields, map)
    } else if atom.scalar.is_some() {
        value.clone()
    } else if let Some(list) = &atom.list {
        from_list(info, value, fields, list)
    } else {
        Value::Null
    }
}

fn from_map(info: &TypeInfo, value: &Value, fields: &FieldSet, map: &Map) -> Value {
    let members = match value.as_object() {
        Some(members) if !map.atomic => members,
        _ => return Value::Null,
    };
    let mut rest = Object::new();
    for (key, member) in members {
        let element = Element::Field(key.clone());
        if fields.has(std::slice::from_ref(&element)) {
            continue;
        }
        let member = match (fields.below(&element), map.type_of(key)) {
            (Some(below), Some(of)) => from_value(info, member, below, of),
            _ => member.clone(),
        };
        rest.insert(key.clone(), member);
    }
    if rest.is_empty() {
        Value::Null
    } else {
        Value::Object(rest)
    }
}

fn from_list(info: &TypeInfo, value: &Value, fields: &FieldSet, list: &List) -> Value {
    let found = match value.as_array() {
        Some(found) if list.kind != ListKind::Atomic => found,
        _ => return Value::Null,
    };
    let mut rest = Vec::new();
    for item in found {
        let Ok(element) = items::element(info, list, item) else {
            continue;
        };
        if fields.has(std::slice::from_ref(&element)) {
            continue;
        }
        let below = fields.below(&element);
        rest.push(below.map_or_else(
            || item.clone(),
            |below| from_value(info, item, below, &list.element),
        ));
    }
    if rest.is_empty() {
        Value::Null
    } else {
        Value::Array(rest)
    }
}
