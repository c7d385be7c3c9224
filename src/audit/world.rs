//! The state of the cluster at a version, as the history tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::facts::{Meta, Pod, Task, holds, pod, read, shown, task};
use super::history::{Event, Kind, Record};
use crate::api::{ContainerInstance, EcsCluster, EcsService};
use crate::plan::world::Key;

/// An object before and after a record.
#[derive(Clone, Debug)]
pub(super) struct Moved<T> {
    pub(super) key: Key,
    pub(super) before: Option<Arc<T>>,
    pub(super) after: Option<Arc<T>>,
}

/// What a record changed.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Instance(Moved<ContainerInstance>),
    Service(Moved<EcsService>),
    Task(Moved<Task>),
    Pod(Moved<Pod>),
    Nothing,
}

/// A record that does not follow from those before it.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) object: String,
    pub(super) why: String,
    pub(super) change: Change,
}

#[derive(Clone, Debug, Default)]
struct Identity {
    uid: String,
    generation: Option<i64>,
}

type Versions = Vec<(u64, Option<Arc<Task>>)>;

/// The state of the cluster at a version.
#[derive(Debug, Default)]
pub(super) struct World {
    synced: BTreeSet<Kind>,
    identities: BTreeMap<(Kind, Key), Identity>,
    /// Objects that the list after a gap has not shown yet.
    doubtful: BTreeMap<Kind, BTreeSet<Key>>,
    pub(super) clusters: BTreeMap<Key, Arc<EcsCluster>>,
    pub(super) instances: BTreeMap<Key, Arc<ContainerInstance>>,
    pub(super) services: BTreeMap<Key, Arc<EcsService>>,
    pub(super) tasks: BTreeMap<Key, Arc<Task>>,
    pub(super) pods: BTreeMap<Key, Arc<Pod>>,
    nodes: BTreeMap<Key, Arc<()>>,
    /// Every version of every Task of a service, by the service's uid.
    versions: BTreeMap<String, BTreeMap<Key, Versions>>,
    tasks_from: Option<u64>,
    /// Uids of the Pods each Task had, by the Task's uid, and whether health checks run in them.
    pub(super) pods_of: BTreeMap<String, BTreeMap<String, bool>>,
    /// Pods that ended because their Node went.
    pub(super) cut_off: BTreeSet<String>,
    /// Shares that were taken from running tasks: instance and task.
    pub(super) wiped: BTreeSet<(String, Key)>,
    /// Stops decided on, by task: whether its instance was DRAINING then.
    pub(super) marks: BTreeMap<Key, bool>,
}

impl World {
    /// Whether all kinds are complete at this version.
    pub(super) fn complete(&self) -> bool {
        self.synced.len() == Kind::ALL.len()
    }

    pub(super) fn instance(&self, name: &str) -> Option<&Arc<ContainerInstance>> {
        self.instances.get(&Key::new("", name))
    }

    pub(super) fn has_node(&self, name: &str) -> bool {
        self.nodes.contains_key(&Key::new("", name))
    }

    /// Whether the instance's ledger holds a share for the task.
    pub(super) fn reserved(&self, instance: &str, task: &Key) -> bool {
        self.instance(instance).is_some_and(|object| holds(object, task))
    }

    /// The service of that uid.
    pub(super) fn service(&self, uid: &str) -> Option<&Arc<EcsService>> {
        self.services
            .values()
            .find(|s| s.metadata.uid.as_deref() == Some(uid))
    }

    /// The Tasks of a service as they were at a version; `None`: the history does not reach back so far.
    pub(super) fn tasks_at(&self, service: &str, version: u64) -> Option<BTreeMap<&Key, &Arc<Task>>> {
        if self.tasks_from.is_none_or(|from| version < from) {
            return None;
        }
        let mut found = BTreeMap::new();
        for (key, versions) in self.versions.get(service).into_iter().flatten() {
            let known = versions.partition_point(|(written, _)| *written <= version);
            if let Some((_, Some(task))) = known.checked_sub(1).and_then(|last| versions.get(last)) {
                found.insert(key, task);
            }
        }
        Some(found)
    }

    /// Whether a Task of that service and name was deleted before.
    pub(super) fn was_deleted(&self, service: &str, task: &Key) -> bool {
        let versions = self.versions.get(service).and_then(|tasks| tasks.get(task));
        versions.is_some_and(|all| all.iter().any(|(_, task)| task.is_none()))
    }

