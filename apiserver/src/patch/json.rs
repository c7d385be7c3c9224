//! JSON patch (RFC 6902) as the API server understands it: negative indices count from the end, `replace` and `copy` do
//! not ask whether the member of an object is there, and `test` for null holds where there is none.

use serde_json::{Map, Value};

use super::{PatchError, go_json_kind};

/// How many operations a patch may have.
const MAX_OPERATIONS: usize = 10_000;
/// How many bytes all `copy` operations of a patch together may add.
const MAX_COPIED_BYTES: usize = 3 * 1024 * 1024;

/// `target` changed by the operations of `patch`, all or none of them.
pub fn apply(target: &Value, patch: &Value) -> Result<Value, PatchError> {
    let operations = decode(patch)?;
    let mut state = State {
        document: target.clone(),
        copied_bytes: 0,
    };
    for operation in operations {
        state
            .run(operation)
            .map_err(|detail| PatchError::Unprocessable { detail })?;
    }
    Ok(state.document)
}

fn decode(patch: &Value) -> Result<Vec<&Map<String, Value>>, PatchError> {
    let refused = |value: &Value, of: &str| {
        PatchError::BadRequest(format!(
            "error decoding patch: json: cannot unmarshal {} into Go value of type {of}",
            go_json_kind(value)
        ))
    };
    let operations = match patch {
        Value::Array(operations) => operations.as_slice(),
        Value::Null => &[],
        _ => return Err(refused(patch, "[]handlers.jsonPatchOp")),
    };
    if operations.len() > MAX_OPERATIONS {
        return Err(PatchError::TooManyOperations(operations.len()));
    }
    operations
        .iter()
        .map(|operation| {
            operation
                .as_object()
                .ok_or_else(|| refused(operation, "handlers.jsonPatchOp"))
        })
        .collect()
}

/// The document between two operations.
struct State {
    document: Value,
    copied_bytes: usize,
}

type Done = Result<(), String>;

impl State {
    fn run(&mut self, operation: &Map<String, Value>) -> Done {
        let kind = operation.get("op").and_then(Value::as_str).unwrap_or("unknown");
        let path = || pointer(operation, "path", kind);
        match kind {
            "add" => self.add(path()?, value(operation)),
            "remove" => self.remove(path()?).map(drop),
            "replace" => self.replace(path()?, value(operation)),
            "test" => self.test(path()?, operation.get("value")),
            "move" => {
                let from = pointer(operation, "from", kind)?;
                let value = self.remove(from)?;
                self.add(path()?, value)
            }
            "copy" => {
                let from = pointer(operation, "from", kind)?;
                let (parent, key) = self.parent(from)?;
                let value = get(parent, &key)?.cloned().unwrap_or(Value::Null);
                self.copied_bytes = self.copied_bytes.saturating_add(value.to_string().len());
                if self.copied_bytes > MAX_COPIED_BYTES {
                    return Err(format!("copies add more than {MAX_COPIED_BYTES} bytes"));
                }
                self.add(path()?, value)
            }
            other => Err(format!("Unexpected kind: {other}")),
        }
    }

    /// The container that the last part of `path` is to be looked up in, and that part.
    fn parent(&mut self, path: &str) -> Result<(&mut Value, String), String> {
        let missing = || format!("{path}: missing value");
        let (parents, key) = path.rsplit_once('/').ok_or_else(missing)?;
        let mut parent = &mut self.document;
        for part in parents.split('/').skip(1) {
            parent = match parent {
                Value::Object(object) => object.get_mut(&unescape(part)),
                Value::Array(items) => index(&unescape(part), items.len()).and_then(|at| items.get_mut(at)),
                _ => None,
            }
            .ok_or_else(missing)?;
        }
        if parent.is_object() || parent.is_array() {
            Ok((parent, unescape(key)))
        } else {
            Err(missing())
        }
    }

    fn add(&mut self, path: &str, value: Value) -> Done {
        match self.parent(path)? {
            (Value::Object(object), key) => {
                object.insert(key, value);
            }
            (Value::Array(items), key) if key == "-" => items.push(value),
            (Value::Array(items), key) => {
                let room = items.len().saturating_add(1);
                let at = index(&key, room).ok_or_else(|| format!("{path}: invalid index referenced"))?;
                items.insert(at, value);
            }
            _ => return Err(format!("{path}: missing value")),
        }
        Ok(())
    }

    fn remove(&mut self, path: &str) -> Result<Value, String> {
        let missing = || format!("Unable to remove nonexistent key: {path}: missing value");
        match self.parent(path)? {
            (Value::Object(object), key) => object.remove(&key).ok_or_else(missing),
            (Value::Array(items), key) => index(&key, items.len())
                .map(|at| items.remove(at))
                .ok_or_else(missing),
            _ => Err(missing()),
        }
    }

    fn replace(&mut self, path: &str, value: Value) -> Done {
        if path.is_empty() {
            if !(value.is_object() || value.is_array()) {
                return Err("replace operation value must be object or array".to_owned());
            }
            self.document = value;
            return Ok(());
        }
        match self.parent(path)? {
            (Value::Object(object), key) => {
                object.insert(key, value);
                Ok(())
            }
            (Value::Array(items), key) => {
                let place = index(&key, items.len()).and_then(|at| items.get_mut(at));
                *place.ok_or_else(|| format!("doc is missing key: {path}: missing value"))? = value;
                Ok(())
            }
            _ => Err(format!("{path}: missing value")),
        }
    }

