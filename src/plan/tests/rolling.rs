use jiff::SignedDuration;

use crate::domain::records::{DeploymentStatus, RolloutState};
use crate::plan::testing::*;
use crate::plan::texts;

fn running(desired: u32, minimum: u32, maximum: u32) -> Scene {
    let mut scene = Scene::new()
        .definition(definition("r:1", 100, 100))
        .definition(definition("r:2", 100, 100))
        .definition(definition("r:3", 100, 100))
        .instance(instance("i1"))
        .instance(instance("i2"))
        .service(replica("r", "r:1", desired).percent(minimum, maximum));
    scene.settle("r");
    scene
}

fn roll(scene: &mut Scene, definition: &str) {
    scene.edit_service("r", |s| s.requested_definition = definition.to_owned());
}

#[test]
fn the_first_step_is_as_in_the_table_pct_7_pct_8_roll_2_roll_4() {
    // desired, min, max, start first, stop first
    let table = [
        (4, 100, 200, 4, 0),
        (4, 50, 100, 0, 2),
        (4, 50, 200, 4, 2),
        (3, 100, 125, 0, 0),
        (2, 75, 100, 0, 0),
        (1, 100, 200, 1, 0),
        (1, 0, 100, 0, 1),
        (1, 50, 100, 0, 0),
        (10, 90, 110, 1, 1),
        (5, 33, 150, 2, 3),
    ];
    for (desired, min, max, start, stop) in table {
        let mut scene = running(desired, min, max);
        roll(&mut scene, "r:2");
        let plan = scene.plan("r");
        assert_eq!(
            (plan.start.len(), plan.stop.len()),
            (start, stop),
            "{desired} {min} {max}"
        );
        let stuck = start == 0 && stop == 0;
        assert_eq!(
            plan.events.contains(&texts::DEADLOCK.to_owned()),
            stuck,
            "{desired} {min} {max}"
        );
        assert_eq!(plan.stalled.is_some(), stuck, "{desired} {min} {max}");
        if !stuck {
            let end = scene.settle("r");
            assert!(end.steady && end.deployments.len() == 1, "{desired} {min} {max}");
        }
    }
    let mut zero = running(3, 100, 200);
    zero.edit_service("r", |s| s.desired_count = 0);
    roll(&mut zero, "r:2");
    let plan = zero.plan("r");
    assert_eq!((plan.start.len(), plan.stop.len()), (0, 3), "0 100 200: all");
}

#[test]
fn old_tasks_stop_as_new_ones_become_healthy_roll_2_roll_8() {
    let mut scene = running(4, 100, 200);
    roll(&mut scene, "r:2");
    let plan = scene.round("r");
    assert_eq!(plan.deployments[0].rollout_state, RolloutState::InProgress);
    assert_eq!(
        (
            plan.deployments[0].desired_count,
            plan.deployments[1].desired_count
        ),
        (4, 4),
        "ROLL-3"
    );
    assert!(scene.plan("r").stop.is_empty(), "new ones run, but not for 40 s");
    scene.advance(40);
    assert_eq!(scene.round("r").stop.len(), 4);
    let plan = scene.plan("r");
    assert_eq!(plan.deployments[0].rollout_state, RolloutState::Completed);
    assert_eq!(
        plan.events[0],
        texts::deployment_completed(&plan.deployments[0].id)
    );
    assert_eq!(plan.events[1], texts::STEADY);
}

#[test]
fn old_tasks_that_do_not_run_are_stopped_at_once_pct_6() {
    let mut scene = running(1, 100, 200);
    scene.edit_service("r", |s| s.desired_count = 3);
    let plan = scene.plan("r");
    scene.commit("r", &plan);
    scene.create_tasks();
    roll(&mut scene, "r:2");
    let plan = scene.plan("r");
    assert_eq!((plan.start.len(), plan.stop.len()), (3, 2));
}

#[test]
fn a_warming_old_task_stays_while_it_is_needed() {
    let mut scene = running(2, 100, 200);
    roll(&mut scene, "r:2");
    scene.round("r");
    roll(&mut scene, "r:3");
    let plan = scene.plan("r");
    // 4 wanted of upper 4: r:2, running for a moment, goes before the healthy r:1.
    assert_eq!((plan.start.len(), plan.stop.len()), (0, 2));
    let mut fresh = Scene::new()
        .definition(definition("r:1", 1, 1))
        .definition(definition("r:2", 1, 1))
        .instance(instance("i1"))
        .service(replica("r", "r:1", 1));
    fresh.round("r");
    roll(&mut fresh, "r:2");
    let plan = fresh.plan("r");
    assert_eq!(
        (plan.start.len(), plan.stop.len()),
        (1, 0),
        "the only running one"
    );
}

#[test]
fn without_capacity_old_tasks_stop_within_lower_roll_5() {
    let mut scene = running(4, 50, 200);
    for name in ["i1", "i2"] {
        scene.edit_instance(name, |i| i.registered.cpu = 200);
    }
    roll(&mut scene, "r:2");
    let plan = scene.plan("r");
    assert_eq!((plan.start.len(), plan.stop.len()), (0, 2));
    assert!(plan.events[0].contains("has insufficient CPU units available"));
    assert!(scene.settle("r").steady);

    let mut full = running(4, 100, 200);
    for name in ["i1", "i2"] {
        full.edit_instance(name, |i| i.registered.cpu = 200);
    }
    roll(&mut full, "r:2");
    let plan = full.plan("r");
    assert!(plan.start.is_empty() && plan.stop.is_empty() && plan.events[0].contains("insufficient CPU"));
    assert_eq!(
        plan.events.len(),
        1,
        "no EVT-32: the percentages are not to blame"
    );
}

