//! What scenarios do to Node objects, undone when dropped; and nodes that are Node objects only.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Instant;

use k8s_openapi::api::core::v1::Node;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;

use super::cluster;

/// A label that the scenario put on a node.
pub(crate) struct Label {
    node: String,
    /// What `kubectl label` is told to put back.
    before: String,
}

impl Label {
    pub(crate) async fn put(node: &str, key: &str, value: &str) -> Self {
        let labels =
            cluster::kubectl(&["get", "node", node, "--output", "jsonpath={.metadata.labels}"]).await;
        let labels: BTreeMap<String, String> = serde_json::from_str(&labels).unwrap();
        cluster::kubectl(&["label", "--overwrite", "node", node, &format!("{key}={value}")]).await;
        Self {
            node: node.to_owned(),
            before: match labels.get(key) {
                Some(value) => format!("{key}={value}"),
                None => format!("{key}-"),
            },
        }
    }
}

impl Drop for Label {
    fn drop(&mut self) {
        let mut command = Command::new("kubectl");
        command.args(["label", "--overwrite", "node", &self.node, &self.before]);
        cluster::quietly(command);
    }
}

/// A `NoSchedule` taint that the scenario put on a node.
pub(crate) struct Taint {
    node: String,
    key: String,
}

impl Taint {
    pub(crate) async fn put(node: &str, key: &str) -> Self {
        cluster::kubectl(&["taint", "node", node, &format!("{key}:NoSchedule")]).await;
        Self {
            node: node.to_owned(),
            key: key.to_owned(),
        }
    }
}

impl Drop for Taint {
    fn drop(&mut self) {
        // the operator may have taken it off: then kubectl fails, and all is well
        let mut command = Command::new("kubectl");
        command.args(["taint", "node", &self.node, &format!("{}-", self.key)]);
        let _gone = command.output();
    }
}

/// A Node object for which no kubelet answers: its Pods stay Pending.
pub(crate) struct Simulated {
    name: String,
    api: Api<Node>,
}

impl Simulated {
    /// Makes the Node, not Ready.
    pub(crate) async fn begin(client: &Client, name: &str) -> Self {
        let labels = json!({ "kubernetes.io/hostname": name, "topology.kubernetes.io/zone": "zone-sim" });
        let node: Node =
            serde_json::from_value(json!({ "metadata": { "name": name, "labels": labels } })).unwrap();
        let api: Api<Node> = Api::all(client.clone());
        let simulated = Self {
            name: name.to_owned(),
            api,
        };
        let settings = PostParams::default();
        simulated.api.create(&settings, &node).await.unwrap();
        simulated
    }

    /// Makes it Ready, of the size of a real one; the moment before.
    pub(crate) async fn ready(&self) -> Instant {
        let amounts = json!({ "cpu": "2", "memory": "8Gi", "pods": "110" });
        let now = ecs_operator::runtime::source::now().to_string();
        let ready = json!({ "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "simulated",
            "lastHeartbeatTime": now, "lastTransitionTime": now });
        let status =
            json!({ "status": { "capacity": amounts, "allocatable": amounts, "conditions": [ready] } });
        let before = Instant::now();
        self.api
            .patch_status(&self.name, &PatchParams::default(), &Patch::Strategic(status))
            .await
            .unwrap();
        before
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        let mut delete = Command::new("kubectl");
        delete.args(["delete", "node", &self.name, "--wait=false"]);
        cluster::quietly(delete);
    }
}
