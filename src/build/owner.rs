//! Whose a Pod is. Its name, which nobody can change, and its owner say so; labels are anybody's to copy or to take
//! off. (F4, F5)

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt};

use super::pod::{UID_DIGITS, pod_name, pod_name_for};
use super::seen::Pod;
use crate::api::{self, Task, finalizers};

/// The task that a Pod is the own Pod of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner<'a> {
    /// Name of the Task, which is in the Pod's namespace.
    pub task: &'a str,
    /// Uid of the Task.
    pub uid: &'a str,
}

/// Name of the Task whose own Pod a Pod may be, by its name alone: every Pod made for that Task has such a name, whatever
/// became of its labels and owners.
#[must_use]
pub fn named_for(pod: &Pod) -> Option<&str> {
    let (task, digits) = pod.metadata.name.as_deref()?.rsplit_once('-')?;
    let hex = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
    (!task.is_empty() && digits.len() == UID_DIGITS && digits.bytes().all(hex)).then_some(task)
}

/// The Task whose own Pod a Pod is: it controls the Pod, and the Pod has the very name that a Pod of it gets. A copy
/// under another name has none.
#[must_use]
pub fn owner(pod: &Pod) -> Option<Owner<'_>> {
    let mut owners = pod.metadata.owner_references.iter().flatten();
    let owner = owners.find(|owner| {
        let group = owner.api_version.split_once('/').map(|(group, _)| group);
        owner.controller == Some(true) && owner.kind == "Task" && group == Some(api::GROUP)
    })?;
    let name = pod_name_for(&owner.name, &owner.uid);
    (name.is_some() && name == pod.metadata.name).then_some(Owner {
        task: &owner.name,
        uid: &owner.uid,
    })
}

/// How the Pod of a task says whose it is. `None` before the API server gave the task a uid.
#[must_use]
pub(super) fn reference(task: &Task) -> Option<OwnerReference> {
    Some(OwnerReference {
        block_owner_deletion: Some(true),
        ..task.controller_owner_ref(&())?
    })
}

/// Whether a Pod is the task's own, and somebody took off what says so: the task has run, the Pod's name has digits of its
/// uid, our finalizer holds it still, and nobody owns it. Before a task has run, a Pod of that name may be somebody else's.
#[must_use]
pub fn orphaned(task: &Task, pod: &Pod) -> bool {
    let ran = task
        .status
        .as_ref()
        .is_some_and(|status| status.started_at.is_some());
    let named = pod_name(task).is_some_and(|name| pod.metadata.name.as_ref() == Some(&name));
    ran && named && pod.owner_references().is_empty() && pod.finalizers().iter().any(|f| f == finalizers::POD)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(name: &str, owner: &Value) -> Pod {
        let owner = json!({ "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "Task", "name": "a-1",
            "uid": "0123abCD-0000", "controller": true })
        .as_object()
        .into_iter()
        .flatten()
        .chain(owner.as_object().into_iter().flatten())
        .map(|(field, value)| (field.clone(), value.clone()))
        .collect::<serde_json::Map<_, _>>();
        let meta =
            json!({ "name": name, "labels": { "ecs-operator.dev/task": "a-1" }, "ownerReferences": [owner] });
        serde_json::from_value(json!({ "metadata": meta })).unwrap()
    }

    #[test]
    fn a_pod_is_a_tasks_own_by_name_and_controller_f4() {
        let own = Owner {
            task: "a-1",
            uid: "0123abCD-0000",
        };
        assert_eq!(owner(&pod("a-1-0123abcd", &json!({}))), Some(own));
        assert_eq!(owner(&pod("a-1-copy", &json!({}))), None);
        for other in [
            json!({ "controller": false }),
            json!({ "kind": "Job" }),
            json!({ "apiVersion": "ecs-operator.dev.example/v1" }),
            json!({ "name": "a-2" }),
            json!({ "uid": "11111111-0000" }),
            json!({ "uid": "" }),
        ] {
            assert_eq!(owner(&pod("a-1-0123abcd", &other)), None, "{other}");
        }
    }

    #[test]
    fn a_pod_without_owners_is_its_tasks_while_our_finalizer_holds_it_f4() {
        let task = |uid: &str| -> Task {
            serde_json::from_value(json!({
                "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "Task",
                "metadata": { "name": "a-1", "namespace": "ns", "uid": uid },
                "spec": { "cluster": "default", "taskDefinition": "web:1", "group": "family:web" },
                "status": { "startedAt": "2026-01-01T00:00:00Z" },
            }))
            .unwrap()
        };
        let own = task("0123abCD-0000");
        let mut robbed = pod("a-1-0123abcd", &json!({}));
        robbed.metadata.owner_references = None;
        assert!(!orphaned(&own, &robbed), "nothing of ours holds it");
        robbed.metadata.finalizers = Some(vec![finalizers::POD.to_owned()]);
        assert!(orphaned(&own, &robbed));
        let mut starting = own.clone();
        starting.status = None;
        assert!(!orphaned(&starting, &robbed), "it may have been there before");
        assert!(
            !orphaned(&task("99990000-0000"), &robbed),
            "another task of the name"
        );
        let mut owned = robbed.clone();
        owned.metadata.owner_references = reference(&task("99990000-0000")).map(|owner| vec![owner]);
        assert!(!orphaned(&own, &owned), "somebody else's");
        let mut copy = robbed;
        copy.metadata.name = Some("a-1-copy".to_owned());
        assert!(!orphaned(&own, &copy));
    }

    #[test]
    fn the_name_alone_says_whose_pod_it_may_be_f5() {
        let mut bare = pod("a-1-0123abcd", &json!({}));
        bare.metadata.labels = None;
        bare.metadata.owner_references = None;
        assert_eq!(named_for(&bare), Some("a-1"));
        for name in [
            "a-1",
            "a-1-copy",
            "a-1-0123ABCD",
            "a-1-0123abcdef",
            "-0123abcd",
            "0123abcd",
        ] {
            assert_eq!(named_for(&pod(name, &json!({}))), None, "{name}");
        }
    }
}
