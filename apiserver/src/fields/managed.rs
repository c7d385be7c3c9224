//! `metadata.managedFields`: who owns which fields.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::set::FieldSet;
use crate::topology::TypeInfo;

/// How many entries of operation Update an object has at most. The oldest are merged when there are more.
const MAX_UPDATE_MANAGERS: usize = 10;
const ANCIENT_CHANGES: &str = "ancient-changes";

/// What identifies an entry. The members are in the order by which entries are sorted where nothing else decides.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Manager {
    pub(super) name: String,
    pub(super) operation: Operation,
    /// Empty for operation Apply: who applies has one entry, whatever the version.
    pub(super) api_version: String,
    pub(super) subresource: String,
}

/// `operation` of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

/// What is known of a manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) set: FieldSet,
    pub(super) api_version: String,
    pub(super) time: Option<Timestamp>,
}

/// The entries of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Managed(pub(super) BTreeMap<Manager, Entry>);

/// Why managedFields cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("operation must be `Apply` or `Update`")]
    Operation,
    #[error("apiVersion must not be empty")]
    ApiVersion,
    #[error("missing fieldsType in managed fields entry {0}")]
    NoFieldsType(usize),
    #[error("invalid fieldsType {1:?} in managed fields entry {0}")]
    FieldsType(usize, String),
    #[error("error decoding set: {0}")]
    Fields(#[from] super::path::BadElement),
    #[error("time {0:?} is not in RFC 3339")]
    Time(String),
}

/// The managedFields of an object, as they stand in it.
pub(super) fn raw(object: &Value) -> Option<&Vec<Value>> {
    object.pointer("/metadata/managedFields")?.as_array()
}

/// Whether a request asks for ownership to be forgotten: an empty list, or one empty entry.
pub(super) fn is_reset(object: &Value) -> bool {
    match raw(object).map(Vec::as_slice) {
        Some([]) => true,
        Some([Value::Object(only)]) => only.values().all(|member| member.is_null() || member == ""),
        _ => false,
    }
}

/// Takes managedFields out of an object.
pub(super) fn strip(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}

