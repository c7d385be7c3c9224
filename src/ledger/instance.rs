//! ContainerInstance status: the one place where shares are given and taken back.

use std::sync::PoisonError;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use tracing::{info, warn};

use super::lane::Due;
use super::mirror::{Haste, haste};
use super::outcome::Outcome;
use super::service::Placed;
use super::{FIELD_MANAGER, LEDGER_VERSION, Ledger, patch};
use crate::api::{ContainerInstance, ContainerInstanceStatus, InstanceDesiredStatus, Task};
use crate::cache::store::version_of;
use crate::domain::records::{InstanceStatus, LastStatus, Reservation, SchedulingStrategy, ServiceRef};
use crate::domain::resources::{Lack, Resources};
use crate::plan::world::{Key, Service};
use crate::runtime::source;

/// Times a description is taken anew when the instance moved meanwhile, before the caller is told to come again.
const REAPPLY_MAX: u32 = 5;

/// A share asked for a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The task.
    pub task: Key,
    /// Its uid, if it exists already.
    pub uid: Option<String>,
    /// Its service.
    pub service: Option<ServiceRef>,
    /// What it takes.
    pub amounts: Resources,
}

impl Ask {
    /// The share of a task that a service starts.
    #[must_use]
    pub fn of(service: &Service, placed: &Placed) -> Self {
        Self {
            task: Key::new(&service.key.namespace, &placed.id),
            uid: None,
            service: Some(ServiceRef {
                name: service.key.name.clone(),
                uid: service.uid.clone(),
                daemon: service.strategy == SchedulingStrategy::Daemon,
                deployment: Some(placed.start.deployment.clone()),
            }),
            amounts: placed.start.demand.clone(),
        }
    }
}

/// Why a share was not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The instance takes no new tasks now. (I3)
    NotActive,
    /// A task of this daemon service has a share here already, stopping ones included. (DAEMON-35)
    Duplicate,
    /// An earlier task of the same name has its share here yet. (F4)
    Namesake,
    /// There is not enough left. (I1)
    Lack(Lack),
}

/// Whether the instance takes new tasks when it is as this status says. (I3)
pub(super) fn takes_tasks(object: &ContainerInstance, status: &ContainerInstanceStatus) -> bool {
    object.spec.status == InstanceDesiredStatus::Active
        && status.status == InstanceStatus::Active
        && status.agent_connected
        && status.schedulable
        && !status.restoring
        && status.ledger_version <= LEDGER_VERSION
        && object.metadata.deletion_timestamp.is_none()
}

/// Adds shares to a status, each checked against what is left there: the arithmetic of I1, I2 and I3.
pub fn give(
    object: &ContainerInstance,
    asks: &[Ask],
    now: Timestamp,
) -> (ContainerInstanceStatus, Vec<Option<Denied>>) {
    let mut status = object.status.clone().unwrap_or_default();
    let active = takes_tasks(object, &status);
    let mut verdicts = Vec::with_capacity(asks.len());
    for ask in asks {
        let mine = |r: &&Reservation| r.is_for(&ask.task.namespace, &ask.task.name);
        if let Some(entry) = status.reservations.iter().find(mine) {
            let own = ask.uid.as_ref().is_none_or(|uid| entry.admits(uid));
            verdicts.push((!own).then_some(Denied::Namesake));
            continue;
        }
        let same_daemon = ask.service.as_ref().is_some_and(|asking| {
            asking.daemon
                && status
                    .reservations
                    .iter()
                    .any(|r| r.service.as_ref().is_some_and(|held| held.uid == asking.uid))
        });
        let denied = if !active {
            Some(Denied::NotActive)
        } else if same_daemon {
            Some(Denied::Duplicate)
        } else {
            left(&status).lack_for(&ask.amounts).map(Denied::Lack)
        };
        if denied.is_none() {
            // it waits here no more
            status
                .queue
                .retain(|q| !q.is_for(&ask.task.namespace, &ask.task.name));
            status.reservations.push(Reservation {
                namespace: ask.task.namespace.clone(),
                task: ask.task.name.clone(),
                uid: ask.uid.clone(),
                service: ask.service.clone(),
                amounts: ask.amounts.clone(),
                since: now.to_string(),
                restored: false,
            });
            status.pending_tasks_count = status.pending_tasks_count.saturating_add(1);
        }
        verdicts.push(denied);
    }
    status.remaining_resources = shown(&left(&status));
    (status, verdicts)
}

/// What became of a description.
#[derive(Debug, Default)]
pub struct Described {
    /// What changed can wait that long.
    pub put_off: Option<Duration>,
    /// Daemons whose shares were given with it.
    pub given: Vec<Due>,
    /// The ledger is newer than this program, so nothing was written: what to tell the user, the first time only.
    pub newer: Option<String>,
}

