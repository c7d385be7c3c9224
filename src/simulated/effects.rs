//! What is to be done: requests to send, and moments at which to look again. Data, until somebody does it.

use http::Request;
use jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::Request as Requests;
use serde_json::Value;

use super::world::{Key, NodeName, parts};

/// What a request changes. Of two for the same target the later one counts, and they are never under way together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    Lease(NodeName),
    NodeStatus(NodeName),
    /// That nobody knows how a node is.
    NodeHealth(NodeName),
    Taints(NodeName),
    PodStatus(Key),
    /// The kubelet's word that nothing of the Pod is left.
    PodDelete(Key),
    /// A controller says why the Pod goes.
    PodMark(Key),
    /// A controller says that the Pod is not ready.
    PodUnready(Key),
    /// A controller deletes the Pod.
    PodEvict(Key),
    Budget(Key),
}

/// Something to look at when its time comes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A node's Lease is to be renewed.
    Lease(NodeName),
    /// A node's status is to be reported.
    Report(NodeName),
    /// Something happens in a Pod, by its uid.
    Pod(Key),
    /// A node should have been heard of.
    Health(NodeName),
    /// Pods are bound to a node that is not there.
    Missing(NodeName),
    /// A Pod is to be evicted.
    Evict(Key),
    /// A budget is to be looked at.
    Budget(Key),
    /// A write is to be tried again.
    Again(Target),
}

/// How a write ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Done: the version of the object since then, or zero.
    Done(u64),
    /// There is no such object, or another one has its name.
    Gone,
    /// It was refused for good, with this text.
    Refused(String),
}

/// A request to send.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) target: Target,
    pub(crate) request: Request<Vec<u8>>,
}

/// What is to be done.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) writes: Vec<Write>,
    /// Each timer is set anew, or taken off.
    pub(crate) timers: Vec<(Timer, Option<Timestamp>)>,
}

impl Effects {
    /// Sets a timer, or takes it off.
    pub(crate) fn at(&mut self, timer: Timer, due: Option<Timestamp>) {
        self.timers.push((timer, due));
    }

    /// Asks for a request; one that cannot be made is left out, with a word in the log.
    pub(crate) fn write(
        &mut self,
        target: Target,
        request: Result<Request<Vec<u8>>, kube::core::request::Error>,
    ) {
        match request {
            Ok(request) => self.writes.push(Write { target, request }),
            Err(error) => tracing::error!(?target, %error, "a request could not be made"),
        }
    }
}

type Made = Result<Request<Vec<u8>>, kube::core::request::Error>;

/// Who a kubelet is in managed fields.
pub(crate) const KUBELET: &str = "kubelet";

fn patch_params(manager: &str) -> PatchParams {
    PatchParams {
        field_manager: Some(manager.to_owned()),
        ..PatchParams::default()
    }
}

/// The address of the Pods of a namespace.
fn pods(namespace: &str) -> Requests {
    Requests::new(format!("/api/v1/namespaces/{namespace}/pods"))
}

/// Changes a Pod's status, if it is still the Pod of that uid.
pub(crate) fn pod_status(key: &Key, manager: &str, patch: &Value) -> Made {
    let (namespace, name) = parts(key);
    pods(namespace).patch_subresource("status", name, &patch_params(manager), &Patch::Strategic(patch))
}

/// Deletes the Pod of that uid; at once, or with the grace that it asked for.
pub(crate) fn pod_delete(key: &Key, uid: &str, now: bool) -> Made {
    let (namespace, name) = parts(key);
    let params = DeleteParams {
        grace_period_seconds: now.then_some(0),
        preconditions: Some(Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    pods(namespace).delete(name, &params)
}

/// Changes a Node's status.
pub(crate) fn node_status(node: &str, manager: &str, patch: &Value) -> Made {
    Requests::new("/api/v1/nodes").patch_subresource(
        "status",
        node,
        &patch_params(manager),
        &Patch::Strategic(patch),
    )
}

/// Changes a Node, if it is still as the patch says.
pub(crate) fn node(name: &str, manager: &str, patch: &Value) -> Made {
    Requests::new("/api/v1/nodes").patch(name, &patch_params(manager), &Patch::Merge(patch))
}

/// Changes the status of a budget, if it is still as the patch says.
pub(crate) fn budget_status(key: &Key, manager: &str, patch: &Value) -> Made {
    let (namespace, name) = parts(key);
    let budgets = Requests::new(format!(
        "/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets"
    ));
    budgets.patch_subresource("status", name, &patch_params(manager), &Patch::Merge(patch))
}

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";

/// Renews a Lease.
pub(crate) fn lease_renewal(node: &str, patch: &Value) -> Made {
    Requests::new(LEASES).patch(node, &patch_params(KUBELET), &Patch::Merge(patch))
}

/// Creates a Lease.
pub(crate) fn lease_creation(lease: &Value) -> Made {
    let params = PostParams {
        field_manager: Some(KUBELET.to_owned()),
        ..PostParams::default()
    };
    Requests::new(LEASES).create(&params, lease.to_string().into_bytes())
}
