//! The custom resources of group `ecs-operator.dev`, version `v1alpha1`. Types only: serde names are ECS's, field
//! docs are what `kubectl explain` shows, cross-field rules are CEL in ECS's own words.

#![allow(
    unreachable_pub,
    reason = "the CustomResource derive re-declares spec types in a private scope"
)]
#![allow(
    clippy::doc_markdown,
    reason = "field docs are plain text in `kubectl explain`, and RUNNING or CamelCase there is no code"
)]
#![allow(
    clippy::duplicated_attributes,
    reason = "printer columns repeat `type_` inside one `kube` attribute"
)]

pub mod cluster;
pub mod conditions;
pub mod container_definition;
pub mod container_instance;
pub mod ecs_only;
pub mod fields;
pub mod overrides;
mod rules;
pub mod run_task;
pub mod schema;
pub mod service;
pub mod task;
pub mod task_definition;
#[cfg(test)]
mod tests;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

pub use crate::domain::records::*;
pub use cluster::*;
pub use container_definition::*;
pub use container_instance::*;
pub use fields::*;
pub use overrides::*;
pub use run_task::*;
pub use service::*;
pub use task::*;
pub use task_definition::*;

/// API group of all our kinds.
pub const GROUP: &str = "ecs-operator.dev";

/// Name of the cluster a service joins when it names none. (CLU-4)
pub const DEFAULT_CLUSTER: &str = "default";

/// Labels and annotations on objects that we make.
pub mod labels {
    /// Name of the `EcsCluster`.
    pub const CLUSTER: &str = "ecs-operator.dev/cluster";
    /// Name of the `EcsService` a task or Pod belongs to.
    pub const SERVICE: &str = "ecs-operator.dev/service";
    /// Name of the `Task` a Pod runs for.
    pub const TASK: &str = "ecs-operator.dev/task";
    /// Name of the `RunTask` a task was made for.
    pub const RUN_TASK: &str = "ecs-operator.dev/run-task";
    /// `true` on Pods that the eviction API must not touch before their turn.
    pub const HOLD: &str = "ecs-operator.dev/hold";
    /// Annotation: the operator process that made the last authorising write on a Task. (F2)
    pub const AUTHORISED_BY: &str = "ecs-operator.dev/authorised-by";
    /// Annotation: the revision that a Task which names a bare family runs, resolved once, with the first authorising
    /// write. (TD-4)
    pub const TASK_DEFINITION: &str = "ecs-operator.dev/task-definition";
    /// Annotation on the Pod of a protected task: until when. (PROT-1)
    pub const PROTECTED_UNTIL: &str = "ecs-operator.dev/protected-until";
    /// Annotation on the Pod of a task that should finish: why. (PROT-11)
    pub const QUIESCE: &str = "ecs-operator.dev/quiesce";
    /// Docker label of a container: the directory in which it finds the file `quiesce`. (PROT-11)
    pub const QUIESCE_DIRECTORY: &str = "ecs-operator.dev/quiesce-directory";
    /// Annotation on a Node: its uid, if its instance was deregistered by force.
    pub const DEREGISTERED: &str = "ecs-operator.dev/deregistered";
}

/// Finalizers, one per duty.
pub mod finalizers {
    /// On ContainerInstance: held until its reservations are released.
    pub const INSTANCE: &str = "ecs-operator.dev/instance";
    /// On EcsService: held until its tasks are STOPPED and its lists empty.
    pub const SERVICE: &str = "ecs-operator.dev/service";
    /// On Task: held until F3's wait after its release.
    pub const TASK: &str = "ecs-operator.dev/task";
    /// On Pod: held until its end is recorded.
    pub const POD: &str = "ecs-operator.dev/pod";
    /// On TaskDefinition: held while a task or service refers to it.
    pub const IN_USE: &str = "ecs-operator.dev/in-use";
    /// On EcsCluster: held while it has instances.
    pub const CLUSTER: &str = "ecs-operator.dev/cluster";
}

/// The custom resource definitions of all kinds, in the order they are to be applied.
#[must_use]
pub fn all_crds() -> Vec<CustomResourceDefinition> {
    [
        EcsCluster::crd(),
        ContainerInstance::crd(),
        TaskDefinition::crd(),
        EcsService::crd(),
        Task::crd(),
        RunTask::crd(),
    ]
    .map(schema::polish)
    .into()
}
