//! Where effects become deeds: timers in their order, and requests, so many at a time, with a deadline each. What was not
//! answered, or by a server in trouble, is sent again after a growing wait, unless something newer takes its place.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use http::Request;
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use serde::Deserialize;

use super::effects::{Effects, Outcome, Target, Timer, Write};
use super::life::after;

/// The first and the longest wait before a request is sent again.
const AGAIN: (SignedDuration, SignedDuration) =
    (SignedDuration::from_millis(200), SignedDuration::from_secs(20));

/// Timers in the order of their time; of each there is one at most.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    order: BTreeSet<(Timestamp, Timer)>,
    due: BTreeMap<Timer, Timestamp>,
}

impl Agenda {
    /// Sets a timer in place of the one there was, or takes it off.
    pub(crate) fn set(&mut self, timer: Timer, due: Option<Timestamp>) {
        if let Some(before) = self.due.get(&timer).copied() {
            if Some(before) == due {
                return;
            }
            self.order.remove(&(before, timer.clone()));
            self.due.remove(&timer);
        }
        if let Some(due) = due {
            self.due.insert(timer.clone(), due);
            self.order.insert((due, timer));
        }
    }

    /// When the next timer is due.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.order.first().map(|(due, _)| *due)
    }

    /// Takes the next timer that is due by `now`.
    pub(crate) fn take(&mut self, now: Timestamp) -> Option<Timer> {
        let (_, timer) = self.order.first().filter(|(due, _)| *due <= now)?;
        let timer = timer.clone();
        self.set(timer.clone(), None);
        Some(timer)
    }
}

/// What is read of an answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    metadata: Versioned,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Versioned {
    resource_version: String,
}

struct Sent {
    target: Target,
    request: Request<Vec<u8>>,
    answer: Result<u64, Failure>,
}

enum Failure {
    /// Nobody knows whether it was done, or the server asks for patience.
    Unsure(String),
    Final(Outcome),
}

/// Requests that wait, that are under way, and that are to be sent again.
pub(crate) struct Desk {
    client: Client,
    limit: usize,
    deadline: Duration,
    line: VecDeque<Target>,
    waiting: BTreeMap<Target, Request<Vec<u8>>>,
    busy: BTreeSet<Target>,
    failures: BTreeMap<Target, u32>,
    under_way: FuturesUnordered<BoxFuture<'static, Sent>>,
}

impl Desk {
    /// A desk that sends `limit` requests at a time, each with a deadline.
    pub(crate) fn new(client: Client, limit: usize, deadline: Duration) -> Self {
        Self {
            client,
            limit,
            deadline,
            line: VecDeque::new(),
            waiting: BTreeMap::new(),
            busy: BTreeSet::new(),
            failures: BTreeMap::new(),
            under_way: FuturesUnordered::new(),
        }
    }

    /// Takes effects in.
    pub(crate) fn accept(&mut self, effects: Effects, agenda: &mut Agenda) {
        for (timer, due) in effects.timers {
            agenda.set(timer, due);
        }
        for Write { target, request } in effects.writes {
            let is_new = self.waiting.insert(target.clone(), request).is_none();
            if is_new && !self.busy.contains(&target) {
                self.line.push_back(target);
            }
        }
        self.send();
    }

    /// The wait of a request is over.
    pub(crate) fn again(&mut self, target: &Target) {
        if self.waiting.contains_key(target) && !self.busy.contains(target) && !self.line.contains(target) {
            self.line.push_back(target.clone());
        }
        self.send();
    }

    fn send(&mut self) {
        while self.under_way.len() < self.limit {
            let Some(target) = self.line.pop_front() else {
                return;
            };
            let Some(request) = self.waiting.remove(&target) else {
                continue;
            };
            self.busy.insert(target.clone());
            let (client, deadline) = (self.client.clone(), self.deadline);
            self.under_way.push(Box::pin(async move {
                let sending = client.request::<Answer>(request.clone());
                let answer = match tokio::time::timeout(deadline, sending).await {
                    Ok(Ok(answer)) => Ok(answer.metadata.resource_version.parse().unwrap_or(0)),
                    Ok(Err(error)) => Err(classify(error)),
                    Err(_) => Err(Failure::Unsure("no answer in time".to_owned())),
                };
                Sent {
                    target,
                    request,
                    answer,
                }
            }));
        }
    }

    /// Whether requests are under way.
    pub(crate) fn is_busy(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// The next answer, unless it is no longer of interest: a newer request for the same target is on its way, or the same
    /// one will be sent again. To be cancelled without loss.
    pub(crate) async fn answer(
        &mut self,
        agenda: &mut Agenda,
        now: impl Fn() -> Timestamp,
    ) -> Option<(Target, Outcome)> {
        let Sent {
            target,
            request,
            answer,
        } = self.under_way.next().await?;
        self.busy.remove(&target);
        let newer = self.waiting.contains_key(&target);
        let outcome = match answer {
            Ok(version) => Some(Outcome::Done(version)),
            Err(Failure::Final(outcome)) => Some(outcome),
            Err(Failure::Unsure(error)) => {
                let failures = self.failures.entry(target.clone()).or_default();
                let wait = AGAIN
                    .0
                    .saturating_mul(2_i32.saturating_pow(*failures))
                    .min(AGAIN.1);
                *failures = failures.saturating_add(1);
                tracing::debug!(?target, error, "a request is sent again");
                self.waiting.entry(target.clone()).or_insert(request);
                agenda.set(Timer::Again(target.clone()), Some(after(now(), wait)));
                None
            }
        };
        if outcome.is_some() {
            self.failures.remove(&target);
            if newer {
                self.line.push_back(target.clone());
            }
        }
        self.send();
        outcome.filter(|_| !newer).map(|outcome| (target, outcome))
    }
}

fn classify(error: kube::Error) -> Failure {
    match error {
        kube::Error::Api(status) if status.is_not_found() => Failure::Final(Outcome::Gone),
        // the uid that was named is not that of the object
        kube::Error::Api(status) if status.is_conflict() => Failure::Final(Outcome::Gone),
        kube::Error::Api(status) if status.code == 429 || status.code >= 500 => {
            Failure::Unsure(status.message.clone())
        }
        kube::Error::Api(status) => Failure::Final(Outcome::Refused(status.message.clone())),
        error => Failure::Unsure(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_timer_there_is_one_and_they_come_in_their_order() {
        let time = |seconds| Timestamp::from_second(seconds).unwrap();
        let timer = |name: &str| Timer::Lease(name.into());
        let mut agenda = Agenda::default();
        agenda.set(timer("a"), Some(time(9)));
        agenda.set(timer("c"), Some(time(3)));
        agenda.set(timer("b"), Some(time(3)));
        agenda.set(timer("d"), Some(time(1)));
        agenda.set(timer("a"), Some(time(4)));
        agenda.set(timer("d"), None);
        assert_eq!(agenda.next(), Some(time(3)));
        assert_eq!(agenda.take(time(2)), None);
        let taken: Vec<_> = std::iter::from_fn(|| agenda.take(time(5))).collect();
        assert_eq!(taken, ["b", "c", "a"].map(timer));
        assert_eq!(agenda.next(), None);
    }
}
