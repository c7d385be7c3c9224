//! What tables say of objects that have a Pod template.

use jiff::Timestamp;
use serde_json::Value;

use super::age;
use crate::object::{self, at, list, number, text};
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

/// The cells of a Job.
pub(super) fn job_cells(value: &Value, name: Value, age: Value, now: Timestamp) -> Vec<Value> {
    let succeeded = count(value, &["status", "succeeded"]);
    let completions = match (
        number(value, &["spec", "completions"]),
        count(value, &["spec", "parallelism"]),
    ) {
        (Some(completions), _) => format!("{succeeded}/{completions}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    };
    let [names, images] = containers(value);
    vec![
        name,
        job_status(value).into(),
        completions.into(),
        job_duration(value, now).into(),
        age,
        names,
        images,
        selector(value),
    ]
}

fn job_status(job: &Value) -> &'static str {
    let holds = |kind: &str| {
        list(job, &["status", "conditions"])
            .iter()
            .any(|condition| text(condition, &["type"]) == kind && text(condition, &["status"]) == "True")
    };
    let first = |kinds: [&'static str; 2]| kinds.into_iter().find(|kind| holds(kind));
    let going = object::is_deleting(job).then_some("Terminating");
    let suspended = holds("Suspended").then_some("Suspended");
    let ended = first(["Complete", "Failed"]).or(going).or(suspended);
    ended
        .or_else(|| first(["FailureTarget", "SuccessCriteriaMet"]))
        .unwrap_or("Running")
}

fn job_duration(job: &Value, now: Timestamp) -> String {
    let begun = text(job, &["status", "startTime"]);
    let ended = text(job, &["status", "completionTime"]).parse().unwrap_or(now);
    if begun.is_empty() {
        String::new()
    } else {
        age::since(begun, ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn jobs_tell_how_far_they_are() {
        let now: Timestamp = "2026-01-01T01:00:00Z".parse().unwrap();
        let cells = |job: Value| job_cells(&job, "j".into(), "1h".into(), now);
        let done = json!({"spec": {"completions": 2}, "status": {
            "succeeded": 2, "startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:00:30Z",
            "conditions": [{"type": "Complete", "status": "True"}],
        }});
        assert_eq!(cells(done)[1..4], [json!("Complete"), json!("2/2"), json!("30s")]);
        let parallel = json!({"spec": {"parallelism": 3}});
        assert_eq!(
            cells(parallel)[1..4],
            [json!("Running"), json!("0/1 of 3"), json!("")]
        );
    }
}
