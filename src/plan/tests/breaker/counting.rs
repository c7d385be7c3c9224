//! What counts as a failure, and what clears the count. (CB-1 to CB-8, CB-13, DEP-4)

use jiff::SignedDuration;

use super::*;
use crate::domain::deployment::{RolloutState, ServiceDeploymentStatus};
use crate::domain::records::{HealthStatus, ThresholdConfiguration, ThresholdType};

#[test]
fn a_task_that_becomes_healthy_clears_the_count_or_not_scn_12_cb_6_dep_4() {
    for reset in [true, false] {
        let mut scene = web(true);
        scene.edit_service("r", |s| s.circuit_breaker.reset_on_healthy_task = reset);
        roll(&mut scene, "r:2");
        pass(&mut scene);
        fail_to_start(&mut scene, 2);
        let runs = of(&scene, "r:2").remove(0);
        run(&mut scene, &runs);
        scene.advance(39);
        let plan = pass(&mut scene);
        assert_eq!(plan.deployments[0].failed_tasks, 2, "it is not healthy yet");
        scene.advance(1);
        let plan = pass(&mut scene);
        let count = if reset { 0 } else { 2 };
        assert_eq!(plan.deployments[0].failed_tasks, 0, "consecutive ones (DEP-4)");
        assert_eq!(failures(&plan.deployments[0]).0, count);
        let plan = pass(&mut scene);
        assert_eq!(failures(&plan.deployments[0]).0, count, "it becomes healthy once");
        let more = of(&scene, "r:2");
        let other = more.iter().find(|t| t.key != runs.key).unwrap();
        run(&mut scene, other);
        scene.advance(1);
        fail_health(&mut scene, other);
        let plan = pass(&mut scene);
        let failed = plan.deployments.iter().any(Deployment::failed);
        assert_eq!(failed, !reset, "the third in all, the first in a row");
    }
}

#[test]
fn once_a_task_runs_only_failed_health_checks_count_cb_4_cb_5_cb_7() {
    let mut scene = web(false);
    roll(&mut scene, "r:2");
    pass(&mut scene);
    let tasks = of(&scene, "r:2");
    run(&mut scene, &tasks[0]);
    scene.advance(1);
    for task in &tasks[1..] {
        refuse(&mut scene, task);
    }
    let plan = pass(&mut scene);
    assert_eq!(
        plan.deployments[0].failed_tasks, 3,
        "DEP-4 counts them all the same"
    );
    assert_eq!(failures(&plan.deployments[0]).0, 0, "second stage");
    let now = scene.world.now;
    scene.edit_task(&tasks[0].key.name, |t| {
        (t.last, t.stopped_at) = (LastStatus::Stopped, Some(now));
        t.stop_code = Some(StopCode::EssentialContainerExited);
    });
    scene.release();
    let plan = pass(&mut scene);
    assert_eq!(
        plan.deployments[0].failed_tasks, 3,
        "it ran and ended by itself (CB-7)"
    );
    for n in 1..=3 {
        scene.advance(1620);
        pass(&mut scene);
        let task = of(&scene, "r:2").remove(0);
        run(&mut scene, &task);
        scene.advance(5);
        fail_health(&mut scene, &task);
        let plan = pass(&mut scene);
        assert_eq!(failures(&plan.deployments[0]).0, n);
        assert_eq!(plan.deployments[0].failed(), n == 3, "{n}");
    }
}

#[test]
fn after_completion_nothing_is_counted_cb_13_thr_3() {
    let mut scene = web(true);
    assert_eq!(
        failures(primary(&scene)).2,
        CircuitBreakerStatus::MonitoringComplete
    );
    for _ in 0..8 {
        for task in of(&scene, "r:1") {
            refuse(&mut scene, &task);
        }
        let plan = pass(&mut scene);
        assert_eq!(plan.deployments[0].rollout_state, RolloutState::Completed);
        assert_eq!(
            (plan.deployments[0].failed_tasks, failures(&plan.deployments[0]).0),
            (0, 0)
        );
        scene.advance(1620);
        pass(&mut scene);
    }
    assert_eq!(of(&scene, "r:1").len(), 4, "it is tried for ever");
}

