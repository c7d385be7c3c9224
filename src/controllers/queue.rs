//! What is to be looked at: queues in which a key waits at most once, so they are bounded by the number of objects.

use std::collections::{HashSet, VecDeque};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use futures::Stream;
use futures::StreamExt;
use futures::stream;
use kube::Resource;
use kube::core::PartialObjectMeta;
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, store};
use kube::runtime::watcher;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Context;
use super::errors::{Error, error_policy};
use crate::cache::store::Change;
use crate::plan::world::Key;

/// Keys that are to be looked at, the longest waiting first.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    ready: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    order: VecDeque<Key>,
    members: HashSet<Key>,
}

impl Queue {
    /// Asks for a look at an object.
    pub fn push(&self, key: Key) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.members.insert(key.clone()) {
            waiting.order.push_back(key);
        }
        drop(waiting);
        self.ready.notify_one();
    }

    /// Asks for a look at a cluster scoped object.
    pub fn push_named(&self, name: impl Into<String>) {
        self.push(Key::new("", name));
    }

    async fn pop(&self) -> Key {
        loop {
            if let Some(key) = self.take() {
                return key;
            }
            self.ready.notified().await;
        }
    }

    pub(super) fn take(&self) -> Option<Key> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let key = waiting.order.pop_front()?;
        waiting.members.remove(&key);
        Some(key)
    }

    fn stream(self: Arc<Self>) -> impl Stream<Item = Key> {
        stream::unfold(self, |queue| async move {
            let key = queue.pop().await;
            Some((key, queue))
        })
    }
}

/// The queues of all controllers.
#[derive(Debug, Default)]
pub struct Queues {
    /// Nodes.
    pub nodes: Arc<Queue>,
    /// ContainerInstances.
    pub instances: Arc<Queue>,
    /// EcsServices.
    pub services: Arc<Queue>,
    /// Tasks.
    pub tasks: Arc<Queue>,
    /// TaskDefinitions.
    pub definitions: Arc<Queue>,
    /// EcsClusters.
    pub clusters: Arc<Queue>,
}

/// The metadata of a kind's objects as kube's controller wants to see it. The objects themselves are in our stores.
pub struct Mirror<K: Resource<DynamicType = ()> + Clone + 'static>(Mutex<Writer<PartialObjectMeta<K>>>);

impl<K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static> Mirror<K> {
    /// A mirror and what reads it.
    #[must_use]
    pub fn new() -> (Self, kube::runtime::reflector::Store<PartialObjectMeta<K>>) {
        let (reader, mut writer) = store();
        writer.apply_watcher_event(&watcher::Event::Init);
        writer.apply_watcher_event(&watcher::Event::InitDone);
        (Self(Mutex::new(writer)), reader)
    }

    /// Keeps it in step with a store.
    pub fn changed(&self, change: &Change<K>) {
        let object = change.object();
        let meta = PartialObjectMeta::<K> {
            types: None,
            metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                name: object.meta().name.clone(),
                namespace: object.meta().namespace.clone(),
                uid: object.meta().uid.clone(),
                resource_version: object.meta().resource_version.clone(),
                ..Default::default()
            },
            _phantom: std::marker::PhantomData,
        };
        let event = match change {
            Change::Put(..) => watcher::Event::Apply(meta),
            Change::Removed(_) => watcher::Event::Delete(meta),
        };
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .apply_watcher_event(&event);
    }
}

/// Runs a controller of kind `K` over a queue until `stop`: per object one reconcile at a time, errors with backoff.
pub async fn run<K, F>(
    name: &'static str,
    concurrency: u16,
    queue: Arc<Queue>,
    reader: kube::runtime::reflector::Store<PartialObjectMeta<K>>,
    context: Arc<Context>,
    reconcile: fn(Key, Arc<Context>) -> F,
    stop: CancellationToken,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
    F: Future<Output = Result<Action, Error>> + Send + 'static,
{
    let keys = queue.stream().map(|key| {
        let reference = ObjectRef::<PartialObjectMeta<K>>::new(&key.name);
        if key.namespace.is_empty() {
            reference
        } else {
            reference.within(&key.namespace)
        }
    });
    let results = Controller::for_stream(
        stream::pending::<Result<PartialObjectMeta<K>, watcher::Error>>(),
        reader,
    )
    .with_config(Config::default().concurrency(concurrency))
    .reconcile_on(keys)
    .graceful_shutdown_on(async move { stop.cancelled().await })
    .run(
        move |object, context: Arc<Context>| async move {
            let meta = &object.metadata;
            let key = Key::new(
                meta.namespace.clone().unwrap_or_default(),
                meta.name.clone().unwrap_or_default(),
            );
            let begun = tokio::time::Instant::now();
            context.metrics.begin(name);
            let result = if context.plans() {
                reconcile(key, context.clone()).await
            } else {
                Ok(Action::await_change())
            };
            let outcome = result.as_ref().map_or_else(Error::category, |_| "ok");
            context.metrics.end(name, outcome, begun.elapsed().as_secs_f64());
            result
        },
        error_policy,
        context,
    );
    results
        .for_each(|result| async move {
            // an object that is gone needs no reconcile; everything else was logged and gets another try
            if let Err(kube::runtime::controller::Error::QueueError(error)) = result {
                warn!(controller = name, %error, "queue");
            }
        })
        .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_waits_once_and_keeps_its_place() {
        let queue = Queue::default();
        for name in ["b", "a", "b"] {
            queue.push_named(name);
        }
        assert_eq!(queue.pop().await, Key::new("", "b"));
        queue.push_named("b");
        assert_eq!(queue.pop().await, Key::new("", "a"));
        assert_eq!(queue.pop().await, Key::new("", "b"));
        assert_eq!(queue.take(), None);
    }
}
