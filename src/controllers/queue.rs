//! What is to be looked at: queues in which a key waits at most once, so they are bounded by the number of objects, and
//! the loop that works through one.
//!
//! Our own and not `kube::runtime::Controller`: that one polls what is under way in the order of a hash map, so that no
//! run of the operator could be repeated (see `docs/decisions/0086-the-simulation.md`).

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info_span, warn};

use super::Context;
use super::errors::Error;
use crate::plan::world::Key;
use crate::runtime::backoff::jittered;

/// Wait after a failed reconcile.
const RETRY: Duration = Duration::from_secs(2);
/// Wait before looking again at an object that moved on.
const SOON: Duration = Duration::from_millis(100);

/// When an object is looked at again if nothing asks for it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action(Option<Duration>);

impl Action {
    /// After this time.
    #[must_use]
    pub const fn requeue(after: Duration) -> Self {
        Self(Some(after))
    }

    /// The same, but not later than after this time.
    #[must_use]
    pub fn within(self, longest: Duration) -> Self {
        Self(Some(self.0.map_or(longest, |after| after.min(longest))))
    }

    /// Not before something asks for it.
    #[must_use]
    pub const fn await_change() -> Self {
        Self(None)
    }
}

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

/// What is under way, and what is to be looked at again at a time.
#[derive(Debug, Default)]
struct Agenda {
    /// Objects that are looked at, and whether somebody asked for another look meanwhile.
    busy: HashMap<Key, bool>,
    later: BTreeSet<(Instant, Key)>,
    when: HashMap<Key, Instant>,
}

impl Agenda {
    /// A look at the object begins, unless one is under way: then another follows it.
    fn begin(&mut self, key: &Key) -> bool {
        if let Some(again) = self.busy.get_mut(key) {
            *again = true;
            return false;
        }
        self.busy.insert(key.clone(), false);
        if let Some(at) = self.when.remove(key) {
            self.later.remove(&(at, key.clone()));
        }
        true
    }

    /// A look has ended; whether another is due at once.
    fn end(&mut self, key: &Key, action: Action) -> bool {
        if self.busy.remove(key) == Some(true) {
            return true;
        }
        if let Some(at) = action.0.and_then(|after| Instant::now().checked_add(after)) {
            self.later.insert((at, key.clone()));
            self.when.insert(key.clone(), at);
        }
        false
    }

    /// Waits for the next time at which an object is due, and takes it.
    async fn due(&mut self) -> Key {
        let Some((at, key)) = self.later.first().cloned() else {
            return std::future::pending().await;
        };
        tokio::time::sleep_until(at).await;
        self.later.pop_first();
        self.when.remove(&key);
        key
    }
}

/// Works through a queue until `stop`: at most `concurrency` reconciles at a time, one per object, errors with backoff.
/// What is under way at the end is finished.
pub async fn run<F>(
    name: &'static str,
    concurrency: usize,
    queue: Arc<Queue>,
    context: Arc<Context>,
    reconcile: fn(Key, Arc<Context>) -> F,
    stop: CancellationToken,
) where
    F: Future<Output = Result<Action, Error>> + Send + 'static,
{
    let mut agenda = Agenda::default();
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some((key, action)) = under_way.next() => {
                if agenda.end(&key, action) {
                    queue.push(key);
                }
            }
            key = agenda.due() => queue.push(key),
            key = queue.pop(), if under_way.len() < concurrency => {
                if agenda.begin(&key) {
                    let span = info_span!("reconcile", controller = name, object = %key);
                    under_way.push(look(name, key, context.clone(), reconcile).instrument(span));
                }
            }
        }
    }
    while under_way.next().await.is_some() {}
}

/// One look at an object.
async fn look<F>(
    name: &'static str,
    key: Key,
    context: Arc<Context>,
    reconcile: fn(Key, Arc<Context>) -> F,
) -> (Key, Action)
where
    F: Future<Output = Result<Action, Error>>,
{
    let begun = Instant::now();
    context.metrics.begin(name);
    let result = if context.plans() {
        reconcile(key.clone(), context.clone()).await
    } else {
        Ok(Action::await_change())
    };
    let outcome = result.as_ref().map_or_else(Error::category, |_| "ok");
    context.metrics.end(name, outcome, begun.elapsed().as_secs_f64());
    let action = match result {
        Ok(action) => action,
        Err(error @ Error::Moved) => {
            debug!(%error, "reconcile again");
            Action::requeue(jittered(SOON))
        }
        Err(error) => {
            warn!(%error, "reconcile failed; again soon");
            Action::requeue(jittered(RETRY))
        }
    };
    (key, action)
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

    #[tokio::test(start_paused = true)]
    async fn an_object_is_looked_at_once_at_a_time_and_again_when_asked_meanwhile() {
        let mut agenda = Agenda::default();
        let (a, b) = (Key::new("", "a"), Key::new("", "b"));
        assert!(agenda.begin(&a) && !agenda.begin(&a) && agenda.begin(&b));
        assert!(agenda.end(&a, Action::await_change()), "somebody asked meanwhile");
        assert!(!agenda.end(&b, Action::requeue(Duration::from_secs(5))));
        assert!(agenda.begin(&a));
        assert!(!agenda.end(&a, Action::requeue(Duration::from_secs(3))));
        let begun = Instant::now();
        assert_eq!((agenda.due().await, begun.elapsed().as_secs()), (a, 3));
        assert!(agenda.begin(&b), "a look before its time takes its place");
        let none = tokio::time::timeout(Duration::from_secs(60), agenda.due());
        assert!(none.await.is_err());
    }
}
