//! Objects as the API server, a Go program, writes them into its messages: members in the order in which its types declare
//! them, which is not that of their names.

use std::fmt::Write as _;

use serde_json::Value;

use crate::object::Object;

/// The members of `metav1.ObjectMeta`.
const METADATA: [&str; 15] = [
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
];
/// The members of an entry of `managedFields`.
const ENTRY: [&str; 7] = [
    "manager",
    "operation",
    "apiVersion",
    "time",
    "fieldsType",
    "fieldsV1",
    "subresource",
];
/// The members of an owner reference.
const OWNER: [&str; 6] = [
    "apiVersion",
    "kind",
    "name",
    "uid",
    "controller",
    "blockOwnerDeletion",
];

/// Owner references as JSON.
pub(crate) fn owners(owners: &[Value]) -> String {
    list(owners, &OWNER)
}

/// Any JSON, with members by name.
pub(crate) fn plain(value: &Value) -> String {
    value.to_string()
}

/// A built-in object as JSON: its members by name, those of its metadata as declared or, unless `is_declared`, by name too.
pub(crate) fn object(value: &Value, is_declared: bool) -> String {
    let Some(members) = value.as_object() else {
        return plain(value);
    };
    let order: &[&str] = if is_declared { &METADATA } else { &[] };
    members_as(members, &[], |name, member| match (name, member) {
        ("metadata", Value::Object(metadata)) => {
            members_as(metadata, order, |name, member| match (name, member) {
                ("managedFields", Value::Array(entries)) => list(entries, &ENTRY),
                ("ownerReferences", Value::Array(owners)) => list(owners, &OWNER),
                _ => plain(member),
            })
        }
        _ => plain(member),
    })
}

fn list(items: &[Value], order: &[&str]) -> String {
    let items: Vec<String> = items
        .iter()
        .map(|item| match item {
            Value::Object(members) => members_as(members, order, |_, member| plain(member)),
            other => plain(other),
        })
        .collect();
    format!("[{}]", items.join(","))
}

/// Members in an order, those that it does not name after the others.
fn members_as(members: &Object, order: &[&str], shown: impl Fn(&str, &Value) -> String) -> String {
    let place = |name: &str| {
        order
            .iter()
            .position(|known| *known == name)
            .unwrap_or(order.len())
    };
    let mut members: Vec<(&String, &Value)> = members.iter().collect();
    members.sort_by_key(|(name, _)| (place(name), *name));
    let members: Vec<String> = members
        .into_iter()
        .map(|(name, member)| format!("{}:{}", Value::from(name.as_str()), shown(name, member)))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// An object of texts as the API server's own type has it: all members, by the names of Go's fields.
pub(crate) fn internal(value: &Value, members: &[&str]) -> String {
    let text = |member: &str| {
        let fields = value.as_object().into_iter().flatten();
        let mut found = fields.filter(|(name, _)| name.eq_ignore_ascii_case(member));
        let text = found
            .next()
            .and_then(|(_, text)| text.as_str())
            .unwrap_or_default();
        format!("\"{member}\":{}", Value::from(text))
    };
    let members: Vec<String> = members.iter().map(|member| text(member)).collect();
    format!("{{{}}}", members.join(","))
}

/// JSON as Go's `%v` prints a map.
pub(crate) fn go_map(value: &Value) -> String {
    let mut out = String::new();
    write_go(&mut out, value);
    out
}

fn write_go(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("<nil>"),
        Value::String(text) => out.push_str(text),
        Value::Bool(_) | Value::Number(_) => {
            let _ = write!(out, "{value}");
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { " " } else { "" });
                write_go(out, item);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push_str("map[");
            for (index, (name, member)) in members.iter().enumerate() {
                out.push_str(if index > 0 { " " } else { "" });
                out.push_str(name);
                out.push(':');
                write_go(out, member);
            }
            out.push(']');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn metadata_stands_as_it_is_declared() {
        let value = json!({"metadata": {"uid": "u", "name": "n", "managedFields": [{"apiVersion": "v1", "manager": "m"}]},
            "data": {"b": 1, "a": 2}});
        assert_eq!(
            object(&value, true),
            r#"{"data":{"a":2,"b":1},"metadata":{"name":"n","uid":"u","managedFields":[{"manager":"m","apiVersion":"v1"}]}}"#
        );
        assert_eq!(
            object(&value, false),
            r#"{"data":{"a":2,"b":1},"metadata":{"managedFields":[{"manager":"m","apiVersion":"v1"}],"name":"n","uid":"u"}}"#
        );
    }

    #[test]
    fn types_of_the_servers_own_have_all_members() {
        assert_eq!(
            internal(&json!({"apiVersion": "v1"}), &["Kind", "APIVersion"]),
            r#"{"Kind":"","APIVersion":"v1"}"#
        );
    }

    #[test]
    fn maps_as_go_prints_them() {
        assert_eq!(
            go_map(&json!({"b": [1, "x y", null], "a": {"c": true}})),
            "map[a:map[c:true] b:[1 x y <nil>]]"
        );
    }
}
