//! Whom a task concerns because of the instance it is on.

use jiff::Timestamp;
use kube::ResourceExt;

use super::news::asks;
use super::wiring::Wiring;
use crate::api::{SchedulingStrategy, Task};
use crate::cache::store::Change;
use crate::domain::records::InstanceStatus;
use crate::plan::world::Key;

impl Wiring {
    /// Daemons of its instance, and whoever waits for the daemon whose task it is.
    pub(super) fn neighbours(&self, change: &Change<Task>) {
        let object = change.object();
        if let Some(instance) = &object.spec.container_instance {
            self.daemons_beside(instance);
        }
        let daemon = object.spec.service.as_ref().filter(|service| service.daemon);
        if let Some(daemon) = daemon.filter(|_| may_be_ready(change)) {
            self.waiting_for(object, &daemon.name);
        }
    }

    /// A stopping task may be what a daemon on the same draining instance waits for; and what runs there may be what a
    /// daemon's rules ask for.
    fn daemons_beside(&self, instance: &str) {
        let world = self.cache.snapshot(Timestamp::UNIX_EPOCH, 0);
        let known = world.instances.get(instance);
        let active = known.is_some_and(|i| i.status == InstanceStatus::Active);
        for neighbour in self.cache.tasks.group(instance) {
            let Some(service) = neighbour.spec.service.as_ref().filter(|s| s.daemon) else {
                continue;
            };
            let key = Key::new(neighbour.namespace().unwrap_or_default(), &service.name);
            let asks = || {
                self.cache
                    .services
                    .get(&key)
                    .is_none_or(|service| asks(&world, &service))
            };
            if !active || asks() {
                self.queues.services.push(key);
            }
        }
    }

    /// Services that name the daemon, and all replicas and run-once tasks where their cluster has them wait for daemons.
    fn waiting_for(&self, task: &Task, daemon: &str) {
        let (namespace, cluster) = (task.namespace(), &task.spec.cluster);
        let settings = self.cache.clusters.named(cluster);
        let all = settings.is_some_and(|settings| settings.spec.replicas_wait_for_daemons);
        self.services_where(|service| {
            let names = service.spec.depends_on_daemons.iter().any(|name| name == daemon);
            let replica = service.spec.scheduling_strategy == SchedulingStrategy::Replica;
            (names && service.namespace() == namespace)
                || (all && replica && service.spec.cluster == *cluster)
        });
        if all {
            self.waiting_where(|task| task.spec.cluster == *cluster);
        }
    }
}

/// Whether others may find the task ready now that they did not before.
fn may_be_ready(change: &Change<Task>) -> bool {
    let state = |task: &Task| task.status.as_ref().map(|s| (s.last_status, s.health_status));
    match change {
        Change::Put(Some(old), new) => state(old) != state(new),
        Change::Put(None, _) => true,
        Change::Removed(_) => false,
    }
}
