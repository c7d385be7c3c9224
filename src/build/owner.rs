//! Whose a Pod is. Its name, which nobody can change, and its owner say so; labels are anybody's to copy or to take
//! off. (F4, F5)

use super::pod::{UID_DIGITS, pod_name_for};
use super::seen::Pod;
use crate::api;

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
