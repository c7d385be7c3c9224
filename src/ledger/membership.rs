//! An instance whose EcsCluster no longer selects its node: nothing is placed there, what runs stays, and the instance
//! goes when it has been empty and unselected for a while. (decision 0058)

use std::time::Duration;

use jiff::Timestamp;

use super::describe::Surroundings;
use crate::api::ContainerInstanceStatus;
use crate::api::conditions::State;
use crate::cache::node::Membership;
use crate::domain::records::InstanceStatus;

/// Type of the condition that says whether the EcsCluster selects the node.
pub const CONDITION: &str = "Selected";

/// How long a node must have been unselected before its empty instance goes. With the instance go the attributes and
/// the DRAINING that users set on it, so a selector that is put right meanwhile costs nothing.
pub const GRACE: Duration = Duration::from_secs(300);

const NOT_SELECTED: &str = "the nodeSelector of the EcsCluster no longer selects this node: nothing new is placed here, \
     running tasks stay, and the instance goes when it has been empty for 5 minutes; set spec.status to DRAINING to \
     move its tasks away, or put the selector or the node's labels right to keep it";
const CLUSTER_DELETED: &str = "the EcsCluster is being deleted: nothing new is placed here, running tasks stay, and \
     the instance goes when it is empty; delete the services and tasks of the cluster";

/// Makes an instance INACTIVE that has no part in its cluster any more and is empty; says so in a condition.
/// `None` without a Node.
#[must_use]
pub fn settle(
    next: &mut ContainerInstanceStatus,
    old: &ContainerInstanceStatus,
    around: &Surroundings<'_>,
) -> Option<State> {
    let (state, grace) = match around.node?.membership {
        Membership::Member => {
            return Some(State::yes("Selected", "the EcsCluster selects the node"));
        }
        Membership::NotSelected => (State::no("NotSelected", NOT_SELECTED), GRACE),
        Membership::ClusterDeleted => (State::no("ClusterDeleted", CLUSTER_DELETED), Duration::ZERO),
    };
    let empty = next.reservations.is_empty() && !around.bound.iter().any(|b| b.task.alive());
    if empty && unselected_for(old, around.now) >= grace {
        next.status = InstanceStatus::Inactive;
        next.status_reason = Some("the EcsCluster does not select the node, and no task is left".to_owned());
    }
    Some(state)
}

