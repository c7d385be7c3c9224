//! Reading and writing the common parts of objects that are plain JSON.

use serde_json::{Map, Value};

/// A JSON object.
pub type Object = Map<String, Value>;

/// The value at a path of member names.
pub fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, name| value.get(name))
}

/// The string at a path; empty when there is none.
pub fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    at(value, path).and_then(Value::as_str).unwrap_or_default()
}

/// The number at a path.
pub fn number(value: &Value, path: &[&str]) -> Option<i64> {
    at(value, path).and_then(Value::as_i64)
}

/// The list at a path; empty when there is none.
pub fn list<'a>(value: &'a Value, path: &[&str]) -> &'a [Value] {
    at(value, path)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// Whether something other than null stands there.
pub fn has(value: &Value, path: &[&str]) -> bool {
    at(value, path).is_some_and(|found| !found.is_null())
}

/// A member of the metadata as text.
pub fn meta_text<'a>(value: &'a Value, name: &str) -> &'a str {
    text(value, &["metadata", name])
}

/// `metadata.name`.
pub fn name(value: &Value) -> &str {
    meta_text(value, "name")
}

/// `metadata.namespace`.
pub fn namespace(value: &Value) -> &str {
    meta_text(value, "namespace")
}

/// `metadata.uid`.
pub fn uid(value: &Value) -> &str {
    meta_text(value, "uid")
}

/// `metadata.resourceVersion` as a number; 0 when unset.
pub fn version(value: &Value) -> u64 {
    meta_text(value, "resourceVersion").parse().unwrap_or(0)
}

/// Whether deletion has begun.
pub fn is_deleting(value: &Value) -> bool {
    has(value, &["metadata", "deletionTimestamp"])
}

/// `metadata.finalizers`.
pub fn finalizers(value: &Value) -> impl Iterator<Item = &str> {
    list(value, &["metadata", "finalizers"])
        .iter()
        .filter_map(Value::as_str)
}

/// `metadata.ownerReferences`.
pub fn owners(value: &Value) -> &[Value] {
    list(value, &["metadata", "ownerReferences"])
}

/// The JSON object at a path, made where it does not exist. Whatever else stands in the way is replaced.
pub fn object_mut<'a>(value: &'a mut Value, path: &[&str]) -> &'a mut Object {
    let Some((first, rest)) = path.split_first() else {
        return as_object(value);
    };
    let entry = as_object(value).entry((*first).to_owned()).or_insert(Value::Null);
    object_mut(entry, rest)
}

fn as_object(value: &mut Value) -> &mut Object {
    match value {
        Value::Object(map) => map,
        other => {
            *other = Value::Object(Map::new());
            as_object(other)
        }
    }
}

/// The metadata, made where there is none.
pub fn meta_mut(value: &mut Value) -> &mut Object {
    object_mut(value, &["metadata"])
}

/// Sets a member of the metadata.
pub fn set_meta(value: &mut Value, name: &str, content: impl Into<Value>) {
    meta_mut(value).insert(name.to_owned(), content.into());
}

/// Removes a member of the metadata and returns what stood there.
pub fn take_meta(value: &mut Value, name: &str) -> Option<Value> {
    value
        .get_mut("metadata")
        .and_then(Value::as_object_mut)
        .and_then(|meta| meta.remove(name))
}

/// Sets or, with `None`, removes a top-level member.
pub fn put(value: &mut Value, name: &str, content: Option<Value>) {
    let map = as_object(value);
    match content {
        Some(content) => drop(map.insert(name.to_owned(), content)),
        None => drop(map.remove(name)),
    }
}

/// Removes one finalizer.
pub fn remove_finalizer(value: &mut Value, finalizer: &str) {
    let meta = meta_mut(value);
    let Some(Value::Array(list)) = meta.get_mut("finalizers") else {
        return;
    };
    list.retain(|entry| entry.as_str() != Some(finalizer));
    if list.is_empty() {
        meta.remove("finalizers");
    }
}

/// Adds a finalizer unless it is there.
pub fn add_finalizer(value: &mut Value, finalizer: &str) {
    let list = meta_mut(value)
        .entry("finalizers")
        .or_insert_with(|| Value::Array(Vec::new()));
    if !list.is_array() {
        *list = Value::Array(Vec::new());
    }
    if let Value::Array(list) = list
        && !list.iter().any(|entry| entry.as_str() == Some(finalizer))
    {
        list.push(Value::from(finalizer));
    }
}
