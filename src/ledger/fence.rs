//! What this process knows of authorising writes and Pod creates, on its own monotonic clock (F2, F3).
//!
//! T = 5 s, T2 = 10 s (the request deadline), E = 15 s are constants of the API version and never lowered: a Pod create
//! can arrive at most T + T2 + E after the authorising write it rests on.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::rules::{Rule, off};
use crate::plan::world::Key;

/// A Pod is created only within this time of the authorising write (T).
pub const AUTHORISATION: Duration = Duration::from_secs(5);
/// A look at a share older than this is taken anew before a Task is created on it: the rest of T is for the Pod.
pub const FRESH: Duration = Duration::from_millis(2500);
/// F3's wait: T + T2 + E.
pub const FENCE: Duration = Duration::from_secs(5 + 10 + 15);
const _: () = assert!(FENCE.as_secs() == AUTHORISATION.as_secs() + super::REQUEST_TIMEOUT.as_secs() + 15);

/// How a Pod create of this process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PodCreate {
    NotSent,
    Uncertain,
    Answered,
}

#[derive(Clone, Debug)]
struct Mine {
    since: Instant,
    create: PodCreate,
}

#[derive(Clone, Copy, Debug)]
struct Unseen {
    since: Instant,
    given_up: bool,
}

#[derive(Clone, Debug)]
struct Seen {
    author: String,
    at: Instant,
}

/// What this process may do about a task's Pod that it does not see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodPermit {
    /// Create it now: this process authorised less than T ago.
    Create,
    /// An authorising write is due first, and may be made now.
    Authorise,
    /// Wait that long: a create may be under way.
    Wait(Duration),
}

/// Whether an `authorised-by` value (`PROCESS.NUMBER`, new with every write) is of this process.
fn is_by(author: &str, process: &str) -> bool {
    author.split('.').next() == Some(process)
}

/// Per Task uid: own authorising writes, and the last one seen of others.
#[derive(Debug, Default)]
pub struct Fences {
    mine: Mutex<HashMap<String, Mine>>,
    seen: Mutex<HashMap<String, Seen>>,
    ended: Mutex<HashMap<String, Instant>>,
    unseen: Mutex<HashMap<Key, Unseen>>,
    count: AtomicU64,
}

impl Fences {
    /// A new value for `authorised-by`. It differs with every write, so that everybody sees that one was made.
    pub fn author(&self, process: &str) -> String {
        format!("{process}.{}", self.count.fetch_add(1, Ordering::Relaxed))
    }

    /// This process made an authorising write on a Task, begun at `since`.
    pub fn authorised(&self, uid: &str, since: Instant) {
        let mine = Mine {
            since,
            create: PodCreate::NotSent,
        };
        self.mine
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(uid.to_owned(), mine);
    }

    /// Claims the one Pod create that an authorising write allows: until [`Fences::answered`] its end is uncertain.
    /// False if it was claimed before.
    pub fn claim(&self, uid: &str) -> bool {
        let mut mine = self.mine.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = mine.get_mut(uid).filter(|mine| mine.create == PodCreate::NotSent) else {
            return false;
        };
        entry.create = PodCreate::Uncertain;
        true
    }

    /// The Pod create was answered, by success or refusal.
    pub fn answered(&self, uid: &str) {
        if let Some(mine) = self
            .mine
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_mut(uid)
        {
            mine.create = PodCreate::Answered;
        }
    }

    /// How long since this process began its authorising write on the Task.
    pub fn age(&self, uid: &str) -> Option<Duration> {
        self.mine
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(uid)
            .map(|mine| mine.since.elapsed())
    }

    fn unused(&self, uid: &str) -> bool {
        let mine = self.mine.lock().unwrap_or_else(PoisonError::into_inner);
        mine.get(uid)
            .is_some_and(|mine| mine.create == PodCreate::NotSent)
    }

    /// When `author`'s authorising write on the Task was first seen here.
    fn first_seen(&self, uid: &str, author: &str) -> Instant {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = seen.entry(uid.to_owned()).or_insert_with(|| Seen {
            author: author.to_owned(),
            at: Instant::now(),
        });
        if entry.author != author {
            *entry = Seen {
                author: author.to_owned(),
                at: Instant::now(),
            };
        }
        entry.at
    }

    /// An authorising write was seen. A process that does not plan yet says so too: when it takes over, it has been
    /// waiting all the while.
    pub fn seen_author(&self, uid: &str, author: &str) {
        if !author.is_empty() {
            self.first_seen(uid, author);
        }
    }

