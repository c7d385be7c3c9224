//! Events of both groups. They are stored in the core group's form; what a group requires is said in its own words.

use serde_json::Value;

use crate::meta::names;
use crate::object::{self, at, has, number, text};
use crate::registry::Kind;
use crate::status::Cause;
use crate::structs;

/// The longest reporting instance, action and reason.
const WORD_MAX_BYTES: usize = 128;
/// The longest message.
const NOTE_MAX_BYTES: usize = 1024;

/// What may not change by way of `events.k8s.io`, as the API server's own type names it and as it is stored, in the order
/// in which it is looked at: the reason twice.
const FIXED: [(&str, &str); 14] = [
    ("involvedObject", "involvedObject"),
    ("reason", "reason"),
    ("message", "message"),
    ("source", "source"),
    ("firstTimestamp", "firstTimestamp"),
    ("lastTimestamp", "lastTimestamp"),
    ("count", "count"),
    ("reason", "reason"),
    ("type", "type"),
    ("eventTime", "eventTime"),
    ("action", "action"),
    ("related", "related"),
    ("reportingController", "reportingComponent"),
    ("reportingInstance", "reportingInstance"),
];

/// The members of a reference, as the API server's own type has them.
const REFERENCE: [&str; 7] = [
    "Kind",
    "Namespace",
    "Name",
    "UID",
    "APIVersion",
    "ResourceVersion",
    "FieldPath",
];

/// What is wrong with an Event that is created, or that replaces `old`.
pub(super) fn check(kind: &Kind, event: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = check_of_any_group(kind, event);
    if kind.group.is_empty() {
        return causes;
    }
    match old {
        None => check_new(event, &mut causes),
        Some(old) => check_change(event, old, &mut causes),
    }
    causes
}

/// Events of the new kind say when they were; the others are only to live where the object does that they are about, or
/// in `default` when it has no namespace.
fn check_of_any_group(kind: &Kind, event: &Value) -> Vec<Cause> {
    let (about, own) = (
        text(event, &["involvedObject", "namespace"]),
        object::namespace(event),
    );
    let is_dated = has(event, &["eventTime"]);
    let agrees = match (about, is_dated) {
        ("", true) => ["default", "kube-system"].contains(&own),
        ("", false) => own == "default",
        (_, true) => true,
        (about, false) => about == own,
    };
    let mut causes = Vec::new();
    if !agrees {
        let detail = "does not match event.namespace";
        causes.push(Cause::invalid("involvedObject.namespace", &about.into(), detail));
    }
    if !is_dated {
        return causes;
    }
    let controller = text(event, &["reportingComponent"]);
    let field = if kind.group.is_empty() {
        "reportingComponent"
    } else {
        "reportingController"
    };
    if controller.is_empty() {
        causes.push(Cause::required(field, ""));
    }
    let wrong = names::qualified(controller);
    causes.extend(
        wrong
            .iter()
            .map(|detail| Cause::invalid(field, &controller.into(), detail)),
    );
    for name in ["reportingInstance", "action", "reason"] {
        if text(event, &[name]).is_empty() {
            causes.push(Cause::required(name, ""));
        }
        causes.extend(too_long(event, name, WORD_MAX_BYTES));
    }
    causes.extend(too_long(event, "message", NOTE_MAX_BYTES));
    causes
}

fn too_long(event: &Value, name: &str, max: usize) -> Option<Cause> {
    let detail = || format!("can have at most {max} characters");
    (text(event, &[name]).len() > max).then(|| Cause::invalid(name, &"".into(), &detail()))
}

fn check_new(event: &Value, causes: &mut Vec<Cause>) {
    check_series(event, causes);
    if !has(event, &["eventTime"]) {
        causes.push(Cause::required("eventTime", ""));
    }
    let kind = text(event, &["type"]);
    if !["Normal", "Warning"].contains(&kind) {
        causes.push(Cause::invalid(
            "type",
            &"".into(),
            &format!("has invalid value: {kind}"),
        ));
    }
    let source = ["component", "host"]
        .iter()
        .any(|name| !text(event, &["source", name]).is_empty());
    for (name, is_set) in [
        ("firstTimestamp", has(event, &["firstTimestamp"])),
        ("lastTimestamp", has(event, &["lastTimestamp"])),
        ("count", number(event, &["count"]).unwrap_or(0) != 0),
        ("source", source),
    ] {
        if is_set {
            causes.push(Cause::invalid(name, &"".into(), "needs to be unset"));
        }
    }
}

