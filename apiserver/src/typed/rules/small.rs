//! Kinds with a rule or two: Leases, Nodes, Namespaces.

use serde_json::Value;

use crate::meta::names;
use crate::object::{self, list, number, text};
use crate::status::Cause;

/// What is wrong with a Lease.
pub(super) fn lease(lease: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (name, min, what) in [
        ("leaseDurationSeconds", 1, "greater than 0"),
        ("leaseTransitions", 0, "greater than or equal to 0"),
    ] {
        if let Some(small) = number(lease, &["spec", name]).filter(|number| *number < min) {
            causes.push(Cause::invalid(
                format!("spec.{name}"),
                &small.into(),
                &format!("must be {what}"),
            ));
        }
    }
    causes
}

/// What is wrong with a Node that is created, or that replaces `old`: its taints. The API server places them in the metadata,
/// and looks at them twice where they replace others.
pub(super) fn node(node: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = taints(node);
    if old.is_some() {
        let again = causes.clone();
        causes.extend(again);
    }
    causes
}

fn taints(node: &Value) -> Vec<Cause> {
    let taints = list(node, &["spec", "taints"]);
    let mut causes = Vec::new();
    let effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
    let of = |taint: &Value| {
        (
            text(taint, &["key"]).to_owned(),
            text(taint, &["effect"]).to_owned(),
        )
    };
    for (index, taint) in taints.iter().enumerate() {
        let field = format!("metadata.taints[{index}]");
        let ((key, effect), value) = (of(taint), text(taint, &["value"]));
        let wrong = names::qualified(&key);
        causes.extend(
            wrong
                .iter()
                .map(|detail| Cause::invalid(format!("{field}.key"), &key.as_str().into(), detail)),
        );
        let wrong = names::label_value(value);
        if !wrong.is_empty() {
            causes.push(Cause::invalid(
                format!("{field}.value"),
                &value.into(),
                &wrong.join(";"),
            ));
        }
        if effect.is_empty() {
            causes.push(Cause::required(format!("{field}.effect"), ""));
        } else if !effects.contains(&effect.as_str()) {
            let shown = Value::from(effect).to_string();
            causes.push(Cause::unsupported(format!("{field}.effect"), &shown, &effects));
        }
        if taints.iter().take(index).any(|earlier| of(earlier) == of(taint)) {
            let shown = |name: &str| taint.get(name).cloned().unwrap_or_else(|| "".into());
            let added = taint.get("timeAdded").unwrap_or(&Value::Null);
            // As the API server's own type has it.
            let cause = Cause::duplicate(
                field,
                &format!(
                    "{{\"Key\":{},\"Value\":{},\"Effect\":{},\"TimeAdded\":{added}}}",
                    shown("key"),
                    shown("value"),
                    shown("effect")
                ),
            );
            let message = format!("{}: taints must be unique by key and effect pair", cause.message);
            causes.push(Cause { message, ..cause });
        }
    }
    causes
}

/// What is wrong with a Namespace whose status is written.
pub(super) fn namespace_status(namespace: &Value) -> Option<Cause> {
    let phase = text(namespace, &["status", "phase"]);
    let (wanted, when) = if object::is_deleting(namespace) {
        ("Terminating", "is not empty")
    } else {
        ("Active", "is empty")
    };
    let detail = || format!("may only be '{wanted}' if `deletionTimestamp` {when}");
    (phase != wanted).then(|| Cause::invalid("status.Phase", &phase.into(), &detail()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn texts(causes: &[Cause]) -> Vec<String> {
        causes
            .iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect()
    }

    #[test]
    fn leases_last_and_have_no_negative_transitions() {
        let good = json!({"spec": {"leaseDurationSeconds": 1, "leaseTransitions": 0}});
        assert_eq!(lease(&good), []);
        let bad = json!({"spec": {
            "leaseDurationSeconds": 0, "leaseTransitions": -1}});
        assert_eq!(
            texts(&lease(&bad)),
            [
                "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
                "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0",
            ]
        );
    }

    #[test]
    fn taints_have_an_effect_and_come_once() {
        let good = json!({"spec": {"taints": [{"key": "a", "effect": "NoExecute"}, {"key": "a", "effect": "NoSchedule"}]}});
        assert_eq!(node(&good, Some(&good)), []);
        let bad = json!({"spec": {"taints": [
            {"key": "a", "effect": "Nope"}, {"key": "b"}, {"key": "b", "value": "x y"},
        ]}});
        assert_eq!(node(&bad, Some(&good)).len(), 10);
        let found = texts(&node(&bad, None));
        assert_eq!(
            found[0],
            "metadata.taints[0].effect: Unsupported value: \"Nope\": supported values: \"NoSchedule\", \
             \"PreferNoSchedule\", \"NoExecute\""
        );
        assert_eq!(found[1], "metadata.taints[1].effect: Required value");
        assert!(found[2].starts_with("metadata.taints[2].value: Invalid value: \"x y\": a valid label"));
        assert!(found[4].ends_with("taints must be unique by key and effect pair"));
    }

    #[test]
    fn the_phase_of_a_namespace_follows_its_deletion() {
        let of = |phase: &str, deleting: Option<&str>| {
            namespace_status(
                &json!({"metadata": {"deletionTimestamp": deleting}, "status": {"phase": phase}}),
            )
        };
        assert_eq!(of("Active", None), None);
        assert_eq!(of("Terminating", Some("2026-01-01T00:00:00Z")), None);
        assert_eq!(
            of("Terminating", None).unwrap().message,
            "Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty"
        );
        assert!(of("Active", Some("2026-01-01T00:00:00Z")).is_some());
    }
}