/// Adds the shares of daemons that are due to a description, as far as there is room. An instance that comes back to
/// ACTIVE is seen to be so first; only a new one gets shares with the write that makes it ACTIVE. (I3)
fn give_due(
    object: &ContainerInstance,
    status: ContainerInstanceStatus,
    due: Vec<Due>,
) -> (ContainerInstanceStatus, Vec<Due>) {
    let before = object.status.as_ref().map(|s| s.status).unwrap_or_default();
    let open = matches!(before, InstanceStatus::Active | InstanceStatus::Registering);
    if due.is_empty() || !open {
        return (status, Vec::new());
    }
    let asks: Vec<Ask> = due.iter().map(Due::ask).collect();
    let described = ContainerInstance {
        status: Some(status),
        ..object.clone()
    };
    let (after, verdicts) = give(&described, &asks, source::now());
    let given = due
        .into_iter()
        .zip(verdicts)
        .filter(|(_, denied)| denied.is_none());
    (after, given.map(|(due, _)| due).collect())
}

/// Whether a task has not ended and the ledger has no entry for it.
fn unaccounted(task: &Task, status: &ContainerInstanceStatus) -> bool {
    let last = task.status.as_ref().map(|s| s.last_status).unwrap_or_default();
    let held = |r: &Reservation| {
        Some(&r.task) == task.metadata.name.as_ref() && Some(&r.namespace) == task.metadata.namespace.as_ref()
    };
    !task.spec.tombstone && last != LastStatus::Stopped && !status.reservations.iter().any(held)
}

/// What is left: registered less foreign less reserved. (RES-8)
#[must_use]
pub fn left(status: &ContainerInstanceStatus) -> Resources {
    let reserved = Resources::sum(status.reservations.iter().map(|r| &r.amounts));
    status
        .registered_resources
        .remaining(&status.foreign)
        .remaining(&reserved)
}

/// What is left as people read it: never below 0.
#[must_use]
pub fn shown(left: &Resources) -> Resources {
    let mut left = left.clone();
    for amount in [&mut left.cpu, &mut left.memory, &mut left.pods, &mut left.gpu] {
        *amount = (*amount).max(0);
    }
    left
}

impl Ledger {
    /// Reserves shares on an instance in one conditional write; per ask the reason it was denied. A conflict means that
    /// the instance moved: plan again.
    pub async fn reserve(&self, instance: &str, asks: &[Ask]) -> Outcome<Vec<Option<Denied>>> {
        self.reserve_at(instance, None, asks).await
    }

    /// As [`Ledger::reserve`], if the instance is still at the version that was planned on: for what depends on more of
    /// it than room.
    pub(super) async fn reserve_as_seen(
        &self,
        instance: &str,
        version: u64,
        asks: &[Ask],
    ) -> Outcome<Vec<Option<Denied>>> {
        self.reserve_at(instance, Some(version), asks).await
    }

    async fn reserve_at(
        &self,
        instance: &str,
        version: Option<u64>,
        asks: &[Ask],
    ) -> Outcome<Vec<Option<Denied>>> {
        let queue = self.queue(instance);
        let _turn = queue.lock().await;
        let Some(object) = self.cache.instances.named(instance) else {
            return Outcome::Gone;
        };
        if version.is_some_and(|seen| seen != version_of(object.as_ref())) {
            return Outcome::Stale;
        }
        let before = object.status.clone().unwrap_or_default();
        if self.lost_entries(instance, &before) {
            info!(
                instance,
                "the ledger has lost entries of running tasks; nothing is reserved before they are back"
            );
            return Outcome::Stale;
        }
        let (after, verdicts) = give(&object, asks, source::now());
        if before.reservations == after.reservations {
            return Outcome::Applied(verdicts);
        }
        let outcome = self.write_instance(&object, &before, &after).await;
        if matches!(outcome, Outcome::Stale) {
            self.refresh_instance(instance).await;
        }
        outcome.map(|()| verdicts)
    }

    /// Whether a task runs on the instance that the ledger has no entry for: somebody took it out. (design: step 6)
    fn lost_entries(&self, instance: &str, status: &ContainerInstanceStatus) -> bool {
        let runs = |task: &Task| {
            let name = crate::build::pod_name(task)?;
            let namespace = task.metadata.namespace.clone().unwrap_or_default();
            let pod = self.cache.pods.get(&Key::new(namespace, name))?;
            Some(!crate::cache::node::pod_ended(&pod))
        };
        let tasks = self.cache.tasks.group(instance);
        tasks
            .iter()
            .any(|task| unaccounted(task, status) && runs(task).unwrap_or(false))
    }

