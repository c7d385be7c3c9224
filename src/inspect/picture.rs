//! From objects to the picture that explanations are made from.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::ResourceExt;

use super::objects::Objects;
use crate::build::{self, Pod, owner};
use crate::cache::Cache;
use crate::cache::store::key_of;
use crate::domain::resources::Resources;
use crate::explain::Picture;
use crate::explain::picture::{OtherPod, PodFacts, Said};
use crate::plan::world::{Key, World};
use crate::runtime::source;

/// The picture of these objects.
pub(super) fn picture(objects: &Objects) -> Picture {
    let cache = &objects.cache;
    objects.settle();
    let mut world = cache.snapshot(now(objects), 0);
    let mut notes = notes(objects);
    assume_namespaces(&mut world, objects, &mut notes);
    Picture {
        pods: own_pods(cache),
        others: other_pods(cache, &world),
        said: said(cache),
        stop_seconds: cache
            .definitions
            .all()
            .iter()
            .map(|d| (key_of(d.as_ref()), build::grace_seconds(&d.spec)))
            .collect(),
        world,
        notes,
    }
}

/// When the objects were so: a saved snapshot is of the newest time that stands in it; a cluster is of now, or of that if its
/// clock is ahead of ours.
pub(super) fn now(objects: &Objects) -> Timestamp {
    match objects.newest {
        Some(newest) if !objects.live => newest,
        newest => source::now().max(newest.unwrap_or_default()),
    }
}

fn notes(objects: &Objects) -> Vec<String> {
    let told = objects.missing.iter();
    told.map(|(plural, why)| {
        format!("{plural} cannot be listed ({why}): what is to be said of them is left out")
    })
    .collect()
}

/// Without namespaces nobody can say which a selector selects: all are taken as selected.
fn assume_namespaces(world: &mut World, objects: &Objects, notes: &mut Vec<String>) {
    if !objects.cache.namespaces.is_empty() {
        return;
    }
    let mut assumed = false;
    world.edit_clusters(|cluster| {
        assumed |= cluster.allowed_namespaces.take().is_some();
        assumed |= cluster.daemon_namespaces.take().is_some();
    });
    if assumed {
        notes.push(
            "there are no namespaces in what was read: allowedNamespaces and daemonNamespaces are taken to select all"
                .to_owned(),
        );
    }
}

fn own_pods(cache: &Cache) -> BTreeMap<Key, PodFacts> {
    let mut found = BTreeMap::new();
    for pod in cache.pods.all() {
        let Some(owner) = owner(&pod) else { continue };
        let key = Key::new(pod.namespace().unwrap_or_default(), owner.task);
        let task = cache.tasks.get(&key);
        if task.is_some_and(|task| task.uid().as_deref() == Some(owner.uid)) {
            found.insert(key, facts(&pod));
        }
    }
    found
}

fn facts(pod: &Pod) -> PodFacts {
    PodFacts {
        name: pod.name_any(),
        killed_at: pod.metadata.deletion_timestamp.as_ref().map(|time| time.0),
        grace_seconds: pod.spec.as_ref().and_then(|s| s.grace_seconds),
    }
}

fn other_pods(cache: &Cache, world: &World) -> BTreeMap<String, Vec<OtherPod>> {
    let of_instance = |instance: &crate::plan::world::Instance| {
        let share = |task: &Key, uid: &str| {
            let entry = instance.reservation(task).filter(|entry| entry.admits(uid));
            entry.map(|entry| entry.amounts.clone())
        };
        let pods = cache.beyond_shares(&instance.name, share);
        pods.into_iter()
            .filter(|(_, amounts)| *amounts != Resources::default())
            .map(|(pod, amounts)| OtherPod {
                key: key_of(pod.as_ref()),
                amounts,
            })
            .collect()
    };
    world
        .instances
        .values()
        .map(|instance| (instance.name.clone(), of_instance(instance)))
        .collect()
}

fn said(cache: &Cache) -> BTreeMap<String, Said> {
    let of = |object: &crate::api::ContainerInstance| {
        let status = object.status.clone().unwrap_or_default();
        let mut conditions = status.conditions.into_iter();
        let unschedulable = conditions.find(|c| c.type_ == "Schedulable" && c.status == "False");
        Said {
            status_reason: status.status_reason,
            unschedulable: unschedulable.map(|c| c.message),
        }
    };
    let all = cache.instances.all();
    all.iter().map(|object| (object.name_any(), of(object))).collect()
}
