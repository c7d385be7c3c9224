//! What is kept of objects that are many: what somebody reads.

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Node, Pod, PodSpec, PodStatus};

use crate::cache::feed::trim_meta;

/// Conditions of a Pod that are read.
const CONDITIONS: [&str; 2] = ["PodReadyToStartContainers", "ContainersReady"];

/// Keeps of a Pod its metadata, where it is, what it takes, and how its containers are.
pub(super) fn trim_pod(pod: &mut Pod) {
    trim_meta(pod);
    pod.metadata.annotations = None;
    if let Some(spec) = &mut pod.spec {
        let whole = std::mem::take(spec);
        *spec = PodSpec {
            node_name: whole.node_name,
            host_network: whole.host_network,
            overhead: whole.overhead,
            resources: whole.resources,
            containers: containers(whole.containers),
            init_containers: whole.init_containers.map(containers),
            ..PodSpec::default()
        };
    }
    if let Some(status) = &mut pod.status {
        let whole = std::mem::take(status);
        let conditions = whole.conditions.map(|mut conditions| {
            conditions.retain(|condition| CONDITIONS.contains(&condition.type_.as_str()));
            conditions.shrink_to_fit();
            conditions
        });
        *status = PodStatus {
            phase: whole.phase,
            reason: whole.reason,
            message: whole.message,
            start_time: whole.start_time,
            conditions,
            container_statuses: whole.container_statuses.map(statuses),
            init_container_statuses: whole.init_container_statuses.map(statuses),
            ..PodStatus::default()
        };
    }
}

fn containers(all: Vec<Container>) -> Vec<Container> {
    let kept = all.into_iter().map(|whole| Container {
        name: whole.name,
        ports: whole.ports,
        resources: whole.resources,
        restart_policy: whole.restart_policy,
        ..Container::default()
    });
    let mut kept: Vec<Container> = kept.collect();
    // decoding leaves room for several
    kept.shrink_to_fit();
    kept
}

fn statuses(all: Vec<ContainerStatus>) -> Vec<ContainerStatus> {
    let kept = all.into_iter().map(|whole| ContainerStatus {
        name: whole.name,
        ready: whole.ready,
        state: whole.state,
        last_state: whole.last_state,
        restart_count: whole.restart_count,
        container_id: whole.container_id,
        image_id: whole.image_id,
        ..ContainerStatus::default()
    });
    let mut kept: Vec<ContainerStatus> = kept.collect();
    kept.shrink_to_fit();
    kept
}

/// Takes off what is never read of a Node.
pub(super) fn trim_node(node: &mut Node) {
    trim_meta(node);
    if let Some(status) = &mut node.status {
        status.images = None;
        status.volumes_attached = None;
        status.volumes_in_use = None;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::build;

    #[test]
    fn a_trimmed_pod_takes_what_it_took() {
        let whole: Pod = serde_json::from_value(json!({
            "metadata": { "name": "p", "annotations": { "a": "b" }, "labels": { "c": "d" } },
            "spec": {
                "nodeName": "n1", "hostNetwork": true, "overhead": { "cpu": "10m" },
                "initContainers": [
                    { "name": "side", "restartPolicy": "Always", "resources": { "requests": { "cpu": "1" } } },
                    { "name": "first", "resources": { "limits": { "memory": "1Gi" } } },
                ],
                "containers": [{ "name": "main", "image": "i", "env": [{ "name": "A" }],
                    "ports": [{ "containerPort": 80 }], "resources": { "requests": { "cpu": "2" } } }],
            },
            "status": {
                "phase": "Running", "podIP": "10.0.0.1", "conditions": [
                    { "type": "Ready", "status": "True" }, { "type": "ContainersReady", "status": "True" },
                ],
                "containerStatuses": [{ "name": "main", "ready": true, "restartCount": 2, "image": "i",
                    "imageID": "i@sha256:1", "state": { "running": {} } }],
            },
        }))
        .unwrap();
        let mut pod = whole.clone();
        trim_pod(&mut pod);
        let took = |pod: &Pod| build::effective_request(pod.spec.as_ref().unwrap());
        assert_eq!(took(&pod), took(&whole));
        assert_eq!(pod.metadata.labels, whole.metadata.labels);
        let text = serde_json::to_value(&pod).unwrap();
        assert_eq!(text["status"]["conditions"].as_array().unwrap().len(), 1);
        assert_eq!(text["status"]["containerStatuses"][0]["imageID"], "i@sha256:1");
        assert_eq!(text["spec"]["containers"][0]["image"], json!(null));
    }
}
