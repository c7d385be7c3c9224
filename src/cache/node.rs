//! What a Node says, in ECS's words.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Taint, Toleration};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::ResourceExt;

use super::convert::selects;
use crate::api::{self, OnCordon};
use crate::build::Pod;
use crate::domain::records::Attribute;
use crate::domain::resources::Resources;
use crate::domain::units;

/// A Node in ECS's words.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeFacts {
    /// Uid of the Node.
    pub uid: String,
    /// The Ready condition is True. (CI-6)
    pub connected: bool,
    /// Cordoned, or marked by an autoscaler for removal: drains, if the cluster's `onCordon` says so.
    pub leaving: Option<String>,
    /// Whether it belongs to its cluster still.
    pub membership: Membership,
    /// Takes new tasks.
    pub schedulable: bool,
    /// A taint that keeps tasks away, `KEY=VALUE:EFFECT`: the cluster does not tolerate it.
    pub blocked_by: Option<String>,
    /// Built-in attributes. (ATTR-6)
    pub attributes: Vec<Attribute>,
    /// What it offers. (RES-3, RES-4)
    pub registered: Resources,
    /// Version of the kubelet, without the leading `v`.
    pub agent_version: Option<String>,
    /// Last part of the providerID, else the name.
    pub ec2_instance_id: String,
    /// When the Node was created.
    pub registered_at: Option<Timestamp>,
}

/// Whether a Node belongs to the EcsCluster that its instance is registered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// The cluster selects it. Another cluster may select it too: an instance does not move.
    Member,
    /// The nodeSelector no longer selects its labels.
    NotSelected,
    /// The cluster is being deleted. (CLU-5)
    ClusterDeleted,
}

fn membership(node: &Node, cluster: &api::EcsCluster) -> Membership {
    if cluster.metadata.deletion_timestamp.is_some() {
        Membership::ClusterDeleted
    } else if selects(&cluster.spec.node_selector, node.labels()) {
        Membership::Member
    } else {
        Membership::NotSelected
    }
}

/// Taints by which autoscalers announce that a node goes.
const REMOVAL_TAINTS: [&str; 2] = ["ToBeDeletedByClusterAutoscaler", "karpenter.sh/disrupted"];
/// Taints that say what `connected` and cordon say already.
const IGNORED_TAINTS: [&str; 3] = [
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
    "node.kubernetes.io/unschedulable",
];

/// Reads a Node for a cluster.
#[must_use]
pub fn describe(node: &Node, cluster: &api::EcsCluster) -> NodeFacts {
    let spec = node.spec.clone().unwrap_or_default();
    let status = node.status.clone().unwrap_or_default();
    let taints = spec.taints.unwrap_or_default();
    let ready = status
        .conditions
        .iter()
        .flatten()
        .any(|c| c.type_ == "Ready" && c.status == "True");
    let cordoned = spec.unschedulable == Some(true);
    let removal = taints.iter().find(|t| REMOVAL_TAINTS.contains(&t.key.as_str()));
    let leaving = if cordoned {
        Some("the node is cordoned".to_owned())
    } else {
        removal.map(|t| format!("the node has the taint {}", t.key))
    };
    let membership = membership(node, cluster);
    let member = membership == Membership::Member;
    let startup = cluster.spec.startup_taint.as_deref();
    let blocked_by = taints.iter().find(|taint| {
        matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute")
            && !IGNORED_TAINTS.contains(&taint.key.as_str())
            && startup != Some(taint.key.as_str())
            && !cluster
                .spec
                .tolerations
                .iter()
                .any(|toleration| tolerates(toleration, taint))
    });
    let info = status.node_info;
    let architecture = info.as_ref().map(|i| i.architecture.clone()).unwrap_or_default();
    let os = info
        .as_ref()
        .map(|i| i.operating_system.clone())
        .unwrap_or_default();
    let kubelet = info.map(|i| i.kubelet_version);
    let provider = spec
        .provider_id
        .as_deref()
        .and_then(|id| id.rsplit('/').next())
        .filter(|id| !id.is_empty());
    NodeFacts {
        uid: node.uid().unwrap_or_default(),
        connected: ready && node.metadata.deletion_timestamp.is_none(),
        membership,
        schedulable: member
            && blocked_by.is_none()
            && (leaving.is_none() || cluster.spec.on_cordon == OnCordon::Drain),
        blocked_by: blocked_by.map(named),
        leaving,
        attributes: attributes(node.labels(), &architecture, &os),
        registered: registered(
            &status.allocatable.unwrap_or_default(),
            &cluster.spec.reserved_ports,
        ),
        agent_version: kubelet.map(|v| v.trim_start_matches('v').to_owned()),
        ec2_instance_id: provider.map_or_else(|| node.name_any(), ToOwned::to_owned),
        registered_at: node.metadata.creation_timestamp.as_ref().map(|t| t.0),
    }
}