    /// How long F3 asks to wait before "no Pod" means that none can come; `None`: no need to wait (any more).
    /// `author` is the value of `authorised-by`, empty if nobody authorised.
    pub fn wait(&self, uid: &str, author: &str, process: &str) -> Option<Duration> {
        if author.is_empty() || off(Rule::F3) {
            return None;
        }
        if is_by(author, process)
            && let Some(mine) = self.mine.lock().unwrap_or_else(PoisonError::into_inner).get(uid)
        {
            // the author that never sent a create, or knows its answer, need not wait
            return match mine.create {
                PodCreate::NotSent | PodCreate::Answered => None,
                PodCreate::Uncertain => remaining(mine.since),
            };
        }
        remaining(self.first_seen(uid, author))
    }

    /// What this process may do about the Pod of a Task that should run and has none. (F2)
    pub fn permit(&self, uid: &str, author: &str, process: &str) -> PodPermit {
        if let Some(wait) = self.wait(uid, author, process) {
            return PodPermit::Wait(wait);
        }
        if off(Rule::F2) {
            return PodPermit::Create;
        }
        let fresh = is_by(author, process)
            && self.unused(uid)
            && self.age(uid).is_some_and(|age| age < AUTHORISATION);
        if fresh {
            PodPermit::Create
        } else {
            PodPermit::Authorise
        }
    }

    /// How long a Task's finalizer must stay yet after its release was first seen here; `None`: it may go. (F1)
    pub fn finalizer_wait(&self, uid: &str) -> Option<Duration> {
        if off(Rule::F1) {
            return None;
        }
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        remaining(*ended.entry(uid.to_owned()).or_insert_with(Instant::now))
    }

    /// For how long a reserved task has not been seen as a Task here.
    pub fn unseen_for(&self, namespace: &str, task: &str) -> Duration {
        let mut unseen = self.unseen.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Unseen {
            since: Instant::now(),
            given_up: false,
        };
        unseen
            .entry(Key::new(namespace, task))
            .or_insert(fresh)
            .since
            .elapsed()
    }

    /// The task was seen.
    pub fn seen_task(&self, namespace: &str, task: &str) {
        self.unseen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&Key::new(namespace, task));
    }

    /// The task can't come any more although no tombstone could be made: its namespace is going and F3's wait is over.
    pub fn give_up(&self, namespace: &str, task: &str) {
        let mut unseen = self.unseen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = unseen.get_mut(&Key::new(namespace, task)) {
            entry.given_up = true;
        }
    }

    /// Whether [`Fences::give_up`] was said of the task.
    pub fn given_up(&self, namespace: &str, task: &str) -> bool {
        let unseen = self.unseen.lock().unwrap_or_else(PoisonError::into_inner);
        unseen
            .get(&Key::new(namespace, task))
            .is_some_and(|entry| entry.given_up)
    }

    /// Drops what is kept of Tasks that are not `known` by their uid, and of ids that are not `awaited`: others let them
    /// go, or an answer came after the end. What is younger than twice F3's wait stays, for its Task may be on its way
    /// into the store. An entry dropped too early would make this process wait anew; it never lets it go ahead.
    pub fn sweep(&self, known: impl Fn(&str) -> bool, awaited: impl Fn(&Key) -> bool) {
        let young = |since: Instant| since.elapsed() < FENCE.saturating_mul(2);
        let mut mine = self.mine.lock().unwrap_or_else(PoisonError::into_inner);
        mine.retain(|uid, mine| young(mine.since) || known(uid));
        drop(mine);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|uid, seen| young(seen.at) || known(uid));
        drop(seen);
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.retain(|uid, since| young(*since) || known(uid));
        drop(ended);
        let mut unseen = self.unseen.lock().unwrap_or_else(PoisonError::into_inner);
        unseen.retain(|key, unseen| young(unseen.since) || awaited(key));
    }

    /// Forgets a Task that is gone.
    pub fn forget(&self, uid: &str) {
        self.mine
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(uid);
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(uid);
        self.ended
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(uid);
    }
}

