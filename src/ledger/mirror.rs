//! Which changes of an instance's status can wait. Shares given back, rooms and states are written at once; counts are
//! only a mirror of the Tasks, and a burst of starts would make a write of each. They are written with the next change
//! that matters, or after a moment. The counts in a service's status follow at once, but not more often than that.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::api::{ContainerInstanceStatus, EcsServiceStatus};

/// How long counts may be behind.
const PUT_OFF_MAX: Duration = Duration::from_secs(1);
/// And so much longer for each other instance whose counts wait: a fleet that starts up writes shares first.
const PUT_OFF_EACH: Duration = Duration::from_millis(10);
/// But never longer than this.
const PUT_OFF_LONGEST: Duration = Duration::from_secs(10);
/// Between two writes of a service's status that change only counts.
const PACE: Duration = Duration::from_secs(1);

/// How soon a change is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Haste {
    /// There is nothing to write.
    Never,
    /// Within a moment, together with what else comes up.
    Later,
    /// At once.
    Now,
}

/// How soon `after` is to replace `before`.
#[must_use]
pub(super) fn haste(before: Option<&ContainerInstanceStatus>, after: &ContainerInstanceStatus) -> Haste {
    let Some(before) = before else {
        // a node that joins is usually Ready a moment later, and takes nothing before
        return if after.agent_connected {
            Haste::Now
        } else {
            Haste::Later
        };
    };
    let mut rest = after.clone();
    // a share is told apart by its random id; the uid goes with the next write
    for entry in &mut rest.reservations {
        let same = |r: &&crate::domain::records::Reservation| {
            r.is_for(&entry.namespace, &entry.task) && r.uid.is_none()
        };
        if before.reservations.iter().any(|r| same(&r)) {
            entry.uid = None;
        }
    }
    if rest == *before {
        return Haste::Never;
    }
    rest.running_tasks_count = before.running_tasks_count;
    rest.pending_tasks_count = before.pending_tasks_count;
    if rest == *before { Haste::Later } else { Haste::Now }
}

/// Whether nothing differs between two statuses of a service but counts of its tasks and how new the Tasks are that were
/// counted.
#[must_use]
pub(super) fn counts_only(before: &EcsServiceStatus, after: &EcsServiceStatus) -> bool {
    let mut rest = after.clone();
    rest.running_count = before.running_count;
    rest.pending_count = before.pending_count;
    rest.observed_task_version
        .clone_from(&before.observed_task_version);
    for (deployment, before) in rest.deployments.iter_mut().zip(&before.deployments) {
        deployment.running_count = before.running_count;
        deployment.pending_count = before.pending_count;
    }
    rest == *before
}

/// Since when changes that can wait have waited, by instance.
#[derive(Debug, Default)]
pub(super) struct PutOff(Mutex<HashMap<String, Instant>>);

impl PutOff {
    /// How much longer the instance's change waits; `None`: it is due.
    pub(super) fn left(&self, instance: &str) -> Option<Duration> {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = since
            .entry(instance.to_owned())
            .or_insert_with(Instant::now)
            .elapsed();
        let others = u32::try_from(since.len().saturating_sub(1)).unwrap_or(u32::MAX);
        let wait = PUT_OFF_MAX.saturating_add(PUT_OFF_EACH.saturating_mul(others));
        let wait = wait.min(PUT_OFF_LONGEST);
        wait.checked_sub(waited).filter(|left| !left.is_zero())
    }

    /// Nothing waits any more.
    pub(super) fn settle(&self, instance: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(instance);
    }
}

/// When services were written last, as far as that decides on the next time.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<HashMap<String, Instant>>);

impl Pace {
    /// How much longer a change of the service's counts waits; `None`: it is due.
    pub(super) fn left(&self, service: &str) -> Option<Duration> {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        written.retain(|_, at| at.elapsed() < PACE);
        PACE.checked_sub(written.get(service)?.elapsed())
    }

