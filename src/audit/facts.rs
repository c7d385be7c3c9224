//! What single objects say.

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::history::Record;
use crate::api::{self, ContainerInstance};
use crate::domain::records::{DesiredStatus, HealthStatus, InstanceStatus, LastStatus, ServiceRef, StopCode};
use crate::plan::world::Key;

/// What a Task says.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) uid: String,
    pub(super) instance: Option<String>,
    pub(super) service: Option<ServiceRef>,
    /// Its spec says STOPPED.
    pub(super) told: bool,
    /// It should run: neither told to stop nor deleted, no tombstone, not ended.
    pub(super) wanted: bool,
    /// It has not ended; a tombstone has from its creation.
    pub(super) alive: bool,
    pub(super) last: LastStatus,
    pub(super) health: HealthStatus,
    /// When it began to run, else when it was created.
    pub(super) since: Option<Timestamp>,
    pub(super) stop_code: Option<StopCode>,
    pub(super) stopped_reason: String,
    /// `status.protectedUntil`. (PROT-1)
    pub(super) protected_until: Option<Timestamp>,
}

impl Task {
    pub(super) fn is_daemon(&self) -> bool {
        self.service.as_ref().is_some_and(|s| s.daemon)
    }

    pub(super) fn is_on(&self, instance: &str) -> bool {
        self.instance.as_deref() == Some(instance)
    }
}

/// What a Pod says.
#[derive(Clone, Debug)]
pub(super) struct Pod {
    pub(super) uid: String,
    pub(super) node: String,
    /// Key and uid of the Task it runs for, if it is ours.
    pub(super) task: Option<(Key, String)>,
    pub(super) ended: bool,
    /// Health checks run in it.
    pub(super) probed: bool,
}

/// Namespace and name as people write them.
pub(super) fn shown(key: &Key) -> String {
    if key.namespace.is_empty() {
        key.name.clone()
    } else {
        key.to_string()
    }
}

/// Whether an instance's ledger holds a share for the task.
pub(super) fn holds(instance: &ContainerInstance, task: &Key) -> bool {
    let entries = instance.status.iter().flat_map(|s| &s.reservations);
    entries
        .into_iter()
        .any(|r| r.task == task.name && r.namespace == task.namespace)
}

/// What an instance is: the user's wish and the end of the instance count at once.
pub(super) fn effective(instance: &ContainerInstance) -> InstanceStatus {
    let recorded = instance.status.as_ref().map(|s| s.status).unwrap_or_default();
    if recorded == InstanceStatus::Active && instance.metadata.deletion_timestamp.is_some() {
        InstanceStatus::Inactive
    } else if recorded == InstanceStatus::Active
        && instance.spec.status == api::InstanceDesiredStatus::Draining
    {
        InstanceStatus::Draining
    } else {
        recorded
    }
}

/// Who an object is.
pub(super) struct Meta {
    pub(super) key: Key,
    pub(super) uid: String,
    pub(super) version: Option<u64>,
    pub(super) generation: Option<i64>,
}

impl Meta {
    pub(super) fn of(record: &Record) -> Self {
        let meta = record.object.as_ref().and_then(|o| o.get("metadata"));
        let text = |name: &str| {
            meta.and_then(|m| m.get(name))
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        Self {
            key: Key::new(text("namespace"), text("name")),
            uid: text("uid").to_owned(),
            version: text("resourceVersion").parse().ok(),
            generation: meta.and_then(|m| m.get("generation")).and_then(Value::as_i64),
        }
    }
}

pub(super) fn read<T: DeserializeOwned>(object: Option<&Value>) -> Result<T, serde_json::Error> {
    T::deserialize(object.unwrap_or(&Value::Null))
}

pub(super) fn task(object: Option<&Value>) -> Result<Task, serde_json::Error> {
    let found: api::Task = read(object)?;
    let time = |text: &Option<String>| text.as_ref().and_then(|t| t.parse::<Timestamp>().ok());
    let protected = object
        .and_then(|o| o.pointer("/status/protectedUntil"))
        .and_then(Value::as_str);
    let status = found.status.unwrap_or_default();
    let alive = status.last_status != LastStatus::Stopped && !found.spec.tombstone;
    let told = found.spec.desired_status == DesiredStatus::Stopped;
    Ok(Task {
        uid: found.metadata.uid.unwrap_or_default(),
        instance: found.spec.container_instance,
        service: found.spec.service,
        told,
        wanted: alive && !told && found.metadata.deletion_timestamp.is_none(),
        alive,
        last: status.last_status,
        health: status.health_status,
        since: time(&status.started_at).or(found.metadata.creation_timestamp.map(|t| t.0)),
        stop_code: found.spec.stop_code,
        stopped_reason: found.spec.stopped_reason.unwrap_or_default(),
        protected_until: protected.and_then(|t| t.parse().ok()),
    })
}

pub(super) fn pod(found: &core::Pod) -> Pod {
    let meta = &found.metadata;
    let mut owners = meta.owner_references.iter().flatten();
    let owner = owners.find(|o| {
        o.controller == Some(true)
            && o.kind == "Task"
            && o.api_version.starts_with(&format!("{}/", api::GROUP))
    });
    let task = owner.map(|owner| {
        (
            Key::new(meta.namespace.clone().unwrap_or_default(), owner.name.clone()),
            owner.uid.clone(),
        )
    });
    let spec = found.spec.clone().unwrap_or_default();
    let status = found.status.clone().unwrap_or_default();
    let containers = || {
        spec.containers
            .iter()
            .chain(spec.init_containers.iter().flatten())
    };
    let reports: Vec<_> = [&status.container_statuses, &status.init_container_statuses]
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    let terminated = |name: &str| {
        let of = reports
            .iter()
            .find(|s| s.name == name)
            .and_then(|s| s.state.as_ref());
        of.is_some_and(|state| state.terminated.is_some())
    };
    let over = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    Pod {
        uid: meta.uid.clone().unwrap_or_default(),
        node: spec.node_name.clone().unwrap_or_default(),
        task,
        ended: over || (containers().next().is_some() && containers().all(|c| terminated(&c.name))),
        probed: containers().any(|c| c.readiness_probe.is_some()),
    }
}
