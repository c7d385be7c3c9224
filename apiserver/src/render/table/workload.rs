//! What tables say of objects that have a Pod template.

use serde_json::Value;

use crate::object::{at, list, number, text};
use crate::selector;

/// Names and images of the template's containers, comma-separated.
pub(super) fn containers(value: &Value) -> [Value; 2] {
    let containers = list(value, &["spec", "template", "spec", "containers"]);
    let all = |name: &str| {
        containers
            .iter()
            .map(|container| text(container, &[name]))
            .collect::<Vec<_>>()
            .join(",")
    };
    [all("name").into(), all("image").into()]
}

/// The selector as text; `<none>` for none.
pub(super) fn selector(value: &Value) -> Value {
    let text = at(value, &["spec", "selector"])
        .map(selector::text)
        .unwrap_or_default();
    if text.is_empty() {
        "<none>".into()
    } else {
        text.into()
    }
}

/// A number of the status; 0 when it is not there.
pub(super) fn count(value: &Value, path: &[&str]) -> i64 {
    number(value, path).unwrap_or(0)
}

/// `<none>` for an empty text.
pub(super) fn or_none(text: &str) -> Value {
    if text.is_empty() {
        "<none>".into()
    } else {
        text.into()
    }
}

/// How often `name=value` pairs stand in a map, as text.
pub(super) fn pairs(value: &Value, path: &[&str]) -> Value {
    let members = at(value, path).and_then(Value::as_object);
    let pairs = members
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()));
    or_none(&pairs.collect::<Vec<_>>().join(","))
}
