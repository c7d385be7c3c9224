//! Sets of paths. A path and the paths below it are members independently of each other.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::path::{BadElement, Element, Path};
use crate::topology::{TypeInfo, TypeRef};

/// A set of paths. Children are never empty, so that equal sets are equal values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    members: BTreeSet<Element>,
    children: BTreeMap<Element, FieldSet>,
}

impl FieldSet {
    /// The set of the given paths.
    pub fn of(paths: &[Path]) -> Self {
        let mut set = Self::default();
        for path in paths {
            set.insert(&path.0);
        }
        set
    }

    /// Adds a path. The empty path, which is the whole object, is owned by nobody.
    pub fn insert(&mut self, path: &[Element]) {
        match path {
            [] => {}
            [last] => {
                self.members.insert(last.clone());
            }
            [first, rest @ ..] => self.children.entry(first.clone()).or_default().insert(rest),
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.is_empty()
    }

    /// Whether `path` itself is a member.
    pub fn has(&self, path: &[Element]) -> bool {
        match path {
            [] => false,
            [last] => self.members.contains(last),
            [first, rest @ ..] => self.below(first).is_some_and(|below| below.has(rest)),
        }
    }

    /// What the set has below `element`.
    pub fn below(&self, element: &Element) -> Option<&Self> {
        self.children.get(element)
    }

    /// All paths, in order: those that end here first.
    pub fn paths(&self) -> Vec<Path> {
        let mut paths = Vec::new();
        self.collect(&mut Vec::new(), &mut paths);
        paths
    }

    fn collect(&self, prefix: &mut Vec<Element>, paths: &mut Vec<Path>) {
        for member in &self.members {
            let mut path = prefix.clone();
            path.push(member.clone());
            paths.push(Path(path));
        }
        for (element, child) in &self.children {
            prefix.push(element.clone());
            child.collect(prefix, paths);
            prefix.pop();
        }
    }

    /// Paths in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut union = self.clone();
        union.members.extend(other.members.iter().cloned());
        for (element, child) in &other.children {
            let merged = union
                .children
                .get(element)
                .map_or_else(|| child.clone(), |own| own.union(child));
            union.children.insert(element.clone(), merged);
        }
        union
    }

    /// Adds the paths of another set.
    pub fn merge(&mut self, other: Self) {
        self.members.extend(other.members);
        for (element, child) in other.children {
            match self.children.entry(element) {
                Entry::Vacant(place) => drop(place.insert(child)),
                Entry::Occupied(mut own) => own.get_mut().merge(child),
            }
        }
    }

    /// Takes the paths of another set out of this one.
    pub fn subtract(&mut self, other: &Self) {
        for member in &other.members {
            self.members.remove(member);
        }
        for (element, theirs) in &other.children {
            let Some(child) = self.children.get_mut(element) else {
                continue;
            };
            child.subtract(theirs);
            if child.is_empty() {
                self.children.remove(element);
            }
        }
    }

    /// Paths in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self {
            members: self.members.intersection(&other.members).cloned().collect(),
            children: self.map_children(|element, child| Some(child.intersection(other.below(element)?))),
        }
    }

    /// Paths of this set that are not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        Self {
            members: self.members.difference(&other.members).cloned().collect(),
            children: self.map_children(|element, child| {
                Some(
                    other
                        .below(element)
                        .map_or_else(|| child.clone(), |theirs| child.difference(theirs)),
                )
            }),
        }
    }

    /// Paths of this set that are neither in `other` nor below one that is.
    #[must_use]
    pub fn recursive_difference(&self, other: &Self) -> Self {
        Self {
            members: self.members.difference(&other.members).cloned().collect(),
            children: self.map_children(|element, child| {
                if other.members.contains(element) {
                    return None;
                }
                let theirs = other.below(element);
                Some(theirs.map_or_else(|| child.clone(), |theirs| child.recursive_difference(theirs)))
            }),
        }
    }

    fn map_children(&self, change: impl Fn(&Element, &Self) -> Option<Self>) -> BTreeMap<Element, Self> {
        self.children
            .iter()
            .filter_map(|(element, child)| Some((element.clone(), change(element, child)?)))
            .filter(|(_, child)| !child.is_empty())
            .collect()
    }

    /// The set with every declared field made a member that has a path below it.
    #[must_use]
    pub(super) fn with_declared_fields(&self, info: &TypeInfo, of: &TypeRef) -> Self {
        let atom = info.resolve(of);
        let nothing = TypeRef::Inline(crate::topology::Atom::default());
        let mut members = self.members.clone();
        let mut children = BTreeMap::new();
        for (element, child) in &self.children {
            let below = match (element, &atom.map, &atom.list) {
                (Element::Field(name), Some(map), _) => {
                    if map.fields.contains_key(name) {
                        members.insert(element.clone());
                    }
                    map.type_of(name)
                }
                (Element::Key(_), _, Some(list)) => Some(&list.element),
                _ => None,
            };
            children.insert(
                element.clone(),
                child.with_declared_fields(info, below.unwrap_or(&nothing)),
            );
        }
        Self { members, children }
    }

    /// The set that a `fieldsV1` describes.
    pub fn from_fields_v1(fields: &Value) -> Result<Self, BadElement> {
        let mut set = Self::default();
        for (name, below) in fields.as_object().into_iter().flatten() {
            if name == "." {
                continue;
            }
            let Some(element) = Element::parse(name)? else {
                continue;
            };
            let child = Self::from_fields_v1(below)?;
            if child.is_empty() || below.get(".").is_some() {
                set.members.insert(element.clone());
            }
            if !child.is_empty() {
                set.children.insert(element, child);
            }
        }
        Ok(set)
    }

    /// The set as a `fieldsV1`.
    pub fn to_fields_v1(&self) -> Value {
        let elements: BTreeSet<&Element> = self.members.iter().chain(self.children.keys()).collect();
        let fields = elements.into_iter().map(|element| {
            let mut fields = Map::new();
            if let Some(child) = self.below(element) {
                if self.members.contains(element) {
                    fields.insert(".".to_owned(), Value::Object(Map::new()));
                }
                if let Value::Object(below) = child.to_fields_v1() {
                    fields.extend(below);
                }
            }
            (element.to_fields_v1(), Value::Object(fields))
        });
        Value::Object(fields.collect())
    }
}
