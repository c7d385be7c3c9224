//! What the Pod of a protected task says to others: autoscalers of nodes leave it, evictions are held. (PROT-1)

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;

use super::owner::{orphaned, reference};
use super::pod::{held, pod_labels};
use super::seen::Pod;
use crate::api::{Task, labels};

/// Tells Karpenter and cluster-autoscaler to leave the node of the Pod.
const LEAVE_IT: [(&str, &str); 2] = [
    ("karpenter.sh/do-not-disrupt", "true"),
    ("cluster-autoscaler.kubernetes.io/safe-to-evict", "false"),
];

/// What is to change of a Pod: to what, or to nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Marks {
    /// The owner, if it was taken off.
    pub owner: Option<OwnerReference>,
    /// Labels.
    pub labels: BTreeMap<String, Option<String>>,
    /// Annotations.
    pub annotations: BTreeMap<String, Option<String>>,
}

/// Whether an annotation of a Pod is read here.
pub(super) fn is_mark(annotation: &str) -> bool {
    [labels::PROTECTED_UNTIL, labels::QUIESCE].contains(&annotation)
        || LEAVE_IT.iter().any(|(name, _)| *name == annotation)
}

/// Until when a task is protected, as its status says.
pub(super) fn protected_until(task: &Task) -> Option<&str> {
    task.status.as_ref()?.protected_until.as_deref()
}

/// What a Pod that runs has to say differently about its task: that it is of this task and labels of ours, if it lost
/// them, its protection, and whether it should finish. What was put on for protection goes with it, and nothing else.
/// `None` if all is right.
///
/// A protected daemon keeps no node: it is protected from updates only. (PROT-12)
#[must_use]
pub fn marks(task: &Task, pod: &Pod) -> Option<Marks> {
    let mut marks = Marks {
        owner: orphaned(task, pod).then(|| reference(task)).flatten(),
        ..Marks::default()
    };
    for (label, value) in pod_labels(task) {
        if pod.labels().get(&label) != Some(&value) {
            marks.labels.insert(label, Some(value));
        }
    }
    let daemon = task.spec.service.as_ref().is_some_and(|s| s.daemon);
    let until = protected_until(task).filter(|_| !daemon);
    let has = |name: &str| pod.annotations().get(name).map(String::as_str);
    let ours = LEAVE_IT.into_iter();
    if let Some(until) = until {
        let wanted = ours.chain([(labels::PROTECTED_UNTIL, until)]);
        let lacking = wanted.filter(|(name, value)| has(name) != Some(value));
        marks.annotations = lacking
            .map(|(name, value)| (name.to_owned(), Some(value.to_owned())))
            .collect();
    } else if let Some(until) = has(labels::PROTECTED_UNTIL) {
        let there = ours.filter(|(name, value)| has(name) == Some(value));
        let all = there.chain([(labels::PROTECTED_UNTIL, until)]);
        marks.annotations = all.map(|(name, _)| (name.to_owned(), None)).collect();
        if !held(task) && pod.labels().contains_key(labels::HOLD) {
            marks.labels.insert(labels::HOLD.to_owned(), None);
        }
    }
    let told = task.status.as_ref().and_then(|s| s.quiesce.as_ref());
    let told = told.map(|told| told.reason.name());
    if has(labels::QUIESCE) != told {
        marks
            .annotations
            .insert(labels::QUIESCE.to_owned(), told.map(ToOwned::to_owned));
    }
    (marks != Marks::default()).then_some(marks)
}

