//! The objects that an explanation is made from, whatever they were read from.

use anyhow::Context as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Node};
use serde_json::Value;

use crate::api::{ContainerInstance, EcsCluster, EcsService, GROUP, Task, TaskDefinition};
use crate::build::Pod;
use crate::cache::Cache;
use crate::cache::store::{Store, key_of};

/// Kinds that are read: group and plural, and whether nothing can be said without them.
pub(super) const KINDS: [(&str, &str, bool); 8] = [
    ("EcsCluster", "ecsclusters", true),
    ("ContainerInstance", "containerinstances", true),
    ("TaskDefinition", "taskdefinitions", true),
    ("EcsService", "ecsservices", true),
    ("Task", "tasks", true),
    ("Node", "nodes", false),
    ("Pod", "pods", false),
    ("Namespace", "namespaces", false),
];

/// Members whose times may lie ahead of the snapshot.
const AHEAD: [&str; 4] = ["deletionTimestamp", "protectedUntil", "queueUntil", "renewTime"];

/// The objects, and what is known of how they were read.
#[derive(Debug, Default)]
pub(super) struct Objects {
    /// In the stores that the operator has.
    pub(super) cache: Cache,
    /// The newest time that stands in them.
    pub(super) newest: Option<Timestamp>,
    /// Whether they are of a cluster that runs.
    pub(super) live: bool,
    /// Kinds that were not read, and why.
    pub(super) missing: Vec<(&'static str, String)>,
    /// Objects of our kinds that were taken in.
    pub(super) ours: usize,
}

impl Objects {
    /// Takes in an object that says what it is, or a list of such; others are left out.
    pub(super) fn absorb(&mut self, object: Value) -> anyhow::Result<()> {
        let member = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
        let (version, kind) = (member("apiVersion").to_owned(), member("kind").to_owned());
        anyhow::ensure!(!kind.is_empty(), "kind is missing: this is no Kubernetes object");
        if kind.ends_with("List") && object.get("items").is_some() {
            let items = object.get("items").and_then(Value::as_array).cloned();
            let item_kind = kind.trim_end_matches("List");
            for mut item in items.unwrap_or_default() {
                if let Some(members) = item.as_object_mut().filter(|_| !item_kind.is_empty()) {
                    members.entry("kind").or_insert_with(|| item_kind.into());
                    members
                        .entry("apiVersion")
                        .or_insert_with(|| version.as_str().into());
                }
                self.absorb(item)?;
            }
            return Ok(());
        }
        let group = version.split_once('/').map_or("", |(group, _)| group);
        let known = KINDS.iter().find(|(name, ..)| *name == kind);
        match known {
            Some((kind, ..)) if group == GROUP || group.is_empty() => self.put(kind, object),
            _ => Ok(()),
        }
    }

    /// Takes in an object of a kind.
    pub(super) fn put(&mut self, kind: &str, object: Value) -> anyhow::Result<()> {
        self.newest = newest(&object).max(self.newest);
        let name = object.pointer("/metadata/name").and_then(Value::as_str);
        let place = format!("{kind} {}", name.unwrap_or("without a name"));
        let cache = &self.cache;
        let ours = match kind {
            "EcsCluster" => take::<EcsCluster>(&cache.clusters, object),
            "ContainerInstance" => take::<ContainerInstance>(&cache.instances, object),
            "TaskDefinition" => take::<TaskDefinition>(&cache.definitions, object),
            "EcsService" => take::<EcsService>(&cache.services, object),
            "Task" => take::<Task>(&cache.tasks, object),
            "Node" => return take::<Node>(&cache.nodes, object).context(place),
            "Pod" => return take::<Pod>(&cache.pods, object).context(place),
            "Namespace" => return take::<Namespace>(&cache.namespaces, object).context(place),
            _ => return Ok(()),
        };
        self.ours = self.ours.saturating_add(1);
        ours.context(place)
    }

    /// Brings the world in step with everything that was taken in.
    pub(super) fn settle(&self) {
        let cache = &self.cache;
        cache.clusters_changed();
        for object in cache.instances.all() {
            cache.instance_changed(&key_of(object.as_ref()));
        }
        for object in cache.definitions.all() {
            cache.definition_changed(&key_of(object.as_ref()));
        }
        for object in cache.services.all() {
            cache.service_changed(&key_of(object.as_ref()));
        }
        for object in cache.tasks.all() {
            cache.task_changed(&key_of(object.as_ref()));
        }
    }
}

fn take<K>(store: &Store<K>, object: Value) -> anyhow::Result<()>
where
    K: kube::Resource + serde::de::DeserializeOwned,
{
    // a manifest changes an object whose version stays
    store.heard(serde_json::from_value(object)?);
    Ok(())
}

/// The newest time in an object, of those that say when something happened.
fn newest(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Object(members) => {
            let past = members.iter().filter(|(name, _)| !AHEAD.contains(&name.as_str()));
            past.filter_map(|(_, value)| newest(value)).max()
        }
        Value::Array(items) => items.iter().filter_map(newest).max(),
        Value::String(text) if text.len() >= "2026-01-01T00:00:00Z".len() && text.ends_with('Z') => {
            text.parse().ok()
        }
        _ => None,
    }
}
