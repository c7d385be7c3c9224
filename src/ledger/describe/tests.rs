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
        blocked_by: None,
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

fn seen(object: &ContainerInstance, task: Option<&Arc<Task>>, bound: &[Bound]) -> ContainerInstanceStatus {
    let node = facts();
    let find = |key: &Key| task.filter(|t| t.key == *key).cloned();
    describe(
        object,
        &Surroundings {
            node: Some(&node),
            on_cordon: OnCordon::Drain,
            drain_timeout_seconds: 0,
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
        healthy_since: None,
        started_at: None,
        stopped_at: None,
        stop_code: None,
        stopping_at: None,
        stopped_reason: None,
        held_up: None,
        tombstone: false,
        protected_until: None,
        told: None,
        run_once: None,
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
        uid: None,
        service,
        amounts: small(cpu),
    }
}

#[test]
fn i1_shares_are_given_whole_or_not_and_only_while_they_fit_the_object_that_is_replaced_hrm_3() {
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
    let left = &status.remaining_resources;
    assert_eq!(
        (left.cpu, left.pods),
        (0, 8),
        "what was denied took not even a Pod slot"
    );
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
        drain_timeout_seconds: 0,
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
fn a_drain_has_a_deadline_where_one_is_asked_for_drain_17() {
    let at = |seconds: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds);
    let node = facts();
    let seen_at = |object: &ContainerInstance, drain_timeout_seconds, now| {
        describe(
            object,
            &Surroundings {
                node: Some(&node),
                on_cordon: OnCordon::Drain,
                drain_timeout_seconds,
                task: &|_| None,
                bound: &[],
                foreign: &|_| Resources::default(),
                given_up: &|_| false,
                now,
            },
        )
    };
    let mut object = object();
    assert_eq!(seen_at(&object, 60, at(0)).draining_since, None);
    object.spec.status = InstanceDesiredStatus::Draining;
    let status = seen_at(&object, 60, at(100));
    assert_eq!(status.drain_deadline, Some(at(160).to_string()));
    object.status = Some(status);
    let later = seen_at(&object, 60, at(130));
    assert_eq!(
        later.drain_deadline,
        Some(at(160).to_string()),
        "it stays as it is"
    );
    object.spec.drain_timeout_seconds = Some(600);
    let longer = seen_at(&object, 60, at(130));
    assert_eq!(
        longer.drain_deadline,
        Some(at(700).to_string()),
        "the instance's own goes first"
    );
    object.spec.drain_timeout_seconds = Some(0);
    assert_eq!(seen_at(&object, 60, at(130)).drain_deadline, None, "0 is never");
    object.spec.status = InstanceDesiredStatus::Active;
    let active = seen_at(&object, 60, at(140));
    assert_eq!(
        (active.draining_since, active.drain_deadline),
        (None, None),
        "cancelled"
    );
}

#[test]
fn a_blocked_node_says_which_taint_keeps_tasks_away_and_what_to_change() {
    let says = |node: NodeFacts| {
        let around = Surroundings {
            node: Some(&node),
            on_cordon: OnCordon::StopPlacing,
            drain_timeout_seconds: 0,
            task: &|_| None,
            bound: &[],
            foreign: &|_| Resources::default(),
            given_up: &|_| false,
            now: Timestamp::UNIX_EPOCH,
        };
        let conditions = describe(&object(), &around).conditions;
        let found = conditions.into_iter().find(|c| c.type_ == "Schedulable").unwrap();
        format!("{} {}: {}", found.status, found.reason, found.message)
    };
    let closed = NodeFacts {
        schedulable: false,
        ..facts()
    };
    assert_eq!(
        says(NodeFacts {
            blocked_by: Some("gpu:NoSchedule".to_owned()),
            ..closed.clone()
        }),
        "False NodeBlocked: the node has the taint gpu:NoSchedule, which the EcsCluster's tolerations do not cover: add a \
         toleration there, or take the taint off the node"
    );
    assert_eq!(
        says(NodeFacts {
            leaving: Some("the node is cordoned".to_owned()),
            ..closed
        }),
        "False NodeBlocked: the node is cordoned, and the EcsCluster's onCordon is StopPlacing: running tasks stay"
    );
}

#[test]
fn an_unchanged_world_gives_identical_bytes() {
    let object = object();
    let again = seen(&object, None, &[]);
    assert_eq!(Some(again), object.status);
}

/// The status with this Node and these tasks bound.
fn with(object: &ContainerInstance, node: Option<&NodeFacts>, bound: &[Bound]) -> ContainerInstanceStatus {
    let find = |key: &Key| bound.iter().map(|b| b.task.clone()).find(|t| t.key == *key);
    describe(
        object,
        &Surroundings {
            node,
            on_cordon: OnCordon::Drain,
            drain_timeout_seconds: 0,
            task: &find,
            bound,
            foreign: &|_| Resources::default(),
            given_up: &|_| false,
            now: Timestamp::UNIX_EPOCH,
        },
    )
}

#[test]
fn an_instance_stays_active_while_its_node_is_away_and_is_draining_or_inactive_otherwise_ci_2_ci_7() {
    let mut object = object();
    let away = NodeFacts {
        connected: false,
        ..facts()
    };
    let status = with(&object, Some(&away), &[]);
    assert_eq!(
        (status.status, status.agent_connected),
        (InstanceStatus::Active, false)
    );
    assert!(status.disconnected_since.is_some());
    let back = with(&object, Some(&facts()), &[]);
    assert_eq!((back.agent_connected, back.disconnected_since), (true, None));
    object.spec.status = InstanceDesiredStatus::Draining;
    assert_eq!(
        with(&object, Some(&facts()), &[]).status,
        InstanceStatus::Draining
    );
    assert_eq!(with(&object, None, &[]).status, InstanceStatus::Inactive);
}

#[test]
fn running_and_pending_tasks_are_counted_apart_and_stopping_ones_not_at_all_ci_11() {
    let bound = |name: &str, started: bool, desired: DesiredStatus| {
        let mut found = Task::clone(&task(if started {
            LastStatus::Running
        } else {
            LastStatus::Pending
        }));
        found.key = Key::new("ns", name);
        found.started_at = started.then_some(Timestamp::UNIX_EPOCH);
        found.desired = desired;
        Bound {
            task: Arc::new(found),
            pod: None,
            expects_share: false,
        }
    };
    let mut object = object();
    let (status, _) = give(&object, &[ask("unseen", 10, None)], Timestamp::UNIX_EPOCH);
    object.status = Some(status);
    let here = [
        bound("a", true, DesiredStatus::Running),
        bound("b", true, DesiredStatus::Running),
        bound("c", false, DesiredStatus::Running),
        bound("d", true, DesiredStatus::Stopped),
        bound("e", false, DesiredStatus::Stopped),
    ];
    let status = with(&object, Some(&facts()), &here);
    assert_eq!(
        (status.running_tasks_count, status.pending_tasks_count),
        (2, 2),
        "c, and the share whose Task is on its way"
    );
}

#[test]
fn a_drained_instance_says_so_and_nothing_deregisters_it_drain_10() {
    let mut object = object();
    let (status, _) = give(&object, &[ask("t1", 10, None)], Timestamp::UNIX_EPOCH);
    object.status = Some(status);
    object.spec.status = InstanceDesiredStatus::Draining;
    let says = |last: LastStatus| {
        let stopping = task(last);
        let status = seen(&object, Some(&stopping), &[]);
        let found = status.conditions.iter().find(|c| c.type_ == "Draining").unwrap();
        (status.status, found.reason.clone())
    };
    let draining = |reason: &str| (InstanceStatus::Draining, reason.to_owned());
    assert_eq!(says(LastStatus::Stopping), draining("TasksLeft"));
    assert_eq!(says(LastStatus::Stopped), draining("Drained"));
}

#[test]
fn the_share_of_a_run_once_task_stays_until_it_is_bound_elsewhere_or_ends_run_1() {
    let mut object = object();
    let kept = |object: &ContainerInstance, task: Task| {
        let task = Arc::new(task);
        !seen(object, Some(&task), &[]).reservations.is_empty()
    };
    let ask = Ask {
        uid: Some("u1".to_owned()),
        ..ask("t1", 100, None)
    };
    object.status = Some(give(&object, &[ask], Timestamp::UNIX_EPOCH).0);
    let unbound = |last| Task {
        instance: None,
        ..Task::clone(&task(last))
    };
    assert!(
        kept(&object, unbound(LastStatus::Pending)),
        "the bind may be under way"
    );
    assert!(!kept(&object, unbound(LastStatus::Stopped)));
    let namesake = Task {
        uid: "u2".to_owned(),
        ..unbound(LastStatus::Pending)
    };
    assert!(!kept(&object, namesake), "F4");
    let elsewhere = Task {
        instance: Some("n2".to_owned()),
        ..unbound(LastStatus::Pending)
    };
    assert!(!kept(&object, elsewhere), "another process bound it");
    assert!(kept(&object, Task::clone(&task(LastStatus::Pending))));
}
