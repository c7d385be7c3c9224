//! Which taints a Pod lives with.

use k8s_openapi::api::core::v1::Toleration;

use crate::api::EcsCluster;

const NO_EXECUTE: &str = "NoExecute";
const NO_SCHEDULE: &str = "NoSchedule";

/// The cluster's tolerations; not-ready and unreachable for everybody and for ever, so that what happens to the tasks of a
/// lost node is our decision and not the taint manager's (TASK-19); the cluster's startup taint, which is meant for Pods
/// of others; for daemons also what `DaemonSet` Pods tolerate, and the taints by which autoscalers empty a node.
pub(super) fn tolerations(cluster: &EcsCluster, daemon: bool, host_network: bool) -> Vec<Toleration> {
    let mut list = cluster.spec.tolerations.clone();
    let mut add = |key: &str, effect: Option<&str>| {
        let toleration = Toleration {
            key: Some(key.to_owned()),
            operator: Some("Exists".to_owned()),
            effect: effect.map(str::to_owned),
            ..Toleration::default()
        };
        if !list.contains(&toleration) {
            list.push(toleration);
        }
    };
    add("node.kubernetes.io/not-ready", Some(NO_EXECUTE));
    add("node.kubernetes.io/unreachable", Some(NO_EXECUTE));
    if daemon {
        add("node.kubernetes.io/disk-pressure", Some(NO_SCHEDULE));
        add("node.kubernetes.io/memory-pressure", Some(NO_SCHEDULE));
        add("node.kubernetes.io/pid-pressure", Some(NO_SCHEDULE));
        add("node.kubernetes.io/unschedulable", Some(NO_SCHEDULE));
        if host_network {
            add("node.kubernetes.io/network-unavailable", Some(NO_SCHEDULE));
        }
        add("karpenter.sh/disrupted", None);
        add("ToBeDeletedByClusterAutoscaler", None);
    }
    if let Some(key) = &cluster.spec.startup_taint {
        add(key, None);
    }
    list
}