/// Annotations of ours that stand on a Pod of no task: a copy has them from its original, and would keep its node for
/// ever.
#[must_use]
pub fn copied_marks(pod: &Pod) -> BTreeMap<String, Option<String>> {
    let annotations = pod.annotations();
    let protected = annotations.contains_key(labels::PROTECTED_UNTIL);
    let leave_it = LEAVE_IT
        .into_iter()
        .filter(|(name, value)| protected && annotations.get(*name).is_some_and(|has| has == value))
        .map(|(name, _)| name);
    let ours = [labels::PROTECTED_UNTIL, labels::QUIESCE];
    let ours = ours.into_iter().filter(|name| annotations.contains_key(*name));
    leave_it.chain(ours).map(|name| (name.to_owned(), None)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const KARPENTER: &str = "karpenter.sh/do-not-disrupt";
    const AUTOSCALER: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict";

    fn task(daemon: bool, until: Option<&str>) -> Task {
        serde_json::from_value(json!({
            "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "Task", "metadata": { "name": "t" },
            "spec": { "cluster": "default", "taskDefinition": "web:1",
                "service": { "name": "web", "uid": "s", "daemon": daemon } },
            "status": { "lastStatus": "RUNNING", "protectedUntil": until },
        }))
        .unwrap()
    }

    fn changed(marks: Option<Marks>) -> Value {
        let Marks {
            labels, annotations, ..
        } = marks.unwrap_or_default();
        json!([labels, annotations])
    }

    /// A Pod with the labels of this task and these annotations.
    fn pod(task: &Task, annotations: Value) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.labels = Some(pod_labels(task));
        pod.metadata.annotations = Some(serde_json::from_value(annotations).unwrap());
        pod
    }

    #[test]
    fn the_pod_of_a_protected_task_is_held_and_keeps_its_node_until_protection_ends_prot_1_prot_2() {
        let (plain, protected) = (task(false, None), task(false, Some("2026-01-01T02:00:00Z")));
        let all = json!({ KARPENTER: "true", AUTOSCALER: "false",
            "ecs-operator.dev/protected-until": "2026-01-01T02:00:00Z" });
        let before = pod(&plain, json!({ "mine": "stays" }));
        let asked = changed(marks(&protected, &before));
        assert_eq!(asked, json!([{ "ecs-operator.dev/hold": "true" }, all]));
        let dressed = pod(&protected, all.clone());
        assert_eq!(marks(&protected, &dressed), None);
        let longer = task(false, Some("2026-01-01T03:00:00Z"));
        let until = json!({ "ecs-operator.dev/protected-until": "2026-01-01T03:00:00Z" });
        assert_eq!(changed(marks(&longer, &dressed)), json!([{}, until]));
        let off = json!({ KARPENTER: null, AUTOSCALER: null, "ecs-operator.dev/protected-until": null });
        assert_eq!(
            changed(marks(&plain, &dressed)),
            json!([{ "ecs-operator.dev/hold": null }, off])
        );
    }

    #[test]
    fn what_somebody_else_put_on_a_pod_is_theirs() {
        let plain = task(false, None);
        assert_eq!(marks(&plain, &pod(&plain, json!({ KARPENTER: "true" }))), None);
        let other = json!({ KARPENTER: "4h", "ecs-operator.dev/protected-until": "x" });
        let off = json!({ "ecs-operator.dev/protected-until": null });
        assert_eq!(changed(marks(&plain, &pod(&plain, other))), json!([{}, off]));
    }

    #[test]
    fn the_pod_of_a_task_that_should_finish_says_why_until_it_need_not_prot_11() {
        let mut told = task(true, None);
        let quiesce = json!({ "reason": "Drain", "since": "2026-01-01T00:00:00Z" });
        told.status.as_mut().unwrap().quiesce = serde_json::from_value(quiesce).unwrap();
        let said = json!({ "ecs-operator.dev/quiesce": "Drain" });
        assert_eq!(changed(marks(&told, &pod(&told, json!({})))), json!([{}, said]));
        assert_eq!(marks(&told, &pod(&told, said.clone())), None);
        let plain = task(true, None);
        let off = json!({ "ecs-operator.dev/quiesce": null });
        assert_eq!(changed(marks(&plain, &pod(&plain, said))), json!([{}, off]));
    }

    #[test]
    fn a_copy_loses_what_its_original_was_told_and_keeps_what_is_its_own() {
        let until = "ecs-operator.dev/protected-until";
        let quiesce = "ecs-operator.dev/quiesce";
        let left = |annotations: Value| json!(copied_marks(&pod(&task(false, None), annotations)));
        let all = json!({ KARPENTER: "true", until: "x", quiesce: "Drain", "mine": "stays" });
        assert_eq!(left(all), json!({ KARPENTER: null, until: null, quiesce: null }));
        assert_eq!(
            left(json!({ KARPENTER: "true", quiesce: "Drain" })),
            json!({ quiesce: null })
        );
        assert_eq!(left(json!({ KARPENTER: "true" })), json!({}));
    }

    #[test]
    fn a_protected_daemon_keeps_no_node_prot_12() {
        let daemon = task(true, Some("2026-01-01T02:00:00Z"));
        assert_eq!(marks(&daemon, &pod(&daemon, json!({}))), None);
    }
}
