//! What follows when there were too many failures. (CB-9 to CB-12)

use super::*;
use crate::domain::deployment::{DeploymentStatus, RolloutState, ServiceDeploymentStatus};
use crate::domain::records::HealthStatus;

#[test]
fn three_starts_that_fail_in_a_row_roll_the_service_back_scn_12_cb_4_cb_10_evt_17_evt_18() {
    let mut scene = web(true);
    let old = primary(&scene).clone();
    roll(&mut scene, "r:2");
    pass(&mut scene);
    assert_eq!(of(&scene, "r:2").len(), 4);
    let new = primary(&scene).id.clone();
    let plan = fail_to_start(&mut scene, 2);
    assert_eq!(plan.deployments[0].failed_tasks, 2);
    assert_eq!(
        failures(&plan.deployments[0]),
        (2, 3, CircuitBreakerStatus::Monitoring)
    );
    let plan = fail_to_start(&mut scene, 1);
    assert_eq!(
        plan.events,
        [
            format!("(deployment {new}) deployment failed: tasks failed to start."),
            format!("rolling back to deployment {}.", old.id)
        ]
    );
    let [target, failed] = &plan.deployments[..] else {
        panic!("{:?}", plan.deployments)
    };
    assert_eq!((&target.id, target.status), (&old.id, DeploymentStatus::Primary));
    assert_eq!(
        target.rollout_state,
        RolloutState::InProgress,
        "for a pass at least"
    );
    assert_eq!(
        target.rollout_state_reason.as_deref(),
        Some(&*format!(
            "ECS deployment circuit breaker: rolling back to deploymentId {}.",
            old.id
        ))
    );
    assert_eq!((&failed.id, failed.status), (&new, DeploymentStatus::Active));
    assert_eq!(
        (failed.rollout_state, failed.rollout_state_reason.as_deref()),
        (
            RolloutState::Failed,
            Some("ECS deployment circuit breaker: tasks failed to start.")
        )
    );
    assert_eq!(failures(failed), (3, 3, CircuitBreakerStatus::Triggered));
    let rollback = target.rollback.as_ref().unwrap();
    assert_eq!((&rollback.from, rollback.task_definition.as_str()), (&new, "r:2"));
    assert!(rollback.reason.as_ref().unwrap().contains("no such image"));
    assert!(plan.start.is_empty(), "nothing more of it is launched");
    assert_eq!(plan.wake_at, Some(scene.world.now));

    let mut said = Vec::new();
    scene.advance(1);
    while !scene.plan("r").steady {
        scene.advance(1);
        said.extend(pass(&mut scene).events);
    }
    let plan = pass(&mut scene);
    said.extend(plan.events.clone());
    said.dedup();
    assert_eq!(
        said,
        [texts::deployment_completed(&old.id), texts::STEADY.to_owned()],
        "EVT-16, EVT-15"
    );
    assert_eq!(plan.deployments.len(), 1);
    assert_eq!(plan.deployments[0].rollout_state, RolloutState::Completed);
    let why = plan.rolled_back.unwrap();
    assert!(
        why.contains("r:2") && why.contains("no such image") && why.contains("spec.taskDefinition"),
        "{why}"
    );
    assert_eq!((of(&scene, "r:1").len(), of(&scene, "r:2").len()), (4, 0));
    scene.advance(100_000);
    let later = pass(&mut scene);
    assert!(
        later.start.is_empty() && later.stop.is_empty(),
        "what failed is not tried again"
    );
    assert_eq!(later.deployments[0].id, old.id);
}

