//! What this process knows of authorising writes and Pod creates, on its own monotonic clock (F2, F3).
//!
//! T = 5 s, T2 = 10 s (the request deadline), E = 15 s are constants of the API version and never lowered: a Pod create
//! can arrive at most T + T2 + E after the authorising write it rests on.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A Pod is created only within this time of the authorising write (T).
pub const AUTHORISATION: Duration = Duration::from_secs(5);
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

/// Per Task uid: own authorising writes, and the last one seen of others.
#[derive(Debug, Default)]
pub struct Fences {
    mine: Mutex<HashMap<String, Mine>>,
    seen: Mutex<HashMap<String, Seen>>,
    ended: Mutex<HashMap<String, Instant>>,
}

impl Fences {
    /// This process made an authorising write on a Task, begun at `since`.
    pub fn authorised(&self, uid: &str, since: Instant) {
        let mine = Mine { since, create: PodCreate::NotSent };
        self.mine.lock().unwrap_or_else(PoisonError::into_inner).insert(uid.to_owned(), mine);
    }

    /// A Pod create is being sent; until [`Fences::answered`] its end is uncertain.
    pub fn sending(&self, uid: &str) {
        self.set(uid, PodCreate::Uncertain);
    }

    /// The Pod create was answered, by success or refusal.
    pub fn answered(&self, uid: &str) {
        self.set(uid, PodCreate::Answered);
    }

    fn set(&self, uid: &str, create: PodCreate) {
        if let Some(mine) = self.mine.lock().unwrap_or_else(PoisonError::into_inner).get_mut(uid) {
            mine.create = create;
        }
    }

    /// How long since this process began its authorising write on the Task.
    pub fn age(&self, uid: &str) -> Option<Duration> {
        self.mine.lock().unwrap_or_else(PoisonError::into_inner).get(uid).map(|mine| mine.since.elapsed())
    }

    /// When `author`'s authorising write on the Task was first seen here.
    fn first_seen(&self, uid: &str, author: &str) -> Instant {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let entry =
            seen.entry(uid.to_owned()).or_insert_with(|| Seen { author: author.to_owned(), at: Instant::now() });
        if entry.author != author {
            *entry = Seen { author: author.to_owned(), at: Instant::now() };
        }
        entry.at
    }

    /// How long F3 asks to wait before "no Pod" means that none can come; `None`: no need to wait (any more).
    /// `author` is the value of `authorised-by`, empty if nobody authorised.
    pub fn wait(&self, uid: &str, author: &str, process: &str) -> Option<Duration> {
        if author.is_empty() {
            return None;
        }
        if author == process
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
        let fresh = author == process && self.age(uid).is_some_and(|age| age < AUTHORISATION);
        if fresh { PodPermit::Create } else { PodPermit::Authorise }
    }

    /// How long a Task's finalizer must stay yet after its release was first seen here; `None`: it may go. (F1)
    pub fn finalizer_wait(&self, uid: &str) -> Option<Duration> {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        remaining(*ended.entry(uid.to_owned()).or_insert_with(Instant::now))
    }

    /// Forgets a Task that is gone.
    pub fn forget(&self, uid: &str) {
        self.mine.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
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
        assert_eq!(fences.permit("u", "me", "me"), PodPermit::Create);
        pass(5).await;
        assert_eq!(fences.permit("u", "me", "me"), PodPermit::Authorise);
    }

    #[tokio::test(start_paused = true)]
    async fn f2_nobody_takes_over_before_the_whole_wait() {
        let fences = Fences::default();
        assert_eq!(fences.permit("u", "other", "me"), PodPermit::Wait(FENCE));
        pass(29).await;
        assert_eq!(fences.permit("u", "other", "me"), PodPermit::Wait(Duration::from_secs(1)));
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
        assert_eq!(fences.wait("u", "me", "me"), None);
        fences.sending("u");
        assert_eq!(fences.wait("u", "me", "me"), Some(FENCE));
        fences.answered("u");
        assert_eq!(fences.wait("u", "me", "me"), None);
        fences.sending("u");
        pass(30).await;
        assert_eq!(fences.wait("u", "me", "me"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn f1_the_finalizer_stays_for_the_whole_wait_after_the_release() {
        let fences = Fences::default();
        assert_eq!(fences.finalizer_wait("u"), Some(FENCE));
        pass(30).await;
        assert_eq!(fences.finalizer_wait("u"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn f3_a_restarted_process_does_not_know_its_own_creates() {
        // another process id: the annotation of its predecessor is a stranger's
        assert_eq!(Fences::default().wait("u", "old-me", "new-me"), Some(FENCE));
    }
}
