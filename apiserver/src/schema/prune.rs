//! What the server does to an object before it looks at its values: fields that the schema does not know are taken
//! out, so are nulls where the schema takes none, and defaults are put in.

use serde_json::{Map, Value};

use super::metadata;
use super::node::{Additional, Node};

/// The fields that every resource has, whatever its schema says.
const RESOURCE_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// What becomes of nulls where the schema takes none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nulls {
    /// They are as good as nothing: so in an object that is sent whole.
    Dropped,
    /// They are as wrong as any value of another type: so in what an apply says.
    Kept,
}

/// The fields that were taken out, and where the walk is.
#[derive(Default)]
struct Walk {
    at: String,
    unknown: Vec<String>,
}

impl Walk {
    fn below<T>(&mut self, segment: &str, go: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.at.len();
        if !self.at.is_empty() && !segment.starts_with('[') {
            self.at.push('.');
        }
        self.at.push_str(segment);
        let result = go(self);
        self.at.truncate(length);
        result
    }

    fn report(&mut self, name: &str) {
        let path = self.below(name, |walk| walk.at.clone());
        self.unknown.push(path);
    }
}

/// Takes out of a resource what its schema does not know and returns the paths: those of the metadata first, then
/// the others in order, then those of embedded resources' metadata.
pub(super) fn prune(node: &Node, object: &mut Value, nulls: Nulls) -> Vec<String> {
    let mut unknown = Vec::new();
    if let Some(meta) = object.get_mut("metadata") {
        unknown.extend(metadata::prune(meta, "metadata"));
    }
    let mut walk = Walk::default();
    prune_value(&mut walk, object, Some(node), true);
    walk.unknown.sort();
    unknown.append(&mut walk.unknown);
    if nulls == Nulls::Dropped {
        drop_nulls(object, Some(node), true);
    }
    if node.has_embedded {
        embedded_metadata(&mut walk, object, node, true);
        walk.unknown.sort();
        unknown.append(&mut walk.unknown);
    }
    unknown
}

/// As `prune`, for a part of a resource.
pub(super) fn prune_part(node: &Node, value: &mut Value) {
    prune_value(&mut Walk::default(), value, Some(node), false);
}

fn is_resource_field(name: &str) -> bool {
    RESOURCE_FIELDS.contains(&name)
}

fn prune_value(walk: &mut Walk, value: &mut Value, node: Option<&Node>, root: bool) {
    let Some(node) = node else {
        return prune_unknown(walk, value);
    };
    if node.preserve_unknown {
        return keep_unknown(walk, value, node, root);
    }
    match value {
        Value::Object(map) => {
            let resource = root || node.embedded;
            map.retain(|name, value| {
                if resource && is_resource_field(name) {
                    return true;
                }
                if let Some(sub) = node.properties.get(name) {
                    walk.below(name, |walk| prune_value(walk, value, Some(sub), false));
                    return true;
                }
                match &node.additional {
                    Additional::Unsaid => {
                        walk.report(name);
                        return false;
                    }
                    Additional::Any => walk.below(name, |walk| prune_value(walk, value, None, false)),
                    Additional::Schema(sub) => {
                        walk.below(name, |walk| prune_value(walk, value, Some(sub), false));
                    }
                }
                true
            });
        }
        Value::Array(items) => {
            for (i, item) in items.iter_mut().enumerate() {
                walk.below(&format!("[{i}]"), |walk| {
                    prune_value(walk, item, node.items.as_deref(), false);
                });
            }
        }
        _ => {}
    }
}

/// Where there is no schema no field is known.
fn prune_unknown(walk: &mut Walk, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for name in map.keys() {
                walk.report(name);
            }
            map.clear();
        }
        Value::Array(items) => {
            for (i, item) in items.iter_mut().enumerate() {
                walk.below(&format!("[{i}]"), |walk| prune_unknown(walk, item));
            }
        }
        _ => {}
    }
}