#[test]
fn without_rollback_the_service_stays_as_it_is_cb_9() {
    let mut scene = web(false);
    roll(&mut scene, "r:2");
    pass(&mut scene);
    let plan = fail_to_start(&mut scene, 3);
    let id = plan.deployments[0].id.clone();
    assert_eq!(plan.events, [texts::deployment_failed(&id)]);
    assert_eq!(plan.deployments[0].status, DeploymentStatus::Primary);
    let why = plan.stalled.unwrap();
    assert!(
        why.contains("no such image") && why.contains("spec.forceNewDeployment"),
        "{why}"
    );
    for task in of(&scene, "r:2") {
        refuse(&mut scene, &task);
    }
    scene.advance(100_000);
    let plan = pass(&mut scene);
    assert!(plan.start.is_empty() && plan.stop.is_empty() && !plan.steady && !plan.impaired);
    assert_eq!(plan.events, Vec::<String>::new(), "it is said once");
    assert_eq!(of(&scene, "r:1").len(), 4, "the old tasks still run");
    let left = of(&scene, "r:1").remove(0);
    scene.edit_task(&left.key.name, |t| t.last = LastStatus::Stopped);
    scene.release();
    assert!(scene.plan("r").start.is_empty(), "nothing is launched");
}

#[test]
fn ids_given_out_for_a_deployment_that_failed_are_taken_back_cb_9() {
    let mut scene = web(false);
    roll(&mut scene, "r:2");
    let plan = scene.plan("r");
    scene.commit_until("r", &plan, 3);
    scene.create_tasks();
    for task in of(&scene, "r:2") {
        refuse(&mut scene, &task);
    }
    let plan = scene.plan("r");
    assert!(plan.deployments[0].failed() && plan.start.is_empty());
    assert_eq!(plan.stop.len(), 1);
    assert!(plan.stop[0].uid.is_empty(), "an id without a Task");
}

#[test]
fn a_first_deployment_that_fails_has_nothing_to_go_back_to_cb_11() {
    let mut scene = Scene::new()
        .definition(definition("r:2", 100, 100))
        .service(replica("r", "r:2", 1).breaker(true));
    for n in 0..4 {
        scene = scene.instance(instance(&format!("i{n}")));
    }
    pass(&mut scene);
    let plan = fail_to_start(&mut scene, 3);
    assert_eq!(plan.events, [texts::deployment_failed(&plan.deployments[0].id)]);
    let why = plan.stalled.unwrap();
    assert!(
        why.contains("There is no completed deployment to go back to."),
        "{why}"
    );
    scene.advance(100_000);
    let plan = pass(&mut scene);
    assert!(plan.start.is_empty() && plan.stalled.is_some());
}

#[test]
fn what_failed_is_shown_until_the_service_is_back_even_without_tasks_dep_3_dep_8() {
    let mut scene = web(true);
    roll(&mut scene, "r:2");
    pass(&mut scene);
    for task in of(&scene, "r:2") {
        refuse(&mut scene, &task);
    }
    let plan = pass(&mut scene);
    assert!(
        turned(&plan) && plan.deployments[1].failed(),
        "{:?}",
        plan.deployments
    );
    let entry = &plan.history[0];
    assert_eq!(entry.status, ServiceDeploymentStatus::RollbackInProgress);
    let state = entry.deployment_circuit_breaker.as_ref().unwrap();
    assert_eq!(
        (state.failure_count, state.status),
        (4, CircuitBreakerStatus::Triggered)
    );
    scene.advance(1);
    let plan = pass(&mut scene);
    assert_eq!((plan.deployments.len(), plan.steady), (1, true));
    assert_eq!(
        plan.history[0].status,
        ServiceDeploymentStatus::RollbackSuccessful
    );
}

#[test]
fn a_rollback_is_not_rolled_back_and_keeps_within_the_percentages_cb_12() {
    // the old task has gone before the new one comes
    let mut scene = settled(replica("r", "r:1", 1).percent(0, 100).breaker(true));
    let old = primary(&scene).id.clone();
    roll(&mut scene, "r:2");
    pass(&mut scene);
    pass(&mut scene);
    assert_eq!((of(&scene, "r:1").len(), of(&scene, "r:2").len()), (0, 1));
    assert_eq!(
        scene.get("r").deployments.len(),
        2,
        "what can be gone back to is kept"
    );
    let plan = fail_to_start(&mut scene, 3);
    assert_eq!(plan.deployments[0].id, old);
    pass(&mut scene);
    for _ in 0..6 {
        for task in of(&scene, "r:1") {
            refuse(&mut scene, &task);
        }
        scene.advance(1620);
        let plan = pass(&mut scene);
        assert_eq!(plan.deployments[0].id, old);
        assert_eq!(plan.deployments[0].rollout_state, RolloutState::InProgress);
        assert_eq!(failures(&plan.deployments[0]).2, CircuitBreakerStatus::Disabled);
    }
    assert!(primary(&scene).failed_tasks >= 5);
    assert!(scene.settle("r").steady);
}

