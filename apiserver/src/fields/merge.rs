//! Merging an applied configuration into an object.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Map as Object, Value};

use super::compare::same_form;
use super::items;
use super::path::Element;
use crate::topology::{Atom, List, ListKind, Map, TypeInfo, TypeRef};

/// `live` with `config` merged into it. Both have passed validation; nothing is removed. Items of lists keep the order
/// of `live`, unless `config` orders those it names differently.
pub(super) fn merge(info: &TypeInfo, live: &Value, config: &Value) -> Value {
    Merge { info }
        .value(Some(live), Some(config), info.root())
        .unwrap_or(Value::Null)
}

#[derive(Clone, Copy)]
struct Merge<'a> {
    info: &'a TypeInfo,
}

impl Merge<'_> {
    fn value(self, live: Option<&Value>, config: Option<&Value>, of: &TypeRef) -> Option<Value> {
        let atom = self.info.resolve(of);
        let (live_atom, config_atom) = (atom.clone().for_value(live), atom.for_value(config));
        let atom = if config.is_none() || (live.is_some() && same_form(&live_atom, &config_atom)) {
            live_atom
        } else {
            config_atom
        };
        self.form(&atom, live, config)
    }

    fn form(self, atom: &Atom, live: Option<&Value>, config: Option<&Value>) -> Option<Value> {
        if let Some(map) = &atom.map {
            self.map(map, live, config)
        } else if let (None, Some(list)) = (atom.scalar, &atom.list) {
            self.list(list, live, config)
        } else {
            config.or(live).cloned()
        }
    }

    fn map(self, map: &Map, live: Option<&Value>, config: Option<&Value>) -> Option<Value> {
        let [members, others] = [live, config].map(|value| value.and_then(Value::as_object));
        let is_empty = |members: Option<&Object<_, _>>| members.is_none_or(Object::is_empty);
        if map.atomic || (is_empty(members) && is_empty(others)) {
            return config.or(live).cloned();
        }
        let keys: BTreeSet<&String> = members.into_iter().chain(others).flat_map(Object::keys).collect();
        let merged: Object<String, Value> = keys
            .into_iter()
            .filter_map(|key| {
                let (member, other) = (
                    members.and_then(|all| all.get(key)),
                    others.and_then(|all| all.get(key)),
                );
                Some((key.clone(), self.value(member, other, map.type_of(key)?)?))
            })
            .collect();
        (!merged.is_empty()).then_some(Value::Object(merged))
    }

    fn list(self, list: &List, live: Option<&Value>, config: Option<&Value>) -> Option<Value> {
        let [lives, configs] = [live, config].map(|value| value.and_then(Value::as_array));
        let is_empty = |found: Option<&Vec<_>>| found.is_none_or(Vec::is_empty);
        if list.kind == ListKind::Atomic || (is_empty(lives) && is_empty(configs)) {
            return config.or(live).cloned();
        }
        let [lives, configs] = [lives, configs].map(|found| self.elements(list, found));
        let merged: Vec<Value> = weave(&lives, &configs)
            .into_iter()
            .filter_map(|(live, config)| self.value(live, config, &list.element))
            .collect();
        (!merged.is_empty()).then_some(Value::Array(merged))
    }

    fn elements<'v>(self, list: &List, found: Option<&'v Vec<Value>>) -> Vec<(Element, &'v Value)> {
        found
            .into_iter()
            .flatten()
            .filter_map(|item| Some((items::element(self.info, list, item).ok()?, item)))
            .collect()
    }
}

/// An item of the merged list: from the live list, from the configuration, or both.
type Pair<'v> = (Option<&'v Value>, Option<&'v Value>);

/// Puts the items of two lists into one order. Items of `live` that `config` does not name stay where they are, relative
/// to those that both name in the same order.
fn weave<'v>(live: &[(Element, &'v Value)], config: &[(Element, &'v Value)]) -> Vec<Pair<'v>> {
    // An item that is there twice cannot be merged: the new one takes its place.
    let mut live_items: BTreeMap<&Element, Option<&'v Value>> = BTreeMap::new();
    for (element, item) in live {
        live_items
            .entry(element)
            .and_modify(|known| *known = Some(&Value::Null))
            .or_insert(Some(item));
    }
    let config_items: BTreeMap<&Element, &'v Value> = config.iter().map(|(e, item)| (e, *item)).collect();
    let of_live = |element: &Element| live_items.get(element).copied().flatten();

    let mut shared: VecDeque<&Element> = config
        .iter()
        .map(|(e, _)| e)
        .filter(|e| live_items.contains_key(e))
        .collect();
    let mut next_shared = shared.pop_front();
    let mut merged = BTreeSet::new();
    let mut woven = Vec::new();
    let (mut live_rest, mut config_rest) = (live.iter().peekable(), config.iter().peekable());
    while live_rest.peek().is_some() || config_rest.peek().is_some() {
        if let (Some((ours, _)), Some((theirs, item))) = (live_rest.peek(), config_rest.peek()) {
            if ours == theirs {
                merged.insert(ours);
                woven.push((of_live(ours), Some(*item)));
                live_rest.next();
                config_rest.next();
                next_shared = shared.pop_front();
                continue;
            }
            if config_items.contains_key(ours) && next_shared.is_some_and(|next| next != ours) {
                // Named by both, but another one is due first.
                live_rest.next();
                continue;
            }
        }
        if let Some((ours, item)) = live_rest.peek() {
            if !config_items.contains_key(ours) {
                woven.push((Some(*item), None));
                live_rest.next();
                continue;
            }
            if merged.contains(ours) {
                live_rest.next();
            }
        }
        if let Some((theirs, item)) = config_rest.next() {
            merged.insert(theirs);
            woven.push((of_live(theirs), Some(*item)));
            if next_shared == Some(theirs) {
                next_shared = shared.pop_front();
            }
        }
    }
    woven
}
