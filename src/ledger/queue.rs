//! Tasks that wait on an instance behind stopping ones: made without an instance, queued in the ledger, and given their
//! shares by the very write that gives back those of the stopped. (OPT-1)
//!
//! An entry takes no room and promises none: without it its Task waits for a place as any other, and whoever looks at the
//! Task next puts it into a queue again. So an entry may go at any time, and a crash between any two writes loses nothing.

use kube::ResourceExt;
use tracing::info;

use super::instance::{left, shown, takes_tasks};
use super::outcome::Outcome;
use super::service::Placed;
use super::{Ledger, commit::service_task};
use crate::api::{ContainerInstance, ContainerInstanceStatus, DesiredStatus};
use crate::cache::convert;
use crate::cache::store::version_of;
use crate::domain::records::{InstanceStatus, QUEUE_MAX, QueueEntry, Reservation};
use crate::plan::ServicePlan;
use crate::plan::optimistic::{Turn, turns};
use crate::plan::world::{Key, Service, World};

/// Brings the queue of a described instance up to date: entries go, and those that fit now get their shares. (HRM-6)
pub fn settle(object: &ContainerInstance, status: &mut ContainerInstanceStatus, world: &World) {
    let before = object.status.as_ref().map(|s| s.status).unwrap_or_default();
    if before != InstanceStatus::Active || !takes_tasks(object, status) {
        status.queue.clear();
        return;
    }
    let described = ContainerInstance {
        status: Some(status.clone()),
        ..object.clone()
    };
    let turns = turns(world, &convert::instance(&described));
    for (entry, turn) in std::mem::take(&mut status.queue).into_iter().zip(turns) {
        match turn {
            Turn::Goes => {}
            Turn::Waits => status.queue.push(entry),
            Turn::Starts => status.reservations.push(Reservation {
                namespace: entry.namespace,
                task: entry.task,
                uid: Some(entry.uid),
                service: entry.service,
                amounts: entry.amounts,
                since: world.now.to_string(),
                restored: false,
            }),
        }
    }
    status.remaining_resources = shown(&left(status));
}

impl Ledger {
    /// Creates the Task of a start that has to wait, without an instance: it is queued as soon as it is seen. Nobody
    /// authorises a Pod by it. (OPT-1, F2)
    pub(super) async fn create_waiting(&self, service: &Service, plan: &ServicePlan, placed: &Placed) {
        let mut deployments = plan.deployments.iter();
        let Some(deployment) = deployments.find(|d| d.id == placed.start.deployment) else {
            return;
        };
        let mut spec = service_task(service, &deployment.id, &deployment.task_definition, "");
        spec.container_instance = None;
        spec.desired_status = DesiredStatus::Running;
        let key = Key::new(&service.key.namespace, &placed.id);
        self.create_unbound(&key, spec).await;
    }

    /// Puts an entry at the end of an instance's queue, if the instance is still as it was decided on.
    pub async fn enqueue(&self, instance: &str, version: u64, entry: QueueEntry) -> Outcome<()> {
        let task = Key::new(&entry.namespace, &entry.task);
        let outcome = self
            .edit_queue(instance, Some(version), |queue| {
                if queue.len() < QUEUE_MAX && !queue.iter().any(|q| q.is_for(&entry.namespace, &entry.task)) {
                    queue.push(entry);
                }
            })
            .await;
        if matches!(outcome, Outcome::Applied(())) {
            info!(%task, instance, "queued behind stopping tasks");
        }
        outcome
    }

    /// Takes a task out of an instance's queue.
    pub async fn leave_queue(&self, instance: &str, task: &Key) -> Outcome<()> {
        let gone = |q: &QueueEntry| q.is_for(&task.namespace, &task.name);
        self.edit_queue(instance, None, |queue| queue.retain(|q| !gone(q)))
            .await
    }

    async fn edit_queue(
        &self,
        instance: &str,
        version: Option<u64>,
        edit: impl FnOnce(&mut Vec<QueueEntry>),
    ) -> Outcome<()> {
        let queue = self.queue(instance);
        let _turn = queue.lock().await;
        let Some(object) = self.cache.instances.named(instance) else {
            return Outcome::Gone;
        };
        let before = object.status.clone().unwrap_or_default();
        let newer = before.ledger_version > super::LEDGER_VERSION;
        if newer || version.is_some_and(|seen| seen != version_of(object.as_ref())) {
            return Outcome::Stale;
        }
        let mut after = before.clone();
        edit(&mut after.queue);
        let outcome = self.write_instance(&object, &before, &after).await;
        if matches!(outcome, Outcome::Stale) {
            self.refresh_instance(&object.name_any()).await;
        }
        outcome
    }
}