#[test]
fn another_wish_starts_anew_and_the_same_does_not_cb_9_cb_10() {
    let rolled_back = || {
        let mut scene = web(true);
        roll(&mut scene, "r:2");
        pass(&mut scene);
        fail_to_start(&mut scene, 3);
        scene.settle("r");
        scene
    };
    let mut scene = rolled_back();
    let old = primary(&scene).id.clone();
    scene.edit_service("r", |s| s.desired_count = 5);
    assert_eq!(scene.settle("r").deployments[0].id, old, "a count is no new wish");
    assert_eq!(of(&scene, "r:1").len(), 5);

    let mut scene = rolled_back();
    scene.edit_service("r", |s| s.forced = Some("again".to_owned()));
    let plan = pass(&mut scene);
    assert_eq!(plan.deployments[0].task_definition, "r:2");
    assert_eq!((plan.deployments[0].failed_tasks, plan.rolled_back), (0, None));
    assert!(turned(&fail_to_start(&mut scene, 3)), "it is given up again");

    let mut scene = rolled_back();
    roll(&mut scene, "r:3");
    assert_eq!(scene.settle("r").deployments[0].task_definition, "r:3");
    assert_eq!(scene.plan("r").rolled_back, None);

    let mut scene = rolled_back();
    roll(&mut scene, "r:1");
    let plan = pass(&mut scene);
    assert_eq!(
        (plan.deployments[0].id.clone(), plan.start.len()),
        (old, 0),
        "what runs is what is asked for"
    );
    assert_eq!(plan.rolled_back, None);
    roll(&mut scene, "r:2");
    assert_eq!(
        pass(&mut scene).deployments[0].task_definition,
        "r:2",
        "asked for once more"
    );
}

#[test]
fn without_rollback_a_failed_revision_is_tried_again_by_force_only_cb_9() {
    let mut scene = web(false);
    roll(&mut scene, "r:2");
    pass(&mut scene);
    let failed = fail_to_start(&mut scene, 3).deployments.remove(0);
    roll(&mut scene, "r:9");
    let why = pass(&mut scene).stalled.unwrap();
    assert!(why.starts_with("Unable to describe task definition."), "{why}");
    roll(&mut scene, "r:2");
    assert_eq!(pass(&mut scene).deployments[0].id, failed.id);
    scene.edit_service("r", |s| s.forced = Some("again".to_owned()));
    let plan = pass(&mut scene);
    assert_ne!(plan.deployments[0].id, failed.id);
    assert_eq!((plan.start.len(), plan.stop.len(), plan.stalled), (3, 1, None));
}

#[test]
fn a_definition_that_is_gone_is_not_gone_back_to_cb_10_td_20() {
    let mut scene = web(true);
    roll(&mut scene, "r:2");
    pass(&mut scene);
    let mut other = definition("r:1", 100, 100);
    other.uid = "another".to_owned();
    let mut scene = scene.definition(other);
    let plan = fail_to_start(&mut scene, 3);
    assert_eq!(plan.events, [texts::deployment_failed(&plan.deployments[0].id)]);
    let why = plan.stalled.unwrap();
    assert!(
        why.contains("It can't be rolled back: TaskDefinition r.1 of deployment"),
        "{why}"
    );
    assert_eq!(of(&scene, "r:1").len(), 4);
}

