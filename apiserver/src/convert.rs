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

fn rename<'a>(members: &mut Object, names: impl Iterator<Item = (&'a str, &'a str)>) {
    for (from, to) in names {
        if let Some(value) = members.remove(from) {
            members.insert(to.to_owned(), value);
        }
    }
}
