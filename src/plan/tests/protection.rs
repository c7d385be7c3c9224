//! Protected tasks are left alone, and what waits for them says so. (PROT-5 to PROT-12)

use jiff::{SignedDuration, Timestamp};

use crate::domain::records::{HealthStatus, InstanceStatus};
use crate::plan::crowded;
use crate::plan::testing::*;
use crate::plan::world::{ASKED, Key};

/// Protects as many tasks of the service, until then.
fn protect(scene: &mut Scene, tasks: usize, until: Timestamp) -> Vec<Key> {
    let mut keys: Vec<Key> = scene.alive("r").into_iter().map(|t| t.key.clone()).collect();
    keys.truncate(tasks);
    for key in &keys {
        scene.edit_task(&key.name, |t| t.protected_until = Some(until));
    }
    keys
}

fn in_an_hour(scene: &Scene) -> Timestamp {
    scene.world.now + SignedDuration::from_secs(3600)
}

#[test]
fn a_service_that_waits_for_protected_tasks_names_them_prot_7_prot_8() {
    let mut scene = running(3, 0, 100);
    let until = in_an_hour(&scene);
    let held = protect(&mut scene, 1, until).remove(0).name;
    assert_eq!(scene.plan("r").protected, None, "it is wanted");
    let expected = format!(
        "protected tasks that should go are waited for: task {held} until {until}; to end it before, set \
         protectionEnabled to false in spec.protection of the Task"
    );
    scene.edit_service("r", |s| s.desired_count = 0);
    scene.settle("r");
    assert_eq!(scene.plan("r").protected.as_deref(), Some(expected.as_str()));
    scene.edit_service("r", |s| {
        (s.desired_count, s.requested_definition) = (1, "r:2".to_owned());
    });
    let plan = scene.settle("r");
    assert_eq!(plan.protected.as_deref(), Some(expected.as_str()));
    assert!(!plan.steady);
    scene.world.now = until;
    let plan = scene.settle("r");
    assert_eq!((plan.protected, plan.steady), (None, true));
}

#[test]
fn a_request_without_answer_holds_like_protection_prot_1() {
    let mut scene = running(2, 0, 200);
    protect(&mut scene, 2, ASKED);
    scene.edit_service("r", |s| s.desired_count = 0);
    let plan = scene.plan("r");
    assert!(plan.stop.is_empty());
    let said = plan.protected.unwrap();
    assert!(!said.contains("until"), "{said}");
}

#[test]
fn a_task_gets_no_protection_while_more_are_protected_than_wanted_prot_5() {
    let mut scene = running(4, 0, 200);
    let until = in_an_hour(&scene);
    let keys: Vec<Key> = scene.alive("r").into_iter().map(|t| t.key.clone()).collect();
    protect(&mut scene, 2, until);
    let asks = &keys[3];
    assert!(!crowded(&scene.world, asks), "2 of 4");
    scene.edit_service("r", |s| s.desired_count = 2);
    assert!(!crowded(&scene.world, asks), "as many as wanted");
    scene.edit_task(&keys[2].name, |t| t.protected_until = Some(ASKED));
    assert!(!crowded(&scene.world, asks), "who asks as well has none yet");
    scene.edit_service("r", |s| s.desired_count = 1);
    assert!(crowded(&scene.world, asks));
    scene.world.now = until;
    assert!(!crowded(&scene.world, asks), "expired");
    assert!(!crowded(&scene.world, &key("unknown")));
}

#[test]
fn health_and_lost_machines_do_not_ask_for_protection_prot_11() {
    let mut scene = Scene::new()
        .definition(definition("r:1", 100, 100).health_checked())
        .instance(instance("i1"))
        .service(replica("r", "r:1", 1).percent(0, 100));
    scene.settle("r");
    let until = in_an_hour(&scene);
    let held = protect(&mut scene, 1, until).remove(0);
    scene.edit_task(&held.name, |t| t.health = HealthStatus::Unhealthy);
    let plan = scene.plan("r");
    assert_eq!(plan.stop.len(), 1);
    assert_eq!((&plan.stop[0].task, plan.protected), (&held, None));
}

#[test]
fn a_drained_daemon_goes_though_protected_and_its_update_waits_and_says_so_prot_12() {
    let mut scene = Scene::new()
        .definition(definition("r:1", 100, 100))
        .definition(definition("r:2", 100, 100))
        .instance(instance("i1"))
        .service(daemon("r", "r:1"));
    scene.settle("r");
    let until = in_an_hour(&scene);
    protect(&mut scene, 1, until);
    scene.edit_service("r", |s| s.requested_definition = "r:2".to_owned());
    let plan = scene.round("r");
    assert!(plan.stop.is_empty() && plan.protected.is_some());
    assert_eq!(plan.wake_at, Some(until));
    scene.edit_instance("i1", |i| i.status = InstanceStatus::Draining);
    assert_eq!(scene.plan("r").stop.len(), 1);
}

#[test]
fn the_end_of_a_service_is_the_end_of_its_protected_tasks_svc_3_prot_6() {
    let mut scene = running(3, 100, 200);
    let until = in_an_hour(&scene);
    protect(&mut scene, 3, until);
    scene.edit_service("r", |s| s.deleting = true);
    assert_eq!(scene.plan("r").stop.len(), 3);
}
