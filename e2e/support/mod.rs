//! What scenarios are written with: a namespace of their own, objects by a line, and waiting for conditions.

pub(crate) mod audit;
pub(crate) mod audit_log;
pub(crate) mod cluster;
pub(crate) mod ground;
pub(crate) mod history;
pub(crate) mod node;
pub(crate) mod operator;
mod scenario;
mod space;
mod tidy;

use std::future::Future;
use std::time::{Duration, Instant};

use ecs_operator::api::{ContainerInstance, LastStatus, Task};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;

pub(crate) use ground::client;
pub(crate) use scenario::Scenario;
pub(crate) use space::{MADE_HERE, Space};

/// The image of test workloads; see `e2e/tools/workload`.
pub(crate) const WORKLOAD: &str = "localhost/ecs-e2e/workload:1";
/// How often conditions are looked at.
const POLL: Duration = Duration::from_millis(100);
/// Longest time between two looks.
const POLL_MAX: Duration = Duration::from_secs(1);

/// Waits until `look` gives something; panics with what it last said when the deadline passes.
pub(crate) async fn eventually<T, F>(what: &str, seconds: u64, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, String>>,
{
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let mut pause = POLL;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(why) if Instant::now() >= deadline => {
                panic!("not within {seconds}s: {what}; last seen: {why}")
            }
            Err(_) => tokio::time::sleep(pause).await,
        }
        // what takes long is looked at less often: many wait at a time in some scenarios
        pause = pause.mul_f64(1.1).min(POLL_MAX);
    }
}

pub(crate) fn last(task: &Task) -> LastStatus {
    if task.spec.tombstone {
        return LastStatus::Stopped;
    }
    task.status.as_ref().map(|s| s.last_status).unwrap_or_default()
}

/// Whether a task is to run and has not ended.
pub(crate) fn wanted(task: &Task) -> bool {
    task.spec.desired_status == ecs_operator::api::DesiredStatus::Running
        && task.metadata.deletion_timestamp.is_none()
        && last(task) != LastStatus::Stopped
}

pub(crate) fn placed_on(task: &Task) -> String {
    task.spec.container_instance.clone().unwrap_or_default()
}

pub(crate) fn reservations(instance: &ContainerInstance, namespace: &str) -> usize {
    let entries = instance.status.iter().flat_map(|s| &s.reservations);
    entries.filter(|r| r.namespace == namespace).count()
}

/// What a condition of an object says: `False NodeBlocked: the node …`; empty if it has none of the type.
pub(crate) fn says(conditions: &[Condition], type_: &str) -> String {
    let found = conditions.iter().find(|c| c.type_ == type_);
    found.map_or(String::new(), |c| {
        format!("{} {}: {}", c.status, c.reason, c.message)
    })
}

/// The names of objects.
pub(crate) fn names<'a, K: ResourceExt + 'a>(objects: impl IntoIterator<Item = &'a K>) -> Vec<String> {
    objects.into_iter().map(ResourceExt::name_any).collect()
}
