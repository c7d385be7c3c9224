//! What is to be looked at: queues in which a key waits at most once, so they are bounded by the number of objects, and
//! the loop that works through one.
//!
//! Our own and not `kube::runtime::Controller`: that one polls what is under way in the order of a hash map, so that no
//! run of the operator could be repeated (see `docs/decisions/0086-the-simulation.md`).

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
use crate::runtime::backoff::Backoff;

/// First wait after a failed reconcile, and the longest before looking again at an object that moved on.
const RETRY: Duration = Duration::from_secs(2);
/// Longest wait after failed reconciles.
const RETRY_MAX: Duration = Duration::from_secs(30);
/// First wait before looking again at an object that moved on.
const SOON: Duration = Duration::from_millis(100);

/// When an object is looked at again if nothing asks for it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    after: Option<Duration>,
    rest: Duration,
}

impl Action {
    /// After this time.
    #[must_use]
    pub const fn requeue(after: Duration) -> Self {
        Self {
            after: Some(after),
            rest: Duration::ZERO,
        }
    }

    /// The same, but not later than after this time.
    #[must_use]
    pub fn within(self, longest: Duration) -> Self {
        Self {
            after: Some(self.after.map_or(longest, |after| after.min(longest))),
            ..self
        }
    }

    /// Not before something asks for it.
    #[must_use]
    pub const fn await_change() -> Self {
        Self {
            after: None,
            rest: Duration::ZERO,
        }
    }

    /// And not before this time whoever asks for it.
    #[must_use]
    pub const fn resting(self, rest: Duration) -> Self {
        Self { rest, ..self }
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
    /// Keys that have time yet, and until when.
    later: BTreeSet<(Instant, Key)>,
    when: HashMap<Key, Instant>,
}

impl Waiting {
    fn push(&mut self, key: Key) {
        if let Some(at) = self.when.remove(&key) {
            self.later.remove(&(at, key.clone()));
        }
        if self.members.insert(key.clone()) {
            self.order.push_back(key);
        }
    }
}

impl Queue {
    /// Asks for a look at an object.
    pub fn push(&self, key: Key) {
        self.lock().push(key);
        self.ready.notify_one();
    }

    /// Asks for a look within this time, so that one look answers all that comes up until then.
    pub fn push_within(&self, key: Key, wait: Duration) {
        let Some(at) = Instant::now().checked_add(wait).filter(|_| !wait.is_zero()) else {
            return self.push(key);
        };
        let mut waiting = self.lock();
        if waiting.members.contains(&key) || waiting.when.get(&key).is_some_and(|known| *known <= at) {
            return;
        }
        if let Some(known) = waiting.when.insert(key.clone(), at) {
            waiting.later.remove(&(known, key.clone()));
        }
        waiting.later.insert((at, key));
        drop(waiting);
        self.ready.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
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
            let next = self.lock().later.first().map(|(at, _)| *at);
            let due = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.ready.notified() => {}
                () = due => {}
            }
        }
    }

    pub(super) fn take(&self) -> Option<Key> {
        let mut waiting = self.lock();
        let now = Instant::now();
        while let Some((_, key)) = waiting.later.first().filter(|(at, _)| *at <= now).cloned() {
            waiting.push(key);
        }
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
    /// RunTasks.
    pub requests: Arc<Queue>,
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
    /// Objects that are not looked at before a time.
    resting: HashMap<Key, Instant>,
}