#[test]
fn a_task_is_counted_once_whoever_plans_and_whatever_goes_dep_4_cb_4() {
    let mut scene = web(true);
    scene.edit_service("r", |s| s.desired_count = 8);
    scene.settle("r");
    roll(&mut scene, "r:2");
    pass(&mut scene);
    let tasks = of(&scene, "r:2");
    refuse(&mut scene, &tasks[0]);
    let (one, other) = (scene.plan("r"), scene.plan("r"));
    assert_eq!(one, other, "two operators decide the same");
    for _ in 0..3 {
        let plan = pass(&mut scene);
        assert_eq!(
            (plan.deployments[0].failed_tasks, failures(&plan.deployments[0]).0),
            (1, 1)
        );
        assert_eq!(plan.deployments[0].counted_tasks, [tasks[0].key.name.clone()]);
    }
    scene.edit_task(&tasks[0].key.name, |t| {
        t.stopped_reason = Some("another word".to_owned());
    });
    assert_eq!(
        failures(&pass(&mut scene).deployments[0]).0,
        1,
        "a later write of it is no news"
    );
    scene.world.remove_task(&tasks[0].key);
    let plan = pass(&mut scene);
    assert_eq!(
        failures(&plan.deployments[0]).0,
        1,
        "what was counted stays counted"
    );
    assert_eq!(
        plan.deployments[0].counted_tasks,
        Vec::<String>::new(),
        "and needs no note when it is gone"
    );
    scene.advance(60);
    refuse(&mut scene, &tasks[1]);
    assert_eq!(failures(&pass(&mut scene).deployments[0]).0, 2);
}

#[test]
fn tasks_that_somebody_stops_or_that_lose_their_machine_are_no_failures_cb_4() {
    let mut scene = web(true);
    roll(&mut scene, "r:2");
    pass(&mut scene);
    let codes = [
        StopCode::UserInitiated,
        StopCode::TerminationNotice,
        StopCode::ServiceSchedulerInitiated,
    ];
    for (task, code) in of(&scene, "r:2").iter().zip(codes) {
        refuse(&mut scene, task);
        scene.edit_task(&task.key.name, |t| t.stop_code = Some(code));
    }
    let plan = pass(&mut scene);
    assert_eq!(
        (plan.deployments[0].failed_tasks, failures(&plan.deployments[0]).0),
        (0, 0)
    );
}

#[test]
fn a_task_without_a_place_is_no_failure_cb_8() {
    let mut scene = web(true);
    let scene = {
        for n in 0..8 {
            scene.edit_instance(&format!("i{n}"), |i| i.registered.cpu = 0);
        }
        roll(&mut scene, "r:2");
        for _ in 0..10 {
            scene.advance(1000);
            pass(&mut scene);
        }
        scene
    };
    assert_eq!(
        (primary(&scene).failed_tasks, failures(primary(&scene)).0),
        (0, 0)
    );
    assert_eq!(primary(&scene).rollout_state, RolloutState::InProgress);
}

#[test]
fn the_latest_desired_count_and_a_count_of_ones_own_decide_cb_3() {
    let mut scene = settled(replica("r", "r:1", 4).breaker(true));
    scene.edit_service("r", |s| {
        s.circuit_breaker.threshold = ThresholdConfiguration {
            type_: ThresholdType::UnboundedPercent,
            value: None,
        };
    });
    roll(&mut scene, "r:2");
    pass(&mut scene);
    let plan = fail_to_start(&mut scene, 1);
    assert_eq!(
        failures(&plan.deployments[0]),
        (1, 2, CircuitBreakerStatus::Monitoring)
    );
    scene.edit_service("r", |s| s.desired_count = 2);
    let plan = pass(&mut scene);
    assert!(turned(&plan), "half of two is one");

    let mut scene = web(true);
    scene.edit_service("r", |s| {
        s.circuit_breaker.threshold = ThresholdConfiguration {
            type_: ThresholdType::Count,
            value: Some(1),
        };
    });
    roll(&mut scene, "r:2");
    pass(&mut scene);
    assert!(turned(&fail_to_start(&mut scene, 1)));
}

