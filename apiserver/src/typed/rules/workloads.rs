//! Deployments and their like: their selector selects the Pods of their template.

use serde_json::{Value, json};

use super::selectors;
use crate::object::{at, has, number, text};
use crate::registry::Kind;
use crate::selector::Labels;
use crate::status::Cause;

/// What is wrong with a Deployment, `ReplicaSet`, `StatefulSet` or `DaemonSet`.
pub(super) fn check(kind: &Kind, value: &Value) -> Vec<Cause> {
    let is_daemon = kind.kind == "DaemonSet";
    let mut causes = Vec::new();
    let selector = at(value, &["spec", "selector"]).filter(|selector| selector.is_object());
    let empty = |selector: &Value| {
        // A ReplicaSet is said to be a deployment.
        let of = match kind.kind.as_str() {
            "DaemonSet" => "daemonset",
            "StatefulSet" => "statefulset",
            _ => "deployment",
        };
        let detail = format!("empty selector is invalid for {of}");
        selectors::is_empty(selector).then(|| Cause::invalid("spec.selector", selector, &detail))
    };
    match selector {
        None if is_daemon => {}
        None => causes.push(Cause::required("spec.selector", "")),
        Some(selector) => {
            causes.extend(selectors::check(selector, "spec.selector"));
            if !is_daemon {
                causes.extend(empty(selector));
            }
        }
    }
    let template = at(value, &["spec", "template"]).unwrap_or(&Value::Null);
    if Labels::from_selector(selector).is_none_or(|selector| !selector.matches(template)) {
        let labels = at(template, &["metadata", "labels"]).unwrap_or(&Value::Null);
        let detail = "`selector` does not match template `labels`";
        causes.push(Cause::invalid("spec.template.metadata.labels", labels, detail));
    }
    if let Some(selector) = selector.filter(|_| is_daemon) {
        causes.extend(empty(selector));
    }
    let policy = text(template, &["spec", "restartPolicy"]);
    if policy != "Always" {
        causes.push(Cause::unsupported(
            "spec.template.spec.restartPolicy",
            &json!(policy).to_string(),
            &["Always"],
        ));
    }
    causes
}

/// What is wrong with a Job: its Pods must end.
pub(super) fn job(job: &Value) -> Option<Cause> {
    let field = "spec.template.spec.restartPolicy";
    match text(job, &["spec", "template", "spec", "restartPolicy"]) {
        "OnFailure" | "Never" => None,
        "Always" | "" => {
            let detail = "valid values: \"OnFailure\", \"Never\"";
            Some(Cause::required(field, detail))
        }
        other => Some(Cause::unsupported(
            field,
            &json!(other).to_string(),
            &["OnFailure", "Never"],
        )),
    }
}

/// What is wrong with a `ControllerRevision` that is created, or that replaces `old`: its data is an object and stays.
pub(super) fn revision(revision: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    if let Some(negative) = number(revision, &["revision"]).filter(|number| *number < 0) {
        let detail = "must be greater than or equal to 0";
        causes.push(Cause::invalid("revision", &negative.into(), detail));
    }
    let data = revision.get("data").unwrap_or(&Value::Null);
    match old {
        Some(old) if old.get("data").unwrap_or(&Value::Null) != data => {
            causes.push(Cause::immutable("data", data));
        }
        None if !has(revision, &["data"]) => causes.push(Cause::required("data", "data is mandatory")),
        None if !data.is_object() => {
            causes.push(Cause::required("data", "data must be a valid JSON object"));
        }
        Some(_) | None => {}
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;

    fn of(plural: &str, spec: &Value) -> Vec<String> {
        let kind = Registry::new().get("apps", "v1", plural).unwrap();
        check(&kind, &json!({"spec": spec}))
            .iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect()
    }

    const MISMATCH: &str = "spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template \
                            `labels`";

    #[test]
    fn the_selector_selects_the_template() {
        let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"restartPolicy": "Always"}});
        for plural in ["deployments", "replicasets", "statefulsets", "daemonsets"] {
            let spec = |value: &str| json!({"selector": {"matchLabels": {"a": value}}, "template": template});
            assert_eq!(of(plural, &spec("b")), Vec::<String>::new());
            assert_eq!(of(plural, &spec("c")), [MISMATCH]);
        }
        let without = json!({"template": template});
        assert_eq!(
            of("deployments", &without),
            ["spec.selector: Required value", MISMATCH]
        );
        assert_eq!(of("daemonsets", &without), [MISMATCH]);
        let all = json!({"selector": {}, "template": template});
        assert_eq!(
            of("replicasets", &all),
            ["spec.selector: Invalid value: {}: empty selector is invalid for deployment"]
        );
    }

    #[test]
    fn the_pods_of_a_job_end() {
        let of = |policy: &str| {
            let spec = json!({"template": {"spec": {"restartPolicy": policy}}});
            job(&json!({"spec": spec})).map(|cause| cause.message)
        };
        assert_eq!(of("Never"), None);
        assert_eq!(
            of("Always").unwrap(),
            "Required value: valid values: \"OnFailure\", \"Never\""
        );
    }

    #[test]
    fn the_data_of_a_revision_stays() {
        let good = json!({"data": {"a": 1}, "revision": 1});
        assert_eq!(revision(&good, None), []);
        assert_eq!(revision(&good, Some(&good)), []);
        assert_eq!(revision(&json!({"data": {"a": 2}}), Some(&good)).len(), 1);
        assert_eq!(revision(&json!({"data": [1], "revision": -1}), None).len(), 2);
        assert_eq!(revision(&json!({}), None).len(), 1);
    }
}
