//! What the API server told of a kind's objects, in its order: every version, none missed.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use ecs_operator::api::{ContainerInstance, DesiredStatus, LastStatus, Task};
use futures::StreamExt;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;

use super::{eventually, last, placed_on};

/// One version of an object.
#[derive(Clone)]
pub(crate) struct Seen<K> {
    /// Its resourceVersion: the order of everything in the API server.
    pub(crate) version: u64,
    /// Whether this is its end.
    pub(crate) deleted: bool,
    /// When it was heard of here.
    pub(crate) at: Instant,
    pub(crate) object: K,
}

/// A record of a kind's objects since its beginning; those that existed then come first.
pub(crate) struct History<K> {
    api: Api<K>,
    heard: Arc<Mutex<Result<Vec<Seen<K>>, String>>>,
    listener: JoinHandle<()>,
}

fn version<K: Resource>(object: &K) -> u64 {
    let version = object.meta().resource_version.as_deref();
    version.and_then(|v| v.parse().ok()).expect("a resourceVersion")
}

impl<K> History<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    /// Begins to record.
    pub(crate) async fn begin(api: Api<K>) -> Self {
        let list = api.list(&ListParams::default()).await.unwrap();
        let from = list.metadata.resource_version.unwrap();
        let seen = |object: K, deleted| Seen {
            version: version(&object),
            deleted,
            at: Instant::now(),
            object,
        };
        let first: Vec<Seen<K>> = list.items.into_iter().map(|o| seen(o, false)).collect();
        let heard = Arc::new(Mutex::new(Ok(first)));
        let (watched, told) = (api.clone(), heard.clone());
        let listener = tokio::spawn(async move {
            let mut from = from;
            loop {
                let stream = match watched.watch(&WatchParams::default(), &from).await {
                    Ok(stream) => stream,
                    Err(error) => return *told.lock().unwrap() = Err(error.to_string()),
                };
                let mut stream = stream.boxed();
                while let Some(event) = stream.next().await {
                    let one = match event {
                        Ok(WatchEvent::Added(o) | WatchEvent::Modified(o)) => seen(o, false),
                        Ok(WatchEvent::Deleted(o)) => seen(o, true),
                        Ok(WatchEvent::Bookmark(_)) => continue,
                        Ok(WatchEvent::Error(error)) => {
                            return *told.lock().unwrap() = Err(error.to_string());
                        }
                        Err(_) => break,
                    };
                    from = one.version.to_string();
                    if let Ok(all) = told.lock().unwrap().as_mut() {
                        all.push(one);
                    }
                }
            }
        });
        Self { api, heard, listener }
    }

    /// Everything up to now: waits until the record has caught up with a list.
    pub(crate) async fn until_now(&self) -> Vec<Seen<K>> {
        let now = self.api.list(&ListParams::default()).await.unwrap().items;
        eventually("the record has caught up", 30, || async {
            let heard = self.heard.lock().unwrap().clone();
            let heard = heard.unwrap_or_else(|gap| panic!("a gap in the record: {gap}"));
            let missing = now.iter().filter(|object| {
                !heard
                    .iter()
                    .any(|s| s.object.uid() == object.uid() && s.version >= version(*object))
            });
            match missing.count() {
                0 => Ok(heard),
                missing => Err(format!("{missing} objects missing")),
            }
        })
        .await
    }
}

impl<K> Drop for History<K> {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// Whether a version of a Task says that it is told to stop.
pub(crate) fn told_to_stop(task: &Task) -> bool {
    task.spec.desired_status == DesiredStatus::Stopped || task.metadata.deletion_timestamp.is_some()
}

/// When a task was first told to stop.
pub(crate) fn stop_told(history: &[Seen<Task>], task: &str) -> Option<u64> {
    let mut of = history.iter().filter(|s| s.object.name_any() == task);
    of.find(|s| told_to_stop(&s.object)).map(|s| s.version)
}

/// When a task was first STOPPED.
pub(crate) fn stopped(history: &[Seen<Task>], task: &str) -> Option<u64> {
    let mut of = history.iter().filter(|s| s.object.name_any() == task);
    of.find(|s| last(&s.object) == LastStatus::Stopped)
        .map(|s| s.version)
}

/// Names of the tasks that were ever bound to an instance, daemons or others.
pub(crate) fn tasks_on(history: &[Seen<Task>], instance: &str, daemons: bool) -> Vec<String> {
    let is_daemon = |t: &Task| t.spec.service.as_ref().is_some_and(|s| s.daemon);
    let mut names: Vec<String> = history
        .iter()
        .filter(|s| placed_on(&s.object) == instance && is_daemon(&s.object) == daemons)
        .map(|s| s.object.name_any())
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Checks I4 on an instance that drained: its daemon tasks were told to stop after all others there had STOPPED.
pub(crate) fn assert_daemons_left_last(history: &[Seen<Task>], instance: &str) {
    let others = tasks_on(history, instance, false);
    assert!(!others.is_empty(), "nothing but daemons was on {instance}");
    let ended: Vec<u64> = others
        .iter()
        .map(|task| stopped(history, task).unwrap_or_else(|| panic!("task {task} has not STOPPED")))
        .collect();
    let daemons = tasks_on(history, instance, true);
    let told: Vec<u64> = daemons
        .iter()
        .filter_map(|task| stop_told(history, task))
        .collect();
    assert!(!told.is_empty(), "no daemon left {instance}");
    assert!(
        told.iter().min() > ended.iter().max(),
        "a daemon of {instance} was told to stop at {told:?}, the others STOPPED at {ended:?}"
    );
}

/// The fewest tasks of a service that were RUNNING and wanted at a time once there had been `lower`, and the most that
/// were wanted at any time.
pub(crate) fn extremes(history: &[Seen<Task>], service: &str, lower: usize) -> (usize, usize) {
    let mut now: std::collections::BTreeMap<String, (bool, bool)> = std::collections::BTreeMap::new();
    let (mut fewest, mut most, mut reached) = (usize::MAX, 0, false);
    for seen in history {
        let task = &seen.object;
        if task.spec.service.as_ref().is_none_or(|s| s.name != service) {
            continue;
        }
        let wanted = !told_to_stop(task) && last(task) != LastStatus::Stopped && !seen.deleted;
        let runs = wanted && last(task) == LastStatus::Running;
        now.insert(task.name_any(), (wanted, runs));
        let count = |which: fn(&(bool, bool)) -> bool| now.values().filter(|s| which(s)).count();
        let running = count(|s| s.1);
        reached |= running >= lower;
        if reached {
            fewest = fewest.min(running);
        }
        most = most.max(count(|s| s.0));
    }
    (fewest, most)
}

/// Checks I1 over a record of instances: whatever was reserved and taken by foreign Pods fits what there is.
pub(crate) fn assert_never_overcommitted(history: &[Seen<ContainerInstance>]) {
    for seen in history {
        let Some(status) = &seen.object.status else {
            continue;
        };
        let reserved: i64 = status.reservations.iter().map(|r| r.amounts.cpu).sum();
        let taken = reserved.saturating_add(status.foreign.cpu);
        assert!(
            taken <= status.registered_resources.cpu,
            "{} at {}: {taken} CPU units taken of {}",
            seen.object.name_any(),
            seen.version,
            status.registered_resources.cpu
        );
    }
}