/// A taint as `kubectl taint` writes it.
fn named(taint: &Taint) -> String {
    let value = taint.value.as_deref().unwrap_or_default();
    let value = if value.is_empty() {
        String::new()
    } else {
        format!("={value}")
    };
    format!("{}{value}:{}", taint.key, taint.effect)
}

fn attributes(labels: &BTreeMap<String, String>, architecture: &str, os: &str) -> Vec<Attribute> {
    let label = |key: &str| labels.get(key).cloned();
    let architecture = if architecture == "amd64" {
        "x86_64"
    } else {
        architecture
    };
    let mut found = vec![
        ("ecs.availability-zone", label("topology.kubernetes.io/zone")),
        ("ecs.cpu-architecture", Some(architecture.to_owned())),
        ("ecs.instance-type", label("node.kubernetes.io/instance-type")),
        ("ecs.os-family", Some(os.to_uppercase())),
        ("ecs.os-type", Some(os.to_owned())),
    ];
    found.retain(|(_, value)| value.as_ref().is_some_and(|v| !v.is_empty()));
    let builtin = found.into_iter().map(|(name, value)| Attribute {
        name: name.to_owned(),
        value,
    });
    // labels `ecs-operator.dev/attribute.NAME` let a node pool bring custom attributes with it
    let own = labels.iter().filter_map(|(key, value)| {
        let name = key.strip_prefix("ecs-operator.dev/attribute.")?.to_owned();
        // built-in names are the operator's own (ATTR-5)
        if name.starts_with("ecs.") || name.starts_with("com.amazonaws.ecs.") {
            return None;
        }
        Some(Attribute {
            name,
            value: Some(value.clone()).filter(|v| !v.is_empty()),
        })
    });
    builtin.chain(own).collect()
}

fn registered(allocatable: &BTreeMap<String, Quantity>, reserved_ports: &[u16]) -> Resources {
    let nanos = |name: &str| {
        allocatable
            .get(name)
            .and_then(|q| units::quantity_nanos(&q.0))
            .unwrap_or(0)
    };
    Resources {
        cpu: units::units_offered(units::millicores_of_nanos(nanos("cpu"))),
        memory: units::mib_offered(nanos("memory")),
        pods: units::count_of_nanos(nanos("pods")),
        gpu: units::count_of_nanos(nanos("nvidia.com/gpu")),
        ports: reserved_ports.iter().copied().collect(),
        ports_udp: std::collections::BTreeSet::new(),
    }
}

/// Whether a toleration tolerates a taint, as the kubelet sees it.
#[must_use]
pub fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let key = toleration.key.as_deref().unwrap_or_default();
    let effect = toleration.effect.as_deref().unwrap_or_default();
    if !(effect.is_empty() || effect == taint.effect) || !(key.is_empty() || key == taint.key) {
        return false;
    }
    match toleration.operator.as_deref().unwrap_or("Equal") {
        "Exists" => true,
        "Equal" => {
            !key.is_empty()
                && toleration.value.as_deref().unwrap_or_default()
                    == taint.value.as_deref().unwrap_or_default()
        }
        _ => false,
    }
}