/// How long the condition has been False.
fn unselected_for(old: &ContainerInstanceStatus, now: Timestamp) -> Duration {
    let since = old
        .conditions
        .iter()
        .find(|c| c.type_ == CONDITION && c.status == "False")
        .map_or(now, |c| c.last_transition_time.0);
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Node;
    use serde_json::json;

    use super::*;
    use crate::api::{ContainerInstance, EcsCluster, OnCordon};
    use crate::cache::node;
    use crate::domain::resources::Resources;
    use crate::ledger::describe::describe;
    use crate::ledger::instance::{Ask, Denied, give};
    use crate::plan::world::Key;

    fn web_cluster() -> EcsCluster {
        serde_json::from_value(json!({
            "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "EcsCluster", "metadata": { "name": "web" },
            "spec": { "nodeSelector": { "matchLabels": { "pool": "web" } } },
        }))
        .unwrap()
    }

    fn node_of(pool: &str) -> Node {
        serde_json::from_value(json!({
            "metadata": { "name": "n1", "uid": "u", "labels": { "pool": pool } },
            "status": { "allocatable": { "cpu": "2", "memory": "1Gi", "pods": "10" },
                "conditions": [{ "type": "Ready", "status": "True" }] } }))
        .unwrap()
    }

    fn instance() -> ContainerInstance {
        serde_json::from_value(json!({
            "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "ContainerInstance",
            "metadata": { "name": "n1" }, "spec": { "cluster": "web" },
        }))
        .unwrap()
    }

    /// The instance as it is described at a second.
    fn at(mut object: ContainerInstance, cluster: &EcsCluster, pool: &str, second: i64) -> ContainerInstance {
        let facts = node::describe(&node_of(pool), cluster);
        let status = describe(
            &object,
            &Surroundings {
                node: Some(&facts),
                on_cordon: OnCordon::Drain,
                drain_timeout_seconds: 0,
                task: &|_| None,
                bound: &[],
                foreign: &|_| Resources::default(),
                given_up: &|_| false,
                now: Timestamp::from_second(second).unwrap(),
            },
        );
        object.status = Some(status);
        object
    }

    fn reserve(mut object: ContainerInstance) -> (ContainerInstance, Option<Denied>) {
        let ask = Ask {
            task: Key::new("ns", "t1"),
            uid: None,
            service: None,
            amounts: Resources {
                pods: 1,
                ..Resources::default()
            },
        };
        let (status, verdicts) = give(&object, &[ask], Timestamp::UNIX_EPOCH);
        object.status = Some(status);
        (object, verdicts.first().copied().flatten())
    }

    fn says(object: &ContainerInstance, type_: &str) -> String {
        let conditions = object.status.iter().flat_map(|s| &s.conditions);
        let found = conditions.into_iter().find(|c| c.type_ == type_).unwrap();
        format!("{} {}: {}", found.status, found.reason, found.message)
    }

    fn status(object: &ContainerInstance) -> InstanceStatus {
        object.status.as_ref().map(|s| s.status).unwrap()
    }

    #[test]
    fn an_unselected_node_keeps_its_tasks_and_takes_no_new_ones() {
        let object = at(instance(), &web_cluster(), "web", 1000);
        let (object, denied) = reserve(object);
        assert_eq!(denied, None);
        let object = at(object, &web_cluster(), "db", 2000);
        let object = at(object, &web_cluster(), "db", 9000);
        assert_eq!(status(&object), InstanceStatus::Active, "a task has a share here");
        assert!(
            says(&object, "Selected").starts_with("False NotSelected: the nodeSelector of the EcsCluster")
        );
        assert!(says(&object, "Selected").contains("set spec.status to DRAINING"));
        assert!(says(&object, "Schedulable").starts_with("False NotSelected"));
        let mut other = object.clone();
        if let Some(status) = &mut other.status {
            status.reservations.clear();
        }
        assert_eq!(reserve(other).1, Some(Denied::NotActive));
        let back = at(object, &web_cluster(), "web", 9001);
        assert_eq!(
            says(&back, "Selected"),
            "True Selected: the EcsCluster selects the node"
        );
        assert!(says(&back, "Schedulable").starts_with("True"));
    }

    #[test]
    fn an_empty_instance_goes_only_after_it_was_unselected_for_a_while() {
        let object = at(instance(), &web_cluster(), "web", 0);
        let object = at(object, &web_cluster(), "db", 10_000);
        assert_eq!(
            status(&object),
            InstanceStatus::Active,
            "empty for days, unselected for a moment"
        );
        let object = at(object, &web_cluster(), "db", 10_299);
        assert_eq!(status(&object), InstanceStatus::Active);
        let gone = at(object.clone(), &web_cluster(), "db", 10_300);
        assert_eq!(status(&gone), InstanceStatus::Inactive);
        assert_eq!(reserve(gone.clone()).1, Some(Denied::NotActive));
        assert_eq!(
            status(&at(gone, &web_cluster(), "web", 10_301)),
            InstanceStatus::Active
        );
        let back = at(object, &web_cluster(), "web", 10_299);
        let again = at(back, &web_cluster(), "db", 10_301);
        assert_eq!(status(&again), InstanceStatus::Active, "the time counts anew");
    }

    #[test]
    fn an_empty_instance_of_a_deleted_cluster_goes_at_once_clu_5() {
        let mut cluster = web_cluster();
        let object = at(instance(), &cluster, "web", 10);
        cluster.metadata.deletion_timestamp =
            Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap());
        let (taken, _) = reserve(object.clone());
        let taken = at(taken, &cluster, "web", 11);
        assert_eq!(status(&taken), InstanceStatus::Active);
        assert!(says(&taken, "Selected").starts_with("False ClusterDeleted"));
        assert_eq!(status(&at(object, &cluster, "web", 11)), InstanceStatus::Inactive);
    }
}
