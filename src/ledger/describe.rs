//! What an instance's status should say, from the Node, the Pods and the Tasks: pure, so that it can be taken anew on
//! the very object that is replaced. Releases and repairs are part of it (design: steps 5 and 6).

use jiff::Timestamp;

use super::instance::{left, shown};
use super::{LEDGER_VERSION, REQUEST_TIMEOUT, membership};
use crate::api::conditions::{self, State};
use crate::api::{ContainerInstance, ContainerInstanceStatus, InstanceDesiredStatus, OnCordon};
use crate::cache::node::NodeFacts;
use crate::domain::records::{InstanceStatus, Reservation};
use crate::domain::resources::Resources;
use crate::plan::world::{Key, Task};

const _: () = assert!(REQUEST_TIMEOUT.as_secs() == 10);

/// A Task bound to the instance, with what its Pod takes if it has one.
#[derive(Clone, Debug)]
pub struct Bound {
    /// The task.
    pub task: std::sync::Arc<Task>,
    /// What its Pod takes, if a Pod was seen that has not ended.
    pub pod: Option<Resources>,
    /// It has not ended and a Pod was made or may be made for it: the ledger owes it an entry.
    pub expects_share: bool,
}

/// Sums what foreign Pods take, given which tasks (namespace, name) have a share.
pub type Foreign<'a> = dyn Fn(&dyn Fn(&str, &str) -> bool) -> Resources + 'a;

/// What is known around an instance.
pub struct Surroundings<'a> {
    /// The Node, or `None` if a live GET showed that there is none.
    pub node: Option<&'a NodeFacts>,
    /// What cordoning does in the cluster.
    pub on_cordon: OnCordon,
    /// A Task by key, wherever it is bound.
    pub task: &'a dyn Fn(&Key) -> Option<std::sync::Arc<Task>>,
    /// Tasks bound to the instance.
    pub bound: &'a [Bound],
    /// What foreign Pods take, given which tasks have a share.
    pub foreign: &'a Foreign<'a>,
    /// Shares whose uncertain task was given up for good: they go.
    pub given_up: &'a dyn Fn(&Reservation) -> bool,
    /// Wall clock.
    pub now: Timestamp,
}

/// The status an instance should have.
#[must_use]
pub fn describe(object: &ContainerInstance, around: &Surroundings<'_>) -> ContainerInstanceStatus {
    let old = object.status.clone().unwrap_or_default();
    let mut next = old.clone();
    next.ledger_version = LEDGER_VERSION;
    next.observed_generation = object.metadata.generation;
    set_node(&mut next, object, around);
    release(&mut next, object, around);
    restore(&mut next, around);
    let member = membership::settle(&mut next, &old, around);
    let entries = next.reservations.clone();
    let reserved =
        |namespace: &str, task: &str| entries.iter().any(|r| r.task == task && r.namespace == namespace);
    next.foreign = (around.foreign)(&reserved);
    next.remaining_resources = shown(&left(&next));
    let count = |started: bool| {
        let wanted = around
            .bound
            .iter()
            .filter(|b| b.task.wanted() && b.task.started_at.is_some() == started);
        wanted.count()
    };
    // a share whose Task is not seen yet is a task on its way
    let unseen = entries
        .iter()
        .filter(|r| (around.task)(&Key::new(&r.namespace, &r.task)).is_none())
        .count();
    next.running_tasks_count = i64::try_from(count(true)).unwrap_or(i64::MAX);
    next.pending_tasks_count = i64::try_from(count(false).saturating_add(unseen)).unwrap_or(i64::MAX);
    set_conditions(&mut next, &old, object, member, around.now);
    next
}

