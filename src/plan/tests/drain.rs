use jiff::SignedDuration;

use crate::domain::records::{InstanceStatus, LastStatus};
use crate::plan::testing::*;
use crate::plan::texts;

/// Four replicas and a daemon on i1, i2 empty but for its daemon.
fn four_on_i1(minimum: u32, maximum: u32) -> Scene {
    let mut scene = Scene::new()
        .definition(definition("r:1", 100, 100))
        .definition(definition("d:1", 100, 100))
        .instance(instance("i1"))
        .service(daemon("d", "d:1"))
        .service(replica("r", "r:1", 4).percent(minimum, maximum));
    scene.settle("d");
    scene.settle("r");
    let mut scene = scene.instance(instance("i2"));
    scene.settle("d");
    scene.edit_instance("i1", |i| i.status = InstanceStatus::Draining);
    scene
}

#[test]
fn replacements_first_then_old_ones_then_the_daemon_scn_4_drain_4_drain_5_drain_9() {
    let mut scene = four_on_i1(100, 200);
    let plan = scene.round("r");
    assert_eq!((plan.start.len(), plan.stop.len()), (4, 0));
    assert!(plan.start.iter().all(|s| s.instance == "i2"));
    assert!(scene.plan("r").stop.is_empty() && scene.plan("d").stop.is_empty());
    assert!(!scene.plan("r").steady, "DRAIN-12");
    scene.advance(40);
    let plan = scene.plan("r");
    assert_eq!(plan.stop.len(), 4);
    scene.commit("r", &plan);
    scene.carry_out_marks();
    assert!(scene.plan("d").stop.is_empty(), "told to stop is not STOPPED");
    scene.end_tasks();
    assert_eq!(scene.plan("d").stop.len(), 1);
    scene.settle("d");
    assert!(scene.settle("r").steady);
    assert_eq!(
        (scene.where_wanted("d").concat(), scene.where_wanted("r").concat()),
        ("i2".into(), "i2i2i2i2".into())
    );
}

#[test]
fn within_lower_old_ones_stop_first_scn_5_drain_4() {
    let mut scene = four_on_i1(50, 100);
    let plan = scene.round("r");
    assert_eq!((plan.start.len(), plan.stop.len()), (0, 2));
    let plan = scene.round("r");
    assert_eq!((plan.start.len(), plan.stop.len()), (2, 0));
    scene.advance(60);
    assert_eq!(scene.round("r").stop.len(), 2);
    assert!(scene.settle("r").steady);
}

#[test]
fn with_both_at_100_nothing_moves_scn_6_pct_5_pct_9() {
    let scene = four_on_i1(100, 100);
    let plan = scene.plan("r");
    assert!(plan.start.is_empty() && plan.stop.is_empty());
    assert_eq!(plan.events, [texts::DEADLOCK]);
}

#[test]
fn pending_tasks_stop_at_once_whatever_min_drain_3() {
    let mut scene = four_on_i1(100, 100);
    for task in scene.alive("r").iter().take(2) {
        scene.edit_task(&task.key.name, |t| t.last = LastStatus::Pending);
    }
    assert_eq!(scene.plan("r").stop.len(), 2);
}

#[test]
fn without_capacity_elsewhere_tasks_stay_and_it_is_said_drain_6() {
    let mut scene = four_on_i1(100, 200);
    scene.edit_instance("i2", |i| i.foreign = amounts(2048, 0));
    let plan = scene.plan("r");
    assert!(plan.start.is_empty() && plan.stop.is_empty());
    assert!(plan.events[0].contains("(container-instance i2) has insufficient CPU"));
}

#[test]
fn protected_tasks_are_held_until_their_protection_ends_drain_15() {
    let mut scene = four_on_i1(0, 200);
    let until = scene.world.now + SignedDuration::from_secs(600);
    let held = scene.alive("r").remove(0).key;
    scene.edit_task(&held.name, |t| t.protected_until = Some(until));
    let plan = scene.plan("r");
    assert_eq!(plan.stop.len(), 3);
    assert!(plan.stop.iter().all(|s| s.task != held));
    scene.settle("r");
    assert!(scene.plan("d").stop.is_empty(), "it holds the daemon too");
    scene.world.now = until;
    scene.settle("r");
    assert_eq!(scene.plan("d").stop.len(), 1);
}

#[test]
fn back_to_active_what_is_left_stays_and_surplus_goes_drain_11() {
    let mut scene = four_on_i1(100, 200);
    scene.round("r");
    scene.edit_instance("i1", |i| i.status = InstanceStatus::Active);
    assert!(scene.settle("r").steady);
    assert_eq!(scene.alive("r").len(), 4);
}

#[test]
fn a_drain_goes_on_for_a_service_that_may_not_start() {
    let mut scene = four_on_i1(50, 200);
    scene.edit_service("r", |s| *s = s.clone().member_of("and"));
    let plan = scene.plan("r");
    assert_eq!(
        (plan.start.len(), plan.stop.len()),
        (0, 2),
        "within lower, as if capacity lacked"
    );
}
