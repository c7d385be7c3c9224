//! Pod → ECS: what its containers do, whether the task runs, must be stopped, has ended.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::api::{
    ContainerCondition, ContainerDefinition, ContainerState, HealthStatus, LastStatus, PodRef, Task,
    TaskDefinitionSpec,
};

use super::names::container_names;
use super::probes::{declared, not_ready_grace_seconds, unhealthy_after_seconds};
use super::reading::{Reading, cut, read, status_of};
use super::seen::Pod;

/// Exit code of a container that never started because of a dependency. (STOP-6)
const NEVER_STARTED: i32 = 143;
/// Seconds after which it is said that a node has not prepared a Pod's volumes and network. It may still do so.
const PREPARED_WITHIN_SECONDS: i64 = 60;

/// What is read, and when.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// The task; what its status recorded is never taken back.
    pub task: &'a Task,
    /// Its definition.
    pub definition: &'a TaskDefinitionSpec,
    /// Its Pod.
    pub pod: &'a Pod,
    /// Now: health depends on how long a container has been running.
    pub now: Timestamp,
}

/// A Pod in ECS's terms.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodObservation {
    /// PENDING, RUNNING or STOPPED; never before what the task's status says. (TASK-6, TASK-7)
    pub last_status: LastStatus,
    /// The containers in the definition's order. (TASK-2)
    pub containers: Vec<ContainerState>,
    /// The first essential container that ended: the task must be stopped. Look at `cannot_start` first. (TASK-8)
    pub essential_exited: Option<EssentialExit>,
    /// The Pod failed before any container ran, in the kubelet's words: `OutOfcpu: Pod was rejected: …`.
    pub failed_to_start: Option<String>,
    /// A container that ECS would have given up by now, though the kubelet tries on, or one whose dependency can't be
    /// met any more: the task must be stopped as `TaskFailedToStart`. (TASK-13, STOP-6)
    pub cannot_start: Option<String>,
    /// The node has not prepared volumes and network for a while: no container can start, and the kubelet gives no reason
    /// but in events.
    pub unprepared: Option<String>,
    /// Why the Pod as a whole is where it is, in the kubelet's words: `Evicted: …`, `Preempting: …`.
    pub pod_reason: Option<String>,
    /// Health of the essential containers that declare a check. (TASK-16)
    pub health: HealthStatus,
    /// When `health` or `unprepared` can change by time alone.
    pub recheck_at: Option<Timestamp>,
    /// Phase Succeeded or Failed, or all containers terminated.
    pub ended: bool,
    /// Somebody has deleted the Pod.
    pub deleting: bool,
    /// When the last container started, once all have. (TASK-11)
    pub started_at: Option<Timestamp>,
    /// When the last container ended, once the Pod has.
    pub finished_at: Option<Timestamp>,
    /// The Pod.
    pub pod: Option<PodRef>,
}

/// The end of an essential container. (STOP-7)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EssentialExit {
    /// Name as in the definition.
    pub container: String,
    /// Its exit code, if the kubelet kept it.
    pub exit_code: Option<i32>,
}

