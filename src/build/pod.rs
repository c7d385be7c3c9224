//! Task + definition + cluster → Pod.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api::{EcsCluster, Task, TaskDefinition, TaskSpec, finalizers, labels};

use super::agent::{self, AgentEndpoint};
use super::demand::Sizes;
use super::overrides::overridden;
use super::owner;
use super::protection::protected_until;
use super::template::template;
use super::tolerations::tolerations;

/// Tells cluster-autoscaler that the Pod does not keep its node.
const AUTOSCALER_DAEMON: &str = "cluster-autoscaler.kubernetes.io/daemonset-pod";
/// Hex digits of the Task's uid in the Pod's name.
pub(super) const UID_DIGITS: usize = 8;

/// What a Pod is made of.
#[derive(Clone, Copy)]
pub struct PodInput<'a> {
    /// The task, with uid and namespace.
    pub task: &'a Task,
    /// Its definition.
    pub definition: &'a TaskDefinition,
    /// Its cluster.
    pub cluster: &'a EcsCluster,
    /// Whether it is a task of a DAEMON service.
    pub daemon: bool,
    /// The node it is bound to.
    pub node_name: &'a str,
    /// Where its containers find what ECS's agent gives them, if there is one. (PROT-20)
    pub agent: Option<AgentEndpoint<'a>>,
}

/// Name of a task's Pod: the task's name and the first 8 hex digits of its uid. `None` before the API server gave it one.
#[must_use]
pub fn pod_name(task: &Task) -> Option<String> {
    pod_name_for(task.metadata.name.as_deref()?, task.metadata.uid.as_deref()?)
}

/// Name of the Pod of the task with this name and uid. `None` if the uid has too few hex digits.
pub(super) fn pod_name_for(task: &str, uid: &str) -> Option<String> {
    let digits: String = uid
        .chars()
        .filter(char::is_ascii_hexdigit)
        .take(UID_DIGITS)
        .collect();
    (digits.len() == UID_DIGITS).then(|| format!("{task}-{}", digits.to_ascii_lowercase()))
}

/// Builds the one Pod of a task. (design F5)
///
/// # Errors
/// A sentence for each thing that has no counterpart in a Pod or that ECS would not have registered.
pub fn pod(input: &PodInput<'_>) -> Result<Pod, Vec<String>> {
    let task = input.task;
    let definition = overridden(&input.definition.spec, task.spec.overrides.as_deref())?;
    let (built, refusals) = template(&definition);
    let mut errors = refusals.refused;
    if let Err(mut sizes) = Sizes::of(&definition) {
        errors.append(&mut sizes);
    }
    let (Some(name), Some(owner), Some(namespace)) = (
        pod_name(task),
        owner::reference(task),
        task.metadata.namespace.clone(),
    ) else {
        errors.push("The task was not yet stored: it has no uid or no namespace.".to_owned());
        return Err(errors);
    };
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut spec = built.spec;
    let settings = &input.cluster.spec;
    let role = definition
        .task_role_arn
        .as_ref()
        .and_then(|role| settings.role_mappings.get(role));
    spec.node_name = Some(input.node_name.to_owned());
    spec.tolerations = Some(tolerations(
        input.cluster,
        input.daemon,
        spec.host_network.unwrap_or(false),
    ));
    spec.priority_class_name = if input.daemon {
        settings.daemon_priority_class_name.clone()
    } else {
        settings.replica_priority_class_name.clone()
    };
    spec.automount_service_account_token = Some(role.is_some());
    spec.service_account_name = Some(role.map_or("default", String::as_str).to_owned());
    if let Some(endpoint) = input.agent {
        agent::tell(&mut spec, endpoint, &namespace, &name);
    }
    let mut annotations = built.annotations;
    if input.daemon {
        annotations.insert(AUTOSCALER_DAEMON.to_owned(), "true".to_owned());
    }
    Ok(Pod {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(namespace),
            labels: Some(pod_labels(task)),
            annotations: (!annotations.is_empty()).then_some(annotations),
            finalizers: Some(vec![finalizers::POD.to_owned()]),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        status: None,
    })
}

/// Whether a task's Pod is held: daemons, run-once and protected tasks, which the eviction API must not touch before
/// their turn.
#[must_use]
pub fn held(task: &Task) -> bool {
    always_held(&task.spec) || protected_until(task).is_some()
}

/// Whether a task's Pod is held all its life: daemons and run-once tasks.
#[must_use]
pub fn always_held(task: &TaskSpec) -> bool {
    task.service.as_ref().is_none_or(|service| service.daemon)
}

/// All labels of ours that Pods of tasks have.
pub const POD_LABELS: [&str; 4] = [labels::CLUSTER, labels::TASK, labels::SERVICE, labels::HOLD];

/// Our labels on the Pod of a task, on which budgets and selectors rest.
#[must_use]
pub fn pod_labels(task: &Task) -> BTreeMap<String, String> {
    let mut result = BTreeMap::from([
        (labels::CLUSTER.to_owned(), task.spec.cluster.clone()),
        (
            labels::TASK.to_owned(),
            task.metadata.name.clone().unwrap_or_default(),
        ),
    ]);
    if let Some(service) = &task.spec.service {
        result.insert(labels::SERVICE.to_owned(), service.name.clone());
    }
    if held(task) {
        result.insert(labels::HOLD.to_owned(), "true".to_owned());
    }
    result
}