#[test]
fn what_was_last_completed_is_gone_back_to_over_several_that_were_not_cb_10() {
    let mut scene = web(true);
    let old = primary(&scene).id.clone();
    roll(&mut scene, "r:3");
    pass(&mut scene);
    roll(&mut scene, "r:2");
    scene.advance(60);
    for _ in 0..4 {
        pass(&mut scene);
    }
    let plan = fail_to_start(&mut scene, 3);
    assert!(turned(&plan));
    assert_eq!(plan.deployments[0].id, old);
    // another wish in the middle of the way back, which fails too
    scene.edit_service("r", |s| s.forced = Some("again".to_owned()));
    for _ in 0..3 {
        pass(&mut scene);
    }
    let plan = fail_to_start(&mut scene, 3);
    assert!(turned(&plan));
    assert_eq!(plan.deployments[0].id, old, "it was completed once");
    assert!(scene.settle("r").steady);
}

#[test]
fn a_daemon_is_rolled_back_on_the_instances_it_had_left_daemon_38_cb_10() {
    let mut scene = settled(daemon("r", "r:1").breaker(true).percent(50, 100));
    let old = primary(&scene).id.clone();
    assert_eq!(of(&scene, "r:1").len(), 8);
    roll(&mut scene, "r:2");
    pass(&mut scene);
    pass(&mut scene);
    let new = of(&scene, "r:2");
    assert_eq!(
        (of(&scene, "r:1").len(), new.len()),
        (4, 4),
        "half of them at a time"
    );
    assert_eq!(failures(primary(&scene)).1, 4, "half of eight (CB-2)");
    for task in &new {
        refuse(&mut scene, task);
    }
    let plan = pass(&mut scene);
    assert!(turned(&plan) && plan.deployments[0].id == old);
    let end = scene.settle("r");
    assert!(end.steady && end.deployments.len() == 1);
    assert_eq!(of(&scene, "r:1").len(), 8);
}

#[test]
fn a_daemon_that_failed_holds_no_room_back_and_still_leaves_where_it_must_cb_9_daemon_3() {
    let mut scene = settled(daemon("r", "r:1").breaker(false).percent(50, 100));
    roll(&mut scene, "r:2");
    pass(&mut scene);
    pass(&mut scene);
    for task in of(&scene, "r:2") {
        refuse(&mut scene, &task);
    }
    let plan = pass(&mut scene);
    assert!(plan.deployments[0].failed() && plan.start.is_empty() && plan.stop.is_empty());
    let mut scene = scene.instance(instance("fresh").size(100, 4096));
    let fresh = scene.world.instances["fresh"].clone();
    assert_eq!(crate::plan::eligibility::withheld(&scene.world, &fresh).cpu, 0);
    assert!(crate::plan::daemons_due_on(&scene.world, &fresh).is_empty());
    let runs = of(&scene, "r:1").remove(0);
    scene.edit_service("r", |s| *s = s.clone().member_of("not(attribute:off exists)"));
    scene.edit_instance(runs.instance.as_ref().unwrap(), |i| {
        i.attributes.insert("off".to_owned(), None);
    });
    let plan = pass(&mut scene);
    assert_eq!(plan.stop.len(), 1);
    assert_eq!(plan.stop[0].task, runs.key);
}

#[test]
fn failing_health_checks_roll_a_service_back_cb_5_health_5() {
    let mut scene = settled(replica("r", "r:1", 4).breaker(true));
    let mut scene = {
        scene = scene.definition(definition("r:2", 100, 100).health_checked());
        roll(&mut scene, "r:2");
        scene
    };
    let old = primary(&scene).id.clone();
    for _ in 0..40 {
        scene.round("r");
        scene.advance(60);
        for task in of(&scene, "r:2") {
            scene.edit_task(&task.key.name, |t| t.health = HealthStatus::Unhealthy);
        }
    }
    assert_eq!(primary(&scene).id, old);
    assert!(scene.plan("r").steady);
    assert_eq!(of(&scene, "r:2").len(), 0);
}