    /// Takes a record in.
    pub(super) fn apply(&mut self, record: &Record) -> Result<Change, Broken> {
        let kind = record.kind;
        match record.event {
            Event::Sync => {
                for key in self.doubtful.remove(&kind).unwrap_or_default() {
                    self.remove(kind, &key, record.version);
                }
                self.synced.insert(kind);
                if kind == Kind::Task {
                    self.tasks_from.get_or_insert(record.version);
                }
                return Ok(Change::Nothing);
            }
            Event::Gap => {
                self.synced.remove(&kind);
                let known = self.identities.keys().filter(|(of, _)| *of == kind);
                let known = known.map(|(_, key)| key.clone()).collect();
                self.doubtful.insert(kind, known);
                if kind == Kind::Task {
                    self.tasks_from = None;
                }
                return Ok(Change::Nothing);
            }
            Event::Listed | Event::Added | Event::Modified | Event::Deleted => {}
        }
        let meta = Meta::of(record);
        let object = format!("{kind} {}", shown(&meta.key));
        let why = self.discontinuity(record, &meta);
        let change = if record.event == Event::Deleted {
            Ok(self.remove(kind, &meta.key, record.version))
        } else {
            self.put(record, &meta.key)
        };
        let identity = Identity {
            uid: meta.uid,
            generation: meta.generation,
        };
        match record.event {
            Event::Deleted => self.identities.remove(&(kind, meta.key)),
            _ => self.identities.insert((kind, meta.key), identity),
        };
        match (change, why) {
            (Ok(change), None) => Ok(change),
            (Ok(change), Some(why)) => Err(Broken { object, why, change }),
            (Err(error), _) => Err(Broken {
                object,
                why: format!("it can't be read: {error}"),
                change: Change::Nothing,
            }),
        }
    }

    /// Why a record can't be what follows the one before it.
    fn discontinuity(&mut self, record: &Record, meta: &Meta) -> Option<String> {
        let kind = record.kind;
        if let Some(doubtful) = self.doubtful.get_mut(&kind) {
            doubtful.remove(&meta.key);
        }
        let known = self.identities.get(&(kind, meta.key.clone()));
        if record.event.is_write() && meta.version != Some(record.version) {
            return Some("the object is not of the version it is recorded at".to_owned());
        }
        match (record.event, known) {
            (Event::Added, Some(_)) => Some("it was created though it existed".to_owned()),
            (Event::Modified | Event::Deleted, None) => {
                Some("it was written though it did not exist".to_owned())
            }
            (Event::Modified | Event::Deleted, Some(known)) if known.uid != meta.uid => {
                Some("it was replaced by another of that name unseen".to_owned())
            }
            (Event::Modified, Some(known)) if !matches!(kind, Kind::Pod | Kind::Node) => {
                let (before, after) = (known.generation?, meta.generation?);
                (after > before.saturating_add(1) || after < before).then(|| {
                    format!("its generation went from {before} to {after}: writes between are missing")
                })
            }
            _ => None,
        }
    }

    fn put(&mut self, record: &Record, key: &Key) -> Result<Change, serde_json::Error> {
        let object = record.object.as_ref();
        let key = key.clone();
        Ok(match record.kind {
            Kind::EcsCluster => {
                self.clusters.insert(key, Arc::new(read(object)?));
                Change::Nothing
            }
            Kind::Node => {
                self.nodes.insert(key, Arc::new(()));
                Change::Nothing
            }
            Kind::ContainerInstance => Change::Instance(moved(&mut self.instances, key, Some(read(object)?))),
            Kind::EcsService => Change::Service(moved(&mut self.services, key, Some(read(object)?))),
            Kind::Pod => Change::Pod(moved(&mut self.pods, key, Some(pod(&read(object)?)))),
            Kind::Task => {
                let change = moved(&mut self.tasks, key, Some(task(object)?));
                self.remember(&change, record.version);
                Change::Task(change)
            }
        })
    }

    fn remove(&mut self, kind: Kind, key: &Key, version: u64) -> Change {
        self.identities.remove(&(kind, key.clone()));
        let key = key.clone();
        match kind {
            Kind::EcsCluster => {
                self.clusters.remove(&key);
                Change::Nothing
            }
            Kind::Node => {
                let here = self
                    .pods
                    .values()
                    .filter(|p| p.node == key.name)
                    .map(|p| p.uid.clone());
                self.cut_off.extend(here.collect::<Vec<_>>());
                self.nodes.remove(&key);
                Change::Nothing
            }
            Kind::ContainerInstance => Change::Instance(moved(&mut self.instances, key, None)),
            Kind::EcsService => Change::Service(moved(&mut self.services, key, None)),
            Kind::Pod => Change::Pod(moved(&mut self.pods, key, None)),
            Kind::Task => {
                let change = moved(&mut self.tasks, key, None);
                self.remember(&change, version);
                Change::Task(change)
            }
        }
    }

    fn remember(&mut self, change: &Moved<Task>, version: u64) {
        let of = change
            .after
            .as_ref()
            .or(change.before.as_ref())
            .and_then(|t| t.service.as_ref());
        if let Some(service) = of {
            let tasks = self.versions.entry(service.uid.clone()).or_default();
            tasks
                .entry(change.key.clone())
                .or_default()
                .push((version, change.after.clone()));
        }
    }
}

fn moved<T>(map: &mut BTreeMap<Key, Arc<T>>, key: Key, new: Option<T>) -> Moved<T> {
    let after = new.map(Arc::new);
    let before = match &after {
        Some(object) => map.insert(key.clone(), object.clone()),
        None => map.remove(&key),
    };
    Moved { key, before, after }
}
