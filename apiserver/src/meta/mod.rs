//! Checks of the metadata that every object has.

pub mod names;

use serde_json::Value;

use crate::object::{self, at, has, list, text};
use crate::registry::{Kind, Names, Role};
use crate::status::Cause;
use crate::structs;

/// The most that all annotations of an object may take: 256 KiB.
const ANNOTATIONS_MAX_BYTES: usize = 256 * 1024;

/// Finalizers of the garbage collector and of namespaces, which need no domain.
const STANDARD_FINALIZERS: [&str; 3] = ["orphan", "foregroundDeletion", "kubernetes"];

/// What is wrong with the metadata of an object about to be created or replaced.
pub fn check(kind: &Kind, value: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    check_generate_name(kind, value, &mut causes);
    check_name(kind, value, &mut causes);
    check_labels(value, &mut causes);
    check_annotations(value, &mut causes);
    check_owners(value, &mut causes);
    for (index, finalizer) in list(value, &["metadata", "finalizers"]).iter().enumerate() {
        check_finalizer(
            kind,
            finalizer,
            &format!("metadata.finalizers[{index}]"),
            &mut causes,
        );
    }
    causes
}

fn check_name(kind: &Kind, value: &Value, causes: &mut Vec<Cause>) {
    let name = object::name(value);
    if name.is_empty() {
        causes.push(Cause::required(
            "metadata.name",
            "name or generateName is required",
        ));
        return;
    }
    causes.extend(
        wrong_with(kind, name)
            .iter()
            .map(|detail| Cause::invalid("metadata.name", &name.into(), detail)),
    );
}

fn wrong_with(kind: &Kind, name: &str) -> Vec<String> {
    match kind.names {
        Names::Subdomain => names::subdomain(name),
        Names::Label => names::label(name),
        Names::ServiceLabel => names::label_1035(name),
        Names::PathSegment => names::path_segment(name),
    }
}

/// The beginning of a name may end in a dash.
fn check_generate_name(kind: &Kind, value: &Value, causes: &mut Vec<Cause>) {
    let base = object::meta_text(value, "generateName");
    if base.is_empty() {
        return;
    }
    let mut letters: Vec<char> = base.chars().collect();
    if letters.len() > 1 && letters.last() == Some(&'-') {
        // The API server puts a letter in place of the last two.
        letters.truncate(letters.len().saturating_sub(2));
        letters.push('a');
    }
    let masked: String = letters.into_iter().collect();
    causes.extend(
        wrong_with(kind, &masked)
            .iter()
            .map(|detail| Cause::invalid("metadata.generateName", &base.into(), detail)),
    );
}

fn check_labels(value: &Value, causes: &mut Vec<Cause>) {
    let Some(labels) = at(value, &["metadata", "labels"]).and_then(Value::as_object) else {
        return;
    };
    for (key, label) in labels {
        let wrong = names::qualified(key);
        causes.extend(
            wrong
                .iter()
                .map(|detail| Cause::invalid("metadata.labels", &key.as_str().into(), detail)),
        );
        let label = label.as_str().unwrap_or_default();
        let wrong = names::label_value(label);
        causes.extend(
            wrong
                .iter()
                .map(|detail| Cause::invalid("metadata.labels", &label.into(), detail)),
        );
    }
}

fn check_annotations(value: &Value, causes: &mut Vec<Cause>) {
    let Some(annotations) = at(value, &["metadata", "annotations"]).and_then(Value::as_object) else {
        return;
    };
    let mut bytes = 0_usize;
    for (key, annotation) in annotations {
        let wrong = names::qualified(&key.to_lowercase());
        causes.extend(
            wrong
                .iter()
                .map(|detail| Cause::invalid("metadata.annotations", &key.as_str().into(), detail)),
        );
        bytes = bytes
            .saturating_add(key.len())
            .saturating_add(annotation.as_str().map_or(0, str::len));
    }
    if bytes > ANNOTATIONS_MAX_BYTES {
        causes.push(Cause {
            reason: "FieldValueTooLong",
            message: format!("Too long: may not be more than {ANNOTATIONS_MAX_BYTES} bytes"),
            field: "metadata.annotations".to_owned(),
        });
    }
}

fn check_owners(value: &Value, causes: &mut Vec<Cause>) {
    let mut first_controller = None;
    for owner in object::owners(value) {
        let api_version = text(owner, &["apiVersion"]);
        let field = |name: &str| format!("metadata.ownerReferences.{name}");
        if api_version.is_empty() {
            causes.push(Cause::invalid(
                field("apiVersion"),
                &"".into(),
                "version must not be empty",
            ));
        }
        for name in ["kind", "name", "uid"] {
            if text(owner, &[name]).is_empty() {
                causes.push(Cause::invalid(field(name), &"".into(), "must not be empty"));
            }
        }
        if at(owner, &["controller"]) != Some(&Value::Bool(true)) {
            continue;
        }
        let this = format!("{}/{}", text(owner, &["kind"]), text(owner, &["name"]));
        let Some(first) = &first_controller else {
            first_controller = Some(this);
            continue;
        };
        let detail = format!(
            "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {this}"
        );
        let shown = structs::owners(object::owners(value));
        causes.push(Cause::shown("metadata.ownerReferences", &shown, &detail));
    }
}