impl Agenda {
    /// A look at the object begins, unless one is under way: then another follows it. One that rests waits for its time.
    fn begin(&mut self, key: &Key) -> bool {
        if let Some(again) = self.busy.get_mut(key) {
            *again = true;
            return false;
        }
        if let Some(until) = self.resting.remove(key).filter(|until| *until > Instant::now()) {
            self.resting.insert(key.clone(), until);
            self.schedule(key, until);
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
        let in_ = |wait: Duration| Instant::now().checked_add(wait);
        let rest = Some(action.rest).filter(|rest| !rest.is_zero()).and_then(in_);
        if let Some(until) = rest {
            self.resting.insert(key.clone(), until);
        }
        if self.busy.remove(key) == Some(true) {
            let Some(until) = rest else { return true };
            self.schedule(key, until);
        } else if let Some(at) = action.after.and_then(in_) {
            self.schedule(key, at);
        }
        false
    }

    fn schedule(&mut self, key: &Key, at: Instant) {
        if let Some(before) = self.when.insert(key.clone(), at) {
            self.later.remove(&(before, key.clone()));
        }
        self.later.insert((at, key.clone()));
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

/// How long objects wait whose reconciles failed again and again; news of an object ends its wait.
#[derive(Default)]
struct Patience(HashMap<Key, (bool, Backoff)>);

impl Patience {
    /// What follows from the end of a look.
    fn after(&mut self, key: &Key, result: Result<Action, Error>) -> Action {
        let error = match result {
            Ok(action) => {
                self.0.remove(key);
                return action;
            }
            Err(error) => error,
        };
        let moved = matches!(error, Error::Moved);
        let begin = || {
            let (first, longest) = if moved { (SOON, RETRY) } else { (RETRY, RETRY_MAX) };
            (moved, Backoff::new(first, longest))
        };
        let entry = self.0.entry(key.clone()).or_insert_with(begin);
        if entry.0 != moved {
            *entry = begin();
        }
        Action::requeue(entry.1.wait())
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
    let mut patience = Patience::default();
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some((key, result)) = under_way.next() => {
                let action = patience.after(&key, result);
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
) -> (Key, Result<Action, Error>)
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
    match &result {
        Ok(_) => {}
        Err(error @ Error::Moved) => debug!(%error, "reconcile again"),
        Err(error) => warn!(%error, "reconcile failed; again soon"),
    }
    (key, result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_fails_again_and_again_waits_longer_until_it_succeeds() {
        let mut patience = Patience::default();
        let (key, other) = (Key::new("", "a"), Key::new("", "b"));
        let mut waits = |key: &Key, result: fn() -> Result<Action, Error>| {
            let action = patience.after(key, result());
            action.after.map_or(0, |wait| wait.as_millis())
        };
        let moved = || Err(Error::Moved);
        for nominal in [100, 200, 400, 800, 1600, 2000, 2000] {
            let wait = waits(&key, moved);
            assert!((nominal / 2..=nominal).contains(&wait), "{wait} of {nominal}");
        }
        assert!(waits(&other, moved) <= 100, "each has its own");
        assert_eq!(waits(&key, || Ok(Action::await_change())), 0);
        assert!(waits(&key, moved) <= 100, "it had succeeded");
    }

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
    async fn what_has_time_waits_for_what_comes_up_and_is_looked_at_once() {
        let (queue, begun) = (Queue::default(), Instant::now());
        let key = |name: &str| Key::new("", name);
        queue.push_within(key("a"), Duration::from_secs(2));
        queue.push_within(key("b"), Duration::from_secs(3));
        queue.push_within(key("b"), Duration::from_secs(1));
        queue.push_within(key("c"), Duration::ZERO);
        assert_eq!(queue.pop().await, key("c"));
        assert_eq!((queue.pop().await, begun.elapsed().as_secs()), (key("b"), 1));
        queue.push_within(key("a"), Duration::from_secs(9));
        queue.push_named("b");
        queue.push_within(key("b"), Duration::from_secs(1));
        assert_eq!(queue.take(), Some(key("b")));
        assert_eq!((queue.pop().await, begun.elapsed().as_secs()), (key("a"), 2));
        queue.push_within(key("a"), Duration::from_secs(1));
        queue.push_named("a");
        assert_eq!(queue.take(), Some(key("a")));
        let none = tokio::time::timeout(Duration::from_secs(60), queue.pop());
        assert!(none.await.is_err(), "the look before its time took its place");
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_rests_whoever_asks_for_it() {
        let mut agenda = Agenda::default();
        let a = Key::new("", "a");
        let resting = Action::requeue(Duration::from_secs(300)).resting(Duration::from_secs(2));
        let begun = Instant::now();
        assert!(agenda.begin(&a) && !agenda.begin(&a));
        assert!(!agenda.end(&a, resting), "asked for meanwhile");
        assert!(!agenda.begin(&a));
        assert_eq!((agenda.due().await, begun.elapsed().as_secs()), (a.clone(), 2));
        assert!(agenda.begin(&a));
        assert!(!agenda.end(&a, resting));
        assert!(!agenda.begin(&a), "asked for afterwards");
        assert_eq!((agenda.due().await, begun.elapsed().as_secs()), (a.clone(), 4));
        assert!(agenda.begin(&a));
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
