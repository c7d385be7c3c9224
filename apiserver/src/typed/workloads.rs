//! Defaults of Deployments and their like.

use serde_json::{Value, json};

use super::defaults::{pod_spec, set};
use crate::object::{self, Object, at, object_mut};
use crate::registry::Kind;

/// Where a `DaemonSet` counts the changes of its template.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// Fills in the defaults of a workload.
pub(super) fn apply(kind: &Kind, value: &mut Value) {
    match kind.kind.as_str() {
        "Deployment" => deployment(object_mut(value, &["spec"])),
        "ReplicaSet" => set(object_mut(value, &["spec"]), "replicas", json!(1)),
        "StatefulSet" => stateful(object_mut(value, &["spec"])),
        "DaemonSet" => {
            daemon(object_mut(value, &["spec"]));
            set(
                object_mut(value, &["metadata", "annotations"]),
                TEMPLATE_GENERATION,
                json!("0"),
            );
        }
        _ => job(value),
    }
    pod_spec(object_mut(value, &["spec", "template", "spec"]));
}

fn member<'a>(members: &'a mut Object, name: &str, default: Value) -> Option<&'a mut Object> {
    set(members, name, default);
    members.get_mut(name).and_then(Value::as_object_mut)
}

/// The strategy of an update, with the defaults of the rolling one.
fn strategy(spec: &mut Object, name: &str, rolling: &[(&str, Value)]) {
    let Some(strategy) = member(spec, name, json!({})) else {
        return;
    };
    set(strategy, "type", json!("RollingUpdate"));
    if strategy.get("type").and_then(Value::as_str) != Some("RollingUpdate") {
        return;
    }
    if let Some(update) = member(strategy, "rollingUpdate", json!({})) {
        for (name, value) in rolling {
            set(update, name, value.clone());
        }
    }
}

fn deployment(spec: &mut Object) {
    set(spec, "replicas", json!(1));
    set(spec, "revisionHistoryLimit", json!(10));
    set(spec, "progressDeadlineSeconds", json!(600));
    let quarter = json!("25%");
    strategy(
        spec,
        "strategy",
        &[("maxUnavailable", quarter.clone()), ("maxSurge", quarter)],
    );
}

fn stateful(spec: &mut Object) {
    set(spec, "replicas", json!(1));
    set(spec, "revisionHistoryLimit", json!(10));
    set(spec, "serviceName", json!(""));
    set(spec, "podManagementPolicy", json!("OrderedReady"));
    strategy(spec, "updateStrategy", &[("partition", json!(0))]);
    if let Some(policy) = member(spec, "persistentVolumeClaimRetentionPolicy", json!({})) {
        set(policy, "whenDeleted", json!("Retain"));
        set(policy, "whenScaled", json!("Retain"));
    }
}

fn daemon(spec: &mut Object) {
    set(spec, "revisionHistoryLimit", json!(10));
    strategy(
        spec,
        "updateStrategy",
        &[("maxUnavailable", json!(1)), ("maxSurge", json!(0))],
    );
}

fn job(value: &mut Value) {
    let labels = at(value, &["spec", "template", "metadata", "labels"]).cloned();
    if let Some(labels) = labels.filter(|_| at(value, &["metadata", "labels"]).is_none()) {
        object::set_meta(value, "labels", labels);
    }
    let spec = object_mut(value, &["spec"]);
    if !spec.contains_key("parallelism") {
        set(spec, "completions", json!(1));
        set(spec, "parallelism", json!(1));
    }
    for (name, default) in [
        ("backoffLimit", json!(6)),
        ("completionMode", json!("NonIndexed")),
        ("suspend", json!(false)),
        ("podReplacementPolicy", json!("TerminatingOrFailed")),
        ("manualSelector", json!(false)),
    ] {
        set(spec, name, default);
    }
}