fn set_node(next: &mut ContainerInstanceStatus, object: &ContainerInstance, around: &Surroundings<'_>) {
    let Some(node) = around.node else {
        next.status = InstanceStatus::Inactive;
        next.status_reason = Some("the node is gone".to_owned());
        next.agent_connected = false;
        next.schedulable = false;
        return;
    };
    next.agent_connected = node.connected;
    if node.connected {
        next.disconnected_since = None;
    } else if next.disconnected_since.is_none() {
        next.disconnected_since = Some(around.now.to_string());
    }
    next.schedulable = node.schedulable;
    next.agent_version.clone_from(&node.agent_version);
    next.ec2_instance_id = Some(node.ec2_instance_id.clone());
    next.registered_at = node.registered_at.map(|t| t.to_string());
    next.node_uid = Some(node.uid.clone());
    next.attributes.clone_from(&node.attributes);
    next.registered_resources.clone_from(&node.registered);
    let leaving = node
        .leaving
        .as_ref()
        .filter(|_| around.on_cordon == OnCordon::Drain);
    (next.status, next.status_reason) = if object.metadata.deletion_timestamp.is_some() {
        (
            InstanceStatus::Inactive,
            Some("the instance is being deregistered".to_owned()),
        )
    } else if object.spec.status == InstanceDesiredStatus::Draining {
        (
            InstanceStatus::Draining,
            Some("spec.status is DRAINING".to_owned()),
        )
    } else if let Some(why) = leaving {
        (InstanceStatus::Draining, Some(why.clone()))
    } else {
        (InstanceStatus::Active, None)
    };
}

/// Takes back the shares of tasks that are STOPPED, or whose id ended elsewhere. Nothing else is taken back: not
/// seeing a task proves nothing. (F1)
fn release(next: &mut ContainerInstanceStatus, object: &ContainerInstance, around: &Surroundings<'_>) {
    let here = object.metadata.name.as_deref();
    next.reservations.retain_mut(|entry| {
        let Some(task) = (around.task)(&Key::new(&entry.namespace, &entry.task)) else {
            return !(around.given_up)(entry);
        };
        if entry.uid.as_ref().is_some_and(|uid| *uid != task.uid) || task.instance.as_deref() != here {
            return false;
        }
        entry.uid = Some(task.uid.clone());
        task.alive()
    });
}

/// Puts back shares of tasks that run here and have lost their entry, whatever the room.
fn restore(next: &mut ContainerInstanceStatus, around: &Surroundings<'_>) {
    for bound in around.bound.iter().filter(|b| b.task.alive()) {
        let key = &bound.task.key;
        let held = next
            .reservations
            .iter()
            .any(|r| r.task == key.name && r.namespace == key.namespace);
        let Some(amounts) = bound.pod.as_ref().filter(|_| !held) else {
            continue;
        };
        next.reservations.push(Reservation {
            namespace: key.namespace.clone(),
            task: key.name.clone(),
            uid: Some(bound.task.uid.clone()),
            service: bound.task.service.clone(),
            amounts: amounts.clone(),
            since: around.now.to_string(),
            restored: true,
        });
    }
    // the ledger is complete only when every task that had a Pod has its entry again
    next.restoring = around.bound.iter().any(|b| {
        let key = &b.task.key;
        b.expects_share
            && !next
                .reservations
                .iter()
                .any(|r| r.task == key.name && r.namespace == key.namespace)
    });
}

