//! Which part of the old object a part of the new one was, and whether it has changed.
//!
//! An update may leave alone what was invalid before: the server tolerates the errors of parts that are as they were
//! ("ratcheting").

use serde_json::{Map, Value};

use super::node::{ListType, Node};

/// A value with what it was, under its schema.
#[derive(Clone, Copy)]
pub(crate) struct Pair<'a> {
    pub new: &'a Value,
    pub old: &'a Value,
    pub node: &'a Node,
}

impl Pair<'_> {
    /// The pair of one member, when both objects have it and the schema knows it.
    pub(crate) fn key(&self, name: &str) -> Option<Self> {
        let (new, old) = (self.new.as_object()?, self.old.as_object()?);
        Some(Self {
            new: new.get(name)?,
            old: old.get(name)?,
            node: self.node.member(name)?,
        })
    }

    /// The pair of one item: only lists whose items have keys tell which one it was.
    pub(crate) fn index(&self, index: usize) -> Option<Self> {
        let (new, old) = (self.new.as_array()?, self.old.as_array()?);
        let new = new.get(index)?;
        Some(Self {
            new,
            old: counterpart(self.node, old, new)?,
            node: self.node.items.as_deref()?,
        })
    }

    /// Whether nothing changed. Items that keys tell apart may have been reordered; what has no schema counts as
    /// changed.
    pub(crate) fn is_same(&self) -> bool {
        match (self.new, self.old) {
            (Value::Array(new), Value::Array(old)) => {
                if new.len() != old.len() {
                    return false;
                }
                match self.node.list {
                    ListType::Map(_) => {
                        (0..new.len()).all(|i| self.index(i).is_some_and(|item| item.is_same()))
                    }
                    _ => new == old,
                }
            }
            (Value::Object(new), Value::Object(old)) => {
                new.len() == old.len()
                    && new
                        .keys()
                        .all(|name| self.key(name).is_some_and(|member| member.is_same()))
            }
            (new, old) => new == old,
        }
    }
}

/// The item of the old list that has the same keys, by the schema of the list.
pub(crate) fn counterpart<'a>(list: &Node, old: &'a [Value], item: &Value) -> Option<&'a Value> {
    let ListType::Map(keys) = &list.list else {
        return None;
    };
    let wanted = keys_of(keys, item.as_object()?)?;
    old.iter()
        .find(|old| old.as_object().and_then(|old| keys_of(keys, old)) == Some(wanted.clone()))
}

/// The values of the key fields, when all are there and scalars.
fn keys_of<'a>(keys: &[String], item: &'a Map<String, Value>) -> Option<Vec<&'a Value>> {
    let scalar = |value: &&Value| matches!(value, Value::Bool(_) | Value::Number(_) | Value::String(_));
    keys.iter().map(|key| item.get(key).filter(scalar)).collect()
}
