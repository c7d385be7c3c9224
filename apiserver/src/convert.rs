//! Between the form in which objects are stored and the one in which a group shows them.

use std::borrow::Cow;

use serde_json::Value;

use crate::object::Object;
use crate::registry::{Kind, Role};

/// What `events.k8s.io` calls the members of an Event, and what the core group calls them.
const EVENT_NAMES: [(&str, &str); 7] = [
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

fn is_new_event(kind: &Kind) -> bool {
    kind.role == Role::Event && !kind.group.is_empty()
}

/// Brings an Event of either group to the core group's form, in which it is stored.
pub(crate) fn event_to_stored(kind: &Kind, value: &mut Value) {
    let Some(members) = value.as_object_mut() else {
        return;
    };
    if is_new_event(kind) {
        rename(members, EVENT_NAMES.iter().copied());
    }
    members
        .entry("involvedObject")
        .or_insert_with(|| Value::Object(Object::new()));
    members
        .entry("source")
        .or_insert_with(|| Value::Object(Object::new()));
    for name in ["reportingComponent", "reportingInstance"] {
        members.entry(name).or_insert_with(|| Value::from(""));
    }
    for name in ["firstTimestamp", "lastTimestamp", "eventTime"] {
        members.entry(name).or_insert(Value::Null);
    }
}

/// A stored object as its kind shows it.
pub(crate) fn to_served<'a>(kind: &Kind, value: &'a Value) -> Cow<'a, Value> {
    if !is_new_event(kind) {
        return Cow::Borrowed(value);
    }
    let mut value = value.clone();
    if let Some(members) = value.as_object_mut() {
        rename(members, EVENT_NAMES.iter().map(|(new, old)| (*old, *new)));
        for name in ["reportingController", "reportingInstance"] {
            if members.get(name).and_then(Value::as_str) == Some("") {
                members.remove(name);
            }
        }
    }
    Cow::Owned(value)
}

/// Brings the entries of `managedFields` that the other group of Events wrote to the names of `kind`, to compare them.
pub(crate) fn entries_to_served(kind: &Kind, value: &mut Value) {
    rename_entries(kind, value, true);
}

/// Gives the entries that the other group wrote their own names back.
pub(crate) fn entries_to_stored(kind: &Kind, value: &mut Value) {
    rename_entries(kind, value, false);
}

fn rename_entries(kind: &Kind, value: &mut Value, to_own: bool) {
    let own = kind.api_version();
    let entries = crate::object::meta_mut(value)
        .get_mut("managedFields")
        .and_then(Value::as_array_mut);
    for entry in entries.into_iter().flatten() {
        if crate::object::text(entry, &["apiVersion"]) == own {
            continue;
        }
        let Some(fields) = entry.get_mut("fieldsV1").and_then(Value::as_object_mut) else {
            continue;
        };
        let to_new = is_new_event(kind) == to_own;
        for (new, old) in EVENT_NAMES {
            let (from, to) = if to_new { (old, new) } else { (new, old) };
            if let Some(set) = fields.remove(&format!("f:{from}")) {
                fields.insert(format!("f:{to}"), set);
            }
        }
    }
}

fn rename<'a>(members: &mut Object, names: impl Iterator<Item = (&'a str, &'a str)>) {
    for (from, to) in names {
        if let Some(value) = members.remove(from) {
            members.insert(to.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;
    use serde_json::json;

    #[test]
    fn entries_of_the_other_group_are_read_in_ones_own_names() {
        let registry = Registry::new();
        let [core, new] = ["", "events.k8s.io"].map(|group| registry.get(group, "v1", "events").unwrap());
        let entry =
            |api_version: &str, name: &str| json!({"apiVersion": api_version, "fieldsV1": {name: {}}});
        let both = |first: &str, second: &str| json!({"metadata": {"managedFields": [entry("v1", first), entry("events.k8s.io/v1", second)]}});
        let stored = both("f:message", "f:note");
        for (kind, served) in [
            (core, both("f:message", "f:message")),
            (new, both("f:note", "f:note")),
        ] {
            let mut value = stored.clone();
            entries_to_served(&kind, &mut value);
            assert_eq!(value, served);
            entries_to_stored(&kind, &mut value);
            assert_eq!(value, stored);
        }
    }
}