fn set_conditions(
    next: &mut ContainerInstanceStatus,
    old: &ContainerInstanceStatus,
    object: &ContainerInstance,
    member: Option<State>,
    now: Timestamp,
) {
    let left = left(next);
    let over = left.cpu < 0 || left.memory < 0 || left.pods < 0 || left.gpu < 0;
    let overcommitted = if over {
        State::yes(
            "LessThanReserved",
            "tasks and other Pods take more than the node offers; nothing is placed here",
        )
    } else {
        State::no("AsExpected", "what is taken fits what the node offers")
    };
    let schedulable = match (next.status, next.agent_connected, next.schedulable) {
        (InstanceStatus::Active, true, true) => State::yes("Active", "new tasks may be placed here"),
        (InstanceStatus::Active, false, _) => State::no("AgentDisconnected", "the node is not ready"),
        (InstanceStatus::Active, true, false) if member.as_ref().is_some_and(|m| !m.holds()) => {
            State::no("NotSelected", "the EcsCluster does not select the node any more")
        }
        (InstanceStatus::Active, true, false) => State::no(
            "NodeBlocked",
            "the node is cordoned or has a taint that the cluster does not tolerate",
        ),
        _ => State::no(
            "NotActive",
            next.status_reason
                .as_deref()
                .unwrap_or("the instance is not ACTIVE"),
        ),
    };
    let empty = next.reservations.is_empty();
    let draining = match next.status {
        InstanceStatus::Draining if empty => State::yes("Drained", "every task here has STOPPED"),
        InstanceStatus::Draining => State::yes("TasksLeft", "tasks are moving away; daemons stop last"),
        _ => State::no("NotDraining", "the instance is not DRAINING"),
    };
    let mut states = vec![
        ("Draining", draining),
        ("Overcommitted", overcommitted),
        ("Schedulable", schedulable),
    ];
    states.extend(member.map(|state| (membership::CONDITION, state)));
    next.conditions = conditions::merge(&old.conditions, &states, object.metadata.generation, now);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::api::ContainerInstanceSpec;
    use crate::domain::records::{DesiredStatus, HealthStatus, LastStatus};
    use crate::ledger::instance::{Ask, Denied, give};

    fn facts() -> NodeFacts {
        NodeFacts {
            uid: "node".to_owned(),
            connected: true,
            leaving: None,
            membership: crate::cache::node::Membership::Member,
            schedulable: true,
            attributes: Vec::new(),
            registered: amounts(2048),
            agent_version: None,
            ec2_instance_id: "i-1".to_owned(),
            registered_at: None,
        }
    }

    fn amounts(cpu: i64) -> Resources {
        Resources {
            cpu,
            memory: 1000,
            pods: 10,
            ..Resources::default()
        }
    }

    fn small(cpu: i64) -> Resources {
        Resources {
            cpu,
            pods: 1,
            ..Resources::default()
        }
    }

    fn object() -> ContainerInstance {
        let mut object = ContainerInstance::new(
            "n1",
            ContainerInstanceSpec {
                cluster: "default".to_owned(),
                ..Default::default()
            },
        );
        object.status = Some(seen(&object, None, &[]));
        object
    }

    fn seen(
        object: &ContainerInstance,
        task: Option<&Arc<Task>>,
        bound: &[Bound],
    ) -> ContainerInstanceStatus {
        let node = facts();
        let find = |key: &Key| task.filter(|t| t.key == *key).cloned();
        describe(
            object,
            &Surroundings {
                node: Some(&node),
                on_cordon: OnCordon::Drain,
                task: &find,
                bound,
                foreign: &|_| Resources::default(),
                given_up: &|_| false,
                now: Timestamp::UNIX_EPOCH,
            },
        )
    }

    fn task(last: LastStatus) -> Arc<Task> {
        Arc::new(Task {
            key: Key::new("ns", "t1"),
            uid: "u1".to_owned(),
            version: 5,
            created_at: Timestamp::UNIX_EPOCH,
            cluster: "default".to_owned(),
            instance: Some("n1".to_owned()),
            group: "service:s".to_owned(),
            service: None,
            started_by: String::new(),
            definition: "f:1".to_owned(),
            desired: DesiredStatus::Running,
            last,
            health: HealthStatus::Unknown,
            started_at: None,
            stopped_at: None,
            stop_code: None,
            tombstone: false,
            protected_until: None,
        })
    }

    fn ask(name: &str, cpu: i64, service: Option<&str>) -> Ask {
        let service = service.map(|uid| crate::domain::records::ServiceRef {
            name: "s".to_owned(),
            uid: uid.to_owned(),
            daemon: true,
            deployment: None,
        });
        Ask {
            task: Key::new("ns", name),
            service,
            amounts: small(cpu),
        }
    }

    #[test]
    fn i1_shares_are_given_only_while_they_fit_the_object_that_is_replaced() {
        let mut object = object();
        let (status, verdicts) = give(
            &object,
            &[ask("t1", 1500, None), ask("t2", 600, None), ask("t3", 548, None)],
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(
            verdicts,
            [
                None,
                Some(Denied::Lack(crate::domain::resources::Lack::Cpu)),
                None
            ]
        );
        assert_eq!(status.remaining_resources.cpu, 0);
        object.status = Some(status);
        let (again, verdicts) = give(&object, &[ask("t1", 1500, None)], Timestamp::UNIX_EPOCH);
        assert_eq!(
            (verdicts, again.reservations.len()),
            (vec![None], 2),
            "asking twice gives once"
        );
    }

    #[test]
    fn i2_one_share_of_a_daemon_service_stopping_ones_included_daemon_35() {
        let mut object = object();
        let (status, _) = give(&object, &[ask("t1", 10, Some("svc"))], Timestamp::UNIX_EPOCH);
        object.status = Some(status);
        let (_, verdicts) = give(
            &object,
            &[ask("t2", 10, Some("svc")), ask("t3", 10, Some("other"))],
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(verdicts, [Some(Denied::Duplicate), None]);
    }

    #[test]
    fn i3_nothing_is_reserved_on_an_instance_that_a_user_just_set_draining() {
        let mut object = object();
        object.spec.status = InstanceDesiredStatus::Draining;
        let (_, verdicts) = give(&object, &[ask("t1", 10, None)], Timestamp::UNIX_EPOCH);
        assert_eq!(verdicts, [Some(Denied::NotActive)]);
    }

    #[test]
    fn a_share_goes_when_its_task_is_stopped_and_stays_while_it_cannot_be_seen_f1() {
        let mut object = object();
        let (status, _) = give(&object, &[ask("t1", 10, None)], Timestamp::UNIX_EPOCH);
        object.status = Some(status);
        assert_eq!(seen(&object, None, &[]).reservations.len(), 1, "unseen");
        let stopping = task(LastStatus::Stopping);
        let held = seen(&object, Some(&stopping), &[]);
        assert_eq!(
            held.reservations.first().and_then(|r| r.uid.as_deref()),
            Some("u1")
        );
        let stopped = task(LastStatus::Stopped);
        assert!(seen(&object, Some(&stopped), &[]).reservations.is_empty());
    }

    #[test]
    fn a_running_pod_whose_share_was_wiped_gets_it_back_whatever_the_room() {
        let object = object();
        let running = task(LastStatus::Running);
        let bound = [Bound {
            task: running.clone(),
            pod: Some(small(9999)),
            expects_share: true,
        }];
        let status = seen(&object, Some(&running), &bound);
        assert!(
            status
                .reservations
                .iter()
                .all(|r| r.restored && r.amounts.cpu == 9999)
        );
        let over = status
            .conditions
            .iter()
            .find(|c| c.type_ == "Overcommitted")
            .unwrap();
        assert_eq!(
            (over.status.as_str(), status.remaining_resources.cpu),
            ("True", 0)
        );
    }

    #[test]
    fn a_cordoned_node_drains_and_returns_when_it_is_uncordoned() {
        let object = object();
        let node = NodeFacts {
            leaving: Some("the node is cordoned".to_owned()),
            ..facts()
        };
        let around = |on_cordon| Surroundings {
            node: Some(&node),
            on_cordon,
            task: &|_| None,
            bound: &[],
            foreign: &|_| Resources::default(),
            given_up: &|_| false,
            now: Timestamp::UNIX_EPOCH,
        };
        assert_eq!(
            describe(&object, &around(OnCordon::Drain)).status,
            InstanceStatus::Draining
        );
        assert_eq!(
            describe(&object, &around(OnCordon::StopPlacing)).status,
            InstanceStatus::Active
        );
        assert_eq!(seen(&object, None, &[]).status, InstanceStatus::Active);
    }

    #[test]
    fn an_unchanged_world_gives_identical_bytes() {
        let object = object();
        let again = seen(&object, None, &[]);
        assert_eq!(Some(again), object.status);
    }
}
