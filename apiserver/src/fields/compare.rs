//! Which fields a value sets, and which fields differ between two values.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::items;
use super::path::Element;
use super::set::FieldSet;
use crate::topology::{Atom, List, ListKind, Map, TypeInfo, TypeRef};

/// The fields that `value` sets. It must have passed validation.
pub(super) fn field_set(info: &TypeInfo, value: &Value) -> FieldSet {
    let mut walk = Walk {
        info,
        path: Vec::new(),
        set: FieldSet::default(),
    };
    walk.value(value, info.root());
    walk.set
}

struct Walk<'a> {
    info: &'a TypeInfo,
    path: Vec<Element>,
    set: FieldSet,
}

impl Walk<'_> {
    fn value(&mut self, value: &Value, of: &TypeRef) {
        let atom = self.info.resolve(of).for_value(Some(value));
        if let Some(map) = &atom.map {
            self.map(map, value);
        } else if atom.scalar.is_some() {
            self.set.insert(&self.path);
        } else if let Some(list) = &atom.list {
            self.list(list, value);
        }
    }

    fn map(&mut self, map: &Map, value: &Value) {
        if map.atomic {
            return self.set.insert(&self.path);
        }
        for (key, member) in value.as_object().into_iter().flatten() {
            let Some(of) = map.type_of(key) else { continue };
            self.path.push(Element::Field(key.clone()));
            self.value(member, of);
            let is_empty = member.is_null() || member.as_object().is_some_and(serde_json::Map::is_empty);
            if is_empty || !map.fields.contains_key(key) {
                self.set.insert(&self.path);
            }
            self.path.pop();
        }
    }

    fn list(&mut self, list: &List, value: &Value) {
        if list.kind == ListKind::Atomic {
            return self.set.insert(&self.path);
        }
        for (element, found) in grouped(self.info, list, Some(value)) {
            self.path.push(element);
            // Items that are there twice are owned as one.
            if let [only] = found.as_slice() {
                self.value(only, &list.element);
            }
            self.set.insert(&self.path);
            self.path.pop();
        }
    }
}

/// How a value differs from an earlier one. No path is in two of the sets.
#[derive(Clone, Debug, Default)]
pub(super) struct Comparison {
    pub(super) removed: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) added: FieldSet,
}

impl Comparison {
    /// Changes each of the sets.
    pub(super) fn map(self, change: impl Fn(&FieldSet) -> FieldSet) -> Self {
        Self {
            removed: change(&self.removed),
            modified: change(&self.modified),
            added: change(&self.added),
        }
    }
}

/// Compares two values that have passed validation.
pub(super) fn compare(info: &TypeInfo, old: &Value, new: &Value) -> Comparison {
    let mut compare = Compare {
        info,
        path: Vec::new(),
        found: Comparison::default(),
    };
    compare.value(Some(old), Some(new), info.root());
    compare.found
}

struct Compare<'a> {
    info: &'a TypeInfo,
    path: Vec<Element>,
    found: Comparison,
}

/// Whether a value was compared as a whole.
type IsLeaf = bool;