#[test]
fn a_breaker_that_is_off_counts_and_does_nothing_until_it_is_switched_on_cb_1_svc_10() {
    let mut scene = settled(replica("r", "r:1", 4));
    roll(&mut scene, "r:2");
    pass(&mut scene);
    let plan = fail_to_start(&mut scene, 5);
    assert_eq!(
        failures(&plan.deployments[0]),
        (5, 3, CircuitBreakerStatus::Disabled)
    );
    assert_eq!(
        plan.deployments[0].rollout_state,
        RolloutState::InProgress,
        "ROLL-12"
    );
    scene.edit_service("r", |s| *s = s.clone().breaker(true));
    assert!(turned(&pass(&mut scene)));
}

#[test]
fn failing_health_checks_are_ignored_in_the_grace_period_svc_12_health_2() {
    let mut scene = Scene::new()
        .definition(definition("r:1", 100, 100).health_checked())
        .instance(instance("i1"))
        .service(replica("r", "r:1", 1));
    scene.edit_service("r", |s| s.health_check_grace_period_seconds = 100);
    scene.round("r");
    let began = scene.world.now;
    let task = scene.alive("r").remove(0);
    scene.edit_task(&task.key.name, |t| t.health = HealthStatus::Unhealthy);
    scene.advance(99);
    let plan = scene.plan("r");
    assert!(plan.start.is_empty() && plan.stop.is_empty() && !plan.steady);
    assert_eq!(plan.wake_at, Some(began + SignedDuration::from_secs(100)));
    scene.advance(1);
    assert_eq!(scene.plan("r").start.len(), 1, "its replacement (HEALTH-3)");
    scene.edit_service("r", |s| s.health_check_grace_period_seconds = 2_147_483_647);
    assert!(
        scene.plan("r").start.is_empty(),
        "an update counts at once (SVC-10)"
    );
}

#[test]
fn the_last_deployments_and_what_became_of_them_are_kept_dep_8() {
    use ServiceDeploymentStatus::{InProgress, RollbackInProgress, RollbackSuccessful, Stopped, Successful};
    let said = |plan: &ServicePlan| {
        let entries = plan.history.iter();
        entries
            .map(|e| (e.task_definition.clone(), e.status, e.finished_at.is_some()))
            .collect::<Vec<_>>()
    };
    let entry = |definition: &str, status: ServiceDeploymentStatus| {
        (definition.to_owned(), status, status.is_final())
    };
    let mut scene = web(true);
    assert_eq!(said(&scene.plan("r")), [entry("r:1", Successful)]);
    roll(&mut scene, "r:3");
    assert_eq!(said(&pass(&mut scene))[0], entry("r:3", InProgress));
    roll(&mut scene, "r:2");
    scene.advance(60);
    let plan = pass(&mut scene);
    assert_eq!(
        said(&plan),
        [
            entry("r:2", InProgress),
            entry("r:3", Stopped),
            entry("r:1", Successful)
        ]
    );
    let by = format!("Deployment {} took its place.", plan.deployments[0].id);
    assert_eq!(plan.history[1].status_reason, Some(by));
    for _ in 0..4 {
        pass(&mut scene);
    }
    let plan = fail_to_start(&mut scene, 3);
    assert_eq!(said(&plan)[0], entry("r:2", RollbackInProgress));
    let failed = plan.history[0].deployment_circuit_breaker.clone().unwrap();
    assert_eq!(
        (failed.failure_count, failed.status),
        (3, CircuitBreakerStatus::Triggered)
    );
    let end = scene.settle("r");
    assert_eq!(
        said(&end),
        [
            entry("r:2", RollbackSuccessful),
            entry("r:3", Stopped),
            entry("r:1", Successful)
        ]
    );
    assert_eq!(
        end.history[0].status_reason.as_deref(),
        Some("ECS deployment circuit breaker: tasks failed to start.")
    );
    for n in 0..20 {
        scene.edit_service("r", |s| s.forced = Some(n.to_string()));
        scene.settle("r");
    }
    assert_eq!(scene.get("r").history.len(), 10);
}
