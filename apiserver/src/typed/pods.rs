//! What is wrong with a Pod: the checks of the API server that its users and controllers meet.

use serde_json::Value;

use crate::meta::names;
use crate::object::{self, has, list, number, text};
use crate::status::Cause;

/// The only changes that a Pod's spec takes.
const CHANGEABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
     `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
     tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// What is wrong with a Pod that is created, or that replaces `old`.
pub(super) fn check(pod: &Value, old: Option<&Value>) -> Vec<Cause> {
    match old {
        Some(old) => check_change(pod, old).into_iter().collect(),
        None => check_spec(pod),
    }
}

fn check_spec(pod: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let containers = list(pod, &["spec", "containers"]);
    if containers.is_empty() {
        causes.push(Cause::required("spec.containers", ""));
    }
    let mut seen = Vec::new();
    for (index, container) in containers.iter().enumerate() {
        check_container(
            container,
            &format!("spec.containers[{index}]"),
            &mut seen,
            &mut causes,
        );
    }
    for (index, container) in list(pod, &["spec", "initContainers"]).iter().enumerate() {
        check_container(
            container,
            &format!("spec.initContainers[{index}]"),
            &mut seen,
            &mut causes,
        );
    }
    let policy = text(pod, &["spec", "restartPolicy"]);
    let policies = ["Always", "OnFailure", "Never"];
    if !policies.contains(&policy) {
        causes.push(Cause::unsupported(
            "spec.restartPolicy",
            &format!("\"{policy}\""),
            &policies,
        ));
    }
    causes
}

fn check_container<'a>(container: &'a Value, field: &str, seen: &mut Vec<&'a str>, causes: &mut Vec<Cause>) {
    let name = text(container, &["name"]);
    let name_field = format!("{field}.name");
    if name.is_empty() {
        causes.push(Cause::required(name_field, ""));
    } else if seen.contains(&name) {
        causes.push(Cause {
            reason: "FieldValueDuplicate",
            message: format!("Duplicate value: \"{name}\""),
            field: name_field,
        });
    } else {
        let wrong = names::label(name);
        causes.extend(
            wrong
                .iter()
                .map(|detail| Cause::invalid(name_field.clone(), &name.into(), detail)),
        );
        seen.push(name);
    }
    if text(container, &["image"]).is_empty() {
        causes.push(Cause::required(format!("{field}.image"), ""));
    }
    for (index, port) in list(container, &["ports"]).iter().enumerate() {
        check_port(port, &format!("{field}.ports[{index}]"), causes);
    }
}

fn check_port(port: &Value, field: &str, causes: &mut Vec<Cause>) {
    let range = "must be between 1 and 65535, inclusive";
    let is_port = |number: i64| (1..=65_535).contains(&number);
    match number(port, &["containerPort"]).unwrap_or(0) {
        0 => causes.push(Cause::required(format!("{field}.containerPort"), "")),
        number if !is_port(number) => {
            causes.push(Cause::invalid(
                format!("{field}.containerPort"),
                &number.into(),
                range,
            ));
        }
        _ => {}
    }
    let on_host = number(port, &["hostPort"]).filter(|number| *number != 0 && !is_port(*number));
    causes.extend(on_host.map(|number| Cause::invalid(format!("{field}.hostPort"), &number.into(), range)));
}

fn check_change(pod: &Value, old: &Value) -> Option<Cause> {
    let (mut before, mut after) = (old.get("spec")?.clone(), pod.get("spec")?.clone());
    let kept = list(&before, &["tolerations"])
        .iter()
        .all(|kept| list(&after, &["tolerations"]).contains(kept));
    let grace = |spec: &Value| number(spec, &["terminationGracePeriodSeconds"]).unwrap_or(0);
    let shorter = grace(&before) < 0 && grace(&after) == 1;
    let fewer_gates = list(&after, &["schedulingGates"])
        .iter()
        .all(|gate| list(&before, &["schedulingGates"]).contains(gate));
    for spec in [&mut before, &mut after] {
        for containers in ["containers", "initContainers", "ephemeralContainers"] {
            let Some(Value::Array(containers)) = spec.get_mut(containers) else {
                continue;
            };
            for container in containers {
                object::put(container, "image", None);
            }
        }
        object::put(spec, "activeDeadlineSeconds", None);
        for (name, may_differ) in [
            ("tolerations", kept),
            ("terminationGracePeriodSeconds", shorter),
            ("schedulingGates", fewer_gates),
        ] {
            if may_differ {
                object::put(spec, name, None);
            }
        }
    }
    (before != after).then(|| Cause::forbidden("spec", CHANGEABLE))
}

/// An Event lives where the object does that it is about; one about an object without a namespace in `default`.
pub(super) fn check_event(event: &Value) -> Option<Cause> {
    let (about, own) = (
        text(event, &["involvedObject", "namespace"]),
        object::namespace(event),
    );
    let agrees = if about.is_empty() {
        own == "default"
    } else {
        about == own
    };
    let cause = || {
        Cause::invalid(
            "involvedObject.namespace",
            &about.into(),
            "does not match event.namespace",
        )
    };
    (!agrees).then(cause)
}

/// Conditions are written with their times, known or not.
pub(super) fn default_conditions(value: &mut Value, times: [&str; 2]) {
    if !has(value, &["status", "conditions"]) {
        return;
    }
    let conditions = object::object_mut(value, &["status"])
        .get_mut("conditions")
        .and_then(Value::as_array_mut);
    for condition in conditions.into_iter().flatten().filter_map(Value::as_object_mut) {
        for name in times {
            condition.entry(name).or_insert(Value::Null);
        }
    }
}
