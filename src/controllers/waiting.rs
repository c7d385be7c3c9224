//! Who waits for something, and is to look again.

use std::sync::Arc;

use kube::ResourceExt;

use super::fairness::neediest_first;
use super::wiring::Wiring;
use crate::api::{ContainerInstanceStatus, DesiredStatus, EcsCluster, EcsService, OptimisticPlacement, Task};
use crate::cache::store::{Change, key_of};
use crate::cache::wishes;
use crate::plan::world::Key;

impl Wiring {
    /// These services look again, the neediest first.
    pub(super) fn services_where(&self, wanted: impl Fn(&EcsService) -> bool) {
        let mut services = self.cache.services.all();
        services.retain(|service| wanted(service));
        neediest_first(&mut services);
        for service in services {
            self.queues.services.push(key_of(service.as_ref()));
        }
    }

    /// Tasks that wait to be placed look again, the oldest first. (RUN-2)
    pub(super) fn waiting_where(&self, wanted: impl Fn(&Task) -> bool) {
        // those without an instance are the group without a name
        let mut waiting = self.cache.tasks.group("");
        waiting.retain(|task| task.spec.desired_status == DesiredStatus::Running && wanted(task));
        waiting.sort_by_key(|task| (task.metadata.creation_timestamp.clone(), key_of(task.as_ref())));
        for task in waiting {
            match wishes::waits_with(&task) {
                Some(request) => self.queues.requests.push(request),
                None => self.queues.tasks.push(key_of(task.as_ref())),
            }
        }
    }

    /// Instances that hold a share for a task which was bound to another, or was never bound and has ended, and those in
    /// whose queue it stands. (RUN-1, HRM-7)
    pub(super) fn holders_of(&self, task: &Key) {
        for instance in self.cache.instances.all() {
            let holds = |s: &ContainerInstanceStatus| {
                s.reservations
                    .iter()
                    .any(|r| r.is_for(&task.namespace, &task.name))
                    || s.queue.iter().any(|q| q.is_for(&task.namespace, &task.name))
            };
            if instance.status.as_ref().is_some_and(holds) {
                self.queues.instances.push_named(instance.name_any());
            }
        }
    }

    /// Where tasks are placed behind stopping ones, a task that begins to stop is what those wait for that have no place.
    /// (OPT-1)
    pub(super) fn begins_to_stop(&self, change: &Change<Task>) {
        let Change::Put(Some(old), new) = change else {
            return;
        };
        let stops = |task: &Task| {
            let stopping = task.status.as_ref().and_then(|s| s.stopping_at.clone());
            (task.spec.desired_status, stopping)
        };
        let cluster = &new.spec.cluster;
        let queues = |c: Arc<EcsCluster>| c.spec.optimistic_placement != OptimisticPlacement::Off;
        let begins = new.spec.desired_status == DesiredStatus::Stopped && stops(old) != stops(new);
        if begins && self.cache.clusters.named(cluster).is_some_and(queues) {
            let short = |s: &EcsService| {
                s.status
                    .as_ref()
                    .is_some_and(|s| !s.placement_failures.is_empty())
            };
            self.services_where(|service| service.spec.cluster == *cluster && short(service));
            self.waiting_where(|task| task.spec.cluster == *cluster);
        }
    }
}