    /// Brings an instance's status to what `describe` makes of the newest version; it is asked again when the instance
    /// moved meanwhile. Releases and repairs go this way: they hold whatever else changed. Daemons that are due there
    /// get their shares in the same write. What can wait is put off: then the answer says for how long.
    pub async fn describe_instance(
        &self,
        instance: &str,
        describe: impl Fn(&ContainerInstance) -> (ContainerInstanceStatus, Vec<Due>),
    ) -> Outcome<Described> {
        let queue = self.queue(instance);
        let _turn = queue.lock().await;
        let mut outcome = Outcome::Gone;
        for _ in 0..REAPPLY_MAX {
            let Some(object) = self.cache.instances.named(instance) else {
                break;
            };
            let before = object.status.clone().unwrap_or_default();
            if before.ledger_version > LEDGER_VERSION {
                return Outcome::Applied(Described {
                    newer: self.tell_newer(instance, before.ledger_version),
                    ..Described::default()
                });
            }
            let (status, due) = describe(&object);
            let (after, given) = give_due(&object, status, due);
            let left = match haste(object.status.as_ref(), &after) {
                Haste::Now => None,
                Haste::Later => self.put_off.left(instance),
                Haste::Never => {
                    self.put_off.settle(instance);
                    return Outcome::Applied(Described::default());
                }
            };
            if left.is_some() {
                return Outcome::Applied(Described {
                    put_off: left,
                    ..Described::default()
                });
            }
            outcome = self
                .write_instance(&object, &before, &after)
                .await
                .map(|()| Described {
                    given,
                    ..Described::default()
                });
            if !matches!(outcome, Outcome::Stale) {
                break;
            }
            self.refresh_instance(instance).await;
        }
        self.put_off.settle(instance);
        outcome
    }

    /// Says once per process and instance that a newer program's ledger is left alone.
    fn tell_newer(&self, instance: &str, version: i64) -> Option<String> {
        let mut told = self.told_newer.lock().unwrap_or_else(PoisonError::into_inner);
        told.insert(instance.to_owned()).then(|| {
            warn!(instance, version, "the ledger is newer than this program; left alone");
            format!(
                "status.ledgerVersion {version} is newer than this operator's {LEDGER_VERSION}: nothing is placed here \
                 and the status is left as it is. Upgrade the operator, or, if the version was edited by hand, set it \
                 back: kubectl patch containerinstance {instance} --subresource=status --type=merge -p \
                 '{{\"status\":{{\"ledgerVersion\":{LEDGER_VERSION}}}}}'"
            )
        })
    }

    pub(super) async fn write_instance(
        &self,
        object: &ContainerInstance,
        before: &ContainerInstanceStatus,
        after: &ContainerInstanceStatus,
    ) -> Outcome<()> {
        let name = object.name_any();
        let (uid, version) = (
            object.uid().unwrap_or_default(),
            object.resource_version().unwrap_or_default(),
        );
        let change = if object.status.is_none() {
            patch::whole("status", after, &uid, &version)
        } else {
            patch::conditional("status", before, after, &uid, &version)
        };
        let Some(change) = change else {
            return Outcome::Applied(());
        };
        #[cfg(feature = "testing")]
        crate::runtime::crash::next_write(&name, |namespace| {
            let of = |status: &ContainerInstanceStatus| -> Vec<Reservation> {
                let entries = status.reservations.iter();
                entries.filter(|r| r.namespace == namespace).cloned().collect()
            };
            of(before) != of(after)
        });
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let api = self.instances();
        let outcome = self
            .send(
                "containerinstance",
                api.patch_status(&name, &params, &Patch::Merge(change)),
            )
            .await;
        if let Outcome::Refused(text) = &outcome {
            warn!(instance = name, %text, "the API server refused the ledger's write");
        }
        outcome.map(|answer| self.cache.learn_instance(answer))
    }

    /// Reads the instance from the API server itself.
    pub async fn refresh_instance(&self, instance: &str) -> Option<std::sync::Arc<ContainerInstance>> {
        let api = self.instances();
        let read = self
            .send("containerinstance_get", api.get(instance))
            .await
            .applied()?;
        self.cache.learn_instance(read);
        self.cache.instances.named(instance)
    }

    /// Whether the API server itself shows the task's share on the instance.
    pub async fn still_reserved(&self, instance: &str, task: &Key) -> bool {
        self.refresh_instance(instance).await.is_some_and(|object| {
            let mut entries = object.status.iter().flat_map(|s| &s.reservations);
            entries.any(|r| r.is_for(&task.namespace, &task.name))
        })
    }

    /// Registers a node as an instance.
    pub async fn create_instance(&self, object: &ContainerInstance) -> Outcome<()> {
        let api = self.instances();
        let params = super::post();
        let outcome = self.send("containerinstance", api.create(&params, object)).await;
        if matches!(outcome, Outcome::Applied(_)) {
            info!(instance = object.name_any(), "registered");
        }
        outcome.map(|answer| self.cache.learn_instance(answer))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_task_that_has_not_ended_is_missed_in_the_ledger_until_its_entry_is_back() {
        let task = |last: &str| -> Task {
            serde_json::from_value(json!({
                "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "Task",
                "metadata": { "name": "t1", "namespace": "ns" },
                "spec": { "cluster": "default", "taskDefinition": "web:1", "containerInstance": "n1" },
                "status": { "lastStatus": last },
            }))
            .unwrap()
        };
        let mut status = ContainerInstanceStatus::default();
        assert!(unaccounted(&task("RUNNING"), &status));
        assert!(unaccounted(&task("STOPPING"), &status));
        assert!(!unaccounted(&task("STOPPED"), &status));
        let entry = json!({ "namespace": "ns", "task": "t1", "amounts": {}, "since": "" });
        status.reservations = vec![serde_json::from_value(entry).unwrap()];
        assert!(!unaccounted(&task("RUNNING"), &status));
    }
}
