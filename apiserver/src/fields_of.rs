//! Which fields a field selector may name, and what they say of an object.

use serde_json::Value;

use crate::object::at;
use crate::registry::Kind;
use crate::status::Refusal;

const POD: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
];

const EVENT: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
    "metadata.name",
    "metadata.namespace",
];

/// The fields of a kind beside name and namespace.
fn known(kind: &Kind) -> &'static [&'static str] {
    match (kind.group.as_str(), kind.plural.as_str()) {
        ("", "pods") => POD,
        ("", "events") => EVENT,
        ("events.k8s.io", "events") => &[
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "regarding.resourceVersion",
            "regarding.fieldPath",
            "reason",
            "reportingController",
            "type",
        ],
        ("", "nodes") => &["metadata.name", "spec.unschedulable"],
        ("", "namespaces") => &["metadata.name", "status.phase", "name"],
        ("", "secrets") => &["metadata.name", "metadata.namespace", "type"],
        ("", "services") => &[
            "metadata.name",
            "metadata.namespace",
            "spec.clusterIP",
            "spec.type",
        ],
        ("apps", "replicasets") => &["metadata.name", "metadata.namespace", "status.replicas"],
        ("batch", "jobs") => &["metadata.name", "metadata.namespace", "status.successful"],
        _ => &[],
    }
}

/// Refuses a field that cannot be selected by.
pub(crate) fn check(kind: &Kind, field: &str) -> Result<(), Refusal> {
    let common = field == "metadata.name" || (kind.namespaced && field == "metadata.namespace");
    let custom = kind.custom.as_ref();
    let selectable = custom.is_some_and(|custom| {
        custom
            .selectable_fields
            .iter()
            .any(|path| path.trim_start_matches('.') == field)
    });
    if common || selectable || known(kind).contains(&field) {
        return Ok(());
    }
    Err(Refusal::bad_request(
        if known(kind).is_empty() && custom.is_none() {
            format!(
                "\"{field}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
            )
        } else {
            format!("field label not supported: {field}")
        },
    ))
}

/// The text of a field, as selectors compare it.
pub(crate) fn read(kind: &Kind, value: &Value, field: &str) -> String {
    let stored = match (kind.group.as_str(), kind.plural.as_str(), field) {
        ("", "namespaces", "name") => "metadata.name".to_owned(),
        (_, "events", "source") => "source.component".to_owned(),
        ("events.k8s.io", "events", "reportingController") => "reportingComponent".to_owned(),
        ("events.k8s.io", "events", _) => field.replace("regarding.", "involvedObject."),
        _ => field.to_owned(),
    };
    let path: Vec<&str> = stored.split('.').collect();
    match at(value, &path) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => absent(kind, field).to_owned(),
        Some(other) => other.to_string(),
    }
}

/// What a field that is not set is compared as.
fn absent(kind: &Kind, field: &str) -> &'static str {
    match (kind.plural.as_str(), field) {
        ("nodes", "spec.unschedulable") | ("pods", "spec.hostNetwork") if !kind.is_custom() => "false",
        ("replicasets", "status.replicas") | ("jobs", "status.successful") if !kind.is_custom() => "0",
        _ => "",
    }
}