/// Reads a Pod.
#[must_use]
pub fn observe(seen: &Observed<'_>) -> PodObservation {
    let names = container_names(seen.definition);
    let recorded = seen.task.status.as_ref();
    let definitions = &seen.definition.container_definitions;
    let mut readings: Vec<Reading> = definitions
        .iter()
        .map(|definition| {
            let previous =
                recorded.and_then(|status| status.containers.iter().find(|c| c.name == definition.name));
            let pod_name = names
                .get(&definition.name)
                .map_or(definition.name.as_str(), String::as_str);
            read(seen.pod, definition, pod_name, previous)
        })
        .collect();
    let phase = seen.pod.status.as_ref().and_then(|s| s.phase.as_deref());
    let ended = matches!(phase, Some("Succeeded" | "Failed")) || all_terminated(seen.pod);
    let pod_reason = pod_reason(seen.pod);
    let never_ran = readings.iter().all(|r| !r.ran && r.exit_code.is_none());
    let failed_to_start = pod_reason
        .clone()
        .filter(|_| phase == Some("Failed") && never_ran);
    let cannot_start = readings
        .iter()
        .find_map(|r| r.cannot_start.clone())
        .or_else(|| broken_dependency(definitions, &readings));
    let all_ran = !readings.is_empty() && readings.iter().all(|r| r.ran);
    let essential_exited = essential_exit(&readings);
    if ended {
        end_unstarted(definitions, &mut readings, failed_to_start.is_some());
    }
    let (unprepared, recheck_at) = match unprepared_at(seen.pod).filter(|_| never_ran && !ended) {
        Some(at) if seen.now < at => (None, Some(at)),
        Some(_) => (Some(unprepared(seen.pod)), None),
        None => (None, None),
    };
    if let Some(first) = readings.first_mut().filter(|r| r.reason.is_none()) {
        first.reason.clone_from(&unprepared);
    }
    let mut observation = PodObservation {
        last_status: last_status(&readings, ended)
            .max(recorded.map_or(LastStatus::Pending, |s| s.last_status)),
        essential_exited,
        failed_to_start,
        cannot_start,
        unprepared,
        recheck_at,
        pod_reason,
        ended,
        deleting: seen.pod.metadata.deletion_timestamp.is_some(),
        started_at: readings
            .iter()
            .filter_map(|r| r.started)
            .max()
            .filter(|_| all_ran),
        finished_at: readings.iter().filter_map(|r| r.finished).max().filter(|_| ended),
        pod: pod_ref(seen.pod),
        ..PodObservation::default()
    };
    judge_health(seen, readings, &mut observation);
    observation
}

/// Whether every container of the Pod, ours or injected, has terminated.
fn all_terminated(pod: &Pod) -> bool {
    let Some(spec) = &pod.spec else { return false };
    spec.containers.iter().all(|c| {
        status_of(pod, &c.name)
            .and_then(|s| s.state.as_deref())
            .is_some_and(|state| state.terminated.is_some())
    })
}

/// When a Pod without sandbox is late: volumes that can't be mounted and a network that can't be set up keep it so.
fn unprepared_at(pod: &Pod) -> Option<Timestamp> {
    let status = pod.status.as_ref()?;
    let since = status.start_time?;
    (status.unprepared && pod.metadata.deletion_timestamp.is_none())
        .then(|| later(since, PREPARED_WITHIN_SECONDS))
}

fn unprepared(pod: &Pod) -> String {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    format!(
        "ResourceInitializationError: the node has not prepared the volumes and the network within \
         {PREPARED_WITHIN_SECONDS} s and tries on; `kubectl describe pod {name}` says what is missing"
    )
}

fn pod_reason(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let reason = status.reason.as_deref().filter(|r| !r.is_empty())?;
    Some(match status.message.as_deref().filter(|m| !m.is_empty()) {
        Some(message) => cut(&format!("{reason}: {message}")),
        None => reason.to_owned(),
    })
}

fn pod_ref(pod: &Pod) -> Option<PodRef> {
    Some(PodRef {
        name: pod.metadata.name.clone()?,
        uid: pod.metadata.uid.clone()?,
    })
}

/// RUNNING when every container has reached its steady state; one that has run and ended counts. (TASK-7)
fn last_status(readings: &[Reading], ended: bool) -> LastStatus {
    let running = |r: &&Reading| r.last_status == LastStatus::Running;
    if ended {
        LastStatus::Stopped
    } else if readings.iter().all(|r| r.ran) && readings.iter().any(|r| running(&r)) {
        LastStatus::Running
    } else {
        LastStatus::Pending
    }
}

/// The essential container that ended first. (TASK-8)
fn essential_exit(readings: &[Reading]) -> Option<EssentialExit> {
    readings
        .iter()
        .filter(|r| r.essential && r.last_status == LastStatus::Stopped)
        .min_by_key(|r| r.finished.unwrap_or(Timestamp::MAX))
        .map(|r| EssentialExit {
            container: r.name.clone(),
            exit_code: r.exit_code,
        })
}