/// A finalizer of a built-in kind is one of the standard ones or carries a domain.
fn check_finalizer(kind: &Kind, finalizer: &Value, field: &str, causes: &mut Vec<Cause>) {
    let is_strict = !matches!(kind.role, Role::Custom | Role::Definition);
    let name = finalizer.as_str().unwrap_or_default();
    let wrong = names::qualified(name);
    if !wrong.is_empty() {
        causes.extend(
            wrong
                .iter()
                .map(|detail| Cause::invalid(field, finalizer, detail)),
        );
    } else if is_strict && !name.contains('/') && !STANDARD_FINALIZERS.contains(&name) {
        let detail = "name is neither a standard finalizer name nor is it fully qualified";
        causes.push(Cause::invalid(field, finalizer, detail));
    }
}

/// What is not wrong with a custom object but unwise: finalizers that are new and carry no domain.
pub fn warnings(kind: &Kind, old: Option<&Value>, new: &Value) -> Vec<String> {
    let is_known = |name: &str| old.is_some_and(|old| object::finalizers(old).any(|known| known == name));
    object::finalizers(new)
        .filter(|name| kind.is_custom() && !name.contains('/') && !STANDARD_FINALIZERS.contains(name) && !is_known(name))
        .map(|name| {
            format!(
                "metadata.finalizers: \"{name}\": prefer a domain-qualified finalizer name to avoid accidental conflicts \
                 with other finalizer writers"
            )
        })
        .collect()
}

/// What a replacement may not change, beside what [`check`] finds.
pub fn check_update(old: &Value, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for field in [
        "name",
        "namespace",
        "uid",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        let path = ["metadata", field];
        if at(new, &path) != at(old, &path) {
            let value = at(new, &path).cloned().unwrap_or(Value::Null);
            causes.push(Cause::invalid(path.join("."), &value, "field is immutable"));
        }
    }
    if object::is_deleting(old) {
        let is_new = |finalizer: &&str| !object::finalizers(old).any(|kept| kept == *finalizer);
        let added: Vec<String> = object::finalizers(new)
            .filter(is_new)
            .map(|finalizer| format!("\"{finalizer}\""))
            .collect();
        if !added.is_empty() {
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                added.join(", ")
            );
            causes.push(Cause::forbidden("metadata.finalizers", &detail));
        }
    }
    // The API server checks twice, by the rules of all objects and by those of the kind, and says so twice.
    let again = causes.clone();
    causes.extend(again);
    causes
}

fn keep(old: &Value, new: &mut Value, field: &str) {
    match at(old, &["metadata", field]) {
        Some(kept) => object::set_meta(new, field, kept.clone()),
        None => drop(object::take_meta(new, field)),
    }
}

/// Takes over from the live object what a client cannot set, and drops what is not stored.
pub fn keep_server_fields(old: &Value, new: &mut Value) {
    for field in ["creationTimestamp", "generation"] {
        keep(old, new, field);
    }
    // A deletion that has begun cannot be taken back.
    if object::is_deleting(old) {
        keep(old, new, "deletionTimestamp");
    }
    // An update that leaves them out means "as they were".
    for field in ["uid", "generateName", "deletionGracePeriodSeconds"] {
        if !has(new, &["metadata", field]) {
            keep(old, new, field);
        }
    }
    object::take_meta(new, "selfLink");
    drop_empty(new);
}

/// Members of the metadata that are not written when they are empty.
pub fn drop_empty(value: &mut Value) {
    let Some(meta) = value.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    meta.retain(|_, member| match member {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;
    use serde_json::json;

    fn texts(value: &Value) -> Vec<String> {
        let kind = Registry::new().get("", "v1", "configmaps").unwrap();
        check(&kind, value)
            .iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect()
    }

    #[test]
    fn the_beginning_of_a_name_may_end_in_a_dash() {
        let of = |base: &str| texts(&json!({"metadata": {"name": "a", "generateName": base}}));
        assert_eq!(of("a-"), Vec::<String>::new());
        assert!(
            of("A.b-")[0].starts_with("metadata.generateName: Invalid value: \"A.b-\": a lowercase RFC 1123")
        );
    }

    #[test]
    fn an_object_has_one_controller() {
        let owner = |name: &str| json!({"apiVersion": "v1", "kind": "Pod", "name": name, "uid": name, "controller": true});
        assert_eq!(
            texts(&json!({"metadata": {"name": "a", "ownerReferences": [owner("x")]}})),
            Vec::<String>::new()
        );
        let found = texts(&json!({"metadata": {"name": "a", "ownerReferences": [owner("x"), owner("y")]}}));
        let shown = |name: &str| {
            format!(
                "{{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"name\":\"{name}\",\"uid\":\"{name}\",\"controller\":true}}"
            )
        };
        assert_eq!(
            found,
            [format!(
                "metadata.ownerReferences: Invalid value: [{},{}]: Only one reference can have Controller set to true. \
                 Found \"true\" in references for Pod/x and Pod/y",
                shown("x"),
                shown("y")
            )]
        );
    }
}
