//! What keeps evictions off held Pods is there before they are, and stays: the budget of their namespace, and our
//! labels, on which budgets and selectors rest.

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;

use super::Context;
use super::errors::Error;
use super::task::checked;
use crate::api::{DesiredStatus, Task};
use crate::build::{self, Pod};
use crate::cache::Cache;
use crate::cache::node::pod_ended;
use crate::cache::store::{Change, key_of};
use crate::ledger::pod::belongs;
use crate::plan::world::Key;
use crate::report::hold::{HOLD_BUDGET, same_hold};

/// Sees to the budget that holds Pods, if the task's is one to be held. (DAEMON-43, DAEMON-44)
pub(super) async fn ensure(context: &Context, namespace: &str, held: bool) -> Result<(), Error> {
    if held {
        context.applier.ensure_hold(namespace).await?;
    }
    Ok(())
}

/// Keeps a Pod that runs from being evicted out of its turn, whatever was done to its labels or to the budget, and tells
/// others of its protection.
pub(super) async fn keep(context: &Context, task: &Task, pod: &Pod) -> Result<(), Error> {
    if pod.metadata.deletion_timestamp.is_some() || pod_ended(pod) {
        return Ok(());
    }
    let relabelled = context.ledger.mark_pod(task, pod).await;
    ensure(context, &task.namespace().unwrap_or_default(), build::held(task)).await?;
    // a Pod that moved meanwhile comes with an event that wakes us again
    checked(relabelled).map(drop)
}

/// Whose look puts a budget right that holds Pods and was changed or deleted: any task that has such a Pod there.
/// `None` if it says what it should, or nothing is held.
pub(super) fn concerned(cache: &Cache, change: &Change<PodDisruptionBudget>) -> Option<Key> {
    let budget = change.object();
    let right = matches!(change, Change::Put(_, new) if same_hold(new));
    if budget.name_any() != HOLD_BUDGET || right {
        return None;
    }
    let has_pod = |task: &Task| {
        let pod = build::pod_name(task).and_then(|name| {
            cache
                .pods
                .get(&Key::new(task.namespace().unwrap_or_default(), name))
        });
        pod.is_some_and(|pod| belongs(task, &pod) && !pod_ended(&pod))
    };
    let tasks = cache.tasks.all();
    let held = tasks.iter().filter(|task| task.namespace() == budget.namespace());
    held.filter(|task| task.spec.desired_status == DesiredStatus::Running && build::held(task))
        .find(|task| has_pod(task))
        .map(|task| key_of(task.as_ref()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::report::hold::hold;

    fn budget(spec: &Value) -> Arc<PodDisruptionBudget> {
        let mut budget = hold("ns");
        let spec = serde_json::from_value(spec.clone()).unwrap();
        budget.spec = Some(spec);
        Arc::new(budget)
    }

    /// Task t, of this service, and its Pod, in phase Running.
    fn cache(service: &Value) -> Cache {
        let cache = Cache::default();
        let uid = "aaaaaaaa-0000-4000-8000-000000000001";
        cache.tasks.put(
            serde_json::from_value(json!({
                "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "Task",
                "metadata": { "name": "t", "namespace": "ns", "uid": uid, "resourceVersion": "1" },
                "spec": { "taskDefinition": "web:1", "containerInstance": "n1", "service": service },
            }))
            .unwrap(),
        );
        cache.pods.put(
            serde_json::from_value(json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": { "name": "t-aaaaaaaa", "namespace": "ns", "uid": "p", "resourceVersion": "2",
                    "ownerReferences": [{ "apiVersion": "v1", "kind": "Task", "name": "t", "uid": uid }] },
                "status": { "phase": "Running" },
            }))
            .unwrap(),
        );
        cache
    }

    #[test]
    fn a_changed_or_deleted_hold_is_put_right_as_long_as_something_is_held_daemon_43_daemon_44() {
        let right = Arc::new(hold("ns"));
        let edited = budget(&json!({ "minAvailable": 0 }));
        let changes = [
            (Change::Put(Some(right.clone()), edited.clone()), true),
            // its status was written after the edit, and our write met a conflict
            (Change::Put(Some(edited.clone()), edited.clone()), true),
            (Change::Removed(right.clone()), true),
            (Change::Put(Some(edited), right.clone()), false),
            (Change::Put(None, right), false),
        ];
        let daemon = json!({ "name": "d", "uid": "s", "daemon": true });
        let replica = json!({ "name": "r", "uid": "s", "daemon": false });
        for (change, mends) in &changes {
            for held in [&Value::Null, &daemon] {
                let task = mends.then(|| Key::new("ns", "t"));
                assert_eq!(concerned(&cache(held), change), task, "{change:?}");
            }
            assert_eq!(concerned(&cache(&replica), change), None);
            assert_eq!(concerned(&Cache::default(), change), None);
        }
    }

    #[test]
    fn a_protected_replica_is_held_as_long_as_it_is_protected_prot_1() {
        let replica = json!({ "name": "r", "uid": "s", "daemon": false });
        let cache = cache(&replica);
        let removed = Change::Removed(Arc::new(hold("ns")));
        assert_eq!(concerned(&cache, &removed), None);
        let mut task = (*cache.tasks.get(&Key::new("ns", "t")).unwrap()).clone();
        task.metadata.resource_version = Some("3".to_owned());
        task.status =
            Some(serde_json::from_value(json!({ "protectedUntil": "2026-01-01T00:00:00Z" })).unwrap());
        cache.tasks.put(task);
        assert_eq!(concerned(&cache, &removed), Some(Key::new("ns", "t")));
    }

    #[test]
    fn budgets_of_another_name_or_namespace_are_no_hold_of_these_tasks() {
        let cache = cache(&Value::Null);
        let mut other = hold("ns");
        other.metadata.name = Some("ecs-operator-service-web".to_owned());
        assert_eq!(concerned(&cache, &Change::Removed(Arc::new(other))), None);
        let elsewhere = Change::Removed(Arc::new(hold("elsewhere")));
        assert_eq!(concerned(&cache, &elsewhere), None);
    }
}
