//! Conditional merge patches: what differs between two versions of an object, bound to the version it was read at.
//! Fields that this program does not know stay as they are.

use serde::Serialize;
use serde_json::{Map, Value, json};

/// What turns `old` into `new` by JSON merge patch (RFC 7386); `None` if they are equal.
#[must_use]
pub fn difference(old: &Value, new: &Value) -> Option<Value> {
    if old == new {
        return None;
    }
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return Some(new.clone());
    };
    let mut patch = Map::new();
    for (key, value) in new {
        let changed = match old.get(key) {
            Some(before) => difference(before, value),
            None => Some(value.clone()),
        };
        if let Some(changed) = changed {
            patch.insert(key.clone(), changed);
        }
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    Some(Value::Object(patch))
}

/// A merge patch of `part` (`spec`, `status` or `metadata`) from `old` to `new`, conditional on the version and uid of
/// the object; `None` if nothing differs.
pub fn conditional<T: Serialize>(part: &str, old: &T, new: &T, uid: &str, version: &str) -> Option<Value> {
    let old = serde_json::to_value(old).ok()?;
    let new = serde_json::to_value(new).ok()?;
    let changed = difference(&old, &new)?;
    let mut patch = json!({ "metadata": { "uid": uid, "resourceVersion": version } });
    patch.as_object_mut()?.insert(part.to_owned(), changed);
    Some(patch)
}

/// A merge patch that sets the whole `part`, conditional on the version and uid of the object.
pub fn whole<T: Serialize>(part: &str, new: &T, uid: &str, version: &str) -> Option<Value> {
    let mut patch = json!({ "metadata": { "uid": uid, "resourceVersion": version } });
    patch
        .as_object_mut()?
        .insert(part.to_owned(), serde_json::to_value(new).ok()?);
    Some(patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_sent_and_what_is_dropped_becomes_null() {
        let old = json!({ "a": 1, "b": { "c": 1, "d": 2 }, "list": [1, 2], "same": true });
        let new = json!({ "a": 1, "b": { "c": 3 }, "list": [2], "same": true, "e": "x" });
        let expected = json!({ "b": { "c": 3, "d": null }, "list": [2], "e": "x" });
        assert_eq!(difference(&old, &new), Some(expected));
        assert_eq!(difference(&old, &old), None);
    }

    #[test]
    fn the_patch_names_uid_and_version() {
        let patch = conditional("status", &json!({ "a": 1 }), &json!({ "a": 2 }), "u", "7").unwrap();
        assert_eq!(
            patch,
            json!({ "metadata": { "uid": "u", "resourceVersion": "7" }, "status": { "a": 2 } })
        );
    }
}
