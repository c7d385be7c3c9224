use super::*;
use crate::topology::builtin;
use serde_json::json;

fn pod(spec: &Value) -> Value {
    json!({"metadata": {"finalizers": ["a", "b"]}, "spec": spec})
}

fn patched(target: &Value, patch: &Value) -> Result<Value, PatchError> {
    apply(target, patch, &builtin("v1", "Pod").unwrap())
}

fn names(pod: &Value) -> Vec<&str> {
    pod["spec"]["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["name"].as_str().unwrap())
        .collect()
}

#[test]
fn lists_merge_by_key_and_the_patch_comes_first() {
    let live =
        pod(&json!({"containers": [{"name": "a", "image": "1", "tty": true}, {"name": "b", "image": "1"}]}));
    let done = patched(
        &live,
        &json!({"spec": {"containers": [{"name": "c", "image": "3"}, {"name": "a", "image": "2", "tty": null}]}}),
    )
    .unwrap();
    assert_eq!(names(&done), ["c", "a", "b"]);
    assert_eq!(done["spec"]["containers"][1], json!({"name": "a", "image": "2"}));
}

#[test]
fn directives_of_items() {
    let live = pod(&json!({"containers": [{"name": "a"}, {"name": "b"}]}));
    let patch = json!({"spec": {"containers": [{"name": "a", "$patch": "delete"}]}});
    assert_eq!(names(&patched(&live, &patch).unwrap()), ["b"]);
    let patch = json!({"spec": {"containers": [{"$patch": "replace"}, {"name": "c"}]}});
    assert_eq!(names(&patched(&live, &patch).unwrap()), ["c"]);
}

#[test]
fn directives_of_objects() {
    let live = pod(&json!({"nodeSelector": {"a": "1"}, "securityContext": {"runAsUser": 1, "fsGroup": 2}}));
    let patch = json!({"spec": {"securityContext": {"$patch": "replace", "fsGroup": 3}}});
    assert_eq!(
        patched(&live, &patch).unwrap()["spec"]["securityContext"],
        json!({"fsGroup": 3})
    );
    let patch = json!({"spec": {"securityContext": {"$patch": "delete"}}});
    assert_eq!(
        patched(&live, &patch).unwrap()["spec"]["securityContext"],
        json!({})
    );
    let patch = json!({"spec": {"securityContext": {"$retainKeys": ["fsGroup"], "fsGroup": 4}}});
    assert_eq!(
        patched(&live, &patch).unwrap()["spec"]["securityContext"],
        json!({"fsGroup": 4})
    );
    let patch = json!({"spec": {"securityContext": {"$retainKeys": ["runAsUser"], "fsGroup": 4}}});
    assert_eq!(patched(&live, &patch).unwrap_err().code(), 400);
}

#[test]
fn lists_of_scalars() {
    let live = pod(&json!({}));
    let patch = json!({"metadata": {"finalizers": ["c", "a"]}});
    assert_eq!(
        patched(&live, &patch).unwrap()["metadata"]["finalizers"],
        json!(["c", "a", "b"])
    );
    let patch = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}});
    assert_eq!(
        patched(&live, &patch).unwrap()["metadata"]["finalizers"],
        json!(["b"])
    );
    let patch = json!({"metadata": {"$setElementOrder/finalizers": ["b", "c", "a"], "finalizers": ["c"]}});
    assert_eq!(
        patched(&live, &patch).unwrap()["metadata"]["finalizers"],
        json!(["b", "c", "a"])
    );
}

#[test]
fn lists_without_the_strategy_are_replaced() {
    let live = pod(&json!({"tolerations": [{"key": "a"}]}));
    let patch = json!({"spec": {"tolerations": [{"key": "b"}]}});
    assert_eq!(
        patched(&live, &patch).unwrap()["spec"]["tolerations"],
        json!([{"key": "b"}])
    );
}

#[test]
fn set_element_order_orders_and_checks() {
    let live = pod(&json!({"containers": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}));
    let order = |names: &[&str]| names.iter().map(|name| json!({"name": name})).collect::<Value>();
    let patch = json!({"spec": {"$setElementOrder/containers": order(&["c", "a"])}});
    assert_eq!(names(&patched(&live, &patch).unwrap()), ["b", "c", "a"]);
    let patch =
        json!({"spec": {"$setElementOrder/containers": order(&["a"]), "containers": [{"name": "x"}]}});
    assert_eq!(patched(&live, &patch).unwrap_err().code(), 500);
}

#[test]
fn errors_name_the_field_and_the_key() {
    let live = pod(&json!({"containers": [{"name": "a"}], "odd": {"a": 1}}));
    let error = patched(&live, &json!({"spec": {"containers": [{"image": "x"}]}})).unwrap_err();
    assert_eq!(
        error.to_string(),
        "map: map[image:x] does not contain declared merge key: name"
    );
    let error = patched(&live, &json!({"spec": {"odd": {"b": 1}}})).unwrap_err();
    assert_eq!(
        error.to_string(),
        "unable to find api field in struct PodSpec for the json field \"odd\""
    );
    assert_eq!(patched(&live, &json!([])).unwrap_err().code(), 400);
}
