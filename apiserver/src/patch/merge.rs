//! JSON merge patch (RFC 7386).

use serde_json::{Map, Value};

use super::{PatchError, go_json_kind};

/// `target` changed by `patch`. Both must be objects.
pub fn apply(target: &Value, patch: &Value) -> Result<Value, PatchError> {
    let Value::Object(patch) = patch else {
        return Err(match patch {
            Value::Null => PatchError::BadRequest("Invalid JSON Patch".to_owned()),
            _ => PatchError::BadRequest(format!(
                "error decoding patch: json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
                go_json_kind(patch)
            )),
        });
    };
    let mut target = target.as_object().cloned().unwrap_or_default();
    merge(&mut target, patch);
    Ok(Value::Object(target))
}

fn merge(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (key, change) in patch {
        match (change, target.get_mut(key)) {
            (Value::Null, _) => {
                target.remove(key);
            }
            (Value::Object(change), Some(Value::Object(current))) => merge(current, change),
            // A list takes the place of an object as it is. Anything new loses its nulls, in lists too.
            (Value::Array(_), Some(Value::Object(_))) => {
                target.insert(key.clone(), change.clone());
            }
            _ => {
                target.insert(key.clone(), without_nulls(change));
            }
        }
    }
}

/// The value without members that are null, at any depth. Items that are null stay.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(object) => object
            .iter()
            .filter(|(_, member)| !member.is_null())
            .map(|(key, member)| (key.clone(), without_nulls(member)))
            .collect(),
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    // The cases of RFC 7386, appendix A, whose target and patch are objects.
    #[test]
    fn rfc_7386_appendix_a() {
        let cases = [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (
                json!({}),
                json!({"a": {"bb": {"ccc": null}}}),
                json!({"a": {"bb": {}}}),
            ),
        ];
        for (target, patch, expected) in cases {
            assert_eq!(
                apply(&target, &patch),
                Ok(expected),
                "{target} changed by {patch}"
            );
        }
    }

    #[test]
    fn a_patch_that_is_no_object_is_refused() {
        let error = apply(&json!({}), &json!([1])).unwrap_err();
        assert_eq!(error.code(), 400);
    }
}