impl Managed {
    /// Reads the managedFields of an object; none are no entries.
    pub(super) fn decode(object: &Value) -> Result<Self, Unreadable> {
        let entries = raw(object).into_iter().flatten().enumerate();
        entries
            .map(|(index, entry)| decode_entry(index, entry))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Writes the entries into an object, in the API server's order.
    pub(super) fn encode(&self, object: &mut Value) {
        strip(object);
        if self.0.is_empty() {
            return;
        }
        let mut entries: Vec<(&Manager, &Entry)> = self.0.iter().collect();
        entries.sort_by_key(|(manager, entry)| {
            let seconds = entry.time.map_or(0, Timestamp::as_second);
            (
                manager.operation,
                seconds,
                &manager.name,
                &entry.api_version,
                &manager.subresource,
            )
        });
        let entries = entries
            .into_iter()
            .map(|(manager, entry)| encode_entry(manager, entry))
            .collect();
        if let Some(object) = object.as_object_mut() {
            let metadata = object.entry("metadata").or_insert_with(|| json!({}));
            if let Some(metadata) = metadata.as_object_mut() {
                metadata.insert("managedFields".to_owned(), Value::Array(entries));
            }
        }
    }

    /// Merges the oldest Update entries of a version into one, until there are not too many.
    pub(super) fn cap(&mut self) {
        let mut updaters: Vec<Manager> = self
            .0
            .keys()
            .filter(|manager| manager.operation == Operation::Update)
            .cloned()
            .collect();
        let mut count = updaters.len();
        let seconds = |managed: &Self, manager: &Manager| {
            managed
                .0
                .get(manager)
                .and_then(|entry| entry.time)
                .map_or(0, Timestamp::as_second)
        };
        updaters.sort_by_key(|manager| (seconds(self, manager), manager.clone()));
        let mut firsts: BTreeMap<String, Manager> = BTreeMap::new();
        for manager in updaters {
            if count <= MAX_UPDATE_MANAGERS {
                break;
            }
            let Some(entry) = self.0.get(&manager).cloned() else {
                continue;
            };
            let Some(first) = firsts.get(&entry.api_version) else {
                firsts.insert(entry.api_version, manager);
                continue;
            };
            let bucket = Manager {
                name: ANCIENT_CHANGES.to_owned(),
                operation: Operation::Update,
                api_version: entry.api_version.clone(),
                subresource: String::new(),
            };
            if !self.0.contains_key(&bucket)
                && let Some(first) = self.0.remove(first)
            {
                self.0.insert(bucket.clone(), first);
            }
            self.0.remove(&manager);
            if let Some(into) = self.0.get_mut(&bucket) {
                into.set = into.set.union(&entry.set);
                into.time = entry.time;
            }
            count = count.saturating_sub(1);
        }
    }
}

fn decode_entry(index: usize, entry: &Value) -> Result<(Manager, Entry), Unreadable> {
    let text = |member: &str| entry.get(member).and_then(Value::as_str).unwrap_or_default();
    let operation = match text("operation") {
        "Apply" => Operation::Apply,
        "Update" => Operation::Update,
        _ => return Err(Unreadable::Operation),
    };
    let api_version = text("apiVersion").to_owned();
    if api_version.is_empty() {
        return Err(Unreadable::ApiVersion);
    }
    match text("fieldsType") {
        "FieldsV1" => {}
        "" => return Err(Unreadable::NoFieldsType(index)),
        other => return Err(Unreadable::FieldsType(index, other.to_owned())),
    }
    let time = match text("time") {
        "" => None,
        time => Some(time.parse().map_err(|_| Unreadable::Time(time.to_owned()))?),
    };
    let set = FieldSet::from_fields_v1(entry.get("fieldsV1").unwrap_or(&Value::Null))?;
    let manager = Manager {
        name: text("manager").to_owned(),
        operation,
        api_version: if operation == Operation::Apply {
            String::new()
        } else {
            api_version.clone()
        },
        subresource: text("subresource").to_owned(),
    };
    Ok((
        manager,
        Entry {
            set,
            api_version,
            time,
        },
    ))
}

fn encode_entry(manager: &Manager, entry: &Entry) -> Value {
    let mut members = Map::new();
    let mut insert = |member: &str, value: Value| members.insert(member.to_owned(), value);
    if !manager.name.is_empty() {
        insert("manager", json!(manager.name));
    }
    insert(
        "operation",
        json!(if manager.operation == Operation::Apply {
            "Apply"
        } else {
            "Update"
        }),
    );
    insert("apiVersion", json!(entry.api_version));
    if let Some(time) = entry.time {
        insert("time", json!(time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()));
    }
    insert("fieldsType", json!("FieldsV1"));
    insert("fieldsV1", entry.set.to_fields_v1());
    if !manager.subresource.is_empty() {
        insert("subresource", json!(manager.subresource));
    }
    Value::Object(members)
}

/// Undoes changes of times in `new` if they are all that sets it apart from `live`.
pub(super) fn keep_times(live: &Value, new: &mut Value, info: &TypeInfo) {
    let Some(entries) = raw(live).filter(|entries| !entries.is_empty()) else {
        return;
    };
    let same_entries = raw(new).is_some_and(|written| {
        entries.len() == written.len()
            && entries
                .iter()
                .zip(written)
                .all(|(a, b)| same_but(a, b, "time", false))
    });
    // the structs of built-in kinds do not tell an empty member from none
    let lenient = info.is_builtin();
    let same_object = || {
        let nothing = Value::Null;
        let [a, b] = [live, &*new].map(|object| object.get("metadata").unwrap_or(&nothing));
        same_but(live, new, "metadata", lenient) && same_but(a, b, "managedFields", lenient)
    };
    if same_entries && same_object() {
        let entries = entries.clone();
        if let Some(place) = new.pointer_mut("/metadata/managedFields") {
            *place = Value::Array(entries);
        }
    }
}

/// Whether two objects have the same members but for one. If `lenient`, empty members mean as much as none.
fn same_but(a: &Value, b: &Value, but: &str, lenient: bool) -> bool {
    let (Value::Object(a), Value::Object(b)) = (a, b) else {
        return a == b;
    };
    let counts = |member: &&Value| !lenient || !is_nothing(member);
    let same = |key: &String| match (a.get(key).filter(counts), b.get(key).filter(counts)) {
        (Some(a), Some(b)) if lenient => alike(a, b),
        (a, b) => a == b,
    };
    let only_there = b.keys().filter(|key| !a.contains_key(*key));
    let mut keys = a.keys().chain(only_there);
    keys.all(|key| key == but || same(key))
}

/// Whether two values are the same but for empty members.
fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(_), Value::Object(_)) => same_but(a, b, "", true),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        _ => a == b,
    }
}

/// Whether there is nothing in a value.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(members) => members.values().all(is_nothing),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_deep_is_looked_at_once() {
        // twice for each level would never end
        let deep = |leaf: Value| (0..64).fold(leaf, |inner, _| json!({ "a": inner, "b": [] }));
        assert!(alike(&deep(json!(1)), &deep(json!(1))));
        assert!(!alike(&deep(json!(1)), &deep(json!(2))));
        assert!(same_but(
            &json!({ "a": 1, "t": 1 }),
            &json!({ "a": 1, "t": 2, "n": {} }),
            "t",
            true
        ));
        assert!(!same_but(
            &json!({ "a": 1 }),
            &json!({ "a": 1, "b": 2 }),
            "t",
            true
        ));
    }
}