fn check_series(event: &Value, causes: &mut Vec<Cause>) {
    if !has(event, &["series"]) {
        return;
    }
    if number(event, &["series", "count"]).unwrap_or(0) < 2 {
        causes.push(Cause::invalid("series.count", &"".into(), "should be at least 2"));
    }
    if !has(event, &["series", "lastObservedTime"]) {
        causes.push(Cause::required("series.lastObservedTime", ""));
    }
}

fn check_change(event: &Value, old: &Value, causes: &mut Vec<Cause>) {
    if event.get("series") != old.get("series") {
        check_series(event, causes);
    }
    for (name, stored) in FIXED {
        let [new, old] = [event, old].map(|event| at(event, &[stored]).unwrap_or(&Value::Null));
        if new == old {
            continue;
        }
        let members: &[&str] = match name {
            "involvedObject" | "related" => &REFERENCE,
            "source" => &["Component", "Host"],
            _ => &[],
        };
        causes.push(match (members, new.as_object()) {
            ([], _) | (_, None) => Cause::immutable(name, new),
            (members, Some(_)) => Cause::shown(name, &structs::internal(new, members), "field is immutable"),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;
    use serde_json::json;

    fn check_as(group: &str, event: &Value, old: Option<&Value>) -> Vec<String> {
        let kind = Registry::new().get(group, "v1", "events").unwrap();
        check(&kind, event, old)
            .iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect()
    }

    fn dated() -> Value {
        json!({
            "metadata": {"namespace": "n"}, "involvedObject": {"namespace": "m"}, "type": "Normal", "reason": "R",
            "action": "A", "eventTime": "2026-01-01T00:00:00.000000Z", "reportingComponent": "a/b",
            "reportingInstance": "i",
        })
    }

    #[test]
    fn an_event_without_a_time_lives_beside_its_object() {
        let event =
            |about: &str| json!({"metadata": {"namespace": "n"}, "involvedObject": {"namespace": about}});
        assert_eq!(check_as("", &event("n"), None), Vec::<String>::new());
        for about in ["m", ""] {
            assert_eq!(
                check_as("", &event(about), None),
                [format!(
                    "involvedObject.namespace: Invalid value: \"{about}\": does not match event.namespace"
                )]
            );
        }
    }

    #[test]
    fn the_new_group_requires_a_time_and_a_type() {
        let event = json!({"metadata": {"namespace": "n"}, "involvedObject": {"namespace": "n"}, "count": 1});
        assert_eq!(
            check_as("events.k8s.io", &event, None),
            [
                "eventTime: Required value",
                "type: Invalid value: \"\": has invalid value: ",
                "count: Invalid value: \"\": needs to be unset",
            ]
        );
    }

    #[test]
    fn whoever_says_when_says_who_and_why() {
        assert_eq!(check_as("events.k8s.io", &dated(), None), Vec::<String>::new());
        let mut event = dated();
        for name in ["reportingInstance", "action", "reason"] {
            object::put(&mut event, name, None);
        }
        assert_eq!(
            check_as("", &event, None),
            ["reportingInstance", "action", "reason"].map(|name| format!("{name}: Required value"))
        );
        let mut event = dated();
        object::put(&mut event, "message", Some("x".repeat(1025).into()));
        assert_eq!(
            check_as("", &event, None),
            ["message: Invalid value: \"\": can have at most 1024 characters"]
        );
    }

    #[test]
    fn only_the_series_changes() {
        let mut event = dated();
        object::put(
            &mut event,
            "series",
            Some(json!({"count": 2, "lastObservedTime": "2026-01-01T00:00:00.000000Z"})),
        );
        assert_eq!(
            check_as("events.k8s.io", &event, Some(&dated())),
            Vec::<String>::new()
        );
        object::put(&mut event, "reason", Some("other".into()));
        object::put(&mut event, "series", Some(json!({"count": 1})));
        assert_eq!(check_as("", &event, Some(&dated())), Vec::<String>::new());
        let immutable = "reason: Invalid value: \"other\": field is immutable";
        assert_eq!(
            check_as("events.k8s.io", &event, Some(&dated())),
            [
                "series.count: Invalid value: \"\": should be at least 2",
                "series.lastObservedTime: Required value",
                immutable,
                immutable,
            ]
        );
    }
}