    /// The service was written.
    pub(super) fn wrote(&self, service: String) {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        written.insert(service, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::records::{InstanceStatus, Reservation};

    fn status() -> ContainerInstanceStatus {
        ContainerInstanceStatus {
            agent_connected: true,
            reservations: vec![share(None)],
            ..ContainerInstanceStatus::default()
        }
    }

    fn share(uid: Option<&str>) -> Reservation {
        let uid = uid.map(|uid| format!(r#", "uid": "{uid}""#)).unwrap_or_default();
        let text = format!(r#"{{ "namespace": "ns", "task": "t1", "amounts": {{}}, "since": ""{uid} }}"#);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn counts_can_wait_and_a_uid_goes_with_them() {
        let before = status();
        assert_eq!(haste(Some(&before), &before), Haste::Never);
        let mut after = before.clone();
        after.reservations = vec![share(Some("u1"))];
        assert_eq!(haste(Some(&before), &after), Haste::Never);
        after.running_tasks_count = 1;
        assert_eq!(haste(Some(&before), &after), Haste::Later);
    }

    #[test]
    fn shares_rooms_and_states_are_written_at_once() {
        let before = status();
        let mut released = before.clone();
        released.reservations.clear();
        assert_eq!(haste(Some(&before), &released), Haste::Now);
        let mut smaller = before.clone();
        smaller.registered_resources.cpu = 1;
        assert_eq!(haste(Some(&before), &smaller), Haste::Now);
        let mut draining = before.clone();
        draining.status = InstanceStatus::Draining;
        assert_eq!(haste(Some(&before), &draining), Haste::Now);
        let mut other = status();
        other.reservations = vec![share(Some("u2"))];
        let mut known = status();
        known.reservations = vec![share(Some("u1"))];
        assert_eq!(haste(Some(&known), &other), Haste::Now, "another task's share");
    }

    #[test]
    fn an_instance_without_a_status_waits_only_as_long_as_its_node_is_not_ready() {
        let mut first = status();
        assert_eq!(haste(None, &first), Haste::Now);
        first.agent_connected = false;
        assert_eq!(haste(None, &first), Haste::Later);
    }

    #[test]
    fn of_a_service_only_counts_can_wait() {
        let before: EcsServiceStatus = serde_json::from_value(serde_json::json!({
            "status": "ACTIVE", "desiredCount": 3, "runningCount": 1, "pendingCount": 2,
            "deployments": [crate::domain::records::Deployment::default()],
        }))
        .unwrap();
        let mut after = before.clone();
        (after.running_count, after.pending_count) = (3, 0);
        after.deployments[0].running_count = 3;
        after.observed_task_version = Some("9".to_owned());
        assert!(counts_only(&before, &after));
        after.deployments[0].rollout_state = crate::domain::records::RolloutState::Completed;
        assert!(!counts_only(&before, &after));
        after = before.clone();
        after.desired_count = 4;
        assert!(!counts_only(&before, &after));
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_wait_waits_a_second_at_most() {
        let put_off = PutOff::default();
        assert_eq!(put_off.left("n1"), Some(PUT_OFF_MAX));
        tokio::time::advance(PUT_OFF_MAX / 2).await;
        assert_eq!(put_off.left("n1"), Some(PUT_OFF_MAX / 2));
        tokio::time::advance(PUT_OFF_MAX / 2).await;
        assert_eq!(put_off.left("n1"), None);
        put_off.settle("n1");
        assert_eq!(put_off.left("n1"), Some(PUT_OFF_MAX));
        assert_eq!(
            put_off.left("n2"),
            Some(PUT_OFF_MAX + PUT_OFF_EACH),
            "many wait longer"
        );
        for other in 0..5_000 {
            put_off.left(&other.to_string());
        }
        assert_eq!(put_off.left("n3"), Some(PUT_OFF_LONGEST), "but not for ever");
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_s_counts_are_written_at_once_and_then_once_a_second() {
        let pace = Pace::default();
        assert_eq!(pace.left("web"), None);
        pace.wrote("web".to_owned());
        tokio::time::advance(Duration::from_millis(300)).await;
        assert_eq!(pace.left("web"), Some(Duration::from_millis(700)));
        assert_eq!(pace.left("job"), None);
        tokio::time::advance(Duration::from_millis(700)).await;
        assert_eq!(pace.left("web"), None);
    }
}
