//! What an instance's status should say, from the Node, the Pods and the Tasks: pure, so that it can be taken anew on
//! the very object that is replaced. Releases and repairs are part of it (design: steps 5 and 6).

use jiff::{SignedDuration, Timestamp};

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

/// Sums what Pods take beyond their shares, given the share of each task (key, uid) that has one.
pub type Foreign<'a> = dyn Fn(&dyn Fn(&Key, &str) -> Option<Resources>) -> Resources + 'a;

/// What is known around an instance.
pub struct Surroundings<'a> {
    /// The Node, or `None` if a live GET showed that there is none.
    pub node: Option<&'a NodeFacts>,
    /// What cordoning does in the cluster.
    pub on_cordon: OnCordon,
    /// `drainTimeoutSeconds` of the cluster.
    pub drain_timeout_seconds: i64,
    /// A Task by key, wherever it is bound.
    pub task: &'a dyn Fn(&Key) -> Option<std::sync::Arc<Task>>,
    /// Tasks bound to the instance.
    pub bound: &'a [Bound],
    /// What foreign Pods take, given the shares.
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
    set_drain(&mut next, object, around);
    release(&mut next, object, around);
    restore(&mut next, around);
    let member = membership::settle(&mut next, &old, around);
    let entries = next.reservations.clone();
    let share = |task: &Key, uid: &str| {
        let mut entries = entries.iter();
        let entry = entries.find(|r| r.is_for(&task.namespace, &task.name) && r.admits(uid));
        entry.map(|r| r.amounts.clone())
    };
    next.foreign = (around.foreign)(&share);
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
    set_conditions(&mut next, &old, object, member, around);
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

/// Notes since when the instance drains, and when that must be over. (DRAIN-17)
fn set_drain(next: &mut ContainerInstanceStatus, object: &ContainerInstance, around: &Surroundings<'_>) {
    if next.status != InstanceStatus::Draining {
        (next.draining_since, next.drain_deadline) = (None, None);
        return;
    }
    let since = next.draining_since.get_or_insert_with(|| around.now.to_string());
    let timeout = object
        .spec
        .drain_timeout_seconds
        .unwrap_or(around.drain_timeout_seconds);
    let deadline = since
        .parse()
        .ok()
        .filter(|_| timeout > 0)
        .and_then(|since: Timestamp| since.checked_add(SignedDuration::from_secs(timeout)).ok());
    next.drain_deadline = deadline.map(|at| at.to_string());
}

/// Takes back the shares of tasks that are STOPPED, or whose id ended elsewhere. Nothing else is taken back: not
/// seeing a task proves nothing. (F1)
fn release(next: &mut ContainerInstanceStatus, object: &ContainerInstance, around: &Surroundings<'_>) {
    let here = object.metadata.name.as_deref();
    next.reservations.retain_mut(|entry| {
        let Some(task) = (around.task)(&Key::new(&entry.namespace, &entry.task)) else {
            return !(around.given_up)(entry);
        };
        // a run-once task whose share was given and that nobody has bound yet: the write may be under way
        let unbound = task.instance.is_none() && entry.uid.as_ref() == Some(&task.uid);
        let elsewhere = task.instance.as_deref() != here && !unbound;
        if entry.uid.as_ref().is_some_and(|uid| *uid != task.uid) || elsewhere {
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
            .any(|r| r.is_for(&key.namespace, &key.name));
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
                .any(|r| r.is_for(&key.namespace, &key.name))
    });
}

fn set_conditions(
    next: &mut ContainerInstanceStatus,
    old: &ContainerInstanceStatus,
    object: &ContainerInstance,
    member: Option<State>,
    around: &Surroundings<'_>,
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
        (InstanceStatus::Active, true, true) if over => State::no(
            "Overcommitted",
            "more is taken than the node offers: see condition Overcommitted",
        ),
        (InstanceStatus::Active, true, true) => State::yes("Active", "new tasks may be placed here"),
        (InstanceStatus::Active, false, _) => State::no("AgentDisconnected", "the node is not ready"),
        (InstanceStatus::Active, true, false) if member.as_ref().is_some_and(|m| !m.holds()) => {
            State::no("NotSelected", "the EcsCluster does not select the node any more")
        }
        (InstanceStatus::Active, true, false) => State::no("NodeBlocked", &blocked(around.node)),
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
        InstanceStatus::Draining => State::yes("TasksLeft", &moving_away(next)),
        _ => State::no("NotDraining", "the instance is not DRAINING"),
    };
    let mut states = vec![
        ("Draining", draining),
        ("Overcommitted", overcommitted),
        ("Schedulable", schedulable),
    ];
    states.extend(member.map(|state| (membership::CONDITION, state)));
    next.conditions = conditions::merge(&old.conditions, &states, object.metadata.generation, around.now);
}

/// What a drain is at, and when it ends at the latest.
fn moving_away(status: &ContainerInstanceStatus) -> String {
    let deadline = status.drain_deadline.as_ref();
    let deadline = deadline.map_or(String::new(), |at| {
        format!("; what runs at {at} is told to stop then")
    });
    format!("tasks are moving away; daemons stop last{deadline}")
}

/// What keeps new tasks off a node that is selected and connected, and what to change.
fn blocked(node: Option<&NodeFacts>) -> String {
    match node {
        Some(NodeFacts {
            blocked_by: Some(taint),
            ..
        }) => format!(
            "the node has the taint {taint}, which the EcsCluster's tolerations do not cover: add a toleration there, or \
             take the taint off the node"
        ),
        Some(NodeFacts {
            leaving: Some(why), ..
        }) => format!("{why}, and the EcsCluster's onCordon is StopPlacing: running tasks stay"),
        _ => "the node takes no new tasks".to_owned(),
    }
}

#[cfg(test)]
mod tests;