fn remaining(since: Instant) -> Option<Duration> {
    FENCE.checked_sub(since.elapsed()).filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn f2_the_author_creates_within_t_and_authorises_again_later() {
        let fences = Fences::default();
        fences.authorised("u", Instant::now());
        assert_eq!(fences.permit("u", "me.1", "me"), PodPermit::Create);
        pass(5).await;
        assert_eq!(fences.permit("u", "me.1", "me"), PodPermit::Authorise);
    }

    #[tokio::test(start_paused = true)]
    async fn f3_a_process_that_looked_on_need_not_wait_when_it_takes_over() {
        let fences = Fences::default();
        fences.seen_author("u", "other");
        pass(31).await;
        fences.seen_author("u", "other");
        assert_eq!(fences.wait("u", "other", "me"), None);
        fences.seen_author("u", "third");
        assert_eq!(fences.wait("u", "third", "me"), Some(FENCE));
        fences.seen_author("v", "");
        assert_eq!(
            fences.wait("v", "other", "me"),
            Some(FENCE),
            "nobody had authorised it"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn f2_nobody_takes_over_before_the_whole_wait() {
        let fences = Fences::default();
        assert_eq!(fences.permit("u", "other", "me"), PodPermit::Wait(FENCE));
        pass(29).await;
        assert_eq!(
            fences.permit("u", "other", "me"),
            PodPermit::Wait(Duration::from_secs(1))
        );
        pass(1).await;
        assert_eq!(fences.permit("u", "other", "me"), PodPermit::Authorise);
        // a third process took over meanwhile: the wait begins again
        assert_eq!(fences.permit("u", "third", "me"), PodPermit::Wait(FENCE));
    }

    #[tokio::test(start_paused = true)]
    async fn f2_the_first_admission_needs_no_wait() {
        assert_eq!(Fences::default().permit("u", "", "me"), PodPermit::Authorise);
    }

    #[tokio::test(start_paused = true)]
    async fn f3_an_uncertain_create_is_waited_for_and_an_answered_one_is_not() {
        let fences = Fences::default();
        fences.authorised("u", Instant::now());
        assert_eq!(fences.wait("u", "me.1", "me"), None);
        assert!(
            fences.claim("u") && !fences.claim("u"),
            "one create per authorising write"
        );
        assert_eq!(fences.wait("u", "me.1", "me"), Some(FENCE));
        fences.answered("u");
        assert_eq!(fences.wait("u", "me.1", "me"), None);
        assert_eq!(
            fences.permit("u", "me.1", "me"),
            PodPermit::Authorise,
            "a new create needs a new write"
        );
        fences.authorised("u", Instant::now());
        assert!(fences.claim("u"));
        pass(30).await;
        assert_eq!(fences.wait("u", "me.1", "me"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn f1_the_finalizer_stays_for_the_whole_wait_after_the_release() {
        let fences = Fences::default();
        assert_eq!(fences.finalizer_wait("u"), Some(FENCE));
        pass(30).await;
        assert_eq!(fences.finalizer_wait("u"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_of_tasks_that_are_gone_is_dropped_and_of_others_nothing() {
        let fences = Fences::default();
        let entries = |fences: &Fences| {
            (
                fences.mine.lock().unwrap().len(),
                fences.seen.lock().unwrap().len(),
                fences.ended.lock().unwrap().len(),
                fences.unseen.lock().unwrap().len(),
            )
        };
        for uid in ["lives", "gone"] {
            fences.authorised(uid, Instant::now());
            assert!(fences.claim(uid));
            fences.answered(uid);
            fences.seen_author(&format!("{uid}-others"), "other.1");
            fences.finalizer_wait(uid);
            fences.unseen_for("ns", uid);
        }
        let sweep = || fences.sweep(|uid| uid.starts_with("lives"), |key| key.name == "lives");
        pass(59).await;
        sweep();
        assert_eq!(
            entries(&fences),
            (2, 2, 2, 2),
            "they may be on their way into the store"
        );
        pass(1).await;
        sweep();
        assert_eq!(entries(&fences), (1, 1, 1, 1));
        assert_eq!(fences.wait("lives", "me.1", "me"), None);
        assert_eq!(fences.wait("lives-others", "other.1", "me"), None);
        assert_eq!(fences.finalizer_wait("lives"), None);
        assert_eq!(fences.unseen_for("ns", "lives"), Duration::from_secs(60));
        assert_eq!(
            (fences.wait("gone", "me.1", "me"), fences.finalizer_wait("gone")),
            (Some(FENCE), Some(FENCE)),
            "what was dropped is waited for anew"
        );
        assert!(!fences.claim("gone"), "and allows no create");
    }

    #[tokio::test(start_paused = true)]
    async fn f3_a_restarted_process_does_not_know_its_own_creates() {
        // another process id: the annotation of its predecessor is a stranger's
        assert_eq!(Fences::default().wait("u", "old-me", "new-me"), Some(FENCE));
    }
}