/// Whether a Pod has ended: it takes nothing any more.
#[must_use]
pub fn pod_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_is_described_in_ecs_words_attr_6_res_2_to_5() {
        let node: Node = serde_json::from_value(json!({
            "metadata": { "name": "n1", "uid": "u", "labels": {
                "topology.kubernetes.io/zone": "zone-a", "node.kubernetes.io/instance-type": "m5.large",
                "ecs-operator.dev/attribute.rack": "r1" } },
            "spec": { "providerID": "aws:///zone-a/i-0123", "taints": [{ "key": "gpu", "effect": "NoSchedule" }] },
            "status": {
                "allocatable": { "cpu": "1930m", "memory": "3977916Ki", "pods": "110" },
                "conditions": [{ "type": "Ready", "status": "True" }],
                "nodeInfo": { "architecture": "amd64", "operatingSystem": "linux", "kubeletVersion": "v1.36.3",
                    "bootID": "", "containerRuntimeVersion": "", "kernelVersion": "", "kubeProxyVersion": "",
                    "machineID": "", "osImage": "", "systemUUID": "" } } }))
        .unwrap();
        let mut cluster = api::EcsCluster::new("default", serde_json::from_value(json!({})).unwrap());
        let facts = describe(&node, &cluster);
        assert!(facts.connected && !facts.schedulable && facts.leaving.is_none());
        assert_eq!(facts.blocked_by.as_deref(), Some("gpu:NoSchedule"));
        assert_eq!(
            (
                facts.registered.cpu,
                facts.registered.memory,
                facts.registered.pods
            ),
            (1976, 3884, 110)
        );
        assert_eq!(facts.registered.ports, [22, 10250, 10256].into(), "those taken");
        assert_eq!(facts.ec2_instance_id, "i-0123");
        assert_eq!(facts.agent_version.as_deref(), Some("1.36.3"));
        let value = |name: &str| {
            facts
                .attributes
                .iter()
                .find(|a| a.name == name)
                .and_then(|a| a.value.clone())
        };
        assert_eq!(value("ecs.cpu-architecture").as_deref(), Some("x86_64"));
        assert_eq!(value("ecs.availability-zone").as_deref(), Some("zone-a"));
        assert_eq!(value("rack").as_deref(), Some("r1"));
        cluster.spec.tolerations = vec![Toleration {
            key: Some("gpu".into()),
            operator: Some("Exists".into()),
            ..Toleration::default()
        }];
        let facts = describe(&node, &cluster);
        assert!(facts.schedulable && facts.blocked_by.is_none());
        cluster.spec.node_selector.match_labels = Some([("pool".into(), "web".into())].into());
        let facts = describe(&node, &cluster);
        assert_eq!(facts.membership, Membership::NotSelected);
        assert!(!facts.schedulable, "the cluster no longer selects it");
    }

    fn labelled(labels: &serde_json::Value, spec: &serde_json::Value) -> Node {
        serde_json::from_value(json!({ "metadata": { "name": "n1", "labels": labels }, "spec": spec }))
            .unwrap()
    }

    #[test]
    fn attributes_follow_the_labels_of_the_node_attr_10() {
        let cluster = api::EcsCluster::new("default", api::EcsClusterSpec::default());
        let rack = |labels| {
            let facts = describe(&labelled(&labels, &json!({})), &cluster);
            let found = facts.attributes.into_iter().find(|a| a.name == "rack");
            found.map(|a| a.value)
        };
        let label = "ecs-operator.dev/attribute.rack";
        assert_eq!(rack(json!({ label: "r1" })), Some(Some("r1".to_owned())));
        assert_eq!(rack(json!({ label: "r2" })), Some(Some("r2".to_owned())));
        assert_eq!(rack(json!({ label: "" })), Some(None), "a label without value");
        assert_eq!(rack(json!({})), None);
    }

    #[test]
    fn a_cordon_and_the_taints_of_autoscalers_announce_that_a_node_leaves_drain_16() {
        let cluster = api::EcsCluster::new("default", api::EcsClusterSpec::default());
        let leaving = |spec| describe(&labelled(&json!({}), &spec), &cluster).leaving;
        assert_eq!(leaving(json!({})), None);
        assert_eq!(
            leaving(json!({ "taints": [{ "key": "gpu", "effect": "NoSchedule" }] })),
            None
        );
        assert_eq!(
            leaving(json!({ "unschedulable": true })).as_deref(),
            Some("the node is cordoned")
        );
        for key in ["ToBeDeletedByClusterAutoscaler", "karpenter.sh/disrupted"] {
            let taint = json!({ "taints": [{ "key": key, "effect": "NoSchedule" }] });
            assert_eq!(leaving(taint), Some(format!("the node has the taint {key}")));
        }
    }

    #[test]
    fn the_startup_taint_blocks_foreign_pods_and_not_tasks() {
        let mut cluster = api::EcsCluster::new("default", api::EcsClusterSpec::default());
        let node = labelled(
            &json!({}),
            &json!({ "taints": [{ "key": "example.com/starting", "effect": "NoSchedule" }] }),
        );
        assert!(!describe(&node, &cluster).schedulable);
        cluster.spec.startup_taint = Some("example.com/starting".to_owned());
        assert!(describe(&node, &cluster).schedulable);
    }
}