#[test]
fn a_further_update_drains_all_earlier_ones_roll_6() {
    let mut scene = running(3, 100, 200);
    roll(&mut scene, "r:2");
    scene.round("r");
    roll(&mut scene, "r:3");
    let plan = scene.plan("r");
    let statuses: Vec<_> = plan
        .deployments
        .iter()
        .map(|d| (d.task_definition.as_str(), d.status))
        .collect();
    assert_eq!(
        statuses,
        [
            ("r:3", DeploymentStatus::Primary),
            ("r:2", DeploymentStatus::Active),
            ("r:1", DeploymentStatus::Active)
        ]
    );
    let end = scene.settle("r");
    assert!(end.steady && end.deployments.len() == 1);
    assert!(scene.alive("r").iter().all(|t| t.definition == "r:3"));
}

#[test]
fn never_completed_deployments_go_before_completed_ones_roll_6() {
    let mut scene = running(2, 50, 200);
    roll(&mut scene, "r:2");
    let plan = scene.plan("r");
    scene.commit("r", &plan);
    scene.create_tasks();
    scene.run_tasks();
    scene.advance(60);
    // Two old and two new are healthy; lower is 1.
    roll(&mut scene, "r:3");
    let plan = scene.plan("r");
    let first = scene.world.task(&plan.stop[0].task).unwrap();
    assert_eq!(first.definition, "r:2");
}

#[test]
fn a_protected_old_task_holds_the_deployment_scn_14_prot_8() {
    let mut scene = running(2, 50, 100);
    let until = scene.world.now + SignedDuration::from_secs(3600);
    let kept = scene.alive("r").remove(0).key;
    scene.edit_task(&kept.name, |t| t.protected_until = Some(until));
    roll(&mut scene, "r:2");
    let plan = scene.round("r");
    assert_eq!((plan.start.len(), plan.stop.len()), (0, 1));
    assert_ne!(plan.stop[0].task, kept);
    assert_eq!(scene.round("r").start.len(), 1);
    scene.advance(60);
    let plan = scene.round("r");
    assert!(
        plan.start.is_empty() && plan.stop.is_empty(),
        "upper 2 is taken by the protected one"
    );
    assert_eq!(plan.deployments[0].rollout_state, RolloutState::InProgress);
    assert_eq!(plan.wake_at, Some(until));
    scene.world.now = until;
    assert!(scene.settle("r").steady);
}

#[test]
fn distinct_instance_stalls_or_makes_room_scn_15_cons_5() {
    for (minimum, moves) in [(100, false), (50, true)] {
        let mut scene = running(2, minimum, 200);
        scene.edit_service("r", |s| *s = s.clone().distinct());
        // Spread one to each, as distinctInstance wants.
        scene.settle("r");
        assert_eq!(scene.where_wanted("r"), ["i1", "i2"]);
        roll(&mut scene, "r:2");
        let plan = scene.plan("r");
        assert!(plan.start.is_empty());
        assert!(plan.events[0].contains("DistinctInstance placement constraint unsatisfied."));
        assert_eq!(plan.stop.len(), usize::from(moves));
        scene.commit("r", &plan);
        scene.carry_out_marks();
        assert_eq!(
            scene.plan("r").start.len(),
            usize::from(moves),
            "told to stop is enough"
        );
    }
}

#[test]
fn a_fixed_host_port_updates_stop_first_scn_18() {
    let mut scene = Scene::new()
        .definition(definition("r:1", 1, 1).port(80))
        .definition(definition("r:2", 1, 1).port(80))
        .instance(instance("i1"))
        .service(replica("r", "r:1", 1).percent(0, 100));
    scene.settle("r");
    roll(&mut scene, "r:2");
    assert!(scene.settle("r").steady);
    assert_eq!(scene.alive("r")[0].definition, "r:2");
}

#[test]
fn a_broken_primary_keeps_the_old_tasks() {
    let mut scene = running(2, 0, 200);
    roll(&mut scene, "r:2");
    let mut plan = scene.plan("r");
    plan.start.clear();
    plan.stop.clear();
    scene.commit("r", &plan);
    let mut broken = definition("r:2", 1, 1);
    broken.demand = Err(vec!["no".to_owned()]);
    let scene = scene.definition(broken);
    let plan = scene.plan("r");
    assert!(plan.start.is_empty() && plan.stop.is_empty());
    assert_eq!(plan.stalled.as_deref(), Some("no"));
}

#[test]
fn going_back_is_another_deployment_in_the_other_direction() {
    let mut scene = running(3, 100, 150);
    roll(&mut scene, "r:2");
    scene.round("r");
    roll(&mut scene, "r:1");
    let end = scene.settle("r");
    assert!(end.steady);
    assert!(scene.alive("r").iter().all(|t| t.definition == "r:1"));
}
