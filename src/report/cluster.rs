//! What an EcsCluster's status says: counters, and what of it is in conflict or without effect.

use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;

use crate::api::conditions::{self, State};
use crate::api::{EcsCluster, EcsClusterStatus, InstanceStatus, LastStatus};
use crate::cache::convert::cluster_of;
use crate::plan::world::World;

/// Most nodes named in a condition.
const NAMED_MAX: usize = 10;

/// Nodes that this cluster and another one select.
#[must_use]
pub fn claimed_twice<'a>(
    object: &EcsCluster,
    clusters: &[impl AsRef<EcsCluster>],
    nodes: impl IntoIterator<Item = &'a Node>,
) -> Vec<String> {
    let disputed = |node: &&Node| {
        let (_, claiming) = cluster_of(node, clusters.iter().map(AsRef::as_ref));
        claiming.len() > 1 && claiming.iter().any(|c| c.name_any() == object.name_any())
    };
    nodes
        .into_iter()
        .filter(disputed)
        .map(ResourceExt::name_any)
        .collect()
}

/// The status a cluster should have, given the nodes that are [`claimed_twice`]. (CLU-2, CLU-3)
#[must_use]
pub fn describe(object: &EcsCluster, world: &World, disputed: &[String]) -> EcsClusterStatus {
    let name = object.name_any();
    let deleting = object.metadata.deletion_timestamp.is_some();
    let generation = object.metadata.generation;
    let old = object.status.as_ref().map_or(&[][..], |s| &s.conditions);
    let registered = |s: InstanceStatus| matches!(s, InstanceStatus::Active | InstanceStatus::Draining);
    let instances = world.instances_of(&name).filter(|i| registered(i.status));
    let services = world
        .services
        .values()
        .filter(|s| s.cluster == name && !s.deleting);
    let tasks = || world.tasks().filter(|t| t.cluster == name && t.wanted());
    EcsClusterStatus {
        status: if deleting { "DEPROVISIONING" } else { "ACTIVE" }.to_owned(),
        observed_generation: generation,
        registered_container_instances_count: number(instances),
        running_tasks_count: number(tasks().filter(|t| t.last == LastStatus::Running)),
        pending_tasks_count: number(tasks().filter(|t| t.last < LastStatus::Running)),
        active_services_count: number(services),
        conditions: conditions::merge(old, &states(object, disputed), generation, world.now),
    }
}

fn number(items: impl Iterator) -> i64 {
    i64::try_from(items.count()).unwrap_or(i64::MAX)
}

/// The cluster's conditions, given the nodes that are [`claimed_twice`].
fn states(object: &EcsCluster, disputed: &[String]) -> [(&'static str, State); 3] {
    let conflicted = if disputed.is_empty() {
        State::no("AsExpected", "no other cluster selects a node of this one")
    } else {
        State::yes("NodesClaimedTwice", &claims(disputed))
    };
    let complete = State::yes("AllMembers", "every member has its effect");
    let ready = if object.metadata.deletion_timestamp.is_some() {
        State::no(
            "Deleted",
            "the cluster is being deleted: nothing is placed; it goes when its last instance is empty",
        )
    } else {
        State::yes("AsExpected", "tasks may be placed")
    };
    [
        ("Complete", complete),
        ("Conflicted", conflicted),
        ("Ready", ready),
    ]
}

fn claims(disputed: &[String]) -> String {
    let named: Vec<&str> = disputed.iter().take(NAMED_MAX).map(String::as_str).collect();
    let more = match disputed.len().saturating_sub(named.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "other EcsClusters select these nodes too: {}{more}; a node stays in the cluster that its ContainerInstance names \
         and joins the oldest otherwise; make the nodeSelectors disjoint",
        named.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::domain::records::DesiredStatus;
    use crate::plan::testing::{Scene, definition, instance, replica, standalone};

    #[test]
    fn instances_services_and_tasks_are_counted_as_ecs_does_clu_3() {
        let mut scene = Scene::new()
            .definition(definition("web:1", 1, 1))
            .instance(instance("i1"))
            .instance(instance("i2").status(InstanceStatus::Draining))
            .instance(instance("i3").status(InstanceStatus::Inactive))
            .service(replica("web", "web:1", 1))
            .service(replica("gone", "web:1", 1))
            .task(standalone("t1", "i1"))
            .task(standalone("t2", "i1"))
            .task(standalone("t3", "i1"));
        scene.edit_service("gone", |s| s.deleting = true);
        scene.edit_task("t2", |t| t.last = LastStatus::Pending);
        scene.edit_task("t3", |t| t.desired = DesiredStatus::Stopped);
        let status = describe(&cluster("default", "web", "off"), &scene.world, &[]);
        assert_eq!(
            (
                status.status.as_str(),
                status.registered_container_instances_count,
                status.active_services_count,
                status.running_tasks_count,
                status.pending_tasks_count,
            ),
            ("ACTIVE", 2, 1, 1, 1)
        );
        let other = describe(&cluster("other", "web", "off"), &scene.world, &[]);
        assert_eq!(other.registered_container_instances_count, 0);
    }

    #[test]
    fn a_cluster_that_is_being_deleted_is_deprovisioning_clu_2() {
        let mut object = EcsCluster::clone(&cluster("a", "web", "off"));
        object.metadata.deletion_timestamp =
            Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap());
        let status = describe(&object, &World::default(), &[]);
        assert_eq!(status.status, "DEPROVISIONING");
        assert!(says(&object, &[], "Ready").starts_with("False Deleted"));
    }

    fn cluster(name: &str, pool: &str, mode: &str) -> Arc<EcsCluster> {
        Arc::new(
            serde_json::from_value(json!({
                "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "EcsCluster", "metadata": { "name": name },
                "spec": { "nodeSelector": { "matchLabels": { "pool": pool } }, "optimisticPlacement": mode },
            }))
            .unwrap(),
        )
    }

    fn node(name: &str, pool: &str) -> Node {
        serde_json::from_value(json!({ "metadata": { "name": name, "labels": { "pool": pool } } })).unwrap()
    }

    fn says(object: &EcsCluster, disputed: &[String], type_: &str) -> String {
        let states = states(object, disputed);
        let found = crate::api::conditions::merge(&[], &states, None, jiff::Timestamp::UNIX_EPOCH);
        let found = found.into_iter().find(|c| c.type_ == type_).unwrap();
        format!("{} {}: {}", found.status, found.reason, found.message)
    }

    #[test]
    fn both_clusters_that_select_a_node_say_so_and_no_third_one() {
        let clusters = [
            cluster("a", "web", "off"),
            cluster("b", "web", "off"),
            cluster("c", "db", "off"),
        ];
        let nodes = [node("n1", "web"), node("n2", "db")];
        for object in &clusters[..2] {
            let disputed = claimed_twice(object, &clusters, &nodes);
            assert_eq!(disputed, ["n1"]);
            let said = says(object, &disputed, "Conflicted");
            assert!(
                said.starts_with("True NodesClaimedTwice: other EcsClusters select these nodes too: n1;")
            );
            assert!(said.contains("make the nodeSelectors disjoint"));
        }
        assert_eq!(
            claimed_twice(&clusters[2], &clusters, &nodes),
            Vec::<String>::new()
        );
        assert!(says(&clusters[2], &[], "Conflicted").starts_with("False"));
    }

    #[test]
    fn a_long_list_of_nodes_is_cut_and_counted() {
        let many: Vec<String> = (0..12).map(|n| format!("n{n}")).collect();
        assert!(claims(&many).contains("n9 and 2 more;"));
    }
}
