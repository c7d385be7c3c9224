//! What is wrong with the content of built-in objects, kind by kind, in the API server's words.

mod budgets;
mod data;
mod events;
mod pods;
mod roles;
mod selectors;
mod small;
mod workloads;

use serde_json::Value;

use crate::registry::{Kind, Role};
use crate::status::Cause;

/// What is wrong with an object of a built-in kind that is created, or that replaces `old`.
pub(super) fn check(kind: &Kind, value: &Value, old: Option<&Value>, subresource: &str) -> Vec<Cause> {
    match (kind.role, kind.kind.as_str(), subresource) {
        (Role::Namespace, _, "status") => small::namespace_status(value).into_iter().collect(),
        (_, _, subresource) if !subresource.is_empty() => Vec::new(),
        (Role::Pod, _, _) => pods::check(value, old),
        (Role::Event, _, _) => events::check(kind, value, old),
        (Role::Secret, _, _) => data::secret(value, old),
        (Role::Node, _, _) => small::node(value, old),
        (_, "ConfigMap", _) => data::config_map(value, old),
        (_, "Lease", _) => small::lease(value),
        (_, "PodDisruptionBudget", _) => budgets::check(value),
        (_, "Role" | "ClusterRole", _) => roles::role(kind, value),
        (_, "RoleBinding" | "ClusterRoleBinding", _) => roles::binding(kind, value, old),
        (_, "SelfSubjectAccessReview" | "SubjectAccessReview" | "LocalSubjectAccessReview", _) => {
            roles::access_review(kind, value)
        }
        (_, "ControllerRevision", _) => workloads::revision(value, old),
        (_, "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet", _) => workloads::check(kind, value),
        (_, "Job", _) => workloads::job(value).into_iter().collect(),
        _ => Vec::new(),
    }
}
