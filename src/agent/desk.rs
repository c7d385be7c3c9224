//! Who asks, and what becomes of it. (PROT-20 to PROT-24)

use std::sync::Arc;
use std::time::Duration;

use kube::{Resource, ResourceExt};
use tracing::{info, warn};

use super::answer::{self, Answer};
use super::call::{Body, Call, Wish};
use crate::api::{Task, TaskProtection};
use crate::build::{AgentId, Pod, pod_name};
use crate::cache::Cache;
use crate::cache::node::pod_ended;
use crate::cache::store::key_of;
use crate::ledger::Ledger;
use crate::ledger::outcome::Outcome;
use crate::ledger::pod::belongs;
use crate::plan::world::Key;
use crate::runtime::backoff::jittered;
use crate::runtime::source;

/// Time for a call, as ECS's agent gives the service. (PROT-24)
const CALL: Duration = Duration::from_secs(4);
/// How often a request is tried on a Task that moves.
const TRIES: usize = 6;
/// Wait before the next.
const AGAIN: Duration = Duration::from_millis(20);

/// Answers calls.
#[derive(Clone)]
pub(super) struct Desk {
    ledger: Ledger,
    cache: Arc<Cache>,
}

impl Desk {
    pub(super) fn new(ledger: Ledger, cache: Arc<Cache>) -> Self {
        Self { ledger, cache }
    }

    /// Answers a call in time. `body` counts for UpdateTaskProtection only.
    pub(super) async fn answer(&self, call: Call, id: &str, body: &[u8]) -> Answer {
        let answered = tokio::time::timeout(CALL, self.handle(call, id, body));
        answered.await.unwrap_or_else(|_| Answer::timed_out())
    }

    async fn handle(&self, call: Call, id: &str, body: &[u8]) -> Answer {
        // in the order of ECS's agent: a body that can't be read, whose it is, what it lacks
        let wish = match call {
            Call::UpdateProtection => match Body::read(body) {
                Some(body) => Some(body.wish()),
                None => return Answer::undecodable(),
            },
            Call::GetProtection | Call::GetQuiesce => None,
        };
        let task = match self.caller(id).await {
            Ok(task) => task,
            Err(answer) => return answer,
        };
        match wish {
            Some(Ok(wish)) => self.protect(task, wish).await,
            Some(Err(problem)) => Answer::invalid(&task, problem),
            None if call == Call::GetQuiesce => answer::quiesce(&task),
            None => answer::protection(&task, source::now()),
        }
    }

    /// The Task whose Pod was given this id and has not ended, as the API server itself says. (PROT-20)
    async fn caller(&self, id: &str) -> Result<Task, Answer> {
        let id = AgentId::parse(id).ok_or_else(Answer::unknown)?;
        let name = id.task().ok_or_else(Answer::unknown)?;
        let whole = found(self.ledger.look_up_pod(id.namespace, id.pod).await)?;
        let told = id.is_of(&whole);
        let pod = Pod::from(whole);
        if !told || pod_ended(&pod) {
            return Err(Answer::unknown());
        }
        let task = found(self.ledger.look_up_task(&Key::new(id.namespace, name)).await)?;
        if own(&task, &pod) {
            Ok(task)
        } else {
            Err(Answer::unknown())
        }
    }

    /// Hands the request on, and waits for what whoever plans answers.
    async fn protect(&self, task: Task, wish: Wish) -> Answer {
        if let Some(problem) = answer::never(&task) {
            return problem;
        }
        let request = TaskProtection {
            protection_enabled: wish.enabled,
            expires_in_minutes: wish.minutes,
            // each call begins the period anew (PROT-2)
            renewal: Some(source::id()),
        };
        let key = key_of(&task);
        let mut seen = Arc::new(task);
        for _ in 0..TRIES {
            if wish.enabled && answer::stopping(&seen) {
                let why = "The task was told to stop; only a task that should run can be protected.";
                return Answer::not_valid(&seen, why);
            }
            match self.ledger.ask_protection(&seen, &request).await {
                Outcome::Applied(()) => {
                    info!(task = %key, enabled = wish.enabled, minutes = wish.minutes, "the task asks for protection itself");
                    return self.answered(&key, &seen).await;
                }
                Outcome::Gone => return Answer::unknown(),
                Outcome::Stale => {
                    tokio::time::sleep(jittered(AGAIN)).await;
                    let newest = self.cache.tasks.get(&key);
                    let Some(newest) = newest.filter(|newest| newest.uid() == seen.uid()) else {
                        return Answer::unknown();
                    };
                    seen = newest;
                }
                other => {
                    warn!(task = %key, ?other, "a task's request for protection was not taken");
                    return Answer::unexpected(&seen);
                }
            }
        }
        Answer::unexpected(&seen)
    }

    /// Waits until the request in the Task is answered; the store hears of it whoever answers.
    async fn answered(&self, key: &Key, asked: &Task) -> Answer {
        loop {
            let known = self.cache.tasks.version();
            let Some(task) = self.cache.tasks.get(key).filter(|t| t.uid() == asked.uid()) else {
                return Answer::unknown();
            };
            if let Some(answer) = answer::granted(&task, source::now()) {
                return answer;
            }
            self.cache.tasks.reached(known.saturating_add(1), CALL).await;
        }
    }
}

fn found<T>(outcome: Outcome<T>) -> Result<T, Answer> {
    match outcome {
        Outcome::Applied(object) => Ok(object),
        Outcome::Gone => Err(Answer::unknown()),
        _ => Err(Answer::lookup_failed()),
    }
}

/// Whether the Pod is the task's own: by name, by owner, and by the uid that was recorded when it ran.
fn own(task: &Task, pod: &Pod) -> bool {
    let recorded = task.status.as_ref().and_then(|s| s.pod.as_ref());
    let same = recorded.is_none_or(|recorded| Some(&recorded.uid) == pod.meta().uid.as_ref());
    same && belongs(task, pod) && pod_name(task) == pod.metadata.name
}