    fn test(&mut self, path: &str, expected: Option<&Value>) -> Done {
        let failed = || Err(format!("testing value {path} failed: test failed"));
        let expected = expected.unwrap_or(&Value::Null);
        if path.is_empty() {
            return if self.document == *expected {
                Ok(())
            } else {
                failed()
            };
        }
        let (parent, key) = self.parent(path)?;
        if get(parent, &key)?.unwrap_or(&Value::Null) == expected {
            Ok(())
        } else {
            failed()
        }
    }
}

/// The member or item; a member may be missing, an item may not.
fn get<'a>(parent: &'a Value, key: &str) -> Result<Option<&'a Value>, String> {
    match parent {
        Value::Array(items) => index(key, items.len())
            .and_then(|at| items.get(at))
            .map(Some)
            .ok_or_else(|| format!("Unable to access invalid index: {key}: invalid index referenced")),
        other => Ok(other.get(key)),
    }
}

/// The index that `key` stands for in a list of `len` items, if it is one of theirs.
fn index(key: &str, len: usize) -> Option<usize> {
    let at: i64 = key.parse().ok()?;
    let at = if at < 0 {
        at.checked_add(i64::try_from(len).ok()?)?
    } else {
        at
    };
    usize::try_from(at).ok().filter(|at| *at < len)
}

fn pointer<'a>(operation: &'a Map<String, Value>, member: &str, kind: &str) -> Result<&'a str, String> {
    operation
        .get(member)
        .and_then(Value::as_str)
        .ok_or_else(|| format!("{kind} operation failed to decode {member}: missing value"))
}

fn value(operation: &Map<String, Value>) -> Value {
    operation.get("value").cloned().unwrap_or(Value::Null)
}

/// RFC 6901, section 4.
fn unescape(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn patched(patch: &Value) -> Result<Value, PatchError> {
        apply(
            &json!({"a": {"b": 1}, "list": [1, 2, 3], "x/y": 0, "m~n": 0}),
            patch,
        )
    }

    #[test]
    fn operations_change_the_document_in_order() {
        let done = patched(&json!([
            {"op": "add", "path": "/a/c", "value": 2},
            {"op": "add", "path": "/list/1", "value": 9},
            {"op": "add", "path": "/list/-", "value": 4},
            {"op": "remove", "path": "/list/-1"},
            {"op": "replace", "path": "/list/-1", "value": 5},
            {"op": "move", "from": "/a/b", "path": "/d"},
            {"op": "copy", "from": "/d", "path": "/e"},
            {"op": "test", "path": "/e", "value": 1},
            {"op": "remove", "path": "/x~1y"},
            {"op": "remove", "path": "/m~0n"},
        ]));
        assert_eq!(
            done,
            Ok(json!({"a": {"c": 2}, "d": 1, "e": 1, "list": [1, 9, 2, 5]}))
        );
    }

    #[test]
    fn members_need_not_exist_for_replace_copy_and_test_of_null() {
        let done = patched(&json!([
            {"op": "test", "path": "/a/none", "value": null},
            {"op": "replace", "path": "/a/new", "value": 1},
            {"op": "copy", "from": "/a/none", "path": "/a/null"},
        ]));
        assert_eq!(done.unwrap()["a"], json!({"b": 1, "new": 1, "null": null}));
    }

    #[test]
    fn what_does_not_fit_is_unprocessable() {
        for operation in [
            json!({"op": "test", "path": "/a/b", "value": 2}),
            json!({"op": "test", "path": "/a/b", "value": 1.0}),
            json!({"op": "remove", "path": "/a/none"}),
            json!({"op": "remove", "path": "/list/3"}),
            json!({"op": "remove", "path": "/list/-4"}),
            json!({"op": "add", "path": "/list/5", "value": 1}),
            json!({"op": "add", "path": "", "value": {}}),
            json!({"op": "add", "path": "/none/x", "value": 1}),
            json!({"op": "replace", "path": "/list/3", "value": 1}),
            json!({"op": "add", "path": "/a/b/c", "value": 1}),
            json!({"op": "move", "from": "/none", "path": "/x"}),
            json!({"op": "nonsense", "path": "/a"}),
            json!({"op": "add", "value": 1}),
        ] {
            assert_eq!(
                patched(&json!([operation])).unwrap_err().code(),
                422,
                "{operation}"
            );
        }
    }

    #[test]
    fn what_is_no_patch_is_a_bad_request() {
        assert_eq!(patched(&json!({"op": "add"})).unwrap_err().code(), 400);
        assert_eq!(patched(&json!(["add"])).unwrap_err().code(), 400);
        let many = Value::Array(vec![
            json!({"op": "test", "path": "/a/b", "value": 1});
            MAX_OPERATIONS + 1
        ]);
        assert_eq!(patched(&many).unwrap_err().code(), 413);
    }
}
