//! Lists whose items must differ: sets by the whole item, maps by their key fields.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::error::{ErrorKind, FieldError, Path};
use super::go;
use super::node::{ListType, Node};

/// The items that stand twice, in all lists of the object.
pub(super) fn check(node: &Node, value: &Value, at: &Path<'_>, errors: &mut Vec<FieldError>) {
    if !node.has_lists {
        return;
    }
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                if let Some(sub) = node.additional() {
                    check(sub, value, &Path::Key(at, name), errors);
                }
                if let Some(sub) = node.properties.get(name) {
                    check(sub, value, &Path::Field(at, name), errors);
                }
            }
        }
        Value::Array(items) => {
            match &node.list {
                ListType::Atomic => {}
                ListType::Set => {
                    for i in repeated(items.iter().map(go::json)) {
                        duplicate(errors, at, i, items.get(i).cloned().unwrap_or_default());
                    }
                }
                ListType::Map(keys) => map_items(keys, items, at, errors),
            }
            if let Some(sub) = node.items.as_deref() {
                for (i, item) in items.iter().enumerate() {
                    check(sub, item, &Path::Index(at, i), errors);
                }
            }
        }
        _ => {}
    }
}

fn map_items(keys: &[String], items: &[Value], at: &Path<'_>, errors: &mut Vec<FieldError>) {
    if let Some((i, item)) = items
        .iter()
        .enumerate()
        .find(|(_, item)| !item.is_null() && !item.is_object())
    {
        let place = Path::Index(at, i).bracketed();
        errors.push(FieldError::invalid(
            place,
            item.clone(),
            "must be an object for an array of list-type map",
        ));
        return;
    }
    let identities: Vec<Value> = items.iter().map(|item| identity(keys, item)).collect();
    for i in repeated(identities.iter().map(go::json)) {
        duplicate(errors, at, i, identities.get(i).cloned().unwrap_or_default());
    }
}

/// The key fields that the item has.
fn identity(keys: &[String], item: &Value) -> Value {
    let given = keys
        .iter()
        .filter_map(|key| Some((key.clone(), item.get(key)?.clone())));
    Value::Object(given.collect::<Map<_, _>>())
}

/// Where an item stands for the second time; third and later ones are not reported.
fn repeated(items: impl Iterator<Item = String>) -> Vec<usize> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut places = Vec::new();
    for (i, item) in items.enumerate() {
        let times = seen.entry(item).or_insert(0);
        *times = times.saturating_add(1);
        if *times == 2 {
            places.push(i);
        }
    }
    places
}

fn duplicate(errors: &mut Vec<FieldError>, at: &Path<'_>, i: usize, value: Value) {
    errors.push(FieldError::new(
        ErrorKind::Duplicate,
        Path::Index(at, i).bracketed(),
        value,
        "",
    ));
}
