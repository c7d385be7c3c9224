//! What is read of a Pod, and nothing else of it: there are tens of thousands.

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use super::effective::{effective_request, is_sidecar};
use super::protection::is_mark;
use crate::domain::resources::Resources;

/// A Pod as it is read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(from = "core::Pod")]
pub struct Pod {
    /// Metadata, without managed fields, and of annotations those of protection.
    pub metadata: ObjectMeta,
    /// Where it is and what it takes.
    pub spec: Option<PodSpec>,
    /// How it is.
    pub status: Option<PodStatus>,
}

/// Where a Pod is and what it takes.
#[derive(Clone, Debug, PartialEq)]
pub struct PodSpec {
    /// Node it is bound to.
    pub node_name: Option<String>,
    /// What it takes there.
    pub takes: Resources,
    /// Its grace period.
    pub grace_seconds: Option<i64>,
    /// Its containers, init containers too.
    pub(super) containers: Box<[Member]>,
}

/// A container of a Pod.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Member {
    pub(super) name: String,
    /// A native sidecar.
    pub(super) sidecar: bool,
}

/// How a Pod is.
#[derive(Clone, Debug, PartialEq)]
pub struct PodStatus {
    /// Phase.
    pub phase: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) message: Option<String>,
    pub(super) start_time: Option<Timestamp>,
    /// The node says that volumes and network are not prepared.
    pub(super) unprepared: bool,
    /// Since when its containers are not all ready.
    pub(super) not_ready_since: Option<Timestamp>,
    /// Its containers, init containers too.
    pub(super) containers: Box<[ContainerStatus]>,
}

/// How a container is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ContainerStatus {
    pub(super) name: String,
    pub(super) ready: bool,
    pub(super) restart_count: i32,
    pub(super) container_id: Option<String>,
    pub(super) image_id: String,
    pub(super) state: Option<Box<core::ContainerState>>,
    /// How it ended before.
    pub(super) last: Option<Box<core::ContainerStateTerminated>>,
}

impl From<core::Pod> for Pod {
    fn from(whole: core::Pod) -> Self {
        let mut metadata = whole.metadata;
        metadata.managed_fields = None;
        if let Some(annotations) = &mut metadata.annotations {
            annotations.retain(|name, _| is_mark(name));
        }
        metadata.annotations = metadata.annotations.filter(|left| !left.is_empty());
        Self {
            metadata,
            spec: whole.spec.map(PodSpec::from),
            status: whole.status.map(PodStatus::from),
        }
    }
}

impl From<core::PodSpec> for PodSpec {
    fn from(whole: core::PodSpec) -> Self {
        let takes = effective_request(&whole);
        let init = whole
            .init_containers
            .into_iter()
            .flatten()
            .map(|container| Member {
                sidecar: is_sidecar(&container),
                name: container.name,
            });
        let main = whole.containers.into_iter().map(|container| Member {
            name: container.name,
            sidecar: false,
        });
        Self {
            node_name: whole.node_name,
            takes,
            grace_seconds: whole.termination_grace_period_seconds,
            containers: main.chain(init).collect(),
        }
    }
}

impl From<core::PodStatus> for PodStatus {
    fn from(whole: core::PodStatus) -> Self {
        let conditions = whole.conditions.unwrap_or_default();
        let is_false = |type_: &str| {
            let mut all = conditions.iter();
            all.find(|c| c.type_ == type_ && c.status == "False")
        };
        let main = whole.container_statuses.into_iter().flatten();
        let containers = main.chain(whole.init_container_statuses.into_iter().flatten());
        Self {
            unprepared: is_false("PodReadyToStartContainers").is_some(),
            not_ready_since: is_false("ContainersReady")
                .and_then(|c| c.last_transition_time.as_ref())
                .map(|time| time.0),
            phase: whole.phase,
            reason: whole.reason,
            message: whole.message,
            start_time: whole.start_time.map(|time| time.0),
            containers: containers.map(ContainerStatus::from).collect(),
        }
    }
}

impl From<core::ContainerStatus> for ContainerStatus {
    fn from(whole: core::ContainerStatus) -> Self {
        Self {
            name: whole.name,
            ready: whole.ready,
            restart_count: whole.restart_count,
            container_id: whole.container_id,
            image_id: whole.image_id,
            state: whole.state.map(Box::new),
            last: whole.last_state.and_then(|state| state.terminated).map(Box::new),
        }
    }
}

impl k8s_openapi::Resource for Pod {
    const API_VERSION: &'static str = <core::Pod as k8s_openapi::Resource>::API_VERSION;
    const GROUP: &'static str = <core::Pod as k8s_openapi::Resource>::GROUP;
    const KIND: &'static str = <core::Pod as k8s_openapi::Resource>::KIND;
    const VERSION: &'static str = <core::Pod as k8s_openapi::Resource>::VERSION;
    const URL_PATH_SEGMENT: &'static str = <core::Pod as k8s_openapi::Resource>::URL_PATH_SEGMENT;
    type Scope = <core::Pod as k8s_openapi::Resource>::Scope;
}

impl k8s_openapi::Metadata for Pod {
    type Ty = ObjectMeta;

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_a_pod_what_is_read_stays() {
        let whole = json!({
            "metadata": { "name": "p", "annotations": { "a": "b" }, "labels": { "c": "d" }, "finalizers": ["f"] },
            "spec": {
                "nodeName": "n1", "hostNetwork": true, "overhead": { "cpu": "1" },
                "initContainers": [
                    { "name": "side", "restartPolicy": "Always", "resources": { "requests": { "cpu": "1" } } },
                    { "name": "first", "resources": { "limits": { "memory": "1Gi" } } },
                ],
                "containers": [{ "name": "main", "image": "i", "env": [{ "name": "A" }],
                    "ports": [{ "containerPort": 80 }], "resources": { "requests": { "cpu": "2" } } }],
            },
            "status": {
                "phase": "Running", "podIP": "10.0.0.1", "conditions": [
                    { "type": "ContainersReady", "status": "False", "lastTransitionTime": "2026-01-02T03:04:05Z" },
                    { "type": "PodReadyToStartContainers", "status": "True" },
                ],
                "containerStatuses": [{ "name": "main", "ready": true, "restartCount": 2, "image": "i",
                    "imageID": "i@sha256:1", "state": { "running": {} },
                    "lastState": { "terminated": { "exitCode": 3 } } }],
                "initContainerStatuses": [{ "name": "side", "ready": true, "restartCount": 0, "image": "i",
                    "imageID": "" }],
            },
        });
        let core: core::Pod = serde_json::from_value(whole.clone()).unwrap();
        let asked = effective_request(core.spec.as_ref().unwrap());
        let pod: Pod = serde_json::from_value(whole).unwrap();
        assert_eq!(pod, Pod::from(core));
        assert!(pod.metadata.annotations.is_none() && pod.metadata.labels.is_some());
        let (spec, status) = (pod.spec.unwrap(), pod.status.unwrap());
        assert_eq!(spec.takes, asked);
        let sidecars: Vec<(&str, bool)> = spec.containers.iter().map(|c| (&*c.name, c.sidecar)).collect();
        assert_eq!(sidecars, [("main", false), ("side", true), ("first", false)]);
        assert!(!status.unprepared && status.not_ready_since.is_some());
        let [main, side] = &*status.containers else {
            panic!()
        };
        assert_eq!(
            (main.restart_count, main.last.as_ref().unwrap().exit_code),
            (2, 3)
        );
        assert!(main.state.as_ref().unwrap().running.is_some() && side.name == "side");
    }
}
