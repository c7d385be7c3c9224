//! What strategic merge does with lists: directives of items, union, order.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::PatchError;

/// The member that holds a directive.
pub(super) const PATCH: &str = "$patch";

/// The values of `$patch`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Directive {
    Replace,
    Delete,
    Merge,
}

pub(super) fn directive(value: &Value) -> Option<Directive> {
    match value.as_str()? {
        "replace" => Some(Directive::Replace),
        "delete" => Some(Directive::Delete),
        "merge" => Some(Directive::Merge),
        _ => None,
    }
}

pub(super) fn unknown_directive(directive: &Value, patch: &Map<String, Value>) -> PatchError {
    let mut patch = patch.clone();
    patch.insert(PATCH.to_owned(), directive.clone());
    let directive = go_value(directive);
    PatchError::Internal(format!(
        "unknown patch type: {directive} in map: {}",
        go_map(&patch)
    ))
}

/// The value of `item` at the merge key.
pub(super) fn id<'a>(item: &'a Value, key: &str) -> Result<&'a Value, PatchError> {
    item.get(key).ok_or_else(|| no_merge_key(item, key))
}

fn no_merge_key(item: &Value, key: &str) -> PatchError {
    let shown = item.as_object().map(go_map).unwrap_or_default();
    PatchError::Internal(format!("map: {shown} does not contain declared merge key: {key}"))
}

/// Whether the items are objects; they must all be of one form, and not lists.
pub(super) fn of_objects(original: &[Value], patch: &[Value]) -> Result<bool, PatchError> {
    let mut items = original.iter().chain(patch);
    let Some(first) = items.next() else {
        return Ok(false);
    };
    if first.is_array() {
        return Err(PatchError::Unprocessable {
            detail: "lists of lists are not supported".to_owned(),
        });
    }
    if items.any(|item| std::mem::discriminant(item) != std::mem::discriminant(first)) {
        let all = [original, patch].map(|list| Value::Array(list.to_vec()));
        return Err(PatchError::Internal(format!(
            "list element types are not identical: [{} {}]",
            go_value(&all[0]),
            go_value(&all[1])
        )));
    }
    Ok(first.is_object())
}

/// Carries out `$patch` in the items of `patch` and takes those items out: what is left of both lists.
pub(super) fn run_directives(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    key: &str,
) -> Result<(Vec<Value>, Vec<Value>), PatchError> {
    let mut rest = Vec::new();
    let mut replaced = false;
    for item in patch {
        let Some(value) = item.get(PATCH) else {
            rest.push(item);
            continue;
        };
        match directive(value) {
            Some(Directive::Delete) => {
                let id = id(&item, key)?;
                original.retain(|other| other.get(key) != Some(id));
            }
            Some(Directive::Replace) => replaced = true,
            Some(Directive::Merge) => {
                return Err(PatchError::Internal(
                    "merging lists cannot yet be specified in the patch".to_owned(),
                ));
            }
            None => {
                let object = item.as_object().cloned().unwrap_or_default();
                return Err(unknown_directive(value, &object));
            }
        }
    }
    Ok(if replaced {
        (rest, Vec::new())
    } else {
        (original, rest)
    })
}

/// All scalars of both lists, each once.
pub(super) fn union(original: &[Value], patch: &[Value]) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    for item in original.iter().chain(patch) {
        if !all.contains(item) {
            all.push(item.clone());
        }
    }
    all
}

/// The merged items: those that `patch` names in its order, the others in that of the `server`, one list woven into
/// the other where the server's order says how the two compare.
pub(super) fn order(merged: Vec<Value>, patch: &[Value], server: &[Value], key: Option<&str>) -> Vec<Value> {
    let place = |list: &[Value], item: &Value| list.iter().position(|other| same(other, item, key));
    let (mut named, mut others): (Vec<Value>, Vec<Value>) =
        merged.into_iter().partition(|item| place(patch, item).is_some());
    named.sort_by_key(|item| place(patch, item));
    others.sort_by_key(|item| place(server, item));

    let (mut named, mut others) = (named.into_iter().peekable(), others.into_iter().peekable());
    let mut woven = Vec::new();
    while let (Some(item), Some(other)) = (named.peek(), others.peek()) {
        let other_first = match (place(server, other), place(server, item)) {
            (Some(other), Some(item)) => other < item,
            _ => false,
        };
        woven.extend(if other_first { others.next() } else { named.next() });
    }
    woven.extend(named);
    woven.extend(others);
    woven
}

fn same(a: &Value, b: &Value, key: Option<&str>) -> bool {
    match key {
        Some(key) => a.get(key) == b.get(key),
        None => a == b,
    }
}

/// Whether the items of `patch` stand in `order`, in that order. Items with directives don't count.
pub(super) fn check_order(patch: &[Value], order: &[Value], key: Option<&str>) -> Result<(), PatchError> {
    if patch.is_empty() || order.is_empty() {
        return Ok(());
    }
    if let Some(key) = key {
        for item in order {
            id(item, key)?;
        }
    }
    let mut rest = order.iter();
    for item in patch.iter().filter(|item| item.get(PATCH).is_none()) {
        if let Some(key) = key {
            id(item, key)?;
        }
        if !rest.any(|other| same(other, item, key)) {
            let [patch, order] = [patch, order].map(|list| go_value(&Value::Array(list.to_vec())));
            return Err(PatchError::Internal(format!(
                "The order in patch list:\n{patch}\n doesn't match $setElementOrder list:\n{order}\n"
            )));
        }
    }
    Ok(())
}

/// The value without members that are null, at any depth.
pub(super) fn without_nulls(mut value: Value) -> Value {
    match &mut value {
        Value::Object(object) => {
            object.retain(|_, member| !member.is_null());
            object
                .values_mut()
                .for_each(|member| *member = without_nulls(member.take()));
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| *item = without_nulls(item.take())),
        _ => {}
    }
    value
}

/// The value without objects that hold a directive, at any depth.
pub(super) fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(object) if object.contains_key(PATCH) => None,
        Value::Object(object) => Some(
            object
                .into_iter()
                .filter_map(|(key, member)| Some((key, without_directives(member)?)))
                .collect(),
        ),
        Value::Array(items) => Some(items.into_iter().filter_map(without_directives).collect()),
        other => Some(other),
    }
}

/// An object as Go prints one in a message.
fn go_map(object: &Map<String, Value>) -> String {
    let sorted: BTreeMap<&String, &Value> = object.iter().collect();
    let members: Vec<String> = sorted
        .iter()
        .map(|(key, value)| format!("{key}:{}", go_value(value)))
        .collect();
    format!("map[{}]", members.join(" "))
}

fn go_value(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Object(object) => go_map(object),
        Value::Array(items) => format!("[{}]", items.iter().map(go_value).collect::<Vec<_>>().join(" ")),
        other => other.to_string(),
    }
}