/// A container that waits for a condition that its dependency can't reach any more. (TD-17)
fn broken_dependency(definitions: &[ContainerDefinition], readings: &[Reading]) -> Option<String> {
    let by_name: BTreeMap<&str, &Reading> = readings.iter().map(|r| (r.name.as_str(), r)).collect();
    let waiting = definitions
        .iter()
        .filter(|d| by_name.get(d.name.as_str()).is_some_and(|r| !r.ran));
    waiting
        .flat_map(|d| d.depends_on.iter().map(move |dependency| (d, dependency)))
        .find_map(|(definition, dependency)| {
            let target = by_name.get(dependency.container_name.as_str())?;
            let (wanted, broken) = match dependency.condition {
                ContainerCondition::Success => ("SUCCESS", target.exit_code.is_some_and(|code| code != 0)),
                ContainerCondition::Healthy => ("HEALTHY", true),
                ContainerCondition::Start | ContainerCondition::Complete => return None,
            };
            let ended = target.last_status == LastStatus::Stopped && target.ran;
            let code = target.exit_code.map_or_else(|| "unknown".to_owned(), |code| code.to_string());
            (ended && broken).then(|| {
                format!(
                    "Container '{}' can't start: it waits for {wanted} of '{}', which ended with exit code {code}",
                    definition.name, target.name
                )
            })
        })
}

/// In a Pod that has ended, what never started is STOPPED too; with 143 if a dependency kept it from it. (STOP-6)
fn end_unstarted(definitions: &[ContainerDefinition], readings: &mut [Reading], refused: bool) {
    for (reading, definition) in readings.iter_mut().zip(definitions) {
        reading.last_status = LastStatus::Stopped;
        if !reading.ran && !refused && !definition.depends_on.is_empty() {
            reading.exit_code = reading.exit_code.or(Some(NEVER_STARTED));
        }
    }
}

/// Health of each container and of the task. (TASK-16)
fn judge_health(seen: &Observed<'_>, readings: Vec<Reading>, observation: &mut PodObservation) {
    let mut judged = Vec::new();
    for (reading, definition) in readings.into_iter().zip(&seen.definition.container_definitions) {
        let (health, recheck) = container_health(seen, definition, &reading);
        observation.recheck_at = [observation.recheck_at, recheck].into_iter().flatten().min();
        if definition.essential && declared(definition).is_some() {
            judged.push(health);
        }
        observation.containers.push(ContainerState {
            name: reading.name,
            last_status: reading.last_status,
            exit_code: reading.exit_code,
            reason: reading.reason,
            health_status: health,
            runtime_id: reading.runtime_id,
            image_digest: reading.image_digest,
        });
    }
    observation.health = match () {
        () if judged.contains(&HealthStatus::Unhealthy) => HealthStatus::Unhealthy,
        () if judged.is_empty() || judged.contains(&HealthStatus::Unknown) => HealthStatus::Unknown,
        () => HealthStatus::Healthy,
    };
}

/// HEALTHY when ready. UNHEALTHY when not ready after startPeriod and all retries, and for long enough that a kubelet that
/// restarted (and shows its containers as not ready until it has probed them) is not taken for a failure. A Pod being
/// deleted keeps what was recorded.
fn container_health(
    seen: &Observed<'_>,
    definition: &ContainerDefinition,
    reading: &Reading,
) -> (HealthStatus, Option<Timestamp>) {
    let Some(check) = declared(definition).filter(|_| reading.last_status == LastStatus::Running) else {
        return (HealthStatus::Unknown, None);
    };
    let recorded = seen
        .task
        .status
        .iter()
        .flat_map(|s| &s.containers)
        .find(|c| c.name == definition.name);
    if seen.pod.metadata.deletion_timestamp.is_some() {
        return (recorded.map_or(HealthStatus::Unknown, |c| c.health_status), None);
    }
    if reading.ready {
        return (HealthStatus::Healthy, None);
    }
    let Some(started) = reading.started else {
        return (HealthStatus::Unknown, None);
    };
    let tried = later(started, unhealthy_after_seconds(check));
    let not_ready_since = seen.pod.status.as_ref().and_then(|s| s.not_ready_since);
    let settled = not_ready_since.map_or(tried, |since| later(since, not_ready_grace_seconds(check)));
    let judged_at = tried.max(settled);
    if seen.now >= judged_at {
        (HealthStatus::Unhealthy, None)
    } else {
        // Until then a task that was HEALTHY is still so: its checks have not failed often enough.
        let before = recorded.map_or(HealthStatus::Unknown, |c| c.health_status);
        (before, Some(judged_at))
    }
}

fn later(time: Timestamp, seconds: i64) -> Timestamp {
    time.saturating_add(SignedDuration::from_secs(seconds))
        .unwrap_or(Timestamp::MAX)
}