/// Where unknown fields are kept, the known ones are still looked into.
fn keep_unknown(walk: &mut Walk, value: &mut Value, node: &Node, root: bool) {
    match value {
        Value::Object(map) => {
            let resource = root || node.embedded;
            for (name, value) in map.iter_mut() {
                if resource && is_resource_field(name) {
                    continue;
                }
                if let Some(sub) = node.properties.get(name) {
                    walk.below(name, |walk| prune_value(walk, value, Some(sub), false));
                } else if let Additional::Schema(sub) = &node.additional {
                    walk.below(name, |walk| prune_value(walk, value, Some(sub), false));
                } else if matches!(node.additional, Additional::Any) {
                    walk.below(name, |walk| prune_unknown(walk, value));
                }
            }
        }
        Value::Array(items) => {
            if let Some(sub) = node.items.as_deref() {
                for (i, item) in items.iter_mut().enumerate() {
                    walk.below(&format!("[{i}]"), |walk| keep_unknown(walk, item, sub, false));
                }
            }
        }
        _ => {}
    }
}

/// Takes out nulls that are not nullable and have no default.
fn drop_nulls(value: &mut Value, node: Option<&Node>, root: bool) {
    match value {
        Value::Object(map) => map.retain(|name, value| {
            if root && is_resource_field(name) && node.is_none_or(|node| !node.properties.contains_key(name))
            {
                return true;
            }
            let sub = node.and_then(|node| node.member(name));
            if value.is_null() && sub.is_some_and(|sub| !sub.nullable && sub.default.is_none()) {
                return false;
            }
            drop_nulls(value, sub, false);
            true
        }),
        Value::Array(items) => {
            let sub = node.and_then(|node| node.items.as_deref());
            for item in items {
                drop_nulls(item, sub, false);
            }
        }
        _ => {}
    }
}

/// Takes unknown fields out of the metadata of embedded resources.
fn embedded_metadata(walk: &mut Walk, value: &mut Value, node: &Node, root: bool) {
    match value {
        Value::Object(map) => {
            if node.embedded
                && !root
                && let Some(meta) = map.get_mut("metadata")
            {
                let path = walk.below("metadata", |walk| walk.at.clone());
                walk.unknown.extend(metadata::prune(meta, &path));
            }
            for (name, value) in map.iter_mut() {
                if let Some(sub) = node.member(name) {
                    walk.below(name, |walk| embedded_metadata(walk, value, sub, false));
                }
            }
        }
        Value::Array(items) => {
            if let Some(sub) = node.items.as_deref() {
                for (i, item) in items.iter_mut().enumerate() {
                    walk.below(&format!("[{i}]"), |walk| {
                        embedded_metadata(walk, item, sub, false);
                    });
                }
            }
        }
        _ => {}
    }
}

/// Puts in the defaults: for missing fields, and for nulls where the schema takes none.
pub(super) fn default(node: &Node, value: &mut Value) {
    if !node.has_defaults {
        return;
    }
    match value {
        Value::Object(map) => {
            default_fields(node, map);
            for (name, value) in map.iter_mut() {
                if let Some(sub) = node.member(name) {
                    replace_null(sub, value);
                    default(sub, value);
                }
            }
        }
        Value::Array(items) => {
            if let Some(sub) = node.items.as_deref() {
                for item in items {
                    replace_null(sub, item);
                    default(sub, item);
                }
            }
        }
        _ => {}
    }
}

fn default_fields(node: &Node, map: &mut Map<String, Value>) {
    for (name, sub) in &node.properties {
        if let Some(value) = sub.default.as_ref().filter(|_| !map.contains_key(name)) {
            map.insert(name.clone(), value.clone());
        }
    }
}

fn replace_null(node: &Node, value: &mut Value) {
    if let (true, false, Some(default)) = (value.is_null(), node.nullable, &node.default) {
        default.clone_into(value);
    }
}