impl Compare<'_> {
    fn value(&mut self, old: Option<&Value>, new: Option<&Value>, of: &TypeRef) {
        if old.is_some() && old == new {
            return;
        }
        let atom = self.info.resolve(of);
        let (old_atom, new_atom) = (atom.clone().for_value(old), atom.for_value(new));
        let is_leaf = match (old, new) {
            (_, None) => self.form(&old_atom, old, new),
            (None, _) => self.form(&new_atom, old, new),
            _ if same_form(&old_atom, &new_atom) => self.form(&new_atom, old, new),
            _ => {
                self.form(&old_atom, old, new);
                self.form(&new_atom, old, new)
            }
        };
        match (old, new) {
            (None, _) if !is_leaf => self.found.added.insert(&self.path),
            (_, None) if !is_leaf => self.found.removed.insert(&self.path),
            _ => {}
        }
    }

    fn form(&mut self, atom: &Atom, old: Option<&Value>, new: Option<&Value>) -> IsLeaf {
        if let Some(map) = &atom.map {
            self.map(map, old, new)
        } else if atom.scalar.is_some() {
            self.leaf(old, new)
        } else if let Some(list) = &atom.list {
            self.list(list, old, new)
        } else {
            false
        }
    }

    fn leaf(&mut self, old: Option<&Value>, new: Option<&Value>) -> IsLeaf {
        match (old, new) {
            (None, _) => self.found.added.insert(&self.path),
            (_, None) => self.found.removed.insert(&self.path),
            (Some(old), Some(new)) if super::order::compare(old, new).is_ne() => {
                self.found.modified.insert(&self.path);
            }
            _ => {}
        }
        true
    }

    fn map(&mut self, map: &Map, old: Option<&Value>, new: Option<&Value>) -> IsLeaf {
        let [members, others] = [old, new].map(|value| value.and_then(Value::as_object));
        let is_empty =
            |members: Option<&serde_json::Map<_, _>>| members.is_none_or(serde_json::Map::is_empty);
        if map.atomic || (is_empty(members) && is_empty(others)) {
            return self.leaf(old, new);
        }
        let keys: BTreeSet<&String> = members
            .into_iter()
            .chain(others)
            .flat_map(serde_json::Map::keys)
            .collect();
        for key in keys {
            let Some(of) = map.type_of(key) else { continue };
            if self.info.is_builtin() && is_unset(map, key, members, others) {
                continue;
            }
            self.path.push(Element::Field(key.clone()));
            self.value(
                members.and_then(|all| all.get(key)),
                others.and_then(|all| all.get(key)),
                of,
            );
            self.path.pop();
        }
        false
    }

    fn list(&mut self, list: &List, old: Option<&Value>, new: Option<&Value>) -> IsLeaf {
        let is_empty = |value: Option<&Value>| value.and_then(Value::as_array).is_none_or(Vec::is_empty);
        if list.kind == ListKind::Atomic || (is_empty(old) && is_empty(new)) {
            return self.leaf(old, new);
        }
        let olds = grouped(self.info, list, old);
        let news = grouped(self.info, list, new);
        let elements: BTreeSet<&Element> = olds.keys().chain(news.keys()).collect();
        for element in elements {
            self.path.push(element.clone());
            let [olds, news] = [&olds, &news].map(|items| items.get(element).map_or(&[][..], Vec::as_slice));
            self.items(list, olds, news);
            self.path.pop();
        }
        false
    }

    /// Items with the same key. Several of them are one leaf.
    fn items(&mut self, list: &List, old: &[&Value], new: &[&Value]) {
        match (old, new) {
            ([] | [_], [] | [_]) => {
                self.value(old.first().copied(), new.first().copied(), &list.element);
            }
            ([_, _, ..], [_, _, ..]) => {
                if old != new {
                    self.found.modified.insert(&self.path);
                }
            }
            ([_, _, ..], _) => {
                if let [only] = new {
                    self.value(None, Some(only), &list.element);
                }
                self.found.removed.insert(&self.path);
            }
            (_, [_, _, ..]) => {
                if let [only] = old {
                    self.value(Some(only), None, &list.element);
                }
                self.found.added.insert(&self.path);
            }
        }
    }
}

/// Whether a struct that was there before only has `key` written out now, as null.
fn is_unset(
    map: &Map,
    key: &str,
    old: Option<&serde_json::Map<String, Value>>,
    new: Option<&serde_json::Map<String, Value>>,
) -> bool {
    map.fields.contains_key(key)
        && old.is_some_and(|old| !old.contains_key(key))
        && new.is_some_and(|new| new.get(key) == Some(&Value::Null))
}

/// Whether both allow the same forms; they come from one type.
pub(super) fn same_form(a: &Atom, b: &Atom) -> bool {
    let forms = |atom: &Atom| (atom.scalar.is_some(), atom.list.is_some(), atom.map.is_some());
    forms(a) == forms(b)
}

/// The items by what tells them apart.
fn grouped<'a>(info: &TypeInfo, list: &List, value: Option<&'a Value>) -> BTreeMap<Element, Vec<&'a Value>> {
    let mut grouped: BTreeMap<Element, Vec<&Value>> = BTreeMap::new();
    for item in value.and_then(Value::as_array).into_iter().flatten() {
        if let Ok(element) = items::element(info, list, item) {
            grouped.entry(element).or_default().push(item);
        }
    }
    grouped
}