/// Labels the Pods of a new Job with its name and uid, and selects them by the uid, unless it does so itself. A Job without
/// labels of its own has those of its Pods.
pub(crate) fn select_own_pods(job: &mut Value) {
    if at(job, &["spec", "manualSelector"]) == Some(&Value::Bool(true)) {
        return;
    }
    let own = at(job, &["metadata", "labels"]);
    let shares_labels = own.is_none() || own == at(job, &["spec", "template", "metadata", "labels"]);
    let (name, uid) = (json!(object::name(job)), json!(object::uid(job)));
    let labels = object_mut(job, &["spec", "template", "metadata", "labels"]);
    for label in ["job-name", "batch.kubernetes.io/job-name"] {
        set(labels, label, name.clone());
    }
    for label in ["controller-uid", "batch.kubernetes.io/controller-uid"] {
        set(labels, label, uid.clone());
    }
    let labels = labels.clone();
    let selected = object_mut(job, &["spec", "selector", "matchLabels"]);
    set(selected, "batch.kubernetes.io/controller-uid", uid);
    if shares_labels {
        object::set_meta(job, "labels", labels);
    }
}

/// Says of a `DaemonSet` how often its template changed.
pub(crate) fn set_template_generation(value: &mut Value, generation: u64) {
    object_mut(value, &["metadata", "annotations"])
        .insert(TEMPLATE_GENERATION.to_owned(), generation.to_string().into());
}

/// Counts a change of the template of a `DaemonSet`. Whatever the client says counts for nothing.
pub(crate) fn count_template(old: &Value, new: &mut Value) {
    let path = ["metadata", "annotations", TEMPLATE_GENERATION];
    let generation: u64 = object::text(old, &path).parse().unwrap_or(0);
    let template = ["spec", "template"];
    let changed = u64::from(at(old, &template) != at(new, &template));
    set_template_generation(new, generation.saturating_add(changed));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;

    fn defaulted(group: &str, plural: &str, value: Value) -> Value {
        let kind = Registry::new().get(group, "v1", plural).unwrap();
        let mut value = value;
        apply(&kind, &mut value);
        value
    }

    #[test]
    fn stateful_sets_update_in_order() {
        let set = defaulted("apps", "statefulsets", json!({"spec": {}}));
        assert_eq!(set["spec"]["updateStrategy"]["rollingUpdate"]["partition"], 0);
        assert_eq!(set["spec"]["podManagementPolicy"], "OrderedReady");
        let on_delete = json!({"spec": {"updateStrategy": {"type": "OnDelete"}}});
        let set = defaulted("apps", "statefulsets", on_delete.clone());
        assert_eq!(set["spec"]["updateStrategy"], on_delete["spec"]["updateStrategy"]);
    }

    #[test]
    fn jobs_select_their_own_pods() {
        let mut job = defaulted(
            "batch",
            "jobs",
            json!({"metadata": {"name": "j", "uid": "u"}, "spec": {}}),
        );
        assert_eq!(job["spec"]["completions"], 1);
        select_own_pods(&mut job);
        assert_eq!(
            job["spec"]["selector"],
            json!({"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}})
        );
        assert_eq!(job["spec"]["template"]["metadata"]["labels"]["job-name"], "j");
        assert_eq!(
            job["metadata"]["labels"],
            job["spec"]["template"]["metadata"]["labels"]
        );
        let parallel = defaulted("batch", "jobs", json!({"spec": {"parallelism": 2}}));
        assert_eq!(parallel["spec"].get("completions"), None);
    }

    #[test]
    fn daemon_sets_count_the_changes_of_their_template() {
        let mut old = defaulted("apps", "daemonsets", json!({"spec": {"template": {}}}));
        set_template_generation(&mut old, 3);
        let mut new = old.clone();
        count_template(&old, &mut new);
        assert_eq!(new, old);
        new["spec"]["template"]["spec"]["hostNetwork"] = json!(true);
        new["metadata"]["annotations"] = json!({});
        count_template(&old, &mut new);
        assert_eq!(new["metadata"]["annotations"][TEMPLATE_GENERATION], "4");
    }
}
